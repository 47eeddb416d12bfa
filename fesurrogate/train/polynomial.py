"""Fit a polynomial energy by least squares, of the degree that is best on held-out paths."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from fesurrogate.config.train import TrainSettings
from fesurrogate.data.dataset import Dataset
from fesurrogate.errors import InputError
from fesurrogate.progress import Advance, progress_bar
from fesurrogate.surrogate.biot import biot_strain, pull_back
from fesurrogate.surrogate.growth import growth_terms
from fesurrogate.surrogate.monomials import full
from fesurrogate.surrogate.network import Network
from fesurrogate.surrogate.objective import component_count, components, push_forward
from fesurrogate.surrogate.polynomial_energy import PolynomialEnergy, term_count
from fesurrogate.train.errors import errors_on, row_errors
from fesurrogate.train.result import FitResult, parts_of
from fesurrogate.train.rows import Rows, solved_rows
from fesurrogate.train.start import SMALLEST, root_mean_square

HIGHEST, MOST_TERMS = 8, 1000
"""Largest degree, and number of terms, that are tried."""

ENTRIES = 4_000_000
"""Of the matrix of least squares that are in memory at once."""


def fit_polynomial(
    dataset: Dataset,
    settings: TrainSettings,
    *,
    start: Network | None = None,
    progress: bool = False,
) -> FitResult:
    """Fit a polynomial energy to stress and, where the data hold them, tangents and energies.

    Every degree is fitted for which the data give more numbers than there are terms, and the one
    that is best on half of the held-out paths is kept. The history has one entry a degree, as
    ``iteration``.

    Args:
        dataset: Points that failed are left out and counted.
        settings: Weights of the loss, ``validation``, ``seed`` and ``[train.polynomial]``.
        start: None; a polynomial needs no start.
        progress: Whether a bar shows how far the points have been taken in.

    Raises:
        InputError: Data that cannot be learned from, too few of them, or a start.
    """
    if start is not None:
        raise InputError(
            "a polynomial is fitted in one step and starts from no model; leave out transfer"
        )
    begin = time.perf_counter()
    parts = parts_of(dataset, settings.validation, seed=settings.seed)
    rows, unseen = solved_rows(parts.training), solved_rows(parts.choosing)
    degrees = _degrees(dataset, rows, settings)
    network = PolynomialEnergy(
        dataset.kinematics, degrees[-1], parameter_names=dataset.parameter_names
    )
    _set_scales(network, rows)
    found: dict[int, PolynomialEnergy] = {}
    history: dict[str, list[float]] = {"iteration": [], "loss": [], "stress": [], "tangent": []}
    scores = {}
    with progress_bar("train", len(rows.strain), unit="points", enabled=progress) as advance:
        problem = _least_squares(network, rows, settings, advance)
    for degree in degrees:
        found[degree], loss = _solved(problem, network, degree)
        errors = row_errors(found[degree], unseen)
        tangent = errors.tangent or 0.0
        scores[degree] = errors.stress**2 + settings.tangent_weight * tangent**2
        seen = (float(degree), loss, errors.stress, tangent)
        for name, value in zip(history, seen, strict=True):
            history[name].append(value)
    best = found[min(scores, key=lambda degree: scores[degree])]
    seconds = time.perf_counter() - begin
    return FitResult(best, errors_on(best, parts.judging), history, dataset.failed, seconds)


@dataclass(frozen=True)
class _Problem:
    """Least squares reduced to a triangle: columns of growth, of the terms, and the goal.

    Attributes:
        triangle: (c, c), R of the matrix with the goal as its last column.
        growing: Number of columns of growth, two to a factor.
        factors: (f, n), of the growth coefficients at the points.
    """

    triangle: Tensor
    growing: int
    factors: Tensor


def _degrees(dataset: Dataset, rows: Rows, settings: TrainSettings) -> list[int]:
    """Return the degrees to try.

    Raises:
        InputError: Too few samples for the lowest.
    """
    q, p = component_count(dataset.kinematics), len(dataset.parameter_names)
    tangents = rows.tangent is not None and settings.tangent_weight > 0.0
    numbers = len(rows.strain) * (q + q * (q + 1) // 2 * tangents)  # that objectivity leaves free
    wanted = settings.polynomial.degree
    tried = range(2, HIGHEST + 1) if wanted is None else [wanted]
    most = numbers if wanted is not None else min(numbers, MOST_TERMS)
    degrees = [degree for degree in tried if term_count(q, p, degree) < most]
    if not degrees:
        raise InputError(
            f"a polynomial of degree {tried[0]} in {q} components and {p} parameters has "
            f"{term_count(q, p, tried[0])} terms, the samples to train on give {numbers} numbers; "
            "generate more, with tangents, or lower the degree"
        )
    return degrees


def _set_scales(network: PolynomialEnergy, rows: Rows) -> None:
    network.scaling.fit(rows.parameters)
    x = components(network.kinematics, rows.strain.T.contiguous())
    if network.kinematics.measure == "finite":
        x, _ = biot_strain(x, network.kinematics.gdim)
    size = root_mean_square(x)
    network.scale.copy_(torch.maximum(size, 1e-3 * size.max()).clamp_min(SMALLEST))


def _least_squares(
    network: PolynomialEnergy, rows: Rows, settings: TrainSettings, advance: Advance
) -> _Problem:
    """Reduce the least squares of all rows to a triangle, by QR block after block."""
    targets = {"stress": rows.stress, "tangent": rows.tangent, "energy": rows.energy}
    share = {"stress": 1.0, "tangent": settings.tangent_weight, "energy": settings.energy_weight}
    weights = {
        name: (share[name] / max(float((rows.weighted(target) ** 2).sum()), 1e-300)) ** 0.5
        for name, target in targets.items()
        if target is not None and share[name] > 0.0
    }
    z = network.scaling(rows.parameters, rows.strain.T)
    factors, _ = network.scaling.quadratics(z)
    growing = 2 * len(factors) if network.kinematics.measure == "finite" else 0
    triangle = rows.stress.new_zeros(0, growing + len(network.coefficients) + 1)
    for points, block in _blocks(network, rows, triangle.shape[1], weights):
        triangle = torch.linalg.qr(torch.cat([triangle, block]), mode="r").R
        advance(points)
    return _Problem(triangle, growing, factors)


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


def _solved(
    problem: _Problem, widest: PolynomialEnergy, degree: int
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
