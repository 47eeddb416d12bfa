"""A mesh file as plain arrays, on one process: what meshio reads, checked and renumbered.

Distribution over ranks is :func:`fesurrogate.fem.mesh.read_mesh`'s business.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import basix
import numpy as np
from dolfinx import cpp
from dolfinx.mesh import CellType

from fesurrogate.errors import InputError

# meshio's name -> (DOLFINx cell, degree of the geometry, topological dimension)
_CELLS = {
    "line": (CellType.interval, 1, 1),
    "line3": (CellType.interval, 2, 1),
    "triangle": (CellType.triangle, 1, 2),
    "triangle6": (CellType.triangle, 2, 2),
    "quad": (CellType.quadrilateral, 1, 2),
    "quad9": (CellType.quadrilateral, 2, 2),
    "tetra": (CellType.tetrahedron, 1, 3),
    "tetra10": (CellType.tetrahedron, 2, 3),
    "hexahedron": (CellType.hexahedron, 1, 3),
    "hexahedron27": (CellType.hexahedron, 2, 3),
}
SPARE_MEMORY = 2**30  # bytes that reading a file may take
INFLATION = 200  # and for each byte of it
_TAG_DATA = ("gmsh:physical", "medit:ref", "cell_tags", "CellEntityIds", "name_to_read")


@dataclass(frozen=True)
class MeshArrays:
    """Nodes, cells and marked facets of one mesh; node order as DOLFINx has it."""

    cell: str  # DOLFINx' name of the cell
    degree: int  # of the geometry
    points: np.ndarray  # (nodes, gdim)
    cells: np.ndarray  # (cells, nodes per cell), int64
    cell_values: np.ndarray  # (cells,), int32; 0 where there is no tag
    facets: np.ndarray  # (facets, nodes per facet), int64
    facet_values: np.ndarray  # (facets,), int32; never 0
    names: dict[str, tuple[int, int]]  # group -> (dimension, tag); empty groups are left out


def load_mesh_file(path: Path, *, gdim: int | None = None) -> MeshArrays:
    """Read and check a mesh file; not collective.

    Args:
        path: any file that meshio reads.
        gdim: dimension of space, 2 or 3; the dimension of the cells where it is None.

    Raises:
        InputError: the file is missing or unreadable, holds no cells, cells of several types, of
            an unknown type or of another dimension, nodes that do not exist or are not finite, or
            an inverted cell.
    """
    raw = _read(path)
    blocks = [(b.type, np.asarray(b.data), k) for k, b in enumerate(raw.cells) if len(b.data)]
    solid = {name: _CELLS[name][2] if name in _CELLS else 9 for name, *_ in blocks}
    solid = {name: dim for name, dim in solid.items() if name != "vertex"}
    tdim = max(solid.values(), default=0)
    if tdim < 2:
        raise InputError(
            f"mesh {path} has no cells: found {_listed(solid)}, expected triangles, "
            "quadrilaterals, tetrahedra or hexahedra. In gmsh, mesh and save the surfaces (2D) or "
            "volumes (3D), as physical groups"
        )
    types = sorted(name for name, dim in solid.items() if dim == tdim)
    if len(types) > 1 or tdim == 9:
        raise InputError(
            f"mesh {path} has cells of type {_listed(solid)}: expected one type of cell out of "
            f"{_listed(n for n, v in _CELLS.items() if v[2] > 1)}. Mesh again with one type "
            "(gmsh: Mesh.RecombineAll, Mesh.SecondOrderIncomplete = 0)"
        )
    cell, degree, _ = _CELLS[types[0]]
    if gdim not in (None, tdim):
        raise InputError(f"mesh {path} has {tdim}D cells, but gdim = {gdim}: they must agree")

    values, names = _tags(raw, tdim, path)
    cells, cell_values = _collect(blocks, values, types)
    facet_types = [n for n, v in _CELLS.items() if v[1:] == (degree, tdim - 1) and n in solid]
    facets, facet_values = _collect(blocks, values, facet_types)
    facets, facet_values = facets[facet_values != 0], facet_values[facet_values != 0]
    if not np.any(cell_values):
        cell_values = np.ones_like(cell_values)
        names["domain"] = (tdim, 1)
    present = {tdim: set(np.unique(cell_values)), tdim - 1: set(np.unique(facet_values))}
    names = {name: (dim, tag) for name, (dim, tag) in names.items() if tag in present[dim]}
    for dim, tags in present.items():
        for tag in tags - {0, *(t for d, t in names.values() if d == dim)}:
            names.setdefault(str(tag), (dim, int(tag)))

    points = _points(np.asarray(raw.points, dtype=np.float64), cells, tdim, path)
    _check_orientation(points, cells, cell, degree, path)
    return MeshArrays(cell.name, degree, points, cells, cell_values, facets, facet_values, names)


def _read(path: Path) -> Any:
    """Return meshio's mesh; meshio prints, or exits, where it cannot read."""
    import meshio

    if not path.is_file():
        if path.is_dir():
            raise InputError(f"mesh {path} is a folder: give the path of a file in it")
        raise InputError(f"no mesh file {path}: check the path, or make it with its generator")
    said = io.StringIO()
    try:
        with (
            contextlib.redirect_stdout(said),
            contextlib.redirect_stderr(said),
            np.errstate(all="ignore"),  # of numbers that no mesh has
            _bounded_memory(SPARE_MEMORY + INFLATION * path.stat().st_size),
        ):
            return meshio.read(path)
    except (Exception, SystemExit) as problem:
        said_or_raised = said.getvalue() if isinstance(problem, SystemExit) else str(problem)
        reason = " ".join(said_or_raised.split())[:300].rstrip(".")
        reason = reason or "its content is damaged or of another format than its name says"
        raise InputError(
            f"cannot read mesh {path}: {reason}. Expected a file that meshio reads, such as "
            "Gmsh's .msh (version 2.2 or 4.1)"
        ) from None


