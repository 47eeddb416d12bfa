"""Fit a stress network, from nothing or from that of another cell."""

from __future__ import annotations

import time

import torch

from fesurrogate.config.train import TrainSettings
from fesurrogate.data.dataset import Dataset
from fesurrogate.surrogate.network import Network
from fesurrogate.surrogate.stress import StressNetwork
from fesurrogate.train.errors import errors_on
from fesurrogate.train.result import FitResult, parts_of
from fesurrogate.train.rows import Rows, solved_rows
from fesurrogate.train.sobolev import minimise
from fesurrogate.train.start import root_mean_square, taken_over


def fit_stress(
    dataset: Dataset,
    settings: TrainSettings,
    *,
    start: Network | None = None,
    progress: bool = False,
) -> FitResult:
    """Fit a stress network to stress and, where the data hold them, tangents.

    Args:
        dataset: Points that failed are left out and counted.
        settings: Network and training.
        start: The network of another cell; its sizes and scales are kept.
        progress: Whether a bar shows the error on held-out paths.

    Raises:
        InputError: Data that cannot be learned from: nothing solved, not finite, or of finite
            strain; or a network of other kinematics, parameters or kind to start from.
    """
    begin = time.perf_counter()
    parts = parts_of(dataset, settings.validation, seed=settings.seed)
    rows, unseen = solved_rows(parts.training), solved_rows(parts.choosing)
    if start is None:
        network = StressNetwork(
            dataset.kinematics,
            settings.hidden,
            symmetric=settings.stress.symmetric,
            parameter_names=dataset.parameter_names,
            seed=settings.seed,
        )
        _set_start(network, rows)
    else:
        network = taken_over(start, dataset, StressNetwork)
    history = minimise(network, rows, unseen, settings=settings, progress=progress)
    _set_asymmetry(network, rows)
    errors = errors_on(network, parts.judging)
    return FitResult(network, errors, history, time.perf_counter() - begin)


def _set_start(network: StressNetwork, rows: Rows) -> None:
    """Set the scales by root mean squares, and C0 by least squares of the stresses."""
    network.scaling.fit(rows.parameters)
    e = rows.strain.T.contiguous()
    size = root_mean_square(e)
    size = torch.maximum(size, 1e-3 * size.max()).clamp_min(1e-12)
    factors, _ = network.scaling.quadratics(network.scaling(rows.parameters, e))  # (f, n)
    m, n = e.shape
    matrix = rows.weighted((factors[:, None] * e / size).reshape(-1, n).T)  # (n, f m)
    stress = rows.weighted(rows.stress)
    solution = torch.linalg.lstsq(matrix, stress, driver="gelsd").solution  # (f m, m)
    left = stress - matrix @ solution
    with torch.no_grad():
        moduli = solution.reshape(len(factors), m, m).transpose(1, 2)  # [f, i, j]
        network.stiffness.copy_(moduli / size.T)
        network.scale.copy_(size)
        whole = float((stress**2).mean()) ** 0.5
        network.stress_scale.fill_(max(float((left**2).mean()) ** 0.5, 1e-9 * whole))


def _set_asymmetry(network: StressNetwork, rows: Rows) -> None:
    """Note the largest skew part of the derivative at the training points."""
    symmetric, network.symmetric = network.symmetric, False
    with torch.no_grad():
        tangent = network(rows.strain, parameters=rows.parameters).tangent
        skew = 0.5 * (tangent - tangent.mT)
        network.asymmetry.copy_(skew.abs().max() / tangent.abs().max())
    network.symmetric = symmetric
