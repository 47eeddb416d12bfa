"""Fit an energy network, from nothing or from that of another cell."""

from __future__ import annotations

import copy
import time

from fesurrogate.config_train import TrainSettings
from fesurrogate.data.dataset import Dataset
from fesurrogate.errors import InputError
from fesurrogate.surrogate.energy import EnergyNetwork
from fesurrogate.surrogate.network import Network
from fesurrogate.train.errors import errors_on
from fesurrogate.train.result import FitResult, parts_of
from fesurrogate.train.rows import solved_rows
from fesurrogate.train.sobolev import minimise
from fesurrogate.train.start import set_closed_form, set_start


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
    if start is None:
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
        network = _taken_over(start, dataset)
        set_closed_form(network, rows)
    history = minimise(network, rows, unseen, settings=settings, progress=progress)
    errors = errors_on(network, parts.judging)
    return FitResult(network, errors, history, dataset.failed, time.perf_counter() - begin)


def _taken_over(start: Network, dataset: Dataset) -> EnergyNetwork:
    """Return a copy of the network to start from."""
    if not isinstance(start, EnergyNetwork):
        raise InputError(f"transfer: the model is a {type(start).__name__}; expected EnergyNetwork")
    for name, theirs, ours in (
        ("kinematics", start.kinematics, dataset.kinematics),
        ("parameters", start.parameter_names, dataset.parameter_names),
    ):
        if theirs != ours:
            raise InputError(f"transfer: the model has {name} {theirs}, the dataset {ours}")
    return copy.deepcopy(start)
