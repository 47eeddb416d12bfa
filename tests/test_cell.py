"""Which meshes are cells: lattices, voids, and what is refused."""

import meshio
import numpy as np
import pytest
from dolfinx import mesh
from mpi4py import MPI

from fesurrogate import InputError, Kinematics
from fesurrogate.fem.compat import geometry_dofmap
from fesurrogate.micro import (
    Cell,
    RVEMaterial,
    cell_from_arrays,
    conductor,
    laminate_cell,
    linear_elastic,
    make_cell,
    read_cell,
)

SMALL = Kinematics(2, "small")
SOFT = linear_elastic(young=1.0, poisson=0.3)
STIFF = linear_elastic(young=10.0, poisson=0.2)


def unit_square(count: int = 6, cell: str = "quadrilateral") -> tuple[mesh.Mesh, np.ndarray]:
    unit = mesh.create_unit_square(MPI.COMM_SELF, count, count, getattr(mesh.CellType, cell))
    cells = np.arange(unit.topology.index_map(2).size_local, dtype=np.int32)
    return unit, mesh.compute_midpoints(unit, 2, cells)[:, :2]


def stiffness(cell: Cell, phases: dict, **options) -> np.ndarray:
    return RVEMaterial(cell, phases, SMALL, **options).evaluate(np.zeros((1, 3))).tangent[0]


def sheared_laminate(shear: float, layers: int = 4) -> Cell:
    """Layers normal to y on a parallelogram: another cell of the same laminate."""
    unit, middle = unit_square(2 * layers, "triangle")
    unit.geometry.x[:, 0] += shear * unit.geometry.x[:, 1]
    cells = np.arange(len(middle), dtype=np.int32)
    soft = middle[:, 1] < 0.5
    return make_cell(unit, {"soft": cells[soft], "stiff": cells[~soft]})


def test_any_cell_of_one_lattice_gives_one_answer() -> None:
    phases = {"soft": SOFT, "stiff": STIFF}
    expected = stiffness(sheared_laminate(0.0), phases)
    got = stiffness(sheared_laminate(0.7), phases)
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-10)


def test_lattice_vectors_are_found_on_turned_and_shifted_cells() -> None:
    unit, _ = unit_square(3)
    turn = np.array([[np.cos(0.4), -np.sin(0.4)], [np.sin(0.4), np.cos(0.4)]])
    shape = turn @ np.array([[2.0, 0.5], [0.0, 1.0]])
    unit.geometry.x[:, :2] = unit.geometry.x[:, :2] @ shape.T + [3.0, -1.0]
    cell = make_cell(unit, {"all": np.arange(9, dtype=np.int32)})
    np.testing.assert_allclose(cell.lattice, shape.T, atol=1e-12)
    np.testing.assert_allclose(cell.origin, [3.0, -1.0], atol=1e-12)
    assert cell.volume == pytest.approx(2.0)


def test_a_solid_parallelepiped_is_a_cell() -> None:
    unit = mesh.create_unit_cube(MPI.COMM_SELF, 2, 2, 2)
    shape = np.array([[1.0, 0.0, 0.0], [0.3, 1.1, 0.0], [-0.2, 0.1, 0.9]])
    unit.geometry.x[:] = unit.geometry.x @ shape
    cells = np.arange(unit.topology.index_map(3).size_local, dtype=np.int32)
    cell = make_cell(unit, {"all": cells})
    np.testing.assert_allclose(cell.lattice, shape, atol=1e-12)
    kinematics = Kinematics(3, "small")
    rve = RVEMaterial(cell, {"all": SOFT}, kinematics, degree=1)
    assert rve.evaluate(np.full((1, 6), 0.01)).ok.all()


def perforated(count: int = 8, *, tagged: bool) -> Cell:
    unit, middle = unit_square(count)
    cells = np.arange(len(middle), dtype=np.int32)
    hole = np.abs(middle - 0.5).max(axis=1) < 0.25
    if tagged:
        return make_cell(unit, {"plate": cells[~hole], "hole": cells[hole]}, void="hole")
    x, nodes = unit.geometry.x[:, :2], geometry_dofmap(unit)[cells[~hole]]
    everything = {"plate": np.arange(len(nodes))}
    return cell_from_arrays("quadrilateral", x, nodes, phases=everything, void="hole")


def test_voids_count_in_the_averages() -> None:
    cell = perforated(tagged=True)
    assert cell.volume_fractions() == pytest.approx({"plate": 0.75, "hole": 0.25})
    other = stiffness(perforated(tagged=False), {"plate": SOFT})
    np.testing.assert_allclose(stiffness(cell, {"plate": SOFT}), other, rtol=0, atol=1e-12)
    unit, middle = unit_square(8)
    cells = np.arange(len(middle), dtype=np.int32)
    hole = np.abs(middle - 0.5).max(axis=1) < 0.25
    filled = make_cell(unit, {"plate": cells[~hole], "hole": cells[hole]})
    errors = []
    for young in (1e-4, 1e-6):  # a void is the limit of a soft phase
        almost = stiffness(filled, {"plate": SOFT, "hole": linear_elastic(young=young, poisson=0)})
        errors.append(np.abs(almost - other).max())
    assert errors[0] < 1e-2 and errors[1] == pytest.approx(errors[0] / 100, rel=0.1)


