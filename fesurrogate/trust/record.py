"""Calibrated measures as plain arrays, and back: what a model file keeps of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from fesurrogate.errors import InputError
from fesurrogate.kinematics import Array, Kinematics
from fesurrogate.trust.calibrated import CalibratedMeasure, FixedMeasure, Trust
from fesurrogate.trust.expected import Expected, expected
from fesurrogate.trust.measures import Magnitude, Measure, Violation, measures_of

EXPECTED = Expected.name
CALIBRATE = "give the TOML a table [calibration], then: fesurrogate generate and fesurrogate train"


def recorded(
    measures: Sequence[CalibratedMeasure], inputs: Array, scale: float
) -> dict[str, Array]:
    """Return arrays from which :func:`trust_from` makes a Trust.

    Args:
        measures: Calibrated on the same points.
        inputs: (k, q + p), of the training samples.
        scale: Root mean square of |stress| of the training data.
    """
    doubts = {f"doubt.{each.measure.name}": each.doubt for each in measures}
    return {"inputs": inputs, "scale": np.array([scale]), "error": measures[0].error, **doubts}


def trust_from(
    arrays: Mapping[str, Array],
    kinematics: Kinematics,
    tolerance: float,
    *,
    names: Sequence[str] | None = None,
) -> Trust:
    """Return the trust of a model for a tolerated error.

    Args:
        arrays: From :func:`recorded`.
        kinematics: The model's.
        tolerance: |Δstress| over the root mean square of |stress| in the dataset.
        names: Measures that are used, of which ``expected`` is made of all that were calibrated.
            That if None, where :func:`~fesurrogate.trust.measures.measures_of` gave them; else the
            deviation, or the novelty. That no answer breaks physics is asked for in any case.

    Raises:
        InputError: The model was not calibrated, lacks a measure, or its arrays do not fit.
    """
    if not arrays:
        raise InputError(f"the model's trust is not calibrated; {CALIBRATE}")
    known = [name.removeprefix("doubt.") for name in sorted(arrays) if name.startswith("doubt.")]
    if len(known) > 1:
        known.append(EXPECTED)
    if names is None:
        names = [next((name for name in _preferred(known) if name in known), "novelty")]
    lacking = [name for name in names if name not in known]
    if lacking or not names:
        raise InputError(
            f"measures are {list(names)}; the model has {', '.join(known) or 'none'}: an ensemble "
            "or a Gaussian process has deviation"
        )
    try:
        scale = float(arrays["scale"][0])
        made: dict[str, Measure] = {
            measure.name: measure
            for measure in measures_of(kinematics, arrays["inputs"], scale, deviates=True)
        }
        every = {
            name: CalibratedMeasure(made[name], arrays[f"doubt.{name}"], arrays["error"])
            for name in known
            if name != EXPECTED
        }
    except (KeyError, IndexError) as error:
        raise InputError(f"the model's record of trust lacks {error}; {CALIBRATE}") from error
    if EXPECTED in names:
        every[EXPECTED] = expected(list(every.values()))
    calibrated = [every[name] for name in names]
    return Trust([*calibrated, FixedMeasure(Violation(kinematics, scale))], tolerance)


def _preferred(known: Sequence[str]) -> tuple[str, ...]:
    """Return measures, the best first: all together where they were calibrated on an envelope."""
    alone = ("deviation", "novelty")
    return (EXPECTED, *alone) if Magnitude.name in known else alone
