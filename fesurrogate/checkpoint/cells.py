"""Values of points and nodes cell by cell, under the number of a cell in the mesh's file.

Neither these numbers nor the order of a reference cell depends on the ranks.
"""

from __future__ import annotations

import hashlib

import numpy as np
from dolfinx import fem
from dolfinx.mesh import Mesh
from mpi4py import MPI
from numpy.typing import NDArray

from fesurrogate.checkpoint.archive import Archive
from fesurrogate.checkpoint.rows import shared_blocks
from fesurrogate.errors import InputError
from fesurrogate.fem.compat import geometry_dofmap
from fesurrogate.fem.field import MaterialField
from fesurrogate.kinematics import Array


def original_numbers(mesh: Mesh) -> NDArray[np.int64]:  # (owned cells,)
    """Return the number of each owned cell in the mesh's file or generator."""
    owned = mesh.topology.index_map(mesh.topology.dim).size_local
    return np.asarray(mesh.topology.original_cell_index[:owned], dtype=np.int64)


def mesh_fingerprint(mesh: Mesh) -> str:
    """Return a hash of the nodes of all cells, the same on any number of ranks. Collective."""
    numbers = original_numbers(mesh)
    x = mesh.geometry.x[geometry_dofmap(mesh)[: len(numbers)]]
    parts = mesh.comm.gather((numbers, x), root=0)
    digest = ""
    if parts is not None:
        order = np.argsort(np.concatenate([k for k, _ in parts]))
        every = np.concatenate([part.reshape(len(part), -1) for _, part in parts if len(part)])
        digest = hashlib.sha256(np.ascontiguousarray(every[order]).tobytes()).hexdigest()[:16]
    return str(mesh.comm.bcast(digest, root=0))


def by_cell(held: MaterialField, rows: Array) -> NDArray:  # (n, k) -> (cells, points of one * k)
    """Return rows of the points as rows of the cells, whose width is alike on all ranks."""
    own = held.num_points // max(1, len(held.cells))
    per_cell = held.mesh.comm.allreduce(own, op=MPI.MAX)
    return rows.reshape(len(held.cells), per_cell * rows.shape[1])


def node_values(u: fem.Function) -> NDArray:  # (owned cells, nodes * block size)
    """Return a Lagrange function at the nodes of each owned cell, in the reference cell's order.

    Its dofs are these values, and the dofmap lists them in that order whatever the orientation of
    the cell's edges and faces.
    """
    V, element = u.function_space, u.function_space.element
    if element.needs_dof_transformations or not element.interpolation_ident:
        raise InputError("a checkpoint needs an unknown of Lagrange elements")
    owned = V.mesh.topology.index_map(V.mesh.topology.dim).size_local
    values = u.x.array.reshape(-1, V.dofmap.index_map_bs)[V.dofmap.list[:owned]]
    return values.reshape(owned, V.dofmap.list.shape[1] * V.dofmap.index_map_bs)


def positions_of(
    source: Archive | None, name: str, mine: NDArray[np.int64], comm: MPI.Intracomm
) -> NDArray[np.int64]:
    """Return where this rank's cells are in the file."""
    there = np.concatenate([np.zeros(0, np.int64), *shared_blocks(source, name, (), comm)])
    order = np.argsort(there, kind="stable")
    found = np.searchsorted(there[order], mine)
    found = np.minimum(found, max(0, len(there) - 1))
    lacks = len(mine) > 0 and (not len(there) or bool((there[order][found] != mine).any()))
    if comm.allreduce(lacks, op=MPI.LOR):
        raise InputError(f"the checkpoint holds other cells ({name}); start anew without --restart")
    return order[found] if len(there) else found
