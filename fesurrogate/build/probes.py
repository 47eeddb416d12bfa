"""Points of a distributed mesh where a Function is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from dolfinx import fem, geometry
from dolfinx.mesh import Mesh
from mpi4py import MPI

from fesurrogate.errors import InputError
from fesurrogate.kinematics import Array


@dataclass(frozen=True)
class Probe:
    """A named point in a cell of one rank.

    Attributes:
        name: As the TOML says.
        point: (3,), in the undeformed body.
        owner: The rank that reads it.
        cell: Its cell there; -1 on the other ranks.
    """

    name: str
    point: Array
    owner: int
    cell: int

    def evaluate(self, function: fem.Function) -> Array:  # (components,)
        """Return a Function's value at the point, on every rank. Collective."""
        value = None
        if self.cell >= 0:
            value = np.atleast_1d(function.eval(self.point, self.cell)).ravel()
        return function.function_space.mesh.comm.bcast(value, root=self.owner)


def locate(mesh: Mesh, name: str, point: Sequence[float]) -> Probe:
    """Find the cell that holds a point. Collective.

    Raises:
        InputError: On all ranks: the point has another dimension, or lies outside the mesh.
    """
    gdim = mesh.geometry.dim
    if len(point) != gdim:
        raise InputError(f"point is {list(point)}; expected {gdim} coordinates")
    x = np.zeros(3)
    x[:gdim] = point
    comm, tdim = mesh.comm, mesh.topology.dim
    owned = mesh.topology.index_map(tdim).size_local
    tree = geometry.bb_tree(mesh, tdim, padding=1e-10, entities=np.arange(owned, dtype=np.int32))
    candidates = geometry.compute_collisions_points(tree, x[None])
    cells = geometry.compute_colliding_cells(mesh, candidates, x[None]).links(0)
    owner = comm.allreduce(comm.rank if len(cells) else comm.size, op=MPI.MIN)
    if owner == comm.size:
        nodes = mesh.geometry.x[:, :gdim]
        lower = np.min(nodes, axis=0, initial=np.inf) if len(nodes) else np.full(gdim, np.inf)
        upper = np.max(nodes, axis=0) if len(nodes) else np.full(gdim, -np.inf)
        lower, upper = np.array(comm.allgather(lower)), np.array(comm.allgather(upper))
        raise InputError(
            f"the point {list(point)} lies outside the mesh, which spans "
            f"{lower.min(axis=0).tolist()} to {upper.max(axis=0).tolist()}; move it inside"
        )
    return Probe(name, x, owner, int(cells[0]) if owner == comm.rank else -1)
