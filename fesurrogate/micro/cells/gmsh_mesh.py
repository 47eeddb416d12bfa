"""Discs or spheres in a periodic parallelepiped, meshed by gmsh into plain arrays.

gmsh is a library with one global state, which may be in use by the caller: what is done here
happens in a model of its own, says nothing on the terminal, and leaves models and options as they
were.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from dolfinx import cpp
from dolfinx.mesh import CellType
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from fesurrogate.errors import InputError, MissingPackageError
from fesurrogate.kinematics import Array

CELLS = {2: "triangle", 3: "tetrahedron"}
"""DOLFINx's name of the simplex of a dimension."""

SIMPLEX = {(2, 1): 2, (2, 2): 9, (3, 1): 4, (3, 2): 11}
"""gmsh's number of the simplex of a dimension and degree."""

EDGES = {2: [(0, 1), (1, 2), (2, 0)], 3: [(0, 1), (1, 2), (2, 0), (3, 0), (2, 3), (1, 3)]}
"""Corners of the edges of a quadratic simplex, in gmsh's order of the nodes on them."""

MODEL = "fesurrogate cell"

SQUEEZED = 0.2
"""An element is squeezed if its Jacobian determinant varies by more than this ratio."""

OPTIONS = {
    "General.Terminal": 0,
    "General.NumThreads": 1,  # with more, meshes may differ from run to run
    "Geometry.OCCParallel": 0,
    "Mesh.Algorithm": 6,
    "Mesh.Algorithm3D": 1,
    "Mesh.ElementOrder": 1,
    "Mesh.MeshSizeExtendFromBoundary": 0,
    "Mesh.MeshSizeFactor": 1,
    "Mesh.MeshSizeFromCurvature": 0,
    "Mesh.MeshSizeFromPoints": 0,
    "Mesh.Optimize": 1,
    "Mesh.RandomFactor": 1e-9,
    "Mesh.RandomSeed": 1,
    "Mesh.RecombineAll": 0,
    "Mesh.SecondOrderLinear": 0,
    "Mesh.SubdivisionAlgorithm": 0,
}


@dataclass(frozen=True)
class SimplexMesh:
    """Triangles or tetrahedra, inside the inclusions and outside.

    Attributes:
        points: (nodes, d).
        cells: (cells, nodes per cell), in DOLFINx's node order.
        inside: (cells,), whether a cell belongs to an inclusion.
    """

    points: Array
    cells: NDArray[np.int64]
    inside: NDArray[np.bool_]


@contextmanager
def gmsh_session() -> Iterator[Any]:
    """Give gmsh with an empty model and our options; leave it as it was found.

    Raises:
        MissingPackageError: gmsh is not installed.
    """
    try:
        import gmsh
    except (ImportError, OSError) as error:  # OSError: a library that gmsh links to is missing
        raise MissingPackageError(
            f"making this cell needs gmsh ({error}); install it with: pip install gmsh (Debian: "
            "apt install python3-gmsh), or read a mesh file instead"
        ) from error
    ours = not gmsh.isInitialized()
    if ours:
        gmsh.initialize(readConfigFiles=False, interruptible=False)
    current = gmsh.model.getCurrent()
    names = [*OPTIONS, "Mesh.MeshSizeMin", "Mesh.MeshSizeMax"]
    before = {name: gmsh.option.getNumber(name) for name in names}
    gmsh.model.add(MODEL)
    try:
        for name, value in OPTIONS.items():
            gmsh.option.setNumber(name, value)
        yield gmsh
    finally:
        gmsh.model.remove()
        if ours:
            gmsh.finalize()
        else:
            for name, number in before.items():
                gmsh.option.setNumber(name, number)
            gmsh.model.setCurrent(current)


def mesh_inclusions(
    gmsh: Any,
    centres: Array,  # (count, d)
    radius: float,
    *,
    lattice: Array,  # (d, d), rows are the lattice vectors
    size: float,
    degree: int = 1,
    hollow: bool = False,
) -> SimplexMesh:
    """Mesh a cell with one corner at 0 and its inclusions, with equal nodes on opposite faces.

    Args:
        gmsh: As :func:`gmsh_session` gives it; its model is emptied.
        centres: Of discs (2D) or spheres (3D); their periodic images are added.
        radius: Of each.
        lattice: Edges of the cell.
        size: Edge length of the elements.
        degree: Of the geometry: straight (1) or curved (2) edges.
        hollow: Leave the inclusions out of the mesh.

    Raises:
        InputError: gmsh fails.
    """
    d = len(lattice)
    try:
        gmsh.model.remove()  # gmsh.clear() would empty the caller's models too
        gmsh.model.add(MODEL)
        gmsh.option.setNumber("Mesh.MeshSizeMin", size)
        gmsh.option.setNumber("Mesh.MeshSizeMax", size)
        box = _add_cell(gmsh, lattice)
        balls = _add_balls(gmsh, centres, radius, lattice)
        pieces, _ = gmsh.model.occ.intersect(balls, [box], removeTool=False)
        if hollow:
            gmsh.model.occ.cut([box], pieces)
            inner = set()
        else:
            _, children = gmsh.model.occ.fragment([box], pieces)
            inner = {tag for group in children[1:] for _, tag in group}
        gmsh.model.occ.synchronize()
        _match_faces(gmsh, lattice)
        gmsh.model.mesh.generate(d)
        if degree == 2:
            gmsh.model.mesh.setOrder(2)
            _straighten(gmsh, d, lattice)
        mesh = _arrays(gmsh, d, degree, inner)
    except Exception as error:  # gmsh raises nothing more special
        raise InputError(
            f"gmsh cannot mesh this cell ({error}); take another resolution, gap or seed"
        ) from error
    return mesh


