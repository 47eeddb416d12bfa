"""Energy terms that grow without bound as det F → 0, in objective components.

U(E) = a (tr E - ln J) + b/2 (ln J)²,  J² = det C,  C = I + 2 E

are the terms of the compressible neo-Hookean solid (Bonet and Wood, Nonlinear Continuum Mechanics
for Finite Element Analysis, 2nd ed. 2008, eq. 6.27, with a = μ, b = λ). As a part of the energy
network they carry what a quadratic energy cannot and a small network learns last.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from fesurrogate.kinematics import SYMMETRIC_PAIRS


def growth_terms(
    e: Tensor,  # (q, n), Mandel components of E
    coefficients: Tensor,  # (2,), a and b
    gdim: int,
    *,
    second: bool = True,
) -> tuple[Tensor, Tensor, Tensor | None]:  # (n,), (q, n), (q, q, n)
    """Return U, dU/de and (if asked for) d²U/de²; small strains keep their digits.

    S = (2 a E + b ln J I) C⁻¹,  dS/dE = b C⁻¹ ⊗ C⁻¹ + 2 (a - b ln J) C⁻¹ ⊙ C⁻¹
    """
    a, b = coefficients[0], coefficients[1]
    pairs = SYMMETRIC_PAIRS[gdim]
    place = {pair: k for k, pair in enumerate(pairs)} | {
        (j, i): k for k, (i, j) in enumerate(pairs)
    }
    factor = [1.0 if i == j else math.sqrt(2.0) for i, j in pairs]
    strain = [[e[place[i, j]] / factor[place[i, j]] for j in range(gdim)] for i in range(gdim)]
    trace = e[:gdim].sum(0)
    above_one, inverse = _determinant_and_inverse(strain)  # det C - 1, C⁻¹
    logarithm = 0.5 * torch.log1p(above_one)  # ln J
    energy = a * (trace - logarithm) + 0.5 * b * logarithm**2
    spherical = b * logarithm
    rows = []
    for k, (i, j) in enumerate(pairs):
        product = sum(strain[i][m] * inverse[m][j] for m in range(gdim))
        rows.append(factor[k] * (2.0 * a * product + spherical * inverse[i][j]))
    first = torch.stack(rows)
    if not second:
        return energy, first, None
    crossed = a - spherical
    packed = torch.stack([factor[k] * inverse[i][j] for k, (i, j) in enumerate(pairs)])
    moduli: list[Tensor] = [e] * len(pairs) ** 2
    for k, (i, j) in enumerate(pairs):
        for l, (m, n) in enumerate(pairs[k:], start=k):  # noqa: E741
            swapped = inverse[i][m] * inverse[j][n] + inverse[i][n] * inverse[j][m]
            entry = torch.addcmul(
                b * packed[k] * packed[l], crossed, swapped, value=factor[k] * factor[l]
            )
            moduli[k * len(pairs) + l] = moduli[l * len(pairs) + k] = entry
    return energy, first, torch.stack(moduli).reshape(len(pairs), len(pairs), -1)


def _determinant_and_inverse(
    strain: list[list[Tensor]],  # E, rows of (n,)
) -> tuple[Tensor, list[list[Tensor]]]:
    """Return det C - 1, summed without cancellation, and C⁻¹."""
    x = [[2.0 * entry for entry in row] for row in strain]  # C - I
    if len(x) == 2:
        above_one = x[0][0] + x[1][1] + (x[0][0] * x[1][1] - x[0][1] * x[0][1])
        over = 1.0 / (1.0 + above_one)
        off = -x[0][1] * over
        return above_one, [[(1.0 + x[1][1]) * over, off], [off, (1.0 + x[0][0]) * over]]

    def minor(t: list[list[Tensor]], i: int, j: int) -> Tensor:
        (r, s), (u, v) = ([k for k in range(3) if k != skip] for skip in (i, j))
        sign = 1.0 if (i + j) % 2 == 0 else -1.0
        return sign * (t[r][u] * t[s][v] - t[r][v] * t[s][u])

    trace = x[0][0] + x[1][1] + x[2][2]
    quadratic = minor(x, 0, 0) + minor(x, 1, 1) + minor(x, 2, 2)
    cubic = sum(x[0][j] * minor(x, 0, j) for j in range(3))
    above_one = trace + quadratic + cubic
    over = 1.0 / (1.0 + above_one)
    c = [[x[i][j] + 1.0 if i == j else x[i][j] for j in range(3)] for i in range(3)]
    return above_one, [[minor(c, j, i) * over for j in range(3)] for i in range(3)]
