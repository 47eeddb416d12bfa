"""Fit a polynomial energy by least squares, of the degree that is best on held-out paths."""

from __future__ import annotations

import time

import torch

from fesurrogate.config.train import TrainSettings
from fesurrogate.data.dataset import Dataset
from fesurrogate.errors import InputError
from fesurrogate.progress import progress_bar
from fesurrogate.surrogate.biot import biot_strain
from fesurrogate.surrogate.network import Network
from fesurrogate.surrogate.objective import component_count, components
from fesurrogate.surrogate.polynomial_energy import PolynomialEnergy, term_count
from fesurrogate.train.errors import errors_on, row_errors
from fesurrogate.train.least_squares import nothing, solved, taken_in
from fesurrogate.train.result import FitResult, parts_of
from fesurrogate.train.rows import Rows, solved_rows
from fesurrogate.train.start import SMALLEST, root_mean_square

HIGHEST, MOST_TERMS = 8, 1000
"""Largest degree, and number of terms, that are tried."""


def fit_polynomial(
    dataset: Dataset,
    settings: TrainSettings,
    *,
    start: Network | None = None,
    progress: bool = False,
) -> FitResult:
    """Fit a polynomial energy to stress and, where the data hold them, tangents and energies.

    Every degree is fitted for which the data give more numbers than there are terms. The one that
    is best on half of the held-out paths is fitted once more, with that half; the other half
    judges. The history has one entry a degree, as ``degree`` in place of ``iteration``.

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
    history: dict[str, list[float]] = {"degree": [], "loss": [], "stress": [], "tangent": []}
    scores = {}
    total = len(rows.strain) + len(unseen.strain)
    with progress_bar("train", total, unit="points", enabled=progress) as advance:
        problem = taken_in(nothing(network, rows, settings), network, rows, advance)
        everything = taken_in(problem, network, unseen, advance)
    for degree in degrees:
        candidate, loss = solved(problem, network, degree)
        errors = row_errors(candidate, unseen)
        tangent = errors.tangent or 0.0
        scores[degree] = errors.stress**2 + settings.tangent_weight * tangent**2
        seen = (float(degree), loss, errors.stress, tangent)
        for name, value in zip(history, seen, strict=True):
            history[name].append(value)
    if parts.judging is parts.choosing:  # one path alone, which must stay unseen
        everything = problem
    best, _ = solved(everything, network, min(scores, key=lambda degree: scores[degree]))
    seconds = time.perf_counter() - begin
    return FitResult(best, errors_on(best, parts.judging), history, seconds)


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
