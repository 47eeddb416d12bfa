"""Objective strain components, and the way back from them to stress and tangent.

Points lie on the last axis. At finite strain the components are those of the Green-Lagrange
strain E = ½ (FᵀF - I) in Mandel order, so that any function of them is objective; at small
strain and for a gradient they are the strain itself.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from fesurrogate.kinematics import SYMMETRIC_PAIRS, Kinematics


def component_count(kinematics: Kinematics) -> int:
    """Return q, the number of objective components."""
    if kinematics.measure == "finite":
        return len(SYMMETRIC_PAIRS[kinematics.gdim])
    return kinematics.size


def components(
    kinematics: Kinematics,
    strain: Tensor,  # (m, n)
) -> Tensor:  # (q, n)
    """Return the objective components e of strains; exact to round-off for small ones, too."""
    if kinematics.measure != "finite":
        return strain
    d = kinematics.gdim
    identity = torch.eye(d, dtype=strain.dtype, device=strain.device)[:, :, None]
    h = strain.reshape(d, d, -1) - identity  # displacement gradient
    rows = []
    for i, j in SYMMETRIC_PAIRS[d]:
        twice = h[i, j] + h[j, i] + (h[:, i] * h[:, j]).sum(0)
        rows.append(twice * (0.5 if i == j else math.sqrt(0.5)))
    return torch.stack(rows)


def push_forward(
    kinematics: Kinematics,
    strain: Tensor,  # (m, n)
    first: Tensor,  # (q, n), dW/de
    second: Tensor | None,  # (q, q, n), d²W/de²
) -> tuple[Tensor, Tensor | None]:  # (m, n), (m, m, n)
    """Return dW/d(strain) and d²W/d(strain)².

    P = F S and A_iJkL = F_iM C_JMLN F_kN + δ_ik S_JL, with S = dW/dE and C = d²W/dE².
    """
    if kinematics.measure != "finite":
        return first, second
    d, pairs = kinematics.gdim, SYMMETRIC_PAIRS[kinematics.gdim]
    points = strain.shape[1]
    f = strain.reshape(d, d, points)
    slot = {pair: k for k, pair in enumerate(pairs)} | {(j, i): k for k, (i, j) in enumerate(pairs)}
    order = [slot[i, j] for i in range(d) for j in range(d)]
    scale = [1.0 if i == j else math.sqrt(0.5) for i in range(d) for j in range(d)]
    factor = torch.tensor(scale, dtype=strain.dtype, device=strain.device)[:, None]
    s = (first[order] * factor).reshape(d, d, points)
    stress = sum(f[:, m, None] * s[None, m] for m in range(d)).reshape(d * d, points)
    if second is None:
        return stress, None
    half = (second[order] * factor[:, :, None]).reshape(d, d, len(pairs), points)  # C_JM,k
    left = sum(f[:, m, None, None] * half[None, :, m] for m in range(d))  # (d, d, q, n), iJ,k
    half = left[:, :, order] * factor
    half = half.reshape(d * d, d, d, points)  # iJ,LN
    full = sum(half[:, None, :, n] * f[None, :, n, None] for n in range(d))  # iJ,k,L
    tangent = full.reshape(d, d, d, d, points)
    identity = torch.eye(d, dtype=strain.dtype, device=strain.device)
    tangent = tangent + identity[:, None, :, None, None] * s[None, :, None, :]
    return stress, tangent.reshape(d * d, d * d, points)
