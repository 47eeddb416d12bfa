"""Uniform refinement of a cell.

Every element is cut into 4 (plane) or 8 (solid) within its own map: a curved element is cut along
its curves. Phases and volumes stay exactly as they are, and so do the facets that straight
elements have put in place of a curved interface.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

import basix
import basix.ufl
import numpy as np
from dolfinx import fem
from dolfinx.mesh import create_mesh
from mpi4py import MPI
from numpy.typing import NDArray

from fesurrogate.fem.compat import geometry_dofmap
from fesurrogate.kinematics import Array
from fesurrogate.micro.cells.cell import Cell

_MIDDLES = {(0, 1): 4, (0, 2): 5, (0, 3): 6, (1, 2): 7, (1, 3): 8, (2, 3): 9}
_OCTAHEDRON = (  # its diagonals, and the middles around each, in order
    (((0, 1), (2, 3)), ((0, 2), (0, 3), (1, 3), (1, 2))),
    (((0, 2), (1, 3)), ((0, 1), (0, 3), (2, 3), (1, 2))),
    (((0, 3), (1, 2)), ((0, 1), (0, 2), (2, 3), (1, 3))),
)


def refined(cell: Cell) -> Cell:
    """Return the cell with every element cut in two along each direction.

    Faces that matched still match, and what a finite element space could say it still can
    (the spaces are nested).

    Note:
        A tetrahedron is cut along the shortest diagonal of its inner octahedron, which keeps the
        shapes of what repeated refinement gives within bounds. Source: Bey (1995), Computing 55,
        355, for the cut.
    """
    mesh = cell.mesh
    domain = mesh.ufl_domain()
    own = domain.ufl_coordinate_element().basix_element
    d, kind, degree = mesh.geometry.dim, mesh.topology.cell_name(), own.degree
    fine = basix.ufl.element(
        "Lagrange", kind, 2 * degree, lagrange_variant=basix.LagrangeVariant.equispaced
    )
    nodes = fem.functionspace(mesh, fine).dofmap.list  # (cells, k): all nodes of the children
    corners = mesh.geometry.x[geometry_dofmap(mesh)][:, :, :d]  # (cells, own nodes, d)
    shape = own.tabulate(0, fine.basix_element.points)[0][..., 0]  # (k, own nodes)
    points = np.empty((nodes.max() + 1, d))
    points[nodes] = np.einsum("kj,cjd->ckd", shape, corners)

    choices = [
        np.stack([_find(fine.basix_element.points, child(own.points)) for child in children])
        for children in _children(kind)
    ]
    which = np.zeros(len(nodes), dtype=np.int64)
    if len(choices) > 1:
        which = _diagonals(corners[:, :4]).argmin(axis=1)
    positions = np.stack(choices)[which]  # (cells, children, own nodes)
    cells = np.take_along_axis(nodes[:, None, :], positions, axis=2)
    parts = cells.shape[1]
    phases = {
        name: (rows[:, None] * parts + np.arange(parts)).ravel()
        for name, rows in cell.phase_cells.items()
    }
    # not through make_cell: what was a cell still is, and where a void eats the faces, the lower
    # corner could not be found again
    rows = cells.reshape(-1, cells.shape[2]).astype(np.int64)
    fine_mesh = create_mesh(MPI.COMM_SELF, cells=rows, x=points, e=domain.ufl_coordinate_element())
    moved = np.empty(len(rows), dtype=np.int32)
    moved[fine_mesh.topology.original_cell_index] = np.arange(len(rows))
    return replace(
        cell, mesh=fine_mesh, phase_cells={k: np.sort(moved[v]) for k, v in phases.items()}
    )


@dataclass(frozen=True)
class _Child:
    """The affine map of a reference element into its parent's."""

    origin: Array  # (d,)
    edges: Array  # (d, d), rows

    def __call__(self, points: Array) -> Array:  # (k, d) -> (k, d)
        return self.origin + points @ self.edges


def _children(kind: str) -> list[list[_Child]]:
    """Return the children of a reference element, for every way to cut it."""
    if kind in ("quadrilateral", "hexahedron"):
        d = 2 if kind == "quadrilateral" else 3
        corners = [np.array(corner[::-1]) / 2 for corner in product((0, 1), repeat=d)]
        return [[_Child(corner, np.eye(d) / 2) for corner in corners]]
    if kind == "triangle":
        x = np.array([[0, 0], [1, 0], [0, 1], [0.5, 0.5], [0, 0.5], [0.5, 0]])
        return [[_simplex(x, part) for part in ((0, 5, 4), (5, 1, 3), (4, 3, 2), (3, 4, 5))]]
    x = np.vstack([np.zeros(3), np.eye(3)])
    x = np.vstack([x, [(x[i] + x[j]) / 2 for i, j in _MIDDLES]])
    ends = ((0, 4, 5, 6), (4, 1, 7, 8), (5, 7, 2, 9), (6, 8, 9, 3))
    ways = []
    for (one, other), ring in _OCTAHEDRON:
        axis, around = (_MIDDLES[one], _MIDDLES[other]), [_MIDDLES[middle] for middle in ring]
        inner = [(*axis, a, b) for a, b in zip(around, np.roll(around, -1), strict=True)]
        ways.append([_simplex(x, part) for part in (*ends, *inner)])
    return ways


def _simplex(x: Array, corners: Sequence[int]) -> _Child:
    first, *others = x[list(corners)]
    return _Child(first, np.array(others) - first)


def _diagonals(
    corners: Array,  # (cells, 4, 3)
) -> Array:  # (cells, 3)
    """Return the lengths of the three diagonals inside each tetrahedron."""
    middles = {pair: corners[:, list(pair)].mean(axis=1) for pair in _MIDDLES}
    ends = [axis for axis, _ in _OCTAHEDRON]
    return np.stack([np.linalg.norm(middles[a] - middles[b], axis=1) for a, b in ends], axis=1)


def _find(
    points: Array,  # (k, d)
    wanted: Array,  # (j, d)
) -> NDArray[np.int64]:  # (j,)
    """Return which of the points each wanted one is."""
    distance = np.linalg.norm(points[None] - wanted[:, None], axis=2)
    assert distance.min(axis=1).max() < 1e-12
    return distance.argmin(axis=1)
