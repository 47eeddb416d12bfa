"""Fit the model that ``[train] model`` names: one table from names to functions."""

from __future__ import annotations

from typing import Protocol

from fesurrogate.config_train import Model, TrainSettings
from fesurrogate.data.dataset import Dataset
from fesurrogate.surrogate.model_file import load_model
from fesurrogate.surrogate.network import Network
from fesurrogate.train.energy import fit_energy
from fesurrogate.train.result import FitResult
from fesurrogate.train.stress import fit_stress
from fesurrogate.train.trust import trusted


class Fitter(Protocol):
    """A way to fit one kind of model; refuses data that it cannot learn from."""

    def __call__(
        self,
        dataset: Dataset,
        settings: TrainSettings,
        *,
        start: Network | None = None,
        progress: bool = False,
    ) -> FitResult:
        """Return the fitted network; one to start from is taken or refused."""
        ...


FITTERS: dict[Model, Fitter] = {"energy": fit_energy, "stress": fit_stress}


def fit(dataset: Dataset, settings: TrainSettings, *, progress: bool = False) -> FitResult:
    """Fit a model to data.

    Args:
        dataset: Points that failed are left out and counted.
        settings: Which model, and how it is fitted.
        progress: Whether a bar shows the error on held-out paths.

    Raises:
        InputError: Data that cannot be learned from, or a model that training cannot start from.
    """
    start = None if settings.transfer is None else load_model(settings.transfer.model)[0]
    dataset = trusted(dataset, settings.suspicious)
    return FITTERS[settings.model](dataset, settings, start=start, progress=progress)
