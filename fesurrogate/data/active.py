"""Which points a dataset should hold next: where a model is in doubt, spread out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fesurrogate.kinematics import Array

ROWS_AT_A_TIME = 500


def choose(
    candidates: Array,  # (n, c)
    present: Array,  # (k, c)
    doubt: Array,  # (n,), >= 0
    *,
    count: int,
) -> NDArray[np.int64]:  # (<= count,)
    """Choose points one after another, each of the largest doubt times distance.

    The distance is that to the nearest point that is present or was chosen before, each coordinate
    over its standard deviation among the candidates: it keeps a batch from piling up in the corner
    of the largest doubt, of which one point tells enough. No point is chosen twice or where one is
    present. Of equals the first is taken.

    Args:
        candidates: Coordinates of the points to choose from, finite.
        present: Those of the points that are there.
        doubt: What a model says of each candidate; where it is not finite, as where the model has
            no answer, it counts as the largest that is.
        count: How many to choose; fewer are where there are no more.
    """
    width = candidates.std(axis=0) if len(candidates) else np.ones(candidates.shape[1])
    scale = np.where(width > 0.0, width, 1.0)
    known = np.isfinite(doubt)
    largest = float(doubt[known].max(initial=0.0)) or 1.0
    weight = np.where(known, doubt, largest) / largest
    return spread(candidates / scale, present / scale, weight, count=count)


def spread(
    points: Array,  # (n, c)
    present: Array,  # (k, c)
    weight: Array,  # (n,), >= 0
    *,
    count: int,
    closest: float = 0.0,
) -> NDArray[np.int64]:  # (<= count,)
    """Choose points one after another, each of the largest weight times distance.

    The distance is that to the nearest point that is present or was chosen before.

    Args:
        points: To choose from, in units in which distances mean something.
        present: Points that are there; without any, that of the largest weight is the first.
        weight: Where none is left, the distance alone counts.
        count: How many to choose at most.
        closest: Distance up to which a point tells nothing new, and is not chosen.
    """
    taken: list[int] = []
    if not len(present) and len(points) and count > 0:
        taken = [int(np.argmax(weight))]
        present = points[taken]
    distance = _nearest(points, present)
    while len(taken) < min(count, len(points)):
        score = weight * distance
        best = int(np.argmax(score if (score > 0.0).any() else distance))
        if distance[best] <= closest:
            break
        taken.append(best)
        distance = np.minimum(distance, np.linalg.norm(points - points[best], axis=1))
    return np.array(taken, dtype=np.int64)


def _nearest(
    x: Array,  # (n, c)
    y: Array,  # (k, c)
) -> Array:  # (n,)
    """Return the distance of each x to its nearest y, of which there is one at least."""
    found = np.empty(len(x))
    for first in range(0, len(x), ROWS_AT_A_TIME):
        rows = slice(first, first + ROWS_AT_A_TIME)
        found[rows] = np.linalg.norm(x[rows, None] - y[None], axis=2).min(axis=1)
    return found
