"""The representative cell: a serial mesh that repeats along a lattice, in named phases."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import basix.ufl
import numpy as np
import ufl
from dolfinx import fem, mesh
from mpi4py import MPI
from numpy.typing import ArrayLike, NDArray

from fesurrogate.errors import InputError
from fesurrogate.fem.compat import geometry_dofmap
from fesurrogate.fem.mesh import read_mesh
from fesurrogate.kinematics import Array
from fesurrogate.micro.cells.lattice import check_connected, find_lattice

FILLED = 1e-6  # share of the volume below which a gap is rounding


@dataclass(frozen=True)
class Cell:
    """A representative volume element, alike on every rank.

    Attributes:
        mesh: Serial mesh (``MPI.COMM_SELF``) of what is not void.
        phase_cells: Cells of each phase by name; together they are all cells.
        origin: (d,), lower corner.
        lattice: (d, d), rows are the lattice vectors.
        void: Name of the phase that is left out of the mesh, if there is one.
    """

    mesh: mesh.Mesh
    phase_cells: Mapping[str, NDArray[np.int32]]
    origin: Array
    lattice: Array
    void: str | None = None

    @property
    def volume(self) -> float:
        """Volume (2D: area) of the cell, voids included."""
        return float(abs(np.linalg.det(self.lattice)))

    @property
    def fingerprint(self) -> str:
        """Hash of mesh, lattice and phases: equal for equal cells."""
        digest = hashlib.sha256()
        digest.update(np.ascontiguousarray(self.mesh.geometry.x.round(12)).tobytes())
        digest.update(np.ascontiguousarray(geometry_dofmap(self.mesh), dtype=np.int64).tobytes())
        digest.update(np.ascontiguousarray(self.lattice.round(12) + 0.0).tobytes())
        for name in sorted(self.phase_cells):
            digest.update(name.encode() + self.phase_cells[name].astype(np.int64).tobytes())
        return digest.hexdigest()[:16]

    def volume_fractions(self) -> dict[str, float]:
        """Return the share of each phase in the cell's volume, void included."""
        one = fem.Constant(self.mesh, 1.0)
        shares = {
            name: float(fem.assemble_scalar(fem.form(one * measure))) / self.volume
            for name, measure in self.measures().items()
        }
        return shares if self.void is None else {**shares, self.void: 1 - sum(shares.values())}

    def measures(self, quadrature_degree: int | None = None) -> dict:
        """Return the UFL integration measure of each phase by name."""
        metadata = {} if quadrature_degree is None else {"quadrature_degree": quadrature_degree}
        data = [(k, self.phase_cells[name]) for k, name in enumerate(sorted(self.phase_cells))]
        dx = ufl.Measure("dx", domain=self.mesh, subdomain_data=data, metadata=metadata)
        return {name: dx(k) for k, name in enumerate(sorted(self.phase_cells))}


def make_cell(
    mesh: mesh.Mesh,
    phase_cells: Mapping[str, NDArray[np.int32]],
    *,
    lattice: ArrayLike | None = None,
    void: str | None = None,
    source: str = "the cell",
) -> Cell:
    """Return the cell of a serial mesh, after checking that it is one.

    Args:
        mesh: Serial mesh.
        phase_cells: Cells of each phase by name.
        lattice: (d, d), rows are the lattice vectors; found from the shape of the mesh if None.
        void: Name of a phase without stiffness. Its cells are left out; where no cell carries the
            name, it is the space that the mesh leaves unfilled.
        source: What the messages call the cell.

    Raises:
        InputError: The mesh is distributed, has cells in no phase or in two, is no
            parallelepiped, leaves space that no phase claims, or falls apart.
    """
    if mesh.comm.size != 1:
        raise InputError(f"{source}: the mesh of a cell must be serial (MPI.COMM_SELF)")
    count = mesh.topology.index_map(mesh.topology.dim).size_local
    tagged = np.concatenate([np.zeros(0, np.int32), *phase_cells.values()])
    if len(np.unique(tagged)) != count or len(tagged) != count:
        raise InputError(
            f"{source}: {len(np.unique(tagged))} of {count} cells belong to a phase, "
            f"{len(tagged) - len(np.unique(tagged))} to two; every cell needs exactly one physical "
            "group"
        )
    if mesh.topology.dim != mesh.geometry.dim:
        raise InputError(
            f"{source}: cells of dimension {mesh.topology.dim} in a space of dimension "
            f"{mesh.geometry.dim}; a cell is a plane or a solid mesh"
        )
    d = mesh.geometry.dim
    x = mesh.geometry.x[:, :d]
    given = None if lattice is None else np.asarray(lattice, dtype=np.float64)
    origin, vectors = find_lattice(x, given, has_void=void is not None, source=source)
    if void is not None and len(phase_cells.get(void, ())):
        mesh, phase_cells = _without(mesh, phase_cells, void)
    solid = {name: cells for name, cells in phase_cells.items() if name != void}
    cell = Cell(mesh, solid, origin, vectors, void)
    measured = fem.assemble_scalar(fem.form(fem.Constant(mesh, 1.0) * ufl.dx(mesh)))
    gap = 1 - float(measured) / cell.volume
    if void is None and abs(gap) > FILLED or gap < -FILLED:
        raise InputError(
            f"{source}: the mesh fills {measured:.6g} of its lattice cell of {cell.volume:.6g}; a "
            "cell must be a parallelepiped; name the phase that is void where it has holes"
        )
    if void is not None and gap < FILLED:
        raise InputError(f"{source}: phase {void!r} is void, but the others fill the whole cell")
    nodes = geometry_dofmap(mesh)
    check_connected(mesh.geometry.x[:, :d], nodes, origin, vectors, source=source)
    return cell


