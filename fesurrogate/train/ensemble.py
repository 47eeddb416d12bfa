"""A deep ensemble of any model: members differ in their seed and in what they hold out."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from fesurrogate.config.train import TrainSettings
from fesurrogate.data.dataset import Dataset
from fesurrogate.surrogate.ensemble import Ensemble
from fesurrogate.train.calibration import calibrate
from fesurrogate.train.errors import errors_on
from fesurrogate.train.result import FitResult, parts_of
from fesurrogate.train.sequence import path_errors


def fit_ensemble(
    dataset: Dataset,
    settings: TrainSettings,
    fit_member: Callable[[Dataset, TrainSettings], FitResult],
    *,
    members: int,
) -> FitResult:
    """Fit networks one after another, and calibrate how far they disagree.

    Whole paths are held out of all members; half of these calibrate the standard deviation and
    half judge the mean. The rest trains: member k with the seed ``settings.seed + k``, which also
    draws what it holds out itself.

    Args:
        dataset: The data.
        settings: Of each member.
        fit_member: Fits one network.
        members: How many, 2 or more.

    Returns:
        The ensemble; the history is that of its last member.

    Raises:
        InputError: Too few points to calibrate with, fewer than two members, or what a member
            refuses.
    """
    begin = time.perf_counter()
    parts = parts_of(dataset, settings.validation, seed=settings.seed)
    fitted = [
        fit_member(parts.training, replace(settings, seed=settings.seed + k))
        for k in range(members)
    ]
    ensemble = Ensemble([result.network for result in fitted])
    calibrate(ensemble, parts.choosing)
    judge = path_errors if ensemble.num_state else errors_on
    return FitResult(
        ensemble,
        judge(ensemble, parts.judging),
        fitted[-1].history,
        dataset.failed,
        time.perf_counter() - begin,
    )
