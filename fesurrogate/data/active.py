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
    x = candidates / scale
    distance = _nearest(x, present / scale)
    known = np.isfinite(doubt)
    largest = float(doubt[known].max(initial=0.0)) or 1.0
    weight = np.where(known, doubt, largest) / largest
    taken: list[int] = []
    while len(taken) < count:
        score = weight * distance
        if not (score > 0.0).any():
            score = distance  # a model without doubt left: spread alone
        best = int(np.argmax(score))
        if score[best] <= 0.0:
            break
        taken.append(best)
        distance = np.minimum(distance, np.linalg.norm(x - x[best], axis=1))
    return np.array(taken, dtype=np.int64)


def _nearest(
    x: Array,  # (n, c)
    y: Array,  # (k, c)
) -> Array:  # (n,)
    """Return the distance of each x to its nearest y; 1 where there is no y."""
    if not len(y):
        return np.ones(len(x))
    found = np.empty(len(x))
    for first in range(0, len(x), ROWS_AT_A_TIME):
        rows = slice(first, first + ROWS_AT_A_TIME)
        found[rows] = np.linalg.norm(x[rows, None] - y[None], axis=2).min(axis=1)
    return found