def cell_from_arrays(
    cell_type: str,
    points: Array,  # (nodes, d)
    cells: NDArray[np.integer],  # (cells, nodes per cell)
    *,
    phases: Mapping[str, NDArray[np.integer]],
    degree: int = 1,
    lattice: ArrayLike | None = None,
    void: str | None = None,
    source: str = "the cell",
) -> Cell:
    """Return the cell of arrays, with the checks of :func:`make_cell`.

    Args:
        cell_type: ``triangle``, ``quadrilateral``, ``tetrahedron`` or ``hexahedron``.
        points: Coordinates.
        cells: Nodes of each cell, in DOLFINx's order.
        phases: Cells of each phase, by their row in ``cells``.
        degree: Of the geometry.
        lattice: As :func:`make_cell` takes it.
        void: As :func:`make_cell` takes it.
        source: What the messages call the cell.
    """
    domain, moved = _mesh_of(cell_type, points, cells, degree)
    phase_cells = {name: np.sort(moved[rows]).astype(np.int32) for name, rows in phases.items()}
    return make_cell(domain, phase_cells, lattice=lattice, void=void, source=source)


def read_cell(
    path: str | Path, *, lattice: ArrayLike | None = None, void: str | None = None
) -> Cell:
    """Read a cell from a mesh file whose physical groups, or cell tags, are the phases.

    Raises:
        InputError: The file cannot be read or is not a cell; see :func:`make_cell`.
    """
    tagged = read_mesh(path, MPI.COMM_SELF)
    phases = tagged.group_names(tagged.mesh.topology.dim)
    phase_cells = {name: tagged.cells(name) for name in phases}
    return make_cell(tagged.mesh, phase_cells, lattice=lattice, void=void, source=str(path))


def _mesh_of(
    cell_type: str, points: Array, cells: NDArray[np.integer], degree: int
) -> tuple[mesh.Mesh, NDArray[np.int64]]:
    """Return the serial mesh of arrays, and where each row of ``cells`` has gone."""
    element = basix.ufl.element("Lagrange", cell_type, degree, shape=(points.shape[1],))
    used, renumbered = np.unique(cells, return_inverse=True)
    renumbered = renumbered.reshape(np.shape(cells)).astype(np.int64)
    domain = mesh.create_mesh(MPI.COMM_SELF, cells=renumbered, x=points[used], e=element)
    moved = np.empty(len(cells), dtype=np.int64)
    moved[domain.topology.original_cell_index] = np.arange(len(cells))
    return domain, moved


def _without(
    domain: mesh.Mesh, phase_cells: Mapping[str, NDArray[np.int32]], void: str
) -> tuple[mesh.Mesh, dict[str, NDArray[np.int32]]]:
    """Return a mesh without the cells of a phase."""
    solid = {name: cells for name, cells in phase_cells.items() if name != void}
    kept = np.concatenate([np.zeros(0, np.int32), *solid.values()])
    if not len(kept):
        raise InputError(f"all cells are of phase {void!r}, which is void; nothing is left")
    points = domain.geometry.x[:, : domain.geometry.dim]
    nodes = geometry_dofmap(domain)[kept]
    degree = domain.ufl_domain().ufl_coordinate_element().basix_element.degree
    fresh, moved = _mesh_of(domain.topology.cell_name(), points, nodes, degree)
    ends = np.cumsum([0, *map(len, solid.values())])
    return fresh, {
        name: np.sort(moved[a:b]).astype(np.int32)
        for name, a, b in zip(solid, ends, ends[1:], strict=False)
    }
