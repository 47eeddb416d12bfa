"""Models with history from a dataset of paths: the physical network and the recurrent ones."""

from __future__ import annotations

from dataclasses import asdict

import torch

from fesurrogate.config.train import PointPhaseSettings, TrainSettings
from fesurrogate.data.dataset import Dataset
from fesurrogate.surrogate.network import Network
from fesurrogate.surrogate.physical import PhysicalNetwork, PointPhase
from fesurrogate.surrogate.plasticity import PlasticConstants
from fesurrogate.surrogate.recurrent import RecurrentNetwork
from fesurrogate.train.result import FitResult, parts_of
from fesurrogate.train.sequence import Paths, adam, fit_paths, lbfgs, solved_paths
from fesurrogate.train.sobolev import free_weights
from fesurrogate.train.start import taken_over

ITERATIONS_PER_CHECK = 10


def fit_physical(
    dataset: Dataset,
    settings: TrainSettings,
    *,
    start: Network | None = None,
    progress: bool = False,
) -> FitResult:
    """Fit a network of material points by L-BFGS, best on held-out paths.

    Args:
        dataset: Paths; failed increments are left out.
        settings: ``physical``, ``validation``, ``iterations`` and ``seed`` matter.
        start: The network of another cell, whose phases are kept.
        progress: Whether a bar shows the error on held-out paths.

    Raises:
        InputError: Data that cannot be learned from, or a start of another kind.
    """
    parts = parts_of(dataset, settings.validation, seed=settings.seed)
    if start is None:
        phases = [point_phase(phase) for phase in settings.physical.phases.values()]
        network = PhysicalNetwork(dataset.kinematics, phases, seed=settings.seed)
    else:
        network = taken_over(start, dataset, PhysicalNetwork)
    free_weights(network, settings.transfer.freeze if settings.transfer else ())
    rounds = lbfgs(network, parts.training, iterations=ITERATIONS_PER_CHECK)
    checks = -(-settings.iterations // ITERATIONS_PER_CHECK)
    return fit_paths(
        network, parts, rounds, checks=checks, iterations_per_check=ITERATIONS_PER_CHECK,
        progress=progress,
    )  # fmt: skip


def point_phase(phase: PointPhaseSettings) -> PointPhase:
    """Return what a table says.

    Raises:
        InputError: A constant is out of range.
    """
    facts = asdict(phase)
    points, fraction = facts.pop("points"), facts.pop("fraction")
    return PointPhase(PlasticConstants(**facts), points, fraction)


def fit_recurrent(
    dataset: Dataset,
    settings: TrainSettings,
    *,
    start: Network | None = None,
    progress: bool = False,
) -> FitResult:
    """Fit a recurrent network by Adam, best on held-out paths.

    Args:
        dataset: Paths; failed increments are left out.
        settings: ``recurrent``, ``validation``, ``iterations`` (epochs) and ``seed`` matter.
        start: The network of another cell; its sizes and scales are kept.
        progress: Whether a bar shows the error on held-out paths.

    Raises:
        InputError: Data that cannot be learned from, or a start of another kind.
    """
    parts = parts_of(dataset, settings.validation, seed=settings.seed)
    if start is None:
        shape = settings.recurrent
        network = RecurrentNetwork(
            dataset.kinematics, shape.width, cell=shape.cell, seed=settings.seed
        )
        set_scales(network, solved_paths(parts.training))
    else:
        network = taken_over(start, dataset, RecurrentNetwork)
    free_weights(network, settings.transfer.freeze if settings.transfer else ())
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