def test_the_conductivity_of_a_perforated_plate() -> None:
    """Square holes: between the bounds of series-parallel circuits cut across and along."""
    rve = RVEMaterial(
        perforated(16, tagged=True),
        {"plate": conductor(conductivity=1.0)},
        Kinematics(2, "gradient"),
    )
    k = rve.evaluate(np.zeros((1, 2))).tangent[0]
    parallel_of_series = 0.5  # adiabatic cuts: strips beside the hole conduct, the rest does not
    series_of_parallel = 1 / (0.5 / 1.0 + 0.5 / 0.5)  # isothermal cuts
    assert parallel_of_series < k[0, 0] < series_of_parallel
    np.testing.assert_allclose(k, k[0, 0] * np.eye(2), atol=1e-10)


def test_phases_are_read_from_any_mesh_with_tags(tmp_path) -> None:
    cell = laminate_cell(2, {"soft": 0.5, "stiff": 0.5}, resolution=4)
    x, nodes = cell.mesh.geometry.x, geometry_dofmap(cell.mesh).copy()
    turned = np.linalg.det(np.diff(x[nodes][:, :, :2], axis=1)) < 0
    nodes[turned] = nodes[turned][:, [0, 2, 1]]
    tags = np.zeros(len(nodes), dtype=np.int32)
    tags[cell.phase_cells["soft"]], tags[cell.phase_cells["stiff"]] = 1, 2
    meshio.write(
        tmp_path / "cell.vtu",
        meshio.Mesh(x, [("triangle", nodes)], cell_data={"cell_tags": [tags]}),
    )
    read = read_cell(tmp_path / "cell.vtu")
    assert set(read.phase_cells) == {"1", "2"}
    expected = stiffness(cell, {"soft": SOFT, "stiff": STIFF})
    got = stiffness(read, {"1": SOFT, "2": STIFF})
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-10)


def test_what_is_no_cell_is_refused() -> None:
    unit, middle = unit_square(4)
    cells = np.arange(len(middle), dtype=np.int32)
    everything = {"all": cells}
    with pytest.raises(InputError, match="phase 'hole' is void, but the others fill"):
        make_cell(unit, everything, void="hole")
    with pytest.raises(InputError, match="nothing is left"):
        make_cell(unit, everything, void="all")
    with pytest.raises(InputError, match="span no volume"):
        make_cell(unit, everything, lattice=[[1, 1], [2, 2]])
    with pytest.raises(InputError, match="extends over 0.5, 1 lattice vectors"):
        make_cell(unit, everything, lattice=[[2, 0], [0, 1]])
    hollow = perforated(tagged=True)
    with pytest.raises(InputError, match="fills 0.75 of its lattice cell"):
        make_cell(hollow.mesh, hollow.phase_cells)
    layer = cells[middle[:, 1] < 0.5]
    upper = np.setdiff1d(cells, layer)
    strip = make_cell(unit, {"strip": layer, "gap": upper}, void="gap")
    with pytest.raises(InputError, match="extends over 1, 0.5 lattice vectors"):
        make_cell(strip.mesh, strip.phase_cells, lattice=np.eye(2), void="gap")
    with pytest.raises(InputError, match="cells belong to a phase, 1 to two"):
        make_cell(unit, {"one": cells, "two": cells[:1]})


def test_a_mesh_whose_phases_share_no_node_is_refused() -> None:
    unit, middle = unit_square(4)
    x, nodes = unit.geometry.x[:, :2], geometry_dofmap(unit).astype(np.int64)
    core = np.abs(middle - 0.5).max(axis=1) < 0.25
    apart = np.where(core[:, None], nodes + len(x), nodes)
    phases = {"core": np.flatnonzero(core), "rim": np.flatnonzero(~core)}
    with pytest.raises(InputError, match="falls apart: 1 part"):
        cell_from_arrays("quadrilateral", np.vstack([x, x]), apart, phases=phases)


def test_an_island_that_no_neighbour_holds_is_refused() -> None:
    unit, middle = unit_square(8)
    cells = np.arange(len(middle), dtype=np.int32)
    corner = np.abs(middle - 0.5).min(axis=1) > 0.2  # wraps around the corner of the cell
    phases = {"island": cells[corner], "sea": cells[~corner]}
    with pytest.raises(InputError, match="connected along 0 of 2 directions"):
        make_cell(unit, phases, void="sea")


def test_uniform_traction_is_refused_with_a_void() -> None:
    with pytest.raises(InputError, match="'traction' is not for a cell with a void"):
        RVEMaterial(perforated(tagged=True), {"plate": SOFT}, SMALL, boundary="traction")


def test_a_void_may_lie_at_one_face_and_body_at_the_opposite_one() -> None:
    """A hole that touches the left face alone is the hole in the middle, seen elsewhere."""
    unit, middle = unit_square(8)
    cells = np.arange(len(middle), dtype=np.int32)
    answers = []
    for centre in (0.5, 0.25):
        hole = np.abs(middle - [centre, 0.5]).max(axis=1) < 0.25
        cell = make_cell(unit, {"plate": cells[~hole], "hole": cells[hole]}, void="hole")
        answers.append(stiffness(cell, {"plate": SOFT}))
    np.testing.assert_allclose(answers[1], answers[0], rtol=0, atol=1e-10)


def test_faces_of_a_cell_with_a_void_must_match_where_they_meet() -> None:
    cell = perforated(8, tagged=True)
    x = cell.mesh.geometry.x
    x[np.isclose(x[:, 0], 1.0) & np.isclose(x[:, 1], 0.25), 1] += 0.02
    with pytest.raises(InputError, match="faces do not match"):
        RVEMaterial(cell, {"plate": SOFT}, SMALL)
