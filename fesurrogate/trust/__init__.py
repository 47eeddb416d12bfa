"""When a surrogate may be believed: measures of doubt, calibrated on points it has not seen."""

from fesurrogate.trust.calibrate import calibrate, stress_scale, training_inputs
from fesurrogate.trust.calibrated import CalibratedMeasure, FixedMeasure, Trust
from fesurrogate.trust.measures import Deviation, Measure, Novelty, Violation
from fesurrogate.trust.record import recorded, trust_from

__all__ = [
    "CalibratedMeasure",
    "Deviation",
    "FixedMeasure",
    "Measure",
    "Novelty",
    "Trust",
    "Violation",
    "calibrate",
    "recorded",
    "stress_scale",
    "training_inputs",
    "trust_from",
]
