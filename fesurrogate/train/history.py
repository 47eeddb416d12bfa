"""Models with history from a dataset of paths: the physical network and the recurrent ones."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from fesurrogate.config_train import TrainSettings
from fesurrogate.data.dataset import Dataset
from fesurrogate.surrogate.physical import PhysicalNetwork, PointPhase
from fesurrogate.surrogate.recurrent import Cell, RecurrentNetwork
from fesurrogate.train.result import FitResult, parts_of
from fesurrogate.train.sequence import Paths, adam, fit_paths, lbfgs, solved_paths

ITERATIONS_PER_CHECK = 10


def fit_physical(
    dataset: Dataset,
    settings: TrainSettings,
    *,
    phases: Sequence[PointPhase],
    progress: bool = False,
) -> FitResult:
    """Fit a network of material points by L-BFGS, best on held-out paths.

    Args:
        dataset: Paths; failed increments are left out.
        settings: ``validation``, ``iterations`` and ``seed`` matter.
        phases: The laws of the phases and how many points each has.
        progress: Whether a bar shows the error on held-out paths.

    Raises:
        InputError: Data that cannot be learned from.
    """
    parts = parts_of(dataset, settings.validation, seed=settings.seed)
    network = PhysicalNetwork(dataset.kinematics, phases, seed=settings.seed)
    rounds = lbfgs(network, parts.training, iterations=ITERATIONS_PER_CHECK)
    checks = -(-settings.iterations // ITERATIONS_PER_CHECK)
    return fit_paths(network, parts, rounds, checks=checks, progress=progress)


def fit_recurrent(
    dataset: Dataset,
    settings: TrainSettings,
    *,
    hidden: int = 48,
    cell: Cell = "minimal",
    progress: bool = False,
) -> FitResult:
    """Fit a recurrent network by Adam, best on held-out paths.

    Args:
        dataset: Paths; failed increments are left out.
        settings: ``validation``, ``iterations`` (epochs) and ``seed`` matter.
        hidden: Width of the hidden state.
        cell: See :class:`RecurrentNetwork`.
        progress: Whether a bar shows the error on held-out paths.

    Raises:
        InputError: Data that cannot be learned from.
    """
    parts = parts_of(dataset, settings.validation, seed=settings.seed)
    network = RecurrentNetwork(dataset.kinematics, hidden, cell=cell, seed=settings.seed)
    set_scales(network, solved_paths(parts.training))
    rounds = adam(network, parts.training, epochs=settings.iterations, seed=settings.seed)
    return fit_paths(network, parts, rounds, checks=settings.iterations, progress=progress)


def set_scales(network: RecurrentNetwork, paths: Paths) -> None:
    """Set the buffers of a network: root mean squares, and C0 from the first increments.

    C0 is the symmetric part of the least squares between the stress and the strain of the first
    increment of all paths, which is the elastic stiffness where that increment is small.
    """
    steps = torch.diff(paths.strain, dim=1, prepend=torch.zeros_like(paths.strain[:, :1]))
    with torch.no_grad():
        network.scale.copy_(paths.strain.square().mean().sqrt())
        network.increment_scale.copy_(steps.square().sum(2).mean().sqrt())
        network.stress_scale.copy_(paths.stress.square().mean().sqrt())
        if network.cell == "minimal":
            begin = paths.ok[:, 0]
            slope = torch.linalg.lstsq(paths.strain[begin, 0], paths.stress[begin, 0]).solution
            network.stiffness.copy_(0.5 * (slope + slope.T))
