"""Which points lie close to a point, and how much of a score is too much."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fesurrogate.data.dataset import Dataset
from fesurrogate.kinematics import Array, BoolArray

COUNT = 8
REFERENCES = 2000
ROWS_AT_A_TIME = 500


@dataclass(frozen=True)
class Score:
    """How much each point stands out.

    Attributes:
        values: (N, T), NaN where a point cannot be judged; None where none can.
        limit: Above it a point is at fault.
        note: How this was found, or why not.
    """

    values: Array | None
    limit: float
    note: str


@dataclass(frozen=True)
class Neighbours:
    """The nearest points of each sound point of a dataset without history.

    Attributes:
        points: (k,), numbers of the sound points.
        near: (k, c), numbers of those nearest to each in strain, itself left out.
    """

    points: NDArray[np.int64]
    near: NDArray[np.int64]


def neighbours(dataset: Dataset, sound: BoolArray) -> Neighbours:
    """Return the nearest of at most 2,000 sound points, drawn at random, for each sound point."""
    points = np.flatnonzero(sound[:, 0])
    references = points
    if len(points) > REFERENCES:
        references = np.random.default_rng(0).choice(points, REFERENCES, replace=False)
    count = min(COUNT, len(points) - 1)
    if count < 1:
        return Neighbours(points, np.zeros((len(points), 0), dtype=np.int64))
    strain = dataset.strain[:, 0]
    near = [
        references[_nearest(strain[rows], rows, strain[references], references, count)]
        for rows in _chunks(points)
    ]
    return Neighbours(points, np.concatenate(near))


def _chunks(points: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    for first in range(0, len(points), ROWS_AT_A_TIME):
        yield points[first : first + ROWS_AT_A_TIME]


def _nearest(
    x: Array,  # (k, c)
    rows: NDArray[np.int64],
    references: Array,  # (r, c)
    numbers: NDArray[np.int64],
    count: int,
) -> NDArray[np.int64]:  # (k, count)
    squared = (x**2).sum(1)[:, None] + (references**2).sum(1) - 2.0 * x @ references.T
    squared[rows[:, None] == numbers[None]] = np.inf
    return np.argpartition(squared, count - 1, axis=1)[:, :count]


def robust_limit(values: Array, least: float, times: float) -> tuple[float, float]:
    """Return a limit that the bulk of the values is far from, and their median.

    Args:
        values: NaN is passed over.
        least: The limit is at least this.
        times: And at least so many medians.
    """
    known = values[np.isfinite(values)]
    median = float(np.median(known)) if len(known) else 0.0
    return max(least, times * median), median
