"""When a surrogate may be believed: measures of doubt, calibrated on points it has not seen."""

from fesurrogate.trust.calibrate import calibrate, stress_scale, training_inputs
from fesurrogate.trust.calibrated import CalibratedMeasure, FixedMeasure, Trust
from fesurrogate.trust.expected import Expected, expected
from fesurrogate.trust.measures import (
    Deviation,
    Magnitude,
    Measure,
    Novelty,
    Reach,
    Violation,
    measures_of,
)
from fesurrogate.trust.record import recorded, trust_from

__all__ = [
    "CalibratedMeasure",
    "Deviation",
    "Expected",
    "FixedMeasure",
    "Magnitude",
    "Measure",
    "Novelty",
    "Reach",
    "Trust",
    "Violation",
    "calibrate",
    "expected",
    "measures_of",
    "recorded",
    "stress_scale",
    "training_inputs",
    "trust_from",
]
