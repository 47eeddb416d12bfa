"""Refined cells: the same body, conforming, nested; what two or three tell of an error."""

from itertools import permutations

import basix.ufl
import numpy as np
import pytest
from dolfinx import fem, mesh
from mpi4py import MPI

from fesurrogate import Kinematics
from fesurrogate.fem.compat import geometry_dofmap
from fesurrogate.homogenize.discretisation import discretisation_error
from fesurrogate.micro import Cell, RVEMaterial, linear_elastic, neo_hookean
from fesurrogate.micro.cells.cell import cell_from_arrays
from fesurrogate.micro.cells.refine import refined

KINDS = ["triangle", "quadrilateral", "tetrahedron", "hexahedron"]
PHASES = {
    "soft": linear_elastic(young=1.0, poisson=0.3),
    "stiff": linear_elastic(young=20.0, poisson=0.2),
}


def warped(x: np.ndarray) -> np.ndarray:
    """Move the inside of the unit cell; its faces stay."""
    bump = 0.08 * np.prod(np.sin(np.pi * x), axis=1, keepdims=True)
    return x + bump * np.arange(1, x.shape[1] + 1)


def two_phases(kind: str, degree: int, size: int = 2) -> Cell:
    """Return a warped unit cell, the lower half in x one phase, with vertices in random order."""
    cell_type = getattr(mesh.CellType, kind)
    d = 2 if kind in KINDS[:2] else 3
    make = mesh.create_unit_square if d == 2 else mesh.create_unit_cube
    unit = make(MPI.COMM_SELF, *[size] * d, cell_type)
    space = fem.functionspace(unit, ("Lagrange", degree))
    points, cells = space.tabulate_dof_coordinates()[:, :d], space.dofmap.list.astype(np.int64)
    soft = points[cells].mean(axis=1)[:, 0] < 0.5
    if kind in ("triangle", "tetrahedron"):
        cells = shuffled(kind, degree, cells)
    phases = {"soft": np.flatnonzero(soft), "stiff": np.flatnonzero(~soft)}
    return cell_from_arrays(kind, warped(points), cells, phases=phases, degree=degree)


def shuffled(kind: str, degree: int, cells: np.ndarray) -> np.ndarray:
    """Number the vertices of each simplex anew, at random: any orientation may occur."""
    element = basix.ufl.element("Lagrange", kind, degree).basix_element
    points, d = element.points, element.points.shape[1]
    corners = np.vstack([np.zeros(d), np.eye(d)])
    orders = []
    for order in permutations(range(d + 1)):
        weights = np.column_stack([1 - points.sum(axis=1), points])
        moved = weights @ corners[list(order)]
        distance = np.linalg.norm(points[None] - moved[:, None], axis=2)
        orders.append(distance.argmin(axis=1))
    chosen = np.random.default_rng(5).integers(len(orders), size=len(cells))
    return np.take_along_axis(cells, np.array(orders)[chosen], axis=1)


def outer_facets(cell: Cell) -> int:
    domain = cell.mesh
    dim = domain.topology.dim
    domain.topology.create_connectivity(dim - 1, dim)
    return len(mesh.exterior_facet_indices(domain.topology))


def nodes(cell: Cell) -> np.ndarray:
    used = np.unique(geometry_dofmap(cell.mesh))
    return cell.mesh.geometry.x[used]


