"""Fit the model that ``[train] model`` names: one table from names to functions."""

from __future__ import annotations

from typing import Protocol

from fesurrogate.config_train import Model, TrainSettings
from fesurrogate.data.dataset import Dataset
from fesurrogate.train.energy import fit_energy
from fesurrogate.train.result import FitResult


class Fitter(Protocol):
    """A way to fit one kind of model; refuses data that it cannot learn from."""

    def __call__(
        self, dataset: Dataset, settings: TrainSettings, *, progress: bool = False
    ) -> FitResult:
        """Return the fitted network."""
        ...


FITTERS: dict[Model, Fitter] = {"energy": fit_energy}


def fit(dataset: Dataset, settings: TrainSettings, *, progress: bool = False) -> FitResult:
    """Fit a model to data.

    Args:
        dataset: Points that failed are left out and counted.
        settings: Which model, and how it is fitted.
        progress: Whether a bar shows the error on held-out paths.

    Raises:
        InputError: Data that cannot be learned from.
    """
    return FITTERS[settings.model](dataset, settings, progress=progress)
