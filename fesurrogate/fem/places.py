"""Single quadrature points of a distributed mesh: the nearest to a place, the most loaded ones.

What is chosen does not depend on the number of ranks: of points that are as good, which symmetry
makes common, the one with the smallest coordinates is taken.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from mpi4py import MPI

from fesurrogate.fem.field import MaterialField
from fesurrogate.kinematics import Array

TIE = 1e-6  # scores that differ by less, relative to the largest, are equal


@dataclass(frozen=True)
class Place:
    """A quadrature point, alike on every rank.

    Attributes:
        region: Name of its field.
        point: (d,), in the undeformed body.
        cell: Of the mesh, numbered as in its file or generator.
        owner: Rank that has it.
        row: Of the owner's points of the field.
    """

    region: str
    point: tuple[float, ...]
    cell: int
    owner: int
    row: int


def nearest_place(
    fields: Mapping[str, MaterialField],
    points: Mapping[str, Array],  # each (n, d), of this rank
    x: Sequence[float],  # (d,)
    comm: MPI.Intracomm,
) -> Place:
    """Return the quadrature point nearest to a place. Collective."""
    scores = {name: -np.linalg.norm(points[name] - x, axis=1) for name in fields}
    return _best(fields, points, scores, count=1, comm=comm)[0]


def most_loaded_places(
    fields: Mapping[str, MaterialField],
    points: Mapping[str, Array],  # each (n, d), of this rank
    count: int,
    comm: MPI.Intracomm,
) -> list[Place]:
    """Return the points of the largest stress, largest first, fewer if there are fewer. Collective.

    The measure is the Frobenius norm of the stress in the last update of each field.
    """
    scores = {}
    for name, field in fields.items():
        assert field.response is not None, "most_loaded_places() before any update()"
        scores[name] = np.linalg.norm(field.response.stress, axis=1)
    return _best(fields, points, scores, count=count, comm=comm)


def _best(
    fields: Mapping[str, MaterialField],
    points: Mapping[str, Array],
    scores: Mapping[str, Array],  # each (n,)
    *,
    count: int,
    comm: MPI.Intracomm,
) -> list[Place]:
    """Return the places of the highest scores; of equal ones that of the least coordinates."""
    every = np.concatenate([np.zeros(0), *scores.values()])
    largest = comm.allreduce(float(np.abs(every).max(initial=0.0)), op=MPI.MAX)
    tie = TIE * largest
    last = np.sort(every)[-count:].min(initial=np.inf)  # no rank needs to offer less
    offers = []
    for name, field in fields.items():
        per_cell = len(scores[name]) // max(1, len(field.cells))
        numbers = field.mesh.topology.original_cell_index
        for row in np.flatnonzero(scores[name] >= last - tie):
            x = tuple(float(value) for value in points[name][row])
            cell = int(numbers[field.cells[row // per_cell]])
            offers.append((float(scores[name][row]), Place(name, x, cell, comm.rank, int(row))))
    left = [offer for part in comm.allgather(offers) for offer in part]
    chosen: list[Place] = []
    while left and len(chosen) < count:
        bar = max(score for score, _ in left) - tie
        equal = [offer for offer in left if offer[0] >= bar]
        first = min(equal, key=lambda offer: np.round(offer[1].point, 9).tolist())
        chosen.append(first[1])
        left.remove(first)
    return chosen
