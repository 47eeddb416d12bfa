"""Fit an energy network, from nothing or from that of another cell."""

from __future__ import annotations

import time

import torch

from fesurrogate.config.train import TrainSettings
from fesurrogate.data.dataset import Dataset
from fesurrogate.errors import InputError
from fesurrogate.surrogate.energy import EnergyNetwork
from fesurrogate.surrogate.network import Network
from fesurrogate.surrogate.objective import components
from fesurrogate.surrogate.polyconvex import PolyconvexNetwork
from fesurrogate.train.errors import errors_on
from fesurrogate.train.result import FitResult, parts_of
from fesurrogate.train.rows import Rows, solved_rows
from fesurrogate.train.sobolev import minimise
from fesurrogate.train.start import root_mean_square, set_closed_form, set_start, taken_over


def fit_energy(
    dataset: Dataset,
    settings: TrainSettings,
    *,
    start: Network | None = None,
    progress: bool = False,
) -> FitResult:
    """Fit an energy network to stress and, where the data hold them, tangents and energies.

    Whole paths are held out; the weights that are best on half of them are kept. A network from
    which training starts keeps its scales and its sizes: ``hidden`` and ``[train.energy]`` are
    then its own; its closed-form part is found anew.

    Args:
        dataset: Points that failed are left out and counted.
        settings: Network and training.
        start: The network of another cell.
        progress: Whether a bar shows the error on held-out paths.

    Raises:
        InputError: Data that cannot be learned from: nothing solved, or not finite; or a network
            of other kinematics, parameters or kind to start from.
    """
    begin = time.perf_counter()
    parts = parts_of(dataset, settings.validation, seed=settings.seed)
    rows, unseen = solved_rows(parts.training), solved_rows(parts.choosing)
    network: EnergyNetwork | PolyconvexNetwork
    if settings.energy.polyconvex:
        network = _polyconvex(dataset, rows, settings, start)
    elif start is None:
        network = EnergyNetwork(
            dataset.kinematics,
            settings.hidden,
            symmetry=settings.energy.symmetry,
            direction=settings.energy.direction,
            exponentials=settings.energy.exponentials,
            parameter_names=dataset.parameter_names,
            seed=settings.seed,
        )
        set_start(network, rows)
    else:
        network = taken_over(start, dataset, EnergyNetwork)
        set_closed_form(network, rows)
    history = minimise(network, rows, unseen, settings=settings, progress=progress)
    errors = errors_on(network, parts.judging)
    return FitResult(network, errors, history, time.perf_counter() - begin)


def _polyconvex(
    dataset: Dataset, rows: Rows, settings: TrainSettings, start: Network | None
) -> PolyconvexNetwork:
    """Return a polyconvex network with its scales set: w by least squares of the stress."""
    if start is not None:
        return taken_over(start, dataset, PolyconvexNetwork)
    if dataset.parameter_names:
        raise InputError(
            f"the dataset has parameters ({', '.join(dataset.parameter_names)}), which the "
            "polyconvex network does not take; generate one without, or leave out polyconvex"
        )
    network = PolyconvexNetwork(dataset.kinematics, settings.hidden, seed=settings.seed)
    with torch.no_grad():
        e = components(dataset.kinematics, rows.strain.T.contiguous())
        network.scale.copy_(root_mean_square(network.features(e, second=False)[0]))
        stress = network(rows.strain, tangent=False).stress
        factor = (stress * rows.stress).sum() / (stress**2).sum()
        network.energy_scale.fill_(max(float(factor), 1e-3 * float(rows.stress.abs().max())))
    return network
