"""A block through what is known of the energy without learning, in float64."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from fesurrogate.kinematics import Array
from fesurrogate.machine_code import OPTIONS
from fesurrogate.surrogate.kernels.blocks import POINTS, copy

PLACE = np.array([[0, 5, 4], [5, 1, 3], [4, 3, 2]])  # component of a symmetric tensor by (i, j)


class ClosedForm(NamedTuple):
    """What is known of the energy without learning, in float64."""

    gdim: int
    finite: bool
    corners: NDArray[np.int64]  # (q, 2), the pair (i, j) of each component
    factor: Array  # (q,), 1 or √2
    stiffness: Array  # (f, q, q)
    growth: Array  # (f, 2)


@njit(**OPTIONS)
def components(
    form: ClosedForm,
    h: Array,  # (m, b), strain less that at rest
    e: Array,  # (q, b)
) -> None:
    """Leave the objective components, at finite strain √2 or 1 times ½ (h + hᵀ + hᵀ h)."""
    if not form.finite:
        copy(h, e)
        return
    d = form.gdim
    for k in range(len(e)):
        i, j = form.corners[k]
        scale = 0.5 * form.factor[k]
        for p in range(POINTS):
            e[k, p] = h[i * d + j, p] + h[j * d + i, p]
        for l in range(d):  # noqa: E741
            for p in range(POINTS):
                e[k, p] += h[l * d + i, p] * h[l * d + j, p]
        for p in range(POINTS):
            e[k, p] *= scale


@njit(**OPTIONS)
def add_growth(
    form: ClosedForm,
    growth: Array,  # (2, b), a and b
    e: Array,  # (q, b)
    energy: Array,  # (b,)
    first: Array,  # (q, b)
    second: Array,  # (q, q, b)
    tangent: bool,
) -> None:
    """Add U and its derivatives; the formulas are those of growth_terms, a plane is a slice."""
    q, place = len(e), PLACE
    x, inverse = np.zeros((6, POINTS)), np.empty((6, POINTS))  # C - I and C⁻¹ as tensors
    logarithm = np.empty(POINTS)  # ln J
    for k in range(q):
        i, j = form.corners[k]
        for p in range(POINTS):
            x[place[i, j], p] = 2.0 / form.factor[k] * e[k, p]
    for p in range(POINTS):
        a, b, c, f, g, h = x[0, p], x[1, p], x[2, p], x[3, p], x[4, p], x[5, p]
        minors = (b * c - f * f) + (a * c - g * g) + (a * b - h * h)
        cubic = a * (b * c - f * f) - h * (h * c - f * g) + g * (h * f - b * g)
        logarithm[p] = a + b + c + minors + cubic  # det C - 1
        over = 1.0 / (1.0 + logarithm[p])
        a, b, c = a + 1.0, b + 1.0, c + 1.0
        inverse[0, p], inverse[3, p] = (b * c - f * f) * over, (g * h - a * f) * over
        inverse[1, p], inverse[4, p] = (a * c - g * g) * over, (h * f - b * g) * over
        inverse[2, p], inverse[5, p] = (a * b - h * h) * over, (f * g - c * h) * over
    for p in range(POINTS):
        logarithm[p] = 0.5 * math.log1p(logarithm[p])
    for p in range(POINTS):
        trace, log = 0.5 * (x[0, p] + x[1, p] + x[2, p]), logarithm[p]
        energy[p] += growth[0, p] * (trace - log) + 0.5 * growth[1, p] * log * log
    for k in range(q):
        i, j = form.corners[k]
        kk = place[i, j]
        for p in range(POINTS):
            first[k, p] += form.factor[k] * growth[1, p] * logarithm[p] * inverse[kk, p]
        for m in range(form.gdim):
            im, mj = place[i, m], place[m, j]
            for p in range(POINTS):
                first[k, p] += form.factor[k] * growth[0, p] * x[im, p] * inverse[mj, p]
        if not tangent:
            continue
        for l in range(q):  # noqa: E741
            m, n = form.corners[l]
            im, jn, in_, jm, mn = place[i, m], place[j, n], place[i, n], place[j, m], place[m, n]
            scale = form.factor[k] * form.factor[l]
            for p in range(POINTS):
                crossed = growth[0, p] - growth[1, p] * logarithm[p]
                swapped = inverse[im, p] * inverse[jn, p] + inverse[in_, p] * inverse[jm, p]
                same = growth[1, p] * inverse[kk, p] * inverse[mn, p]
                second[k, l, p] += scale * (same + crossed * swapped)


@njit(**OPTIONS)
def push_forward(
    form: ClosedForm,
    strain: Array,  # (m, b), F
    first: Array,  # (q, b), overwritten
    second: Array,  # (q, q, b), overwritten
    stress: Array,  # (m, b)
    moduli: Array,  # (m, m, b)
    tangent: bool,
) -> None:
    """Leave P = F S and A_iJkL = F_iM C_JMLN F_kN + δ_ik S_JL."""
    d, q, factor = form.gdim, len(first), form.factor
    place = np.empty((d, d), dtype=np.int64)
    for k in range(q):
        i, j = form.corners[k]
        place[i, j] = place[j, i] = k
        for p in range(POINTS):
            first[k, p] /= factor[k]
    stress[:] = 0.0
    for i in range(d):
        for j in range(d):
            for m in range(d):
                for p in range(POINTS):
                    stress[i * d + j, p] += strain[i * d + m, p] * first[place[m, j], p]
    if not tangent:
        return
    for k in range(q):
        for l in range(q):  # noqa: E741
            for p in range(POINTS):
                second[k, l, p] /= factor[k] * factor[l]
    left = np.zeros((d * d, q, POINTS))  # F_iM C_JM,k
    for i in range(d):
        for j in range(d):
            for k in range(q):
                for m in range(d):
                    jm = place[j, m]
                    for p in range(POINTS):
                        left[i * d + j, k, p] += strain[i * d + m, p] * second[jm, k, p]
    for row in range(d * d):
        i, j = row // d, row % d
        for column in range(d * d):
            k, l = column // d, column % d  # noqa: E741
            geometric, same = place[j, l], 1.0 if i == k else 0.0
            for p in range(POINTS):
                moduli[row, column, p] = same * first[geometric, p]
            for n in range(d):
                ln = place[l, n]
                for p in range(POINTS):
                    moduli[row, column, p] += left[row, ln, p] * strain[k * d + n, p]


@njit(**OPTIONS)
def mix(
    z: Array,  # (p, b), scaled parameters
    coefficients: Array,  # (f, r), of the quadratics 1, z_i, z_i z_j with i <= j
    mixed: Array,  # (r, b)
) -> None:
    """Leave the coefficients at the parameters of the points."""
    r = coefficients.shape[1]
    for row in range(r):
        for p in range(POINTS):
            mixed[row, p] = coefficients[0, row]
    count, f = len(z), 1 + len(z)
    for i in range(count):
        for row in range(r):
            for p in range(POINTS):
                mixed[row, p] += coefficients[1 + i, row] * z[i, p]
        for j in range(i, count):
            for row in range(r):
                for p in range(POINTS):
                    mixed[row, p] += coefficients[f, row] * z[i, p] * z[j, p]
            f += 1