@pytest.mark.parametrize("degree", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_refined_cell_is_the_same_body_conforming(kind: str, degree: int) -> None:
    coarse = two_phases(kind, degree)
    fine = refined(coarse)
    d = coarse.mesh.geometry.dim
    assert fine.mesh.ufl_domain().ufl_coordinate_element().basix_element.degree == degree
    for name, rows in coarse.phase_cells.items():
        assert len(fine.phase_cells[name]) == 2**d * len(rows)
    before, after = coarse.volume_fractions(), fine.volume_fractions()
    for name, share in before.items():
        assert after[name] == pytest.approx(share, rel=1e-12)
    assert outer_facets(fine) == 2 ** (d - 1) * outer_facets(coarse)  # no crack inside
    distance = np.linalg.norm(nodes(coarse)[:, None] - nodes(fine)[None], axis=2)
    assert distance.min(axis=1).max() < 1e-14


@pytest.mark.parametrize("kind", KINDS)
def test_refinement_is_nested_and_keeps_the_faces_matching(kind: str) -> None:
    """A larger space of fluctuations is softer, in every strain; periodic pairs still exist."""
    coarse = two_phases(kind, 1)
    kinematics = Kinematics(coarse.mesh.geometry.dim, "small")
    stiffness = [
        RVEMaterial(cell, PHASES, kinematics, degree=1).evaluate(kinematics.rest[None]).tangent[0]
        for cell in (coarse, refined(coarse))
    ]
    change = np.linalg.eigvalsh(stiffness[0] - stiffness[1])
    assert change[0] > -1e-10 and change[-1] > 1e-3


def test_void_and_lattice_are_kept() -> None:
    unit = mesh.create_unit_square(MPI.COMM_SELF, 4, 4, mesh.CellType.quadrilateral)
    shear = np.array([[1.0, 0.0], [0.3, 1.0]])
    points, cells = unit.geometry.x[:, :2] @ shear, geometry_dofmap(unit).astype(np.int64)
    hole = np.abs(unit.geometry.x[cells].mean(axis=1)[:, :2] - 0.5).max(axis=1) < 0.25
    phases = {"solid": np.flatnonzero(~hole), "air": np.flatnonzero(hole)}
    coarse = cell_from_arrays(
        "quadrilateral", points, cells, phases=phases, lattice=shear, void="air"
    )
    fine = refined(coarse)
    assert fine.void == "air" and fine.volume_fractions()["air"] == pytest.approx(0.25)
    np.testing.assert_allclose(fine.lattice, shear)
    law = {"solid": neo_hookean(shear_modulus=1.0, lame=1.0)}
    RVEMaterial(fine, law, Kinematics(2, "finite"), degree=1)


def test_a_void_that_eats_a_face_leaves_the_cell_where_it_was() -> None:
    """A strip in the upper half: no node is left at the lower corner of the cell."""
    unit = mesh.create_unit_square(MPI.COMM_SELF, 4, 4)
    points, cells = unit.geometry.x[:, :2], geometry_dofmap(unit).astype(np.int64)
    lower = points[cells].mean(axis=1)[:, 1] < 0.25
    phases = {"solid": np.flatnonzero(~lower), "air": np.flatnonzero(lower)}
    coarse = cell_from_arrays("triangle", points, cells, phases=phases, void="air")
    fine = refined(refined(coarse))
    np.testing.assert_allclose(fine.origin, [0, 0], atol=1e-14)
    assert fine.volume_fractions()["air"] == pytest.approx(0.25)


def test_tetrahedra_keep_their_shape_through_three_refinements() -> None:
    """The ratio of volume to the cube of the longest edge falls by at most 2, then no more."""
    cell, shapes = two_phases("tetrahedron", 1, size=1), []
    for _ in range(4):
        x = cell.mesh.geometry.x[geometry_dofmap(cell.mesh)]
        edges = np.stack([x[:, j] - x[:, i] for i in range(4) for j in range(i)], axis=1)
        longest = np.linalg.norm(edges, axis=2).max(axis=1)
        volume = np.abs(np.linalg.det(x[:, 1:] - x[:, :1])) / 6
        shapes.append((volume / longest**3).min())
        cell = refined(cell)
    assert min(shapes) > shapes[0] / 2
    assert shapes[-1] > 0.9 * shapes[-2]


@pytest.mark.parametrize("order", [1.0, 2.0, 3.5])
def test_error_of_a_power_law_is_found_from_three_and_bounded_from_two(order: float) -> None:
    exact, first = np.diag([3.0, 2.0]), np.array([[0.3, 0.1], [0.1, 0.2]])
    values = [exact + first * 2.0 ** (-order * k) for k in range(3)]
    truth = np.abs(values[-1] - exact)
    three = discretisation_error(values)
    assert three.observed and three.order == pytest.approx(order)
    np.testing.assert_allclose(three.componentwise, truth, rtol=1e-10)
    assert three.error == pytest.approx(np.linalg.norm(truth) / np.linalg.norm(values[-1]))
    two = discretisation_error(values[1:])
    assert not two.observed and two.error >= three.error * (1 - 1e-12)
    assert two.error == pytest.approx(three.error * (2**order - 1))


def test_one_mesh_or_no_change_say_so() -> None:
    assert discretisation_error([np.eye(2)]).error is None
    same = discretisation_error([np.eye(2)] * 3)
    assert same.error == 0.0 and not same.observed


def test_estimate_on_a_cell_with_corners_holds_the_true_error() -> None:
    """A square inclusion, whose corners cost order: true error by a mesh 8 times finer."""
    unit = mesh.create_unit_square(MPI.COMM_SELF, 4, 4)
    cells = geometry_dofmap(unit).astype(np.int64)
    inside = np.abs(unit.geometry.x[cells].mean(axis=1)[:, :2] - 0.5).max(axis=1) < 0.25
    phases = {"stiff": np.flatnonzero(inside), "soft": np.flatnonzero(~inside)}
    levels = [cell_from_arrays("triangle", unit.geometry.x[:, :2], cells, phases=phases)]
    for _ in range(5):
        levels.append(refined(levels[-1]))
    kinematics = Kinematics(2, "small")
    values = [
        RVEMaterial(cell, PHASES, kinematics, degree=1).evaluate(kinematics.rest[None]).tangent[0]
        for cell in levels
    ]
    exact = values[-1]

    def error(k: int) -> float:
        return float(np.linalg.norm(values[k] - exact) / np.linalg.norm(values[k]))

    for k in (1, 2):
        assert error(k) <= discretisation_error(values[k - 1 : k + 1]).error <= 4 * error(k)
    assert discretisation_error(values[:3]).error == pytest.approx(error(2), rel=0.5)
