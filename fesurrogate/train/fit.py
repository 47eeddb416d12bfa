"""Fit the model that ``[train] model`` names: one table from names to functions."""

from __future__ import annotations

import logging
from functools import partial
from typing import Protocol

from fesurrogate.config.train import Model, TrainSettings
from fesurrogate.data.dataset import Dataset
from fesurrogate.errors import InputError
from fesurrogate.surrogate.model_file import load_model
from fesurrogate.surrogate.network import Network
from fesurrogate.train.energy import fit_energy
from fesurrogate.train.ensemble import fit_ensemble
from fesurrogate.train.gaussian_process import fit_gaussian_process
from fesurrogate.train.history import fit_physical, fit_recurrent
from fesurrogate.train.polynomial import fit_polynomial
from fesurrogate.train.result import FitResult
from fesurrogate.train.stress import fit_stress
from fesurrogate.train.trust import trusted

logger = logging.getLogger(__name__)


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


FITTERS: dict[Model, Fitter] = {
    "energy": fit_energy,
    "polynomial": fit_polynomial,
    "stress": fit_stress,
    "gaussian_process": fit_gaussian_process,
    "recurrent": fit_recurrent,
    "physical": fit_physical,
}


def fit(dataset: Dataset, settings: TrainSettings, *, progress: bool = False) -> FitResult:
    """Fit a model to data.

    Args:
        dataset: Points that failed are left out and counted.
        settings: Which model, and how it is fitted.
        progress: Whether a bar shows the error on held-out paths.

    Raises:
        InputError: Data that cannot be learned from, or a model that training cannot start from.
    """
    if settings.model == "field_network":
        raise InputError(
            "model is 'field_network', a guess of the cell and no Material; it is fitted by: "
            "fesurrogate train CONFIG"
        )
    start = None if settings.transfer is None else load_model(settings.transfer.model)[0]
    if dataset.failed:
        logger.warning("%d of %d points failed; left out", dataset.failed, dataset.ok.size)
    dataset = trusted(dataset, settings.suspicious, weight=settings.suspicious_weight)
    fitter = partial(FITTERS[settings.model], start=start, progress=progress)
    if settings.ensemble > 1:
        return fit_ensemble(dataset, settings, fitter, members=settings.ensemble)
    return fitter(dataset, settings)
