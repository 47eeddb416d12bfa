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
    offers = []
    for name, field in fields.items():
        level = -np.round(scores[name] / (TIE * largest or 1.0))
        x = points[name].round(9)
        per_cell = len(x) // max(1, len(field.cells))
        numbers = field.mesh.topology.original_cell_index
        for row in np.lexsort((*x.T[::-1], level))[:count]:
            place = Place(
                name,
                tuple(points[name][row].tolist()),
                int(numbers[field.cells[row // per_cell]]),
                comm.rank,
                int(row),
            )
            offers.append(((float(level[row]), *x[row].tolist()), place))
    ranked = sorted((o for part in comm.allgather(offers) for o in part), key=lambda o: o[0])
    return [place for _, place in ranked[:count]]