@contextlib.contextmanager
def _bounded_memory(more: int) -> Iterator[None]:
    """Let the process take so many bytes more, so that a number in a small file cannot ask for all.

    Where the operating system does not say how many it has, nothing is done.
    """
    try:
        import resource

        pages = int(Path("/proc/self/statm").read_text().split()[0])
        before = resource.getrlimit(resource.RLIMIT_AS)
    except (ImportError, OSError, ValueError):
        yield
        return
    wanted = pages * resource.getpagesize() + more
    if before[0] != resource.RLIM_INFINITY:
        wanted = min(wanted, before[0])
    try:
        resource.setrlimit(resource.RLIMIT_AS, (wanted, before[1]))
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def _tags(raw: Any, tdim: int, path: Path) -> tuple[list[np.ndarray], dict[str, tuple[int, int]]]:
    """Return a tag for every entity of every block (0: none), and the named groups."""
    key = next((k for k in _TAG_DATA if k in raw.cell_data), None)
    if key is None and not raw.cell_sets:
        key = next((k for k, v in raw.cell_data.items() if _is_integer_tag(v)), None)
    names: dict[str, tuple[int, int]] = {}
    if key is not None:
        values = [np.asarray(v, dtype=np.int32) for v in raw.cell_data[key]]
        for name, (tag, dim) in getattr(raw, "field_data", {}).items():
            if dim in (tdim, tdim - 1):
                names[name] = (int(dim), int(tag))
        return values, names

    values = [np.zeros(len(b.data), dtype=np.int32) for b in raw.cells]
    owner = {0: ""}
    for name, members in raw.cell_sets.items():
        for dim in (tdim, tdim - 1):
            tag = len(owner)
            for block, value, member in zip(raw.cells, values, members, strict=True):
                if block.type not in _CELLS or _CELLS[block.type][2] != dim or member is None:
                    continue
                if np.any(value[member]):
                    other = owner[int(value[member].max())]
                    raise InputError(
                        f"mesh {path}: the sets {other!r} and {name!r} overlap; expected sets "
                        "that share no cell. Remove one of them"
                    )
                if len(member):
                    value[member] = tag
                    owner[tag] = name
                    names[name] = (dim, tag)
    return values, names


