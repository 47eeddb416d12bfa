"""``[calibration]``: data that training never sees, by which a model's trust is calibrated."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fesurrogate.config import Settings
from fesurrogate.data.dataset import Dataset
from fesurrogate.kinematics import Array
from fesurrogate.material import Material
from fesurrogate.trust import (
    calibrate,
    measures_of,
    recorded,
    stress_scale,
    training_inputs,
)

WIDER = 1.6
"""Extent of the calibration, where nothing is said, over that of the training data."""


def calibration_of(settings: Settings) -> Settings:
    """Return the settings whose dataset is that of ``[calibration]``."""
    wanted, training = settings.calibration, settings.generate
    assert wanted is not None
    extent = training.stretch if wanted.stretch is None else wanted.stretch
    if wanted.stretch is None:
        if isinstance(extent, int | float):
            extent = WIDER * extent
        else:
            extent = tuple((WIDER * low, WIDER * high) for low, high in extent)
    generate = replace(
        training,
        samples=wanted.samples,
        stretch=extent,
        seed=wanted.seed,
        tangents=False,
        fields=False,
    )
    output = replace(settings.output, folder=settings.folder / "calibration")
    return replace(settings, generate=generate, output=output, calibration=None)


def trust_record(surrogate: Material, training: Dataset, unseen: Dataset) -> dict[str, Array]:
    """Return what a model file keeps of when its model may be trusted.

    Args:
        surrogate: The trained model.
        training: What it was trained on.
        unseen: Points it has not seen, inside the envelope of the training and outside it.

    Raises:
        InputError: The datasets do not match, or hold too few points.
    """
    scale, inputs = stress_scale(training), training_inputs(training)
    report = surrogate.evaluate(
        surrogate.kinematics.rest[None], parameters=np.atleast_2d(_middle(training))
    ).report
    deviates = "standard_deviation" in report
    measures = measures_of(training.kinematics, inputs, scale, deviates=deviates)
    return recorded(calibrate(surrogate, measures, unseen, scale=scale), inputs, scale)


def _middle(dataset: Dataset) -> Array:  # (p,)
    assert dataset.parameters is not None
    return np.asarray(np.median(dataset.parameters, axis=0))
