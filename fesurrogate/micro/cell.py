"""The representative cell: a serial, periodic mesh whose cells belong to named phases."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from dolfinx import fem, mesh
from mpi4py import MPI
from numpy.typing import NDArray

from fesurrogate.errors import InputError
from fesurrogate.fem.compat import geometry_dofmap
from fesurrogate.fem.mesh import read_mesh
from fesurrogate.kinematics import Array


@dataclass(frozen=True)
class Cell:
    """A representative volume element, alike on every rank.

    Attributes:
        mesh: Serial mesh (``MPI.COMM_SELF``).
        phase_cells: Cells of each phase by name; together they are all cells.
        origin: (d,), lower corner.
        lattice: (d, d), rows are the lattice vectors.
    """

    mesh: mesh.Mesh
    phase_cells: Mapping[str, NDArray[np.int32]]
    origin: Array
    lattice: Array

    @property
    def volume(self) -> float:
        """Volume (2D: area) of the cell, voids included."""
        return float(abs(np.linalg.det(self.lattice)))

    @property
    def fingerprint(self) -> str:
        """Hash of the mesh and of its phases: equal for equal cells."""
        digest = hashlib.sha256()
        digest.update(np.ascontiguousarray(self.mesh.geometry.x.round(12)).tobytes())
        digest.update(np.ascontiguousarray(geometry_dofmap(self.mesh), dtype=np.int64).tobytes())
        for name in sorted(self.phase_cells):
            digest.update(name.encode() + self.phase_cells[name].astype(np.int64).tobytes())
        return digest.hexdigest()[:16]

    def volume_fractions(self) -> dict[str, float]:
        """Return the share of each phase in the cell's volume."""
        one = fem.Constant(self.mesh, 1.0)
        return {
            name: float(fem.assemble_scalar(fem.form(one * measure))) / self.volume
            for name, measure in self.measures().items()
        }

    def measures(self, quadrature_degree: int | None = None) -> dict:
        """Return the UFL integration measure of each phase by name."""
        import ufl

        metadata = {} if quadrature_degree is None else {"quadrature_degree": quadrature_degree}
        data = [(k, self.phase_cells[name]) for k, name in enumerate(sorted(self.phase_cells))]
        dx = ufl.Measure("dx", domain=self.mesh, subdomain_data=data, metadata=metadata)
        return {name: dx(k) for k, name in enumerate(sorted(self.phase_cells))}


def make_cell(
    mesh: mesh.Mesh,
    phase_cells: Mapping[str, NDArray[np.int32]],
    *,
    source: str = "the cell",
) -> Cell:
    """Return the cell of a serial mesh, after checking that it is a box filled with phases.

    Raises:
        InputError: The mesh is distributed, leaves cells without a phase, or is not a box whose
            edges are parallel to the axes.
    """
    import ufl

    if mesh.comm.size != 1:
        raise InputError(f"{source}: the mesh of a cell must be serial (MPI.COMM_SELF)")
    d, count = mesh.geometry.dim, mesh.topology.index_map(mesh.topology.dim).size_local
    tagged = np.concatenate([np.zeros(0, np.int32), *phase_cells.values()])
    if len(np.unique(tagged)) != count or len(tagged) != count:
        raise InputError(
            f"{source}: {len(np.unique(tagged))} of {count} cells belong to a phase; every cell "
            "needs exactly one physical group"
        )
    x = mesh.geometry.x[:, :d]
    origin, upper = x.min(axis=0), x.max(axis=0)
    cell = Cell(mesh, dict(phase_cells), origin, np.diag(upper - origin))
    measured = fem.assemble_scalar(fem.form(fem.Constant(mesh, 1.0) * ufl.dx(mesh)))
    if abs(measured - cell.volume) > 1e-6 * cell.volume:
        raise InputError(
            f"{source}: the mesh fills {measured:.6g} of its bounding box of {cell.volume:.6g}; "
            "a cell must be a box with edges parallel to the axes and without holes"
        )
    return cell


def read_cell(path: str | Path) -> Cell:
    """Read a cell from a mesh file whose physical groups are the phases.

    Raises:
        InputError: The file cannot be read or is not a cell.
    """
    tagged = read_mesh(path, MPI.COMM_SELF)
    phases = [name for name, (dim, _) in tagged.names.items() if dim == tagged.mesh.topology.dim]
    if not phases:
        raise InputError(f"{path}: no physical group of cells; each phase needs one")
    return make_cell(tagged.mesh, {name: tagged.cells(name) for name in phases}, source=str(path))


def laminate_cell(
    gdim: int,
    fractions: Mapping[str, float],
    *,
    resolution: int = 8,
) -> Cell:
    """Return a unit cell of layers normal to x, meshed with simplices aligned with the layers.

    Args:
        gdim: 2 or 3.
        fractions: Volume fraction of each layer by phase name, in order along x; one entry gives
            a homogeneous cell.
        resolution: Elements along each edge, at least one in each layer.

    Raises:
        InputError: The fractions are not positive or do not add up to 1.
    """
    widths = np.array(list(fractions.values()), dtype=float)
    if not (widths > 0).all() or abs(widths.sum() - 1) > 1e-12:
        raise InputError(f"fractions are {dict(fractions)}; expected positive numbers of sum 1")
    corners = np.concatenate([[0.0], np.cumsum(widths)])
    counts = np.maximum(1, np.round(widths * resolution).astype(int))
    size = [int(counts.sum()), *[resolution] * (gdim - 1)]
    if gdim == 2:
        unit = mesh.create_unit_square(MPI.COMM_SELF, *size)
    else:
        unit = mesh.create_unit_cube(MPI.COMM_SELF, *size)
    planes = np.concatenate([[0], np.cumsum(counts)]) / counts.sum()
    unit.geometry.x[:, 0] = np.interp(unit.geometry.x[:, 0], planes, corners)
    cells = np.arange(unit.topology.index_map(gdim).size_local, dtype=np.int32)
    middle = mesh.compute_midpoints(unit, gdim, cells)[:, 0]
    layer = np.searchsorted(corners, middle) - 1
    return make_cell(unit, {name: cells[layer == k] for k, name in enumerate(fractions)})
