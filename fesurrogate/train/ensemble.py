"""A deep ensemble of any model: members differ in their seed and in what they hold out."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace

from fesurrogate.config.train import TrainSettings
from fesurrogate.data.dataset import Dataset
from fesurrogate.surrogate.ensemble import Ensemble
from fesurrogate.train.calibration import FEWEST, calibrate
from fesurrogate.train.errors import errors_on
from fesurrogate.train.result import FitResult, parts_of
from fesurrogate.train.sequence import path_errors

logger = logging.getLogger(__name__)


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
    draws what it holds out itself. Where too few points are held out to calibrate with, the factor
    of the standard deviation stays 1, and a warning is logged.

    Args:
        dataset: The data.
        settings: Of each member.
        fit_member: Fits one network.
        members: How many, 2 or more.

    Returns:
        The ensemble; the history is that of its last member.

    Raises:
        InputError: Fewer than two members, or what a member refuses.
    """
    begin = time.perf_counter()
    parts = parts_of(dataset, settings.validation, seed=settings.seed)
    fitted = [
        fit_member(parts.training, replace(settings, seed=settings.seed + k))
        for k in range(members)
    ]
    ensemble = Ensemble([result.network for result in fitted])
    held_out = int(parts.choosing.ok.sum())
    if held_out >= FEWEST:
        calibrate(ensemble, parts.choosing)
    else:
        logger.warning(
            "%d points are held out to calibrate the ensemble's standard deviation; %d are needed: "
            "it stays uncalibrated. Raise samples or validation; where a guard needs it, "
            "[calibration] says what it is worth",
            held_out, FEWEST,
        )  # fmt: skip
    judge = path_errors if ensemble.num_state else errors_on
    return FitResult(
        ensemble,
        judge(ensemble, parts.judging),
        fitted[-1].history,
        time.perf_counter() - begin,
        calibrated=held_out >= FEWEST,
    )
