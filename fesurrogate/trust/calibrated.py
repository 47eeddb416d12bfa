"""From doubts to a decision that has a meaning: the stress error that is tolerated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression

from fesurrogate.errors import InputError
from fesurrogate.kinematics import Array, BoolArray
from fesurrogate.material import Response
from fesurrogate.trust.measures import Measure

SMALLEST = 1e-16
"""Error below which all are alike."""

AIM = 0.03
"""Share of the trusted points whose error exceeds the tolerance, at which a limit aims. What is
promised is 0.05: few points are known by which the limit is set."""

NEARER = 0.035
"""The same where the doubt is an error itself: then one scatter is all that they must say."""

MOST = 0.25
"""Share of the points just at the limit whose error may exceed the tolerance."""


@final
@dataclass(frozen=True)
class CalibratedMeasure:
    """A measure, and what it said of points whose error is known.

    Attributes:
        measure: The measure.
        doubt: (k,), of points that training has not seen.
        error: (k,), |Δstress| of these over the root mean square of |stress| in the dataset.

    Raises:
        InputError: Arrays that do not match, or no points.
    """

    measure: Measure
    doubt: Array
    error: Array

    def __post_init__(self) -> None:
        if self.doubt.ndim != 1 or self.doubt.shape != self.error.shape or not len(self.doubt):
            raise InputError(
                f"measure {self.measure.name!r}: doubts of shape {self.doubt.shape} with errors of "
                f"shape {self.error.shape}; expected the same points, at least one"
            )
        if np.isnan(self.doubt).any() or np.isnan(self.error).any():
            raise InputError(f"measure {self.measure.name!r}: doubts or errors are NaN")

    def limit(self, tolerance: float) -> float:
        """Return the largest doubt up to which errors above the tolerance are rare enough.

        The typical error at a doubt is the doubt itself where it is one (``Measure.is_error``),
        else its logarithm grows with the doubt by isotonic regression; errors depart from it, in
        their logarithm, as they do at the points that are known. Of points up to the limit at most
        a share :data:`AIM`, or :data:`NEARER`, then exceeds the tolerance, by this model and by
        count; of those at the limit a share :data:`MOST`. Beyond the doubts seen nothing is known,
        and nothing trusted.

        Source: Y. Geifman and R. El-Yaniv, Selective classification for deep neural networks,
            NeurIPS 2017, for a limit from the risk of what is selected; R. E. Barlow, D. J.
            Bartholomew, J. M. Bremner and H. D. Brunk, Statistical Inference under Order
            Restrictions, Wiley 1972, for the regression.
        """
        finite = np.isfinite(self.doubt) & np.isfinite(self.error)
        order = np.argsort(self.doubt[finite], kind="stable")
        doubt, error = self.doubt[finite][order], self.error[finite][order]
        if not len(doubt):
            return -np.inf
        error = np.log(np.maximum(error, SMALLEST))
        allowed = np.log(max(tolerance, SMALLEST))
        known = self.measure.is_error
        typical = np.log(doubt) if known else isotonic_regression(error).x
        aim = NEARER if known else AIM
        rest = np.sort(error - typical)
        exceeds = 1.0 - np.searchsorted(rest, allowed - typical, side="right") / len(rest)
        count = np.arange(1, len(doubt) + 1)
        modelled = np.cumsum(exceeds) / count
        counted = np.cumsum(error > allowed) / count
        last = np.append(doubt[1:] > doubt[:-1], True)  # of equal doubts all or none
        safe = (modelled <= aim) & (counted <= aim) & (exceeds <= MOST) & last
        return float(doubt[safe].max(initial=-np.inf))


@final
@dataclass(frozen=True)
class FixedMeasure:
    """A measure with a limit that does not depend on the tolerance.

    Attributes:
        measure: The measure.
        largest: Doubt up to which it trusts.
    """

    measure: Measure
    largest: float = 0.0

    def limit(self, tolerance: float) -> float:
        """Return the limit."""
        return self.largest


@final
class Trust:
    """Which answers are believed, for a tolerated error of the stress.

    A point is trusted where every measure's doubt is at most its limit for the tolerance.

    Args:
        measures: At least one.
        tolerance: |Δstress| over the root mean square of |stress| in the dataset; >= 0.

    Attributes:
        names: Of the measures.
        limits: (measures,), the largest doubts that are trusted.

    Raises:
        InputError: No measure, two of one name, or a tolerance that is negative.
    """

    def __init__(
        self, measures: Sequence[CalibratedMeasure | FixedMeasure], tolerance: float
    ) -> None:
        self.names = tuple(each.measure.name for each in measures)
        if not measures or len(set(self.names)) < len(measures):
            raise InputError(f"Trust: measures {list(self.names)}; expected different ones")
        if not (np.isfinite(tolerance) and tolerance >= 0.0):
            raise InputError(
                f"Trust: tolerance is {tolerance!r}; expected a stress error >= 0, relative to "
                "the root mean square of the dataset: 0.01 is one percent"
            )
        self.measures, self.tolerance = tuple(measures), tolerance
        self.limits = np.array([each.limit(tolerance) for each in measures])

    def doubts(
        self,
        strain: Array,  # (n, m)
        parameters: Array,  # (n, p)
        response: Response,
    ) -> Array:  # (n, measures)
        """Return every measure's doubt of every point."""
        columns = [each.measure.doubt(strain, parameters, response) for each in self.measures]
        return np.stack(columns, axis=1)

    def trusted(
        self,
        doubts: Array,  # (n, measures)
    ) -> BoolArray:  # (n,)
        """Return which points are trusted."""
        return np.asarray((doubts <= self.limits).all(axis=1), dtype=np.bool_)

    def reasons(
        self,
        doubts: Array,  # (n, measures)
    ) -> NDArray[np.int64]:  # (n,)
        """Return 0 for a trusted point, else 1 + the index of the measure it fails first."""
        failed = ~(doubts <= self.limits)
        return np.where(failed.any(axis=1), 1 + failed.argmax(axis=1), 0)
