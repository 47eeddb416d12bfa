"""The energy network as machine code: blocks of points pass through all of it in the first cache.

Only :mod:`fesurrogate.surrogate.compiled` imports this module, where Numba is there. It is one
file because Numba looks for changes in the file of the function that it caches, and in no other.

A block holds ``POINTS`` points, on the last axis, so that every innermost loop has a fixed length
and becomes vector instructions; a point's answer depends neither on its place nor on the others.
The perceptron runs in the dtype of the weights, the closed form in float64. Layers are padded with
neurons without weights to multiples of four, for products in tiles of 4 x 4.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from fesurrogate.kinematics import Array

Numbers = NDArray[Any]  # of the dtype of the weights
Integers = NDArray[np.int64]

POINTS = 64
TILE = 4
PLACE = np.array([[0, 5, 4], [5, 1, 3], [4, 3, 2]])  # component of a symmetric tensor by (i, j)
OPTIONS: dict[str, Any] = {"error_model": "numpy", "fastmath": {"contract"}, "nogil": True}


def cached(function: Callable) -> Any:
    """Compile a function at its first call, or take it from the cache if there is one."""
    try:
        return njit(cache=True, **OPTIONS)(function)
    except RuntimeError:  # neither the folder of this file nor the user's cache can be written to
        return njit(**OPTIONS)(function)


class Weights(NamedTuple):
    """The perceptron of l hidden layers of at most h neurons, padded; x / scale is folded in."""

    sizes: Integers  # (l + 1,), inputs and widths
    matrices: Numbers  # (l, h, h)
    transposed: Numbers  # (l, h, h)
    biases: Numbers  # (l, h)
    output: Numbers  # (h,)
    pairs: Numbers  # (q (q + 1) / 2, h), products of the columns of the first matrix
    table: Numbers  # (14,), constants of tanh


class ClosedForm(NamedTuple):
    """What is known of the energy without learning, in float64."""

    gdim: int
    finite: bool
    corners: Integers  # (q, 2), the pair (i, j) of each component
    factor: Array  # (q,), 1 or √2
    stiffness: Array  # (f, q, q)
    growth: Array  # (f, 2)


class Scratch(NamedTuple):
    """What a block leaves behind of the perceptron. Layers lie one after another, x first."""

    active: Numbers  # (k, b), a_l
    slopes: Numbers  # (k, b), tanh' z_l
    adjoints: Numbers  # (k, b), g_l ⊙ tanh' z_l; in the place of x the gradient
    value: Numbers  # (b,)
    curvature: Numbers  # (h, b)
    scaled: Numbers  # (h, b)
    jacobian: Numbers  # (q, h, b)
    upper: Numbers  # (q (q + 1) / 2, b), -½ of the Hessian's upper triangle row by row
    power: Numbers  # (b,)
    bits: NDArray[Any]  # (b,), the same memory as integers


@njit(**OPTIONS)
def tanh(
    z: Numbers,  # (h, b)
    power: Numbers,  # (b,)
    bits: NDArray[Any],  # (b,), the same memory as integers
    table: Numbers,  # (14,)
) -> None:
    """Replace z by tanh z: to 4 units in the last place, odd, ±1 far out, NaN where z is NaN.

    With z = k ln 2 / 2 + v, E = 2^k and u = tanh v of |v| <= ln 2 / 4 from its Taylor series,

    tanh z = [(E - 1) + (E + 1) u] / [(E + 1) + (E - 1) u].

    Adding ``rounder`` leaves k in the last bits of the sum, from where they move to the exponent.
    """
    limit, inverse, rounder, high, low, one = table[:6]
    c1, c2, c3, c4, c5, c6, c7, c8 = table[6:14]
    shift, offset = (52, 1023 << 52) if bits.itemsize == 8 else (23, 127 << 23)
    shift, offset = bits.dtype.type(shift), bits.dtype.type(offset)
    for i in range(len(z)):
        for p in range(POINTS):
            x = z[i, p]
            x = limit if x > limit else x
            x = -limit if x < -limit else x
            shifted = x * inverse + rounder
            k = shifted - rounder
            power[p] = shifted
            z[i, p] = (x - k * high) - k * low
        for p in range(POINTS):
            bits[p] = (bits[p] << shift) + offset
        for p in range(POINTS):
            v = z[i, p]
            w = v * v
            u = c8 * w + c7
            u = u * w + c6
            u = u * w + c5
            u = u * w + c4
            u = u * w + c3
            u = u * w + c2
            u = u * w + c1
            u = v + v * (w * u)
            below, above = power[p] - one, power[p] + one
            z[i, p] = (below + above * u) / (above + below * u)


@njit(**OPTIONS)
def add_product(
    matrix: Numbers,  # (r or more, k or more)
    source: Numbers,  # (k, b)
    target: Numbers,  # (r, b)
) -> None:
    """Add matrix @ source to the target, in tiles that keep the weights in registers."""
    for i in range(0, len(target), TILE):
        for j in range(0, len(source), TILE):
            w00, w01, w02, w03 = matrix[i, j], matrix[i, j + 1], matrix[i, j + 2], matrix[i, j + 3]
            k = i + 1
            w10, w11, w12, w13 = matrix[k, j], matrix[k, j + 1], matrix[k, j + 2], matrix[k, j + 3]
            k = i + 2
            w20, w21, w22, w23 = matrix[k, j], matrix[k, j + 1], matrix[k, j + 2], matrix[k, j + 3]
            k = i + 3
            w30, w31, w32, w33 = matrix[k, j], matrix[k, j + 1], matrix[k, j + 2], matrix[k, j + 3]
            for p in range(POINTS):
                s0, s1, s2, s3 = source[j, p], source[j + 1, p], source[j + 2, p], source[j + 3, p]
                target[i, p] += w00 * s0 + w01 * s1 + w02 * s2 + w03 * s3
                target[i + 1, p] += w10 * s0 + w11 * s1 + w12 * s2 + w13 * s3
                target[i + 2, p] += w20 * s0 + w21 * s1 + w22 * s2 + w23 * s3
                target[i + 3, p] += w30 * s0 + w31 * s1 + w32 * s2 + w33 * s3


@njit(**OPTIONS)
def first_row(
    sizes: Integers,  # (l + 1,)
    layer: int,
) -> int:
    """Return where the rows of a layer start."""
    start = 0
    for before in range(layer):
        start += sizes[before]
    return start


@njit(**OPTIONS)
def perceptron(net: Weights, work: Scratch) -> None:
    """Leave N(x) and ∂N/∂x, as :class:`~fesurrogate.surrogate.perceptron.Perceptron` does."""
    sizes, active, slopes, adjoints = net.sizes, work.active, work.slopes, work.adjoints
    one, last = net.table[5], len(sizes) - 1
    for layer in range(1, last + 1):
        start = first_row(sizes, layer)
        before, end = start - sizes[layer - 1], start + sizes[layer]
        for i in range(start, end):
            bias = net.biases[layer - 1, i - start]
            for p in range(POINTS):
                active[i, p] = bias
        add_product(net.matrices[layer - 1], active[before:start], active[start:end])
        tanh(active[start:end], work.power, work.bits, net.table)
        for i in range(start, end):
            for p in range(POINTS):
                slopes[i, p] = one - active[i, p] * active[i, p]
    start = first_row(sizes, last)
    work.value[:] = 0.0
    for i in range(sizes[last]):
        factor = net.output[i]
        for p in range(POINTS):
            work.value[p] += factor * active[start + i, p]
            adjoints[start + i, p] = factor * slopes[start + i, p]
    for layer in range(last, 0, -1):
        start = first_row(sizes, layer)
        before, end = start - sizes[layer - 1], start + sizes[layer]
        adjoints[before:start] = 0.0
        add_product(net.transposed[layer - 1], adjoints[start:end], adjoints[before:start])
        if layer > 1:
            for i in range(before, start):
                for p in range(POINTS):
                    adjoints[i, p] *= slopes[i, p]


@njit(**OPTIONS)
def hessian(net: Weights, work: Scratch) -> None:
    """Leave -½ ∂²N/∂x² by the first q inputs, after :func:`perceptron`."""
    sizes, curvature, scaled, jacobian = net.sizes, work.curvature, work.scaled, work.jacobian
    q, upper = len(jacobian), work.upper
    upper[:] = 0.0
    for layer in range(1, len(sizes)):
        start, width = first_row(sizes, layer), sizes[layer]
        for i in range(width):
            for p in range(POINTS):
                curvature[i, p] = work.adjoints[start + i, p] * work.active[start + i, p]
        if layer == 1:
            add_product(net.pairs, curvature[:width], upper)
            continue
        behind = sizes[layer - 1]
        slopes = work.slopes[start - behind : start]
        for r in range(q):
            for i in range(behind):
                if layer == 2:
                    factor = net.matrices[0, i, r]
                    for p in range(POINTS):
                        scaled[i, p] = factor * slopes[i, p]
                else:
                    for p in range(POINTS):
                        scaled[i, p] = jacobian[r, i, p] * slopes[i, p]
            jacobian[r, :width] = 0.0
            add_product(net.matrices[layer - 1], scaled[:behind], jacobian[r, :width])
        row = 0
        for r in range(q):
            for i in range(width):
                for p in range(POINTS):
                    scaled[i, p] = curvature[i, p] * jacobian[r, i, p]
            for s in range(r, q):
                other = jacobian[s]
                for i in range(0, width, TILE):
                    for p in range(POINTS):
                        upper[row, p] += (
                            scaled[i, p] * other[i, p]
                            + scaled[i + 1, p] * other[i + 1, p]
                            + scaled[i + 2, p] * other[i + 2, p]
                            + scaled[i + 3, p] * other[i + 3, p]
                        )
                row += 1


@njit(**OPTIONS)
def components(
    form: ClosedForm,
    h: Array,  # (m, b), strain less that at rest
    e: Array,  # (q, b)
) -> None:
    """Leave the objective components, at finite strain √2 or 1 times ½ (h + hᵀ + hᵀ h)."""
    if not form.finite:
        e[:] = h
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
    x: Array,  # (6, b), C - I as a tensor
    inverse: Array,  # (6, b), C⁻¹
    logarithm: Array,  # (b,), ln J
    tangent: bool,
) -> None:
    """Add U and its derivatives; the formulas are those of growth_terms, a plane is a slice."""
    q, place = len(e), PLACE
    x[:] = 0.0
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
    left: Array,  # (m, q, b), F_iM C_JM,k
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
    left[:] = 0.0
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
            if i == k:
                moduli[row, column] = first[place[j, l]]
            else:
                moduli[row, column] = 0.0
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


@cached
def evaluate(
    strain: Array,  # (n, m)
    rest: Array,  # (m,)
    parameters: Array,  # (n, p), scaled
    net: Weights,
    form: ClosedForm,
    work: Scratch,
    stresses: Array,  # (n, m)
    tangents: Array,  # (n, m, m); (0, m, m) where it is not wanted
    energies: Array,  # (n,)
) -> None:
    """Fill stress, tangent and energy of admissible strains, block after block."""
    n, m = strain.shape
    q, count, tangent = len(form.factor), parameters.shape[1], len(tangents) > 0
    columns, h, e = np.empty((m, POINTS)), np.empty((m, POINTS)), np.empty((q, POINTS))
    z, value0, gradient0 = np.empty((count, POINTS)), np.empty(POINTS), np.empty((q, POINTS))
    moduli, growth = np.empty((q * q, POINTS)), np.empty((2, POINTS))
    energy, first = np.empty(POINTS), np.empty((q, POINTS))
    second, stress = np.empty((q, q, POINTS)), np.empty((m, POINTS))
    pushed, left = np.empty((m, m, POINTS)), np.empty((m, q, POINTS))
    x, inverse, logarithm = np.empty((6, POINTS)), np.empty((6, POINTS)), np.empty(POINTS)
    stiffness = form.stiffness.reshape(len(form.stiffness), q * q)
    work.active[:] = 0.0
    for block in range(0, n, POINTS):
        points = min(POINTS, n - block)
        for p in range(POINTS):
            row = min(block + p, n - 1)  # a last block is filled up with its last point
            for c in range(m):
                columns[c, p] = strain[row, c]
                h[c, p] = strain[row, c] - rest[c]
            for c in range(count):
                z[c, p] = parameters[row, c]
        components(form, h, e)
        if count or block == 0:
            mix(z, stiffness, moduli)
            mix(z, form.growth, growth)
            work.active[:q] = 0.0
            for c in range(count):
                work.active[q + c] = z[c]
            perceptron(net, work)
            value0[:] = work.value
            gradient0[:] = work.adjoints[:q]
        work.active[:q] = e
        perceptron(net, work)
        for p in range(POINTS):
            energy[p] = work.value[p] - value0[p]
        for k in range(q):
            for p in range(POINTS):
                energy[p] -= gradient0[k, p] * e[k, p]
                first[k, p] = work.adjoints[k, p] - gradient0[k, p]
        for k in range(q):
            for l in range(q):  # noqa: E741
                for p in range(POINTS):
                    energy[p] += 0.5 * e[k, p] * moduli[k * q + l, p] * e[l, p]
                    first[k, p] += moduli[k * q + l, p] * e[l, p]
        if tangent:
            hessian(net, work)
            row = 0
            for k in range(q):
                for l in range(k, q):  # noqa: E741
                    for p in range(POINTS):
                        learned = -2.0 * work.upper[row, p]
                        second[k, l, p] = learned + moduli[k * q + l, p]
                        second[l, k, p] = learned + moduli[l * q + k, p]
                    row += 1
        if form.finite:
            add_growth(
                form, growth, e, energy, first, second, x, inverse, logarithm, tangent
            )  # fmt: skip
            push_forward(form, columns, first, second, stress, pushed, left, tangent)
        else:
            stress[:] = first
            if tangent:
                pushed[:] = second
        for p in range(points):
            energies[block + p] = energy[p]
            for r in range(m):
                stresses[block + p, r] = stress[r, p]
            if tangent:
                for r in range(m):
                    for c in range(m):
                        tangents[block + p, r, c] = pushed[r, c, p]
