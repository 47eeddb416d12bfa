"""Which of many points are worth keeping, and how all ranks come to the same choice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from mpi4py import MPI
from numpy.typing import NDArray

from fesurrogate.data.active import spread
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
    if not len(candidates) or most < 1:
        return np.zeros(0, dtype=np.int64)
    width = np.concatenate([known, candidates]).std(axis=0)
    scale = np.where(width > 0.0, width, 1.0)
    points, seen = candidates / scale, known / scale
    begin: list[int] = []
    if not len(seen):
        begin = [int(np.argmax(np.linalg.norm(points - points.mean(axis=0), axis=1)))]
        seen = points[begin]
    weight = np.ones(len(points))
    more = spread(points, seen, weight, count=most - len(begin), closest=CLOSEST)
    return np.append(np.array(begin, dtype=np.int64), more)


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
    parts = comm.gather(inputs, root=0)
    found = None
    if parts is not None:
        every = np.concatenate(parts)
        in_order = np.lexsort(every.T[::-1])
        picked = in_order[farthest(every[in_order], known, most)]
        begins = np.cumsum([0, *(len(part) for part in parts)])
        owner = np.searchsorted(begins, picked, side="right") - 1
        found = picked - begins[owner], owner, every[picked]
    rows, owner, places = comm.bcast(found, root=0)
    return Pick(rows[owner == comm.rank], places, np.argsort(owner, kind="stable"))


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
