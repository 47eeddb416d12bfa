"""Least squares of a polynomial energy: equations of the points, reduced to a triangle, solved.

The columns are ordered by degree, so that the triangle of the highest holds those of all others.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from fesurrogate.config.train import TrainSettings
from fesurrogate.progress import Advance
from fesurrogate.surrogate.biot import biot_strain, pull_back
from fesurrogate.surrogate.growth import growth_terms
from fesurrogate.surrogate.monomials import full
from fesurrogate.surrogate.objective import components, push_forward
from fesurrogate.surrogate.polynomial_energy import PolynomialEnergy
from fesurrogate.train.rows import Rows

ENTRIES = 4_000_000
"""Of the matrix of least squares that are in memory at once."""


@dataclass(frozen=True)
class Problem:
    """Least squares reduced to a triangle: columns of growth, of the terms, and the goal.

    Attributes:
        triangle: (c, c), R of the matrix with the goal as its last column.
        growing: Number of columns of growth, two to a factor.
        factors: (f, n), of the growth coefficients at the points.
        weights: Of stress, tangent and energy, as far as they count.
    """

    triangle: Tensor
    growing: int
    factors: Tensor
    weights: dict[str, float]


def nothing(network: PolynomialEnergy, rows: Rows, settings: TrainSettings) -> Problem:
    """Return a problem without equations, weighted by the size of what is in some rows."""
    targets = {"stress": rows.stress, "tangent": rows.tangent, "energy": rows.energy}
    share = {"stress": 1.0, "tangent": settings.tangent_weight, "energy": settings.energy_weight}
    weights = {
        name: (share[name] / max(float((rows.weighted(target) ** 2).sum()), 1e-300)) ** 0.5
        for name, target in targets.items()
        if target is not None and share[name] > 0.0
    }
    terms = network.scaling.terms
    growing = 2 * terms if network.kinematics.measure == "finite" else 0
    triangle = rows.stress.new_zeros(0, growing + len(network.coefficients) + 1)
    return Problem(triangle, growing, rows.stress.new_zeros(terms, 0), weights)


def taken_in(problem: Problem, network: PolynomialEnergy, rows: Rows, advance: Advance) -> Problem:
    """Return a problem with the equations of more rows, by QR block after block."""
    z = network.scaling(rows.parameters, rows.strain.T)
    factors, _ = network.scaling.quadratics(z)
    triangle = problem.triangle
    for points, block in _blocks(network, rows, triangle.shape[1], problem.weights):
        triangle = torch.linalg.qr(torch.cat([triangle, block]), mode="r").R
        advance(points)
    every = torch.cat([problem.factors, factors], dim=1)
    return Problem(triangle, problem.growing, every, problem.weights)


def _blocks(
    network: PolynomialEnergy, rows: Rows, width: int, weights: dict[str, float]
) -> Iterator[tuple[int, Tensor]]:  # (r, c)
    """Return some points at a time, their number and weighted equations: columns and goal."""
    m = network.kinematics.size
    step = max(1, ENTRIES // (width * (m + m * m)))
    for first in range(0, len(rows.strain), step):
        part = rows.part(slice(first, first + step))
        answers = _columns(network, part)
        equations = []
        for name, weight in weights.items():
            target = part.weighted(getattr(part, name))
            columns = part.weighted(answers[name].transpose(0, 1)).transpose(0, 1)
            columns = columns.reshape(len(columns), -1)
            equations.append(weight * torch.cat([columns, target.reshape(1, -1)]).T)
        yield len(part.strain), torch.cat(equations)


def _columns(network: PolynomialEnergy, rows: Rows) -> dict[str, Tensor]:  # (c, n, ...)
    """Return energy, stress and tangent of every column with a coefficient of one."""
    kinematics, q = network.kinematics, len(network.scale)
    gdim, strain = kinematics.gdim, rows.strain.T.contiguous()
    e = components(kinematics, strain)
    z = network.scaling(rows.parameters, e)
    finite = kinematics.measure == "finite"
    x, inverse = biot_strain(e, gdim) if finite else (e, None)
    monomials = network.monomials(torch.cat([x / network.scale, z]))
    energy = network.monomials.columns("value", monomials)[:, 0]
    first = network.monomials.columns("first", monomials) / network.scale
    second = full(network.monomials.columns("second", monomials), q)
    second = second / network.scale[:, None] / network.scale
    if inverse is not None:
        first, moduli = pull_back(inverse, first, second, gdim)
        assert moduli is not None
        units = torch.eye(2, dtype=e.dtype)
        parts = [growth_terms(e, unit, gdim) for unit in units]
        factors, _ = network.scaling.quadratics(z)  # (f, n)
        energy = torch.cat([torch.stack([f * u for f in factors for u, _, _ in parts]), energy])
        first = torch.cat([torch.stack([f * u for f in factors for _, u, _ in parts]), first])
        second = torch.cat([torch.stack([f * u for f in factors for _, _, u in parts]), moduli])
    count, n = len(first), e.shape[1]
    stress, tangent = push_forward(
        kinematics,
        strain.repeat(1, count),
        first.transpose(0, 1).reshape(q, -1),
        second.permute(1, 2, 0, 3).reshape(q, q, -1),
    )
    assert tangent is not None
    m = len(stress)
    return {
        "energy": energy,
        "stress": stress.reshape(m, count, n).permute(1, 2, 0),
        "tangent": tangent.reshape(m, m, count, n).permute(2, 3, 0, 1),
    }


def solved(
    problem: Problem, widest: PolynomialEnergy, degree: int
) -> tuple[PolynomialEnergy, float]:
    """Return the polynomial of a degree, and its loss.

    Neither coefficient of growth is negative at any of the points: a term that would pull down is
    left out.
    """
    names = widest.parameter_names
    network = PolynomialEnergy(widest.kinematics, degree, parameter_names=names)
    terms, growing = len(network.coefficients), problem.growing
    used = list(range(growing))  # 2 factor + coefficient
    polynomial = list(range(growing, growing + terms))
    while True:
        matrix, goal = problem.triangle[:, used + polynomial], problem.triangle[:, -1:]
        size = torch.linalg.vector_norm(matrix, dim=0).clamp_min(1e-300)
        solution = torch.linalg.lstsq(matrix / size, goal, driver="gelsd").solution[:, 0] / size
        growth = torch.zeros_like(widest.growth)
        growth.view(-1)[used] = solution[: len(used)]
        smallest = (growth.T @ problem.factors).min(1).values  # (2,), over the points
        worst = int(smallest.argmin())
        if not used or float(smallest[worst]) >= 0.0:
            break
        slopes = [k for k in used if k % 2 == worst and k > 1]
        used = [k for k in used if k not in (slopes or [worst])]
    network.load_state_dict(
        {
            **copy.deepcopy(widest.state_dict()),
            "coefficients": solution[len(used) :],
            "growth": growth,
        }
    )
    return network, float(((matrix @ solution - goal[:, 0]) ** 2).sum())
