"""Where training starts: the closed-form part and the scales of a network, from data."""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import Tensor

from fesurrogate.data.dataset import Dataset
from fesurrogate.errors import InputError
from fesurrogate.surrogate.energy import EnergyNetwork
from fesurrogate.surrogate.growth import growth_terms
from fesurrogate.surrogate.network import Network
from fesurrogate.surrogate.objective import components, push_forward
from fesurrogate.surrogate.polynomial import PolynomialMap
from fesurrogate.train.rows import Rows

Kind = TypeVar("Kind", bound=Network)
ROWS_FOR_LEAST_SQUARES = 2000
EQUATIONS_PER_UNKNOWN = 4
SMALLEST = 1e-12


def set_start(network: EnergyNetwork, rows: Rows) -> None:
    """Set all buffers of a network: scales by root mean squares, the rest by least squares."""
    network.scaling.fit(rows.parameters)
    e = components(network.kinematics, rows.strain.T.contiguous())
    size = root_mean_square(e)
    size = torch.maximum(size, 1e-3 * size.max()).clamp_min(SMALLEST)
    scale = size
    if network.invariants is not None:
        scale = root_mean_square(network.invariants(e, second=False)[0]).clamp_min(SMALLEST)
    with torch.no_grad():
        network.scale.copy_(scale)
        network.energy_scale.zero_()
        left = set_closed_form(network, rows)
        whole = float((rows.stress**2).mean()) ** 0.5
        network.energy_scale.fill_(max(left, 1e-9) * whole * float(size.mean()))


def taken_over(start: Network, dataset: Dataset, kind: type[Kind]) -> Kind:
    """Return a copy of the network from which training on a dataset starts.

    Raises:
        InputError: It is of another kind, kinematics or parameters.
    """
    if not isinstance(start, kind):
        raise InputError(
            f"transfer: the model is a {type(start).__name__}; expected a {kind.__name__}: give "
            "the model of which it is one in [train]"
        )
    for name, theirs, ours in (
        ("kinematics", start.kinematics, dataset.kinematics),
        ("parameters", start.parameter_names, dataset.parameter_names),
    ):
        if theirs != ours:
            raise InputError(
                f"transfer: the model has {name} {theirs}, the dataset {ours}; expected the same"
            )
    return copy.deepcopy(start)


def root_mean_square(
    rows: Tensor,  # (k, n)
) -> Tensor:  # (k, 1)
    """Return the root mean square of each row."""
    return (rows**2).mean(1, keepdim=True).sqrt()


def set_closed_form(network: EnergyNetwork, rows: Rows) -> float:
    """Set C0 and the coefficients a, b of U by least squares of stress and tangent.

    They are fitted beside the perceptron, if its w is not 0, and w with them. Neither a nor b is
    negative at any of the points: a term that would pull down is left out.

    Returns:
        What is left of stress and tangent, relative to them.
    """
    few = rows.part(slice(ROWS_FOR_LEAST_SQUARES))
    kinematics, q = network.kinematics, network.stiffness.shape[-1]
    strain = few.strain.T.contiguous()
    e = components(kinematics, strain)
    basis = _basis(q) if network.invariants is None else _symmetric_basis(network.invariants)
    factors, _ = network.scaling.quadratics(network.scaling(few.parameters, e))  # (f, n)
    weights = _weights(few)
    with torch.no_grad():
        network.stiffness.zero_()
        network.growth.zero_()
        answer = network(few.strain, parameters=few.parameters)

    def column(first: Tensor, second: Tensor | None) -> Tensor:
        stress, tangent = push_forward(kinematics, strain, first, second)
        assert tangent is not None
        return _column(few, stress.T, tangent.permute(2, 0, 1), weights)

    goal = _column(few, few.stress, few.tangent, weights)
    if len(goal) < EQUATIONS_PER_UNKNOWN * len(factors) * len(basis):
        factors = factors[: 1 + few.parameters.shape[1]]  # too few points for squares: affine
    columns = [_column(few, answer.stress, answer.tangent, weights)]
    columns += [column(f * (unit @ e), f * unit[:, :, None]) for f in factors for unit in basis]
    growing: list[Tensor] = []
    if kinematics.measure == "finite":
        units = torch.eye(2, dtype=e.dtype)
        parts = [growth_terms(e, unit, kinematics.gdim)[1:] for unit in units]
        growing = [column(f * first, f * second) for f in factors for first, second in parts]
    used = list(range(len(growing)))  # 2 factor + coefficient
    while True:
        matrix = torch.stack(columns + [growing[k] for k in used], dim=1)
        solution = torch.linalg.lstsq(matrix, goal[:, None], driver="gelsd").solution[:, 0]
        growth = torch.zeros(len(factors), 2, dtype=e.dtype)
        growth.view(-1)[used] = solution[len(columns) :]
        smallest = (growth.T @ factors).min(1).values  # (2,), of a and b over the points
        worst = int(smallest.argmin())
        if not used or float(smallest[worst]) >= 0.0:
            break
        slopes = [k for k in used if k % 2 == worst and k > 1]
        used = [k for k in used if k not in (slopes or [worst])]
    shares = solution[1 : len(columns)].reshape(len(factors), len(basis))
    with torch.no_grad():
        network.stiffness[: len(factors)] = torch.tensordot(shares, basis, 1)
        network.growth[: len(factors)] = growth
        network.energy_scale.mul_(solution[0])
    return float(torch.linalg.vector_norm(matrix @ solution - goal)) / len(weights) ** 0.5


def _weights(rows: Rows) -> list[float]:
    """Return what makes stresses, and tangents where there are any, of norm one."""
    parts = [rows.weighted(part) for part in (rows.stress, rows.tangent) if part is not None]
    return [1.0 / max(float((part**2).sum()) ** 0.5, 1e-300) for part in parts]


def _column(
    rows: Rows,
    stress: Tensor,  # (n, m)
    tangent: Tensor | None,  # (n, m, m)
    weights: list[float],
) -> Tensor:  # (n m) or (n m + n m²)
    """Return weighted stresses and, if there is a weight for them, tangents in one column."""
    parts = zip(weights, (stress, tangent), strict=False)
    return torch.cat(
        [weight * rows.weighted(part).reshape(-1) for weight, part in parts if part is not None]
    )


def _basis(q: int) -> Tensor:  # (q (q + 1) / 2, q, q)
    """Return a basis of the symmetric matrices."""
    units = []
    for i in range(q):
        for j in range(i, q):
            unit = torch.zeros(q, q, dtype=torch.float64)
            unit[i, j] = unit[j, i] = 1.0
            units.append(unit)
    return torch.stack(units)


def _symmetric_basis(invariants: PolynomialMap) -> Tensor:  # (b, q, q)
    """Return matrices that span the stiffnesses of a symmetry: of its quadratic invariants."""
    _, slope, curvature = invariants(torch.zeros(invariants.count, 1, dtype=torch.float64))
    slopes = [row for row in slope[:, :, 0] if bool(row.any())]
    products = [torch.outer(a, b) for k, a in enumerate(slopes) for b in slopes[k:]]
    units = [m + m.T for m in products] + [m for m in curvature[..., 0] if bool(m.any())]
    return torch.stack(units)
