"""Meshes with named regions and boundaries: read from a file, or generated.

Lengths are in the unit of the file or of the arguments; nothing is converted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import basix
import basix.ufl
import numpy as np
from dolfinx import io
from dolfinx.graph import adjacencylist
from dolfinx.mesh import (
    CellType,
    GhostMode,
    Mesh,
    MeshTags,
    create_box,
    create_mesh,
    create_rectangle,
    locate_entities_boundary,
    meshtags,
    meshtags_from_entities,
)
from mpi4py import MPI

from fesurrogate.errors import InputError
from fesurrogate.fem.mesh_file import MeshArrays, load_mesh_file

LARGEST_COUNT = 2**31 - 1
"""Of cells: DOLFINx counts entities of a rank in 32 bits."""


@dataclass(frozen=True)
class TaggedMesh:
    """A mesh, its tags, and the names of the tags.

    ``names`` maps a group to its dimension and tag and is the same on every rank. A tag that has
    no name in the file is named by its number.
    """

    mesh: Mesh
    cell_tags: MeshTags | None
    facet_tags: MeshTags | None
    names: Mapping[str, tuple[int, int]]

    def cells(self, name: str) -> np.ndarray:  # (cells,) int32
        """Return the cells of a group that this rank owns; possibly none. Not collective.

        Args:
            name: of the group, or its tag as a number in a string.

        Raises:
            InputError: there is no such group of cells in the whole mesh.
        """
        tag = self._tag(name, self.mesh.topology.dim)
        owned = self.mesh.topology.index_map(self.mesh.topology.dim).size_local
        found = self.cell_tags.find(tag) if self.cell_tags is not None else np.zeros(0, np.int32)
        return found[found < owned]

    def facets(self, name: str) -> np.ndarray:  # (facets,) int32
        """Return the facets of a group on this rank (shared ones too); possibly none.

        Args:
            name: of the group, or its tag as a number in a string.

        Raises:
            InputError: there is no such group of facets in the whole mesh.
        """
        tag = self._tag(name, self.mesh.topology.dim - 1)
        return self.facet_tags.find(tag) if self.facet_tags is not None else np.zeros(0, np.int32)

    def group_names(self, dim: int) -> list[str]:
        """Return the names of the groups of one dimension, sorted."""
        return sorted(name for name, (d, _) in self.names.items() if d == dim)

    def _tag(self, name: str, dim: int) -> int:
        name = str(name)
        found = self.names.get(name)
        if found is not None and found[0] == dim:
            return found[1]
        if name.isdecimal() and (dim, int(name)) in self.names.values():
            return int(name)
        kind = "cells" if dim == self.mesh.topology.dim else "facets"
        there = ", ".join(map(repr, self.group_names(dim))) or "none"
        raise InputError(
            f"the mesh has no group of {kind} named {name!r}; it has {there}. Correct the name, "
            "or add a physical group to the mesh"
        )


def read_mesh(path: str | Path, comm: MPI.Intracomm, *, gdim: int | None = None) -> TaggedMesh:
    """Read a mesh with its groups from a file, and distribute it. Collective.

    Rank 0 reads the file with meshio. Groups are gmsh's physical groups, or whatever the format
    calls sets or integer cell data. A file without groups gets one, ``domain``. Cells are linear
    or quadratic triangles, quadrilaterals, tetrahedra or hexahedra, of one type. A rank may end
    up with no cell.

    Args:
        path: of the file.
        comm: communicator of the mesh; with COMM_SELF every rank has the whole mesh.
        gdim: dimension of space, 2 or 3; None takes it from the cells. A plane mesh must lie in
            z = 0.

    Raises:
        InputError: on every rank, with the same message: the file is missing or unreadable, has
            no cells, cells of several types, or inverted cells.

    Note:
        An inverted cell is one whose Jacobian determinant is not positive at one of its nodes; a
        curved cell could still be inverted in between.
    """
    arrays: MeshArrays | None = None
    header: tuple | None = None
    failure: str | None = None
    if comm.rank == 0:
        try:
            arrays = load_mesh_file(Path(path), gdim=gdim)
            header = (arrays.cell, arrays.degree, arrays.points.shape[1], arrays.names)
        except InputError as problem:
            failure = str(problem)
        except Exception as problem:  # meshio accepted a file that makes no sense
            failure = (
                f"mesh {path} is damaged ({type(problem).__name__}: {problem}); write it again"
            )
    header, failure = comm.bcast((header, failure), root=0)
    if failure is not None or header is None:
        raise InputError(str(failure))

    cell, degree, dim, names = header
    element = basix.ufl.element("Lagrange", cell, degree, shape=(dim,))
    if arrays is not None:
        points, cells = arrays.points, arrays.cells
        facets = arrays.facets
        values, facet_values = arrays.cell_values, arrays.facet_values
    else:
        points = np.zeros((0, dim))
        cells = np.zeros((0, element.basix_element.dim), dtype=np.int64)
        facets = np.zeros((0, 0), dtype=np.int64)
        values = facet_values = np.zeros(0, dtype=np.int32)
    mesh = create_mesh(comm, cells=cells, x=points, e=element)
    tagged = values != 0
    tdim = mesh.topology.dim
    return TaggedMesh(
        mesh,
        _distribute_tags(mesh, tdim, cells[tagged], values[tagged]),
        _distribute_tags(mesh, tdim - 1, facets, facet_values),
        names,
    )


def _distribute_tags(mesh: Mesh, dim: int, entities: np.ndarray, values: np.ndarray) -> MeshTags:
    """Send marked entities, known by their input nodes on rank 0, to the ranks that have them."""
    width = mesh.comm.bcast(entities.shape[1] if mesh.comm.rank == 0 else None, root=0)
    mesh.topology.create_connectivity(dim, 0)
    mesh.topology.create_connectivity(dim, mesh.topology.dim)
    if width == 0:
        return meshtags(mesh, dim, np.zeros(0, np.int32), np.zeros(0, np.int32))
    entities = entities.reshape(-1, width)
    local, local_values = io.distribute_entity_data(mesh, dim, entities, values)
    return meshtags_from_entities(
        mesh, dim, adjacencylist(local), local_values.astype(np.int32, copy=False)
    )


def rectangle(
    comm: MPI.Intracomm,
    *,
    lower: Sequence[float] = (0.0, 0.0),
    upper: Sequence[float] = (1.0, 1.0),
    cells: Sequence[int],
    cell: str = "quadrilateral",
) -> TaggedMesh:
    """Make a rectangle with boundaries ``left right bottom top`` and region ``domain``.

    Collective. ``left`` and ``right`` are the ends along x, ``bottom`` and ``top`` along y.

    Args:
        comm: communicator of the mesh.
        lower: corner with the smallest coordinates.
        upper: corner with the largest coordinates.
        cells: numbers of cells along x and y.
        cell: ``quadrilateral`` or ``triangle``.

    Raises:
        InputError: wrong lengths, an empty rectangle, a number of cells below 1, or another cell.
    """
    _check_box(2, lower, upper, cells, cell, ("quadrilateral", "triangle"))
    mesh = create_rectangle(
        comm, [lower, upper], list(cells), getattr(CellType, cell), ghost_mode=GhostMode.none
    )
    return _name_sides(mesh, lower, upper, ("left", "right", "bottom", "top"))


def box(
    comm: MPI.Intracomm,
    *,
    lower: Sequence[float] = (0.0, 0.0, 0.0),
    upper: Sequence[float] = (1.0, 1.0, 1.0),
    cells: Sequence[int],
    cell: str = "hexahedron",
) -> TaggedMesh:
    """Make a box with boundaries ``left right front back bottom top`` and region ``domain``.

    Collective. ``left`` and ``right`` are the ends along x, ``front`` and ``back`` along y,
    ``bottom`` and ``top`` along z.

    Args:
        comm: communicator of the mesh.
        lower: corner with the smallest coordinates.
        upper: corner with the largest coordinates.
        cells: numbers of cells along x, y and z.
        cell: ``hexahedron`` or ``tetrahedron``.

    Raises:
        InputError: wrong lengths, an empty box, a number of cells below 1, or another cell.
    """
    _check_box(3, lower, upper, cells, cell, ("hexahedron", "tetrahedron"))
    mesh = create_box(
        comm, [lower, upper], list(cells), getattr(CellType, cell), ghost_mode=GhostMode.none
    )
    return _name_sides(mesh, lower, upper, ("left", "right", "front", "back", "bottom", "top"))


def cook_membrane(comm: MPI.Intracomm, *, cells: Sequence[int]) -> TaggedMesh:
    """Make Cook's membrane, in mm: quadrilaterals between (0,0), (48,44), (48,60) and (0,44).

    Boundaries ``left`` (clamped in the benchmark), ``right`` (sheared), ``bottom``, ``top``;
    region ``domain``. Collective.

    Args:
        comm: communicator of the mesh.
        cells: numbers of cells along the membrane and across it.

    Raises:
        InputError: a number of cells below 1.

    Note:
        Geometry: R. D. Cook, Improved two-dimensional finite element, J. Struct. Div. ASCE 100
        (1974) 1851-1863, without units; at finite strain since J. C. Simo and F. Armero, Int. J.
        Numer. Methods Eng. 33 (1992) 1413-1449.
    """
    square = rectangle(comm, cells=cells)
    x = square.mesh.geometry.x
    along, across = x[:, 0].copy(), x[:, 1].copy()
    x[:, 0] = 48.0 * along
    x[:, 1] = 44.0 * along + across * (44.0 - 28.0 * along)
    return square


def _check_box(
    dim: int,
    lower: Sequence[float],
    upper: Sequence[float],
    cells: Sequence[int],
    cell: str,
    allowed: tuple[str, ...],
) -> None:
    """Check a generator's arguments; they are the same on every rank."""
    for name, value in (("lower", lower), ("upper", upper), ("cells", cells)):
        if len(value) != dim:
            raise InputError(f"{name} = {list(value)}: expected {dim} numbers")
    if not all(np.isfinite([*lower, *upper])) or not np.all(np.less(lower, upper)):
        raise InputError(
            f"lower = {list(lower)}, upper = {list(upper)}: expected finite corners with lower "
            "below upper in every direction"
        )
    if any(int(n) != n or n < 1 for n in cells):
        raise InputError(f"cells = {list(cells)}: expected {dim} whole numbers of at least 1")
    if math.prod(cells) > LARGEST_COUNT:
        raise InputError(
            f"cells = {list(cells)}: expected at most {LARGEST_COUNT} cells in all; take fewer"
        )
    if cell not in allowed:
        raise InputError(f"cell = {cell!r}: expected one of {', '.join(allowed)}")


