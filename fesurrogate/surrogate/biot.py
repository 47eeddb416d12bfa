"""The Biot strain U - I of a Green-Lagrange strain, and derivatives by it carried back.

U is the right stretch: U² = C = I + 2 E. An energy that is smooth in the principal stretches is a
shorter polynomial of U than of C, whose components grow with their squares.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from fesurrogate.kinematics import SYMMETRIC_PAIRS

NEWTON_STEPS = 3
"""For tr U in 3D: 1e-10 after two from 0.7 to 1.4 times the length, 1e-7 from 1/7 to 7 times; the
step on the whole tensor squares that again."""


def biot_strain(
    e: Tensor,  # (q, n), Mandel components of E
    gdim: int,
) -> tuple[Tensor, Tensor]:  # (q, n), (q, q, n)
    """Return x, the components of U - I, and the matrix T with dx = 2 T de.

    T is the inverse of X ↦ U X + X U, symmetric and positive definite. A Newton step on
    x² + 2 x = 2 E at the end keeps the digits of small strains.
    """
    identity = torch.ones_like(e[:, :1])
    identity[gdim:] = 0.0
    stretch = _stretch(e, identity, gdim)
    inverse = _inverse(anticommutator(stretch, gdim))
    start = stretch - identity
    left = 2.0 * (e - start) - 0.5 * (anticommutator(start, gdim) * start).sum(1)
    return start + (inverse * left).sum(1), inverse


def pull_back(
    inverse: Tensor,  # (q, q, n), T
    first: Tensor,  # (..., q, n), dW/dx
    second: Tensor | None,  # (..., q, q, n), d²W/dx²
    gdim: int,
) -> tuple[Tensor, Tensor | None]:  # (..., q, n), (..., q, q, n)
    """Return dW/de and d²W/de².

    U dU + dU U = 2 dE makes S = dW/dE the solution of S U + U S = 2 dW/dx. Differentiated once
    more, with K(S) X = S X + X S: d²W/de² = 2 T (2 d²W/dx² - K(S)) T.
    """
    stress = 2.0 * sum(inverse[:, j] * first[..., j, None, :] for j in range(len(inverse)))
    if second is None:
        return stress, None
    middle = 2.0 * second - anticommutator(stress, gdim)
    r = range(len(inverse))
    half = sum(inverse[:, j, None] * middle[..., None, j, :, :] for j in r)
    return stress, 2.0 * sum(half[..., :, k, None, :] * inverse[k] for k in r)


def anticommutator(
    a: Tensor,  # (..., q, n)
    gdim: int,
) -> Tensor:  # (..., q, q, n)
    """Return the matrix of X ↦ A X + X A in Mandel components; it is linear in A."""
    q = a.shape[-2]
    flat = TABLES[gdim].to(a) @ a
    return flat.reshape(*a.shape[:-2], q, q, a.shape[-1])


def _table(gdim: int) -> Tensor:  # (q², q)
    """Return 2 tr(B_k B_p B_m) in row (k, p), with the basis B of the components."""
    pairs = SYMMETRIC_PAIRS[gdim]
    unit = torch.zeros(len(pairs), gdim, gdim, dtype=torch.float64)
    for k, (i, j) in enumerate(pairs):
        unit[k, i, j] = unit[k, j, i] = 1.0 if i == j else math.sqrt(0.5)
    return 2.0 * torch.einsum("kij,psi,mjs->kpm", unit, unit, unit).reshape(-1, len(pairs))


TABLES = {gdim: _table(gdim) for gdim in (2, 3)}


def _stretch(
    e: Tensor,  # (q, n)
    identity: Tensor,  # (q, 1)
    gdim: int,
) -> Tensor:  # (q, n)
    """Return U, by the invariants of C, i_k, and of U, I_k.

    In 2D U = (C + J I) / I_1 with I_1² = i_1 + 2 J. In 3D (T. C. T. Ting, J. Elasticity 15 (1985)
    319-323) U = (-C² + (I_1² - I_2) C + I_1 J I) / (I_1 I_2 - J), where I_1² = i_1 + 2 I_2 and
    I_2² = i_2 + 2 J I_1 are solved for I_1 by Newton: from √(3 i_1) it falls to the root.
    """
    c = 2.0 * e + identity
    square = 0.5 * (anticommutator(c, gdim) * c).sum(1)
    trace, trace_of_square = c[:gdim].sum(0), square[:gdim].sum(0)
    minors = 0.5 * (trace**2 - trace_of_square)
    if gdim == 2:
        jacobian = minors.sqrt()
        return (c + jacobian * identity) / (trace + 2.0 * jacobian).sqrt()
    cubed = (square * c).sum(0)  # tr C³
    third = (cubed - trace * trace_of_square + minors * trace) / 3.0  # Cayley-Hamilton
    jacobian = third.sqrt()
    root = (3.0 * trace).sqrt()
    for _ in range(NEWTON_STEPS):
        two = (minors + 2.0 * jacobian * root).sqrt()
        one = (trace + 2.0 * two).sqrt()
        root = root - (one - root) / (jacobian / (one * two) - 1.0)
    two = (minors + 2.0 * jacobian * root).sqrt()
    whole = -square + (root**2 - two) * c + root * jacobian * identity
    return whole / (root * two - jacobian)


def _inverse(
    matrix: Tensor,  # (q, q, n), symmetric positive definite
) -> Tensor:  # (q, q, n)
    """Return the inverse of every matrix, by Gauss and Jordan; no pivot is needed."""
    found = matrix
    for k in range(len(matrix)):
        column, row = found[:, k] / found[k, k], found[k]
        reduced = found - column[:, None] * row
        reduced[k], reduced[:, k] = row / row[k], -column
        reduced[k, k] = 1.0 / row[k]
        found = reduced
    return found
