"""How wrong a whole body's answers are, from few points at which the truth is computed.

The points with the greatest doubt times weight are all taken; of the rest, some are drawn with
probabilities that grow with their doubt, so that those expected to be wrong are seen and those
drawn count by the inverse of their probability (M. H. Hansen and W. N. Hurwitz, On the theory of
sampling from finite populations, Ann. Math. Stat. 14 (1943) 333-362). The interval of the sum is
a bootstrap-t one (P. Hall, The Bootstrap and Edgeworth Expansion, Springer 1992, sect. 3.10), which
keeps its promise for skewed samples better than a normal one; its nominal level is set above what
is promised, for tails that few points do not show.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from fesurrogate.errors import InputError
from fesurrogate.kinematics import Array
from fesurrogate.results import Estimate

LEVEL = 0.95
"""What the interval promises."""

NOMINAL = 0.98
"""What the bootstrap is asked for."""

CERTAIN = 0.25
"""Share of the audited points that are the most doubtful ones."""

UNIFORM = 0.4
"""Part of the draw that does not look at the doubt."""

RESAMPLES = 999

FARTHEST = 4.0
"""Errors times Student's quantile: how far an end may be from the value. Of few points some
resamples have almost no scatter, and say nothing."""


@dataclass(frozen=True)
class AuditPlan:
    """Which points are audited.

    Attributes:
        certain: (c,) indices of the most doubtful points.
        drawn: (k,) indices of the points drawn, one as often as it was drawn.
        probability: (k,), of each of them in a single draw.
    """

    certain: NDArray[np.int64]
    drawn: NDArray[np.int64]
    probability: Array

    @property
    def points(self) -> NDArray[np.int64]:
        """The different points, in order."""
        return np.unique(np.concatenate([self.certain, self.drawn]))


def plan_audit(
    doubt: Array,  # (n,)
    weight: Array,  # (n,), > 0
    points: int,
    *,
    seed: int,
) -> AuditPlan:
    """Choose the points of an audit; all of them where there are not more.

    Args:
        doubt: Expected to grow with the error; infinite ones are the most doubtful.
        weight: Of the points in the sum that is sought: their volumes, times what they matter.
        points: How many points may be solved.
        seed: Of the draw.

    Raises:
        InputError: Fewer than 8 points, of which no interval can be told.
    """
    if points < 8:
        raise InputError(f"audit is {points}; expected at least 8 points")
    n = len(doubt)
    order = np.argsort(-doubt * weight, kind="stable")
    if n <= points:
        return AuditPlan(order, np.zeros(0, dtype=np.int64), np.zeros(0))
    certain = order[: round(CERTAIN * points)]
    rest = np.sort(order[len(certain) :])
    finite = np.isfinite(doubt[rest])
    largest = doubt[rest][finite].max(initial=0.0)
    expected = weight[rest] * np.where(finite, doubt[rest], largest)
    plain = weight[rest] / weight[rest].sum()
    share = expected / expected.sum() if expected.sum() > 0.0 else plain
    probability = (1.0 - UNIFORM) * share + UNIFORM * plain
    probability /= probability.sum()
    rng = np.random.default_rng(seed)
    drawn = rng.choice(len(rest), points - len(certain), p=probability)
    return AuditPlan(certain, rest[drawn], probability[drawn])


def estimate_sum(
    plan: AuditPlan,
    values: dict[int, float],
    *,
    nonnegative: bool = True,
    seed: int = 0,
) -> Estimate:
    """Return the sum over all points of values that are known where the plan said.

    Args:
        plan: Of the audit.
        values: Of every one of its points.
        nonnegative: Whether no value is negative: then neither is the rest of the sum.
        seed: Of the bootstrap.
    """
    certain = float(sum(values[int(i)] for i in plan.certain))
    if not len(plan.drawn):
        return Estimate(value=certain, low=certain, high=certain)
    samples = np.array([values[int(i)] for i in plan.drawn]) / plan.probability
    mean, count = samples.mean(), len(samples)
    error = samples.std(ddof=1) / np.sqrt(count)
    rng = np.random.default_rng(seed)
    again = samples[rng.integers(0, count, (RESAMPLES, count))]
    errors = again.std(axis=1, ddof=1) / np.sqrt(count)
    some = errors > 1e-12 * max(abs(mean), 1e-300)
    ratio = (again.mean(axis=1)[some] - mean) / errors[some]
    if len(ratio):
        levels = [0.5 - 0.5 * NOMINAL, 0.5 + 0.5 * NOMINAL]
        farthest = FARTHEST * student.ppf(levels[1], count - 1)
        below, above = np.clip(np.quantile(ratio, levels), -farthest, farthest)
        low, high = mean - above * error, mean - below * error
    else:
        low = high = mean
    if nonnegative:
        low = max(low, 0.0)
    return Estimate(
        value=certain + float(mean), low=certain + float(low), high=certain + float(high)
    )


def total(parts: Sequence[Estimate], *, nonnegative: bool = False) -> Estimate:
    """Return the sum of quantities that were estimated independently of each other.

    The distances of the ends of the intervals from the values add up by their squares.

    Source: G. Y. Zou and A. Donner, Construction of confidence limits about effect measures: a
        general approach, Stat. Med. 27 (2008) 1693-1702.

    Args:
        parts: The estimates.
        nonnegative: Whether no part is negative: then neither is the sum.
    """
    value = sum(part.value for part in parts)
    low = value - math.hypot(*(part.value - part.low for part in parts))
    high = value + math.hypot(*(part.high - part.value for part in parts))
    return Estimate(value=value, low=max(low, 0.0) if nonnegative else low, high=high)
