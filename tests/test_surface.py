"""Surfaces of solids: what is turned to the viewer, what hides what, on any number of ranks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pytest
import ufl
from dolfinx import fem
from dolfinx.mesh import Mesh
from matplotlib.figure import Figure
from mpi4py import MPI

from fesurrogate.fem.mesh import box
from fesurrogate.fem.micro_pictures import MicroView, magnification, plot_micro
from fesurrogate.fem.pictures import Panel, plot_deformed
from fesurrogate.fem.surface import (
    SOLID_AXES,
    draw_surface,
    gather_surface,
    screen,
    seen_range,
    unhidden,
)
from fesurrogate.fem.values import cell_average

COMM = MPI.COMM_WORLD
kinds = pytest.mark.parametrize(("kind", "per_face"), [("hexahedron", 1), ("tetrahedron", 2)])


def brick(comm: MPI.Intracomm, kind: str = "hexahedron") -> Mesh:
    return box(comm, cells=(4, 3, 2), upper=(4.0, 3.0, 2.0), cell=kind).mesh


def heights(mesh: Mesh) -> Any:  # (owned cells,)
    """Return x + 10 y + 100 z at the middle of the owned cells."""
    x = ufl.SpatialCoordinate(mesh)
    return cell_average(mesh, [(x[0] + 10 * x[1] + 100 * x[2], ufl.dx(domain=mesh))])()


def moving(mesh: Mesh, matrix: Any) -> fem.Function:
    """Return the displacement (A - 1) x."""
    u = fem.Function(fem.functionspace(mesh, ("Lagrange", 1, (3,))))
    u.interpolate(lambda x: (np.asarray(matrix) - np.eye(3)) @ x)
    return u


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One folder, the same on every rank."""
    return Path(COMM.bcast(str(tmp_path), root=0))


@pytest.mark.mpi
@kinds
def test_three_sides_of_a_brick_on_any_number_of_ranks(kind: str, per_face: int) -> None:
    whole, spread = brick(MPI.COMM_SELF, kind), brick(COMM, kind)
    stretch = np.diag([1.1, 1.0, 0.9])
    alone, shared = (
        gather_surface(mesh, heights(mesh), displacement=moving(mesh, stretch), scale=2.0)
        for mesh in (whole, spread)
    )
    assert (shared is None) == (COMM.rank > 0) and alone is not None
    if shared is None:
        return
    assert len(alone.faces) == per_face * (4 * 3 + 3 * 2 + 4 * 2) and alone.seen.all()
    np.testing.assert_allclose(shared.faces, alone.faces, atol=1e-12)
    np.testing.assert_allclose(shared.values, alone.values, atol=1e-9)
    upper = np.array([4.0 * 1.2, 3.0, 2.0 * 0.8])  # of the side that each face lies on
    on_side = np.isclose(alone.faces, upper).all(axis=1)
    assert (on_side.sum(axis=1) == 1).all()
    if kind == "hexahedron":  # a face is half an edge from the middle of its cell
        rest = alone.faces.mean(axis=1) / [1.2, 1.0, 0.8] - 0.5 * on_side
        np.testing.assert_allclose(alone.values, rest @ [1, 10, 100], atol=1e-9)


def test_a_face_behind_another_is_hidden() -> None:
    right, up, towards = screen(np.eye(3)).T  # the screen's axes in space
    square = np.array([right + up, up - right, -right - up, right - up])  # (4, 3)
    front, back = square + 3.0 * towards, square - towards
    beside, below = back + 2.1 * right, 0.3 * square + 2.0 * towards
    faces = np.array([front, back, beside, below])
    np.testing.assert_array_equal(unhidden(faces), [True, False, True, False])
    np.testing.assert_array_equal(unhidden(faces[1:]), [False, True, True])


def test_the_colours_are_those_of_what_is_seen() -> None:
    """What only the middle or the far side of a block has does not count, and NaN is no value."""
    mesh = box(MPI.COMM_SELF, cells=(3, 3, 3), upper=(3.0, 3.0, 3.0)).mesh
    middle = heights(mesh)
    values = np.ones_like(middle)
    values[np.isclose(middle, 1.5 * 111)] = 900.0  # inside
    values[np.isclose(middle, 0.5 * 111)] = 500.0  # the corner at 0
    values[np.isclose(middle, 2.5 * 111)] = 3.0  # the corner towards the viewer
    values[np.isclose(middle, 2.5 + 5 + 250)] = np.nan  # another corner in sight
    surface = gather_surface(mesh, values)
    assert surface is not None
    norm = seen_range(surface)
    assert norm is not None and (norm.vmin, norm.vmax) == (1.0, 3.0)
    blank = gather_surface(mesh, np.full_like(values, np.nan))
    assert blank is not None and seen_range(blank) is None


def test_faces_in_any_direction_have_colours() -> None:
    """The brightness of a face is that of a mean of the three sides: at most 1."""
    mesh = box(MPI.COMM_SELF, cells=(1, 1, 1)).mesh
    turn = np.linalg.qr(np.random.default_rng(0).standard_normal((3, 3)))[0]
    surface = gather_surface(mesh, np.ones((1, 3)), displacement=moving(mesh, turn))
    assert surface is not None
    axes = Figure().add_subplot(**SOLID_AXES)
    draw_surface(axes, surface, None)
    colours = axes.collections[0].get_facecolor()[:, :3]
    assert len(colours) == 3 and (colours <= 1.0).all() and (colours >= 0.84).all()


def view_of(mesh: Mesh, values: Any, scale: float) -> MicroView:
    u = moving(mesh, np.eye(3) + scale * np.array([[0, 0, 1], [0, 0, 0], [0, 0, 0]]))
    return MicroView("cell", (1.0, 1.0, 1.0), (1.2, 1.0, 1.0), mesh, u, values, magnify=True)


@pytest.mark.mpi
def test_pictures_of_solids(folder: Path) -> None:
    """Both pictures show the colours at the ends of the scale; a field nobody sees is said."""
    mesh, cell = brick(COMM), brick(MPI.COMM_SELF)
    u = moving(mesh, np.diag([1.2, 1.0, 1.0]))
    plot_deformed(folder / "stress.png", mesh, heights(mesh), displacement=u, title="brick")
    fields = {"stress": heights(cell), "hidden": np.full(24, np.nan)}
    views = [view_of(cell, fields, 1e-4), view_of(cell, fields, 0.5)]
    assert [magnification(view) for view in views] == [5000.0, 1.0]
    panel = Panel("stress", mesh, u, heights(mesh))
    plot_micro(folder / "micro.png", panel, views if COMM.rank == 0 else [], title="both")
    COMM.barrier()
    for name in ("stress", "micro"):
        image = matplotlib.image.imread(folder / f"{name}.png")[..., :3]
        # of viridis: the largest on top, the least on a side normal to x, which is darker
        for colour in np.array([[0.993, 0.906, 0.144], [0.88 * 0.267, 0.005, 0.88 * 0.329]]):
            near = np.abs(image - colour).max(axis=2) < 0.02
            assert near.mean() > 0.003, (name, colour)
