"""Where training starts: the closed-form part and the scales of a network, from data."""

from __future__ import annotations

import torch
from torch import Tensor

from fesurrogate.surrogate.energy import EnergyNetwork
from fesurrogate.surrogate.growth import growth_terms
from fesurrogate.surrogate.objective import components, push_forward
from fesurrogate.train.rows import Rows

ROWS_FOR_LEAST_SQUARES = 2000


def set_start(network: EnergyNetwork, rows: Rows) -> None:
    """Set the buffers of a network: C0, a and b by least squares, scales by root mean squares."""
    e = components(network.kinematics, rows.strain.T.contiguous())
    scale = (e**2).mean(1, keepdim=True).sqrt()
    scale = torch.maximum(scale, 1e-3 * scale.max()).clamp_min(1e-12)
    stiffness, growth, left = closed_form_part(network, rows)
    whole = float((rows.stress**2).mean()) ** 0.5
    with torch.no_grad():
        network.stiffness.copy_(stiffness)
        network.growth.copy_(growth)
        network.scale.copy_(scale)
        network.energy_scale.fill_(max(left, 1e-9) * whole * float(scale.mean()))


def closed_form_part(
    network: EnergyNetwork,
    rows: Rows,
) -> tuple[Tensor, Tensor, float]:  # (q, q), (2,), relative residual
    """Return the C0, a and b whose energy fits stress and tangent best, a and b not negative."""
    q, kinematics = len(network.stiffness), network.kinematics
    strain = rows.strain[:ROWS_FOR_LEAST_SQUARES].T.contiguous()
    e = components(kinematics, strain)
    target = [rows.stress[:ROWS_FOR_LEAST_SQUARES].T]
    if rows.tangent is not None:
        target.append(rows.tangent[:ROWS_FOR_LEAST_SQUARES].permute(1, 2, 0))
    weights = [1.0 / max(float((part**2).sum()) ** 0.5, 1e-300) for part in target]

    def column(first: Tensor, second: Tensor | None) -> Tensor:
        pushed = push_forward(kinematics, strain, first, second)
        parts = zip(weights, pushed, strict=False)  # without tangents, stresses alone
        return torch.cat([weight * part.reshape(-1) for weight, part in parts if part is not None])

    basis = torch.stack([_unit(q, i, j) for i in range(q) for j in range(i, q)])
    columns = [column(unit @ e, unit[:, :, None].expand(q, q, e.shape[1])) for unit in basis]
    growing: list[Tensor] = []
    if kinematics.measure == "finite":
        for unit in torch.eye(2, dtype=e.dtype):
            _, first, second = growth_terms(e, unit, kinematics.gdim)
            growing.append(column(first, second))
    goal = torch.cat([w * part.reshape(-1) for w, part in zip(weights, target, strict=True)])
    used = list(range(len(growing)))
    while True:
        matrix = torch.stack(columns + [growing[k] for k in used], dim=1)
        solution = torch.linalg.lstsq(matrix, goal[:, None], driver="gelsd").solution[:, 0]
        coefficients = solution[len(columns) :]
        if not used or float(coefficients.min()) >= 0.0:
            break
        used.pop(int(coefficients.argmin()))  # a term that would pull down is left out
    growth = torch.zeros(2, dtype=e.dtype)
    growth[used] = coefficients
    left = float(torch.linalg.vector_norm(matrix @ solution - goal)) / len(target) ** 0.5
    return (solution[: len(columns), None, None] * basis).sum(0), growth, left


def _unit(size: int, i: int, j: int) -> Tensor:
    unit = torch.zeros(size, size, dtype=torch.float64)
    unit[i, j] = unit[j, i] = 1.0
    return unit