def _add_cell(gmsh: Any, lattice: Array) -> tuple[int, int]:
    """Add the parallelogram, or the box (whose lattice is diagonal)."""
    occ = gmsh.model.occ
    if len(lattice) == 3:
        return 3, occ.addBox(0, 0, 0, *np.diag(lattice))
    corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) @ lattice
    points = [occ.addPoint(x, y, 0) for x, y in corners]
    lines = [occ.addLine(points[k], points[(k + 1) % 4]) for k in range(4)]
    return 2, occ.addPlaneSurface([occ.addCurveLoop(lines)])


def _add_balls(gmsh: Any, centres: Array, radius: float, lattice: Array) -> list[tuple[int, int]]:
    """Add the inclusions and those of their images that reach into the cell."""
    d = len(lattice)
    reach = radius * np.linalg.norm(np.linalg.inv(lattice), axis=0)  # in lattice coordinates
    fractional = centres @ np.linalg.inv(lattice) % 1.0
    shifts = np.array(list(itertools.product((-1, 0, 1), repeat=d)))
    balls = []
    for place, shift in itertools.product(fractional, shifts):
        image = place + shift
        if ((image > -reach) & (image < 1 + reach)).all():
            x = image @ lattice
            if d == 2:
                balls.append((2, gmsh.model.occ.addDisk(*x, 0, radius, radius)))
            else:
                balls.append((3, gmsh.model.occ.addSphere(*x, radius)))
    return balls


def _match_faces(gmsh: Any, lattice: Array) -> None:
    """Give opposite faces of the cell the same nodes, piece by piece."""
    d = len(lattice)
    boundary = gmsh.model.getBoundary(gmsh.model.getEntities(d), oriented=False)
    pieces = []
    for dim, tag in boundary:
        middle = np.array(gmsh.model.occ.getCenterOfMass(dim, tag))[:d]
        mass = gmsh.model.occ.getMass(dim, tag)
        pieces.append((tag, middle @ np.linalg.inv(lattice), mass))
    for axis, vector in enumerate(lattice):
        shift = np.eye(4)
        shift[:d, 3] = vector
        lower = [piece for piece in pieces if abs(piece[1][axis]) < 1e-6]
        upper = [piece for piece in pieces if abs(piece[1][axis] - 1) < 1e-6]
        if len(lower) != len(upper):
            raise InputError(f"{len(lower)} pieces of a face, {len(upper)} of the opposite one")
        for tag, middle, mass in upper:
            image = middle - np.eye(d)[axis]
            master = min(lower, key=lambda p: np.abs(p[1] - image).max() + abs(p[2] - mass))  # noqa: B023
            gmsh.model.mesh.setPeriodic(d - 1, [tag], [master[0]], shift.ravel())


def _straighten(gmsh: Any, d: int, lattice: Array) -> None:
    """Straighten the edges of elements that their curved edges squeeze, and of their images.

    Where two curved surfaces are close, or an element has all its corners on one, curving its
    edges may turn it inside out. gmsh's own optimisers move nodes of the faces.
    """
    numbers, nodes = gmsh.model.mesh.getElementsByType(SIMPLEX[d, 2])
    corner_pairs = np.array(EDGES[d])
    tags, x, _ = gmsh.model.mesh.getNodes()
    order = np.argsort(tags)
    x = x.reshape(-1, 3)
    cells = order[np.searchsorted(tags[order], nodes)].reshape(len(numbers), -1)
    fractional = x[:, :d] @ np.linalg.inv(lattice) % 1.0
    tree = cKDTree(np.where(fractional < 1.0, fractional, 0.0), boxsize=1.0)
    while True:
        smallest = gmsh.model.mesh.getElementQualities(numbers, "minDetJac")
        largest = gmsh.model.mesh.getElementQualities(numbers, "maxDetJac")
        squeezed = cells[smallest < SQUEEZED * largest, d + 1 :]
        images = tree.query_ball_point(tree.data[np.unique(squeezed)], r=1e-7)
        if not len(images):
            return
        bent = np.isin(cells[:, d + 1 :], np.concatenate(images))
        rows, edges = np.nonzero(bent)
        for node, (a, b) in zip(
            cells[rows, d + 1 + edges],
            cells[rows[:, None], corner_pairs[edges]],
            strict=True,
        ):
            gmsh.model.mesh.setNode(tags[node], (x[a] + x[b]) / 2, [])


def _arrays(gmsh: Any, d: int, degree: int, inner: set[int]) -> SimplexMesh:
    """Return the mesh of the current model, in DOLFINx's order of the nodes of a cell."""
    kind = SIMPLEX[d, degree]
    blocks, inside = [], []
    for _, tag in sorted(gmsh.model.getEntities(d)):
        numbers, nodes = gmsh.model.mesh.getElementsByType(kind, tag)
        blocks.append(nodes.reshape(len(numbers), -1))
        inside.append(np.full(len(numbers), tag in inner))
    cells = np.concatenate(blocks)  # tags of nodes
    cells = cells[:, cpp.io.perm_gmsh(getattr(CellType, CELLS[d]), cells.shape[1])]
    tags, x, _ = gmsh.model.mesh.getNodes()
    order = np.argsort(tags)
    used, renumbered = np.unique(cells, return_inverse=True)
    points = x.reshape(-1, 3)[order[np.searchsorted(tags[order], used)], :d]
    return SimplexMesh(
        np.ascontiguousarray(points),
        renumbered.reshape(cells.shape).astype(np.int64),
        np.concatenate(inside),
    )