def _name_sides(
    mesh: Mesh, lower: Sequence[float], upper: Sequence[float], sides: Sequence[str]
) -> TaggedMesh:
    """Tag all cells 1 (``domain``) and the sides of a box 1, 2, ... in the order of ``sides``."""
    tdim = mesh.topology.dim
    mesh.topology.create_connectivity(tdim - 1, tdim)
    facets, values = [], []
    names: dict[str, tuple[int, int]] = {"domain": (tdim, 1)}
    for k, side in enumerate(sides):
        axis, at = k // 2, (lower, upper)[k % 2][k // 2]
        tolerance = 1e-8 * (upper[axis] - lower[axis])
        found = locate_entities_boundary(mesh, tdim - 1, _near(axis, at, tolerance))
        facets.append(found)
        values.append(np.full(len(found), k + 1, dtype=np.int32))
        names[side] = (tdim - 1, k + 1)
    indices, tags = np.concatenate(facets), np.concatenate(values)
    order = np.argsort(indices)
    index_map = mesh.topology.index_map(tdim)
    cells = np.arange(index_map.size_local + index_map.num_ghosts, dtype=np.int32)
    return TaggedMesh(
        mesh,
        meshtags(mesh, tdim, cells, np.ones_like(cells)),
        meshtags(mesh, tdim - 1, indices[order], tags[order]),
        names,
    )


def _near(axis: int, at: float, tolerance: float) -> Callable[[np.ndarray], np.ndarray]:
    """Return the marker of points in a plane normal to an axis."""
    return lambda x: np.abs(x[axis] - at) < tolerance