def _is_integer_tag(values: list) -> bool:
    """Whether a cell quantity is one whole number a cell."""
    return all(np.ndim(v) == 1 and np.issubdtype(np.asarray(v).dtype, np.integer) for v in values)


def _collect(
    blocks: list, values: list[np.ndarray], types: list[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Join the blocks of some types: nodes in DOLFINx' order, and tags."""
    nodes, tags = [], []
    for name, data, k in blocks:
        if name in types:
            order = cpp.io.perm_vtk(_CELLS[name][0], data.shape[1])
            nodes.append(data[:, order].astype(np.int64))
            tags.append(values[k])
    if not nodes:
        return np.zeros((0, 0), dtype=np.int64), np.zeros(0, dtype=np.int32)
    return np.concatenate(nodes), np.concatenate(tags)


def _points(points: np.ndarray, cells: np.ndarray, tdim: int, path: Path) -> np.ndarray:
    """Check the nodes that cells use; drop the z coordinate of a plane mesh."""
    wrong = cells[(cells < 0) | (cells >= len(points))]
    if len(wrong):
        raise InputError(
            f"mesh {path}: a cell names a node that does not exist (number {wrong[0]}, counted "
            f"from 0; there are {len(points)}); the file is damaged, write it again"
        )
    used = points[np.unique(cells)]
    if not np.all(np.isfinite(used)):
        raise InputError(f"mesh {path}: a node has a coordinate that is no finite number")
    size = np.ptp(used, axis=0).max()
    if tdim == 2 and points.shape[1] == 3 and np.any(np.abs(used[:, 2]) > 1e-10 * size):
        raise InputError(
            f"mesh {path}: its {len(cells)} cells are plane but do not lie in z = 0 (largest |z| "
            f"is {np.abs(used[:, 2]).max():.3g}); move the mesh to z = 0, or mesh the volume"
        )
    if points.shape[1] < tdim:
        raise InputError(f"mesh {path}: {tdim}D cells on nodes with {points.shape[1]} coordinates")
    return np.ascontiguousarray(points[:, :tdim])


def _check_orientation(
    points: np.ndarray, cells: np.ndarray, cell: CellType, degree: int, path: Path
) -> None:
    """Refuse a cell whose Jacobian determinant is not positive at one of its nodes."""
    element = basix.create_element(
        basix.ElementFamily.P,
        getattr(basix.CellType, cell.name),
        degree,
        basix.LagrangeVariant.equispaced if degree > 1 else basix.LagrangeVariant.gll_warped,
    )
    table = np.asarray(element.tabulate(1, np.asarray(element.points)))
    gradients = table[1:, :, :, 0]  # (d, points, nodes)
    worst = np.full(len(cells), np.inf)
    x = points[cells]  # (cells, nodes, d)
    for k in range(gradients.shape[1]):
        jacobian = np.einsum("cni,dn->cid", x, gradients[:, k])
        worst = np.minimum(worst, np.linalg.det(jacobian))
    size = np.ptp(x, axis=1).max(axis=1) ** x.shape[2]
    bad = np.flatnonzero(~(worst > 1e-10 * size))
    if len(bad):
        middle = ", ".join(f"{c:.6g}" for c in x[bad[0]].mean(axis=0))
        raise InputError(
            f"mesh {path}: {len(bad)} of {len(cells)} cells are inverted or flat, the first is "
            f"cell {bad[0]} (counted from 0) near ({middle}); expected nodes in counter-clockwise "
            "order (2D) or a positive volume (3D). Mesh again, or turn the surface (gmsh: "
            "ReverseMesh Surface)"
        )


def _listed(names: Any) -> str:
    """Return names as one phrase."""
    return ", ".join(sorted(names)) or "nothing"
