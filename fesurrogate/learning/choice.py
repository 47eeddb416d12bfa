"""Which of many points are worth keeping, and how all ranks come to the same choice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from mpi4py import MPI
from numpy.typing import NDArray

from fesurrogate.kinematics import Array

CLOSEST = 0.005
"""Distance, in standard deviations of the inputs, below which a point teaches nothing new."""


def farthest(
    candidates: Array,  # (n, c)
    known: Array,  # (k, c)
    most: int,
) -> NDArray[np.int64]:  # (<= most,)
    """Choose points one by one, each the farthest from all that are known or chosen.

    Distances are those of the inputs over their standard deviations; none is closer than
    :data:`CLOSEST`. Where nothing is known, the first is the farthest from the mean.

    Source: T. F. Gonzalez, Clustering to minimize the maximum intercluster distance, Theor. Comput.
        Sci. 38 (1985) 293-306, whose greedy choice is within a factor 2 of the best covering.
    """
    chosen: list[int] = []
    if not len(candidates):
        return np.zeros(0, dtype=np.int64)
    every = np.concatenate([known, candidates])
    width = every.std(axis=0)
    points = candidates / np.where(width > 0.0, width, 1.0)
    seen = known / np.where(width > 0.0, width, 1.0)
    distance: Array = np.linalg.norm(points - points.mean(axis=0), axis=1) + 2.0 * CLOSEST
    if len(seen):
        distance = np.full(len(points), np.inf)
        for row in seen:
            np.minimum(distance, np.linalg.norm(points - row, axis=1), out=distance)
    while len(chosen) < most:
        best = int(np.argmax(distance))
        if distance[best] <= CLOSEST:
            break
        own = np.linalg.norm(points - points[best], axis=1)
        distance = np.minimum(distance, own) if chosen or len(seen) else own
        chosen.append(best)
    return np.array(chosen, dtype=np.int64)


@dataclass(frozen=True)
class Pick:
    """Points chosen from those of all ranks.

    Attributes:
        rows: (k,) of this rank's points, those chosen.
        inputs: (K, c), of all chosen points, in the order of choice.
        order: (K,), where the chosen points of the ranks, one rank after another, belong in it.
    """

    rows: NDArray[np.int64]
    inputs: Array
    order: NDArray[np.int64]


def pick(
    comm: MPI.Intracomm,
    inputs: Array,  # (n, c)
    known: Array,  # (k, c)
    most: int,
) -> Pick:
    """Choose among the points of all ranks. Collective.

    The points are put in the order of their inputs first, so that the choice does not depend on
    which rank holds which.

    Args:
        comm: The ranks.
        inputs: Of this rank's points.
        known: Inputs of what there is already; alike on all ranks.
        most: How many may be chosen.
    """
    parts = comm.allgather(inputs)
    every = np.concatenate(parts)
    begins = np.concatenate([[0], np.cumsum([len(part) for part in parts])])
    sorted_rows = np.lexsort(every.T[::-1])
    chosen = farthest(every[sorted_rows], known, most) if comm.rank == 0 else None
    picked = sorted_rows[comm.bcast(chosen, root=0)]
    owner = np.searchsorted(begins, picked, side="right") - 1
    return Pick(
        picked[owner == comm.rank] - begins[comm.rank],
        every[picked],
        np.argsort(owner, kind="stable"),
    )


def collected(
    comm: MPI.Intracomm,
    chosen: Pick,
    arrays: Mapping[str, NDArray],  # each (k, ...)
) -> dict[str, NDArray]:  # each (K, ...)
    """Return on all ranks what each says of its chosen points, in the order of choice. Collective.

    Args:
        comm: The ranks.
        chosen: The choice.
        arrays: By names that are the same on all ranks.
    """
    parts = comm.allgather(dict(arrays))
    found = {}
    for name in arrays:
        joined = np.concatenate([part[name] for part in parts])
        found[name] = np.empty_like(joined)
        found[name][chosen.order] = joined
    return found
