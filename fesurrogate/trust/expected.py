"""The error that several measures together let expect: a measure made of others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import numpy as np
from scipy.optimize import lsq_linear

from fesurrogate.errors import InputError
from fesurrogate.kinematics import Array
from fesurrogate.material import Response
from fesurrogate.trust.calibrated import SMALLEST, CalibratedMeasure
from fesurrogate.trust.measures import Measure

FOLDS = 10
BEYOND = 2.0
"""Times the largest doubt of the calibrated points: the farthest that coefficients reach."""


@final
class Expected(Measure):
    """exp(b₀ + Σ bₖ log(dₖ + floorₖ)) of the doubts dₖ of other measures, with bₖ >= 0.

    With coefficients from points whose error is known it is a typical error, in the same unit; no
    doubt makes it smaller. What lies beyond :data:`BEYOND` times the largest doubt of those points,
    in any measure, is infinitely doubtful.

    Args:
        parts: The other measures.
        coefficients: (1 + parts,), b.
        largest: (parts,), the largest doubts of the points that gave them.
    """

    name, is_error = "expected", True

    def __init__(self, parts: Sequence[Measure], coefficients: Array, largest: Array) -> None:
        self.parts, self.coefficients, self.largest = tuple(parts), coefficients, largest

    def doubt(self, strain: Array, parameters: Array, response: Response) -> Array:
        """Return the error that is to be expected, over the root mean square of the stress."""
        doubts = np.stack([p.doubt(strain, parameters, response) for p in self.parts], axis=1)
        floors = np.array([part.floor for part in self.parts])
        inside = (doubts <= BEYOND * self.largest).all(axis=1)
        answer: Array = np.full(len(strain), np.inf)
        answer[inside] = _error(self.coefficients, np.log(doubts[inside] + floors))
        return answer


def expected(parts: Sequence[CalibratedMeasure]) -> CalibratedMeasure:
    """Return what several measures together let expect, calibrated on the same points.

    The coefficients minimise the squares of the logarithms of the errors. The doubt of a calibrated
    point comes from the others, a tenth of them left out at a time, so that it is as of one unseen.

    Args:
        parts: Calibrated on the same points; two or more.

    Raises:
        InputError: Fewer, or other points.
    """
    if len(parts) < 2 or any(not np.array_equal(p.error, parts[0].error) for p in parts):
        raise InputError(
            f"expected: {[p.measure.name for p in parts]}; give two or more measures that are "
            "calibrated on the same points"
        )
    doubts = np.stack([part.doubt for part in parts], axis=1)  # (k, parts)
    known = np.isfinite(doubts).all(axis=1) & np.isfinite(parts[0].error)
    logs = np.log(doubts[known] + [part.measure.floor for part in parts])
    error = np.log(np.maximum(parts[0].error[known], SMALLEST))
    doubt: Array = np.full(len(doubts), np.inf)
    largest: Array = np.full(len(parts), -np.inf)  # nothing known, nothing trusted
    fitted: Array = np.zeros(1 + len(parts))
    if len(error) >= 2 * FOLDS:
        fold, crossed = np.arange(len(error)) % FOLDS, np.empty(len(error))
        for k in range(FOLDS):
            crossed[fold == k] = _error(_fitted(logs[fold != k], error[fold != k]), logs[fold == k])
        doubt[known] = crossed
        largest, fitted = doubts[known].max(axis=0), _fitted(logs, error)
    measure = Expected([part.measure for part in parts], fitted, largest)
    return CalibratedMeasure(measure, doubt, parts[0].error)


def _fitted(
    logs: Array,  # (k, parts)
    error: Array,  # (k,), logarithms
) -> Array:  # (1 + parts,)
    columns = np.column_stack([np.ones(len(logs)), logs])
    least = np.zeros(columns.shape[1])
    least[0] = -np.inf
    return np.asarray(lsq_linear(columns, error, bounds=(least, np.inf)).x)


def _error(coefficients: Array, logs: Array) -> Array:  # (k,)
    return np.exp(coefficients[0] + logs @ coefficients[1:])
