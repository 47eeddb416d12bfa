"""Output: what is written is what was computed, on any number of ranks; failures reach all."""

import json
from pathlib import Path
from xml.etree import ElementTree

import basix.ufl
import matplotlib.image
import meshio
import numpy as np
import pytest
import ufl
from dolfinx import fem
from dolfinx.mesh import GhostMode, create_unit_square
from mpi4py import MPI

from fesurrogate.errors import InputError
from fesurrogate.fem import pictures
from fesurrogate.fem.cell_pictures import plot_phases
from fesurrogate.fem.curves import plot_load_displacement
from fesurrogate.fem.mesh import box, cook_membrane, read_mesh, rectangle
from fesurrogate.fem.output import FieldWriter, write_json
from fesurrogate.fem.plane import gather_plane
from fesurrogate.fem.values import cell_average, nodal_values
from fesurrogate.micro import read_cell

pytestmark = pytest.mark.mpi
COMM = MPI.COMM_WORLD
CELL = Path(__file__).parents[1] / "meshes" / "fibre_rve.msh"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One folder, the same on every rank."""
    return COMM.bcast(tmp_path, root=0)


def field(mesh, degree: int, rule) -> fem.Function:
    """A vector Function from a rule of position."""
    u = fem.Function(fem.functionspace(mesh, ("Lagrange", degree, (mesh.geometry.dim,))))
    u.interpolate(rule)
    return u


def midpoints(mesh) -> np.ndarray:
    """Midpoints of the owned cells, by averaging the coordinates."""
    dx = ufl.dx(domain=mesh)
    x = ufl.SpatialCoordinate(mesh)
    return np.stack([cell_average(mesh, [(x[k], dx)])() for k in range(mesh.geometry.dim)], axis=1)


@pytest.mark.parametrize("kind", ["triangle", "quadrilateral", "tetrahedron", "hexahedron"])
@pytest.mark.parametrize("degree", [1, 2])
def test_increments_read_back(folder, kind, degree):
    """Displacement and cell fields agree with the rules that made them, at every node and cell.

    The rule is linear, so that the interpolation to the nodes of the mesh is exact for both
    degrees.
    """
    import h5py

    make = rectangle if kind in ("triangle", "quadrilateral") else box
    d = 2 if make is rectangle else 3
    mesh = make(COMM, cells=(3, 2, 2)[:d], cell=kind).mesh
    weights = np.arange(1.0, d + 1)
    path = folder / "deep" / f"{kind}{degree}.xdmf"
    writer = FieldWriter(path, mesh)
    middle = midpoints(mesh)
    for step in (1, 2):
        u = field(mesh, degree, lambda x, s=step: s * x[:d] + weights[:, None])
        tensor = middle[:, :, None] * weights
        writer.write(
            0.5 * step,
            nodes={"displacement": u},
            cells={"height": step * middle[:, 1], "middle": middle, "tensor": tensor},
        )
    COMM.barrier()
    with h5py.File(path.with_suffix(".h5")) as file:
        points, cells = file["mesh/points"][:], file["mesh/cells"][:]
        assert len(points) == mesh.geometry.index_map().size_global
        for step in (1, 2):
            group = file[f"increments/{step - 1:06d}"]
            expected = np.zeros_like(points)
            expected[:, :d] = step * points[:, :d] + weights
            assert np.allclose(group["node/displacement"][:], expected, atol=1e-13)
            centre = points[cells].mean(axis=1)
            assert np.allclose(group["cell/height"][:], step * centre[:, 1], atol=1e-13)
            assert np.allclose(group["cell/middle"][:], centre, atol=1e-13)
            full = group["cell/tensor"][:].reshape(-1, 3, 3)
            expected = np.zeros_like(full)
            expected[:, :d, :d] = centre[:, :d, None] * weights
            assert np.allclose(full, expected, atol=1e-13)


def test_another_reader_understands_the_file(folder):
    """Another reader finds the increments, their times, and a mesh of the right volume."""
    tagged = cook_membrane(COMM, cells=(4, 3))
    writer = FieldWriter(folder / "cook.xdmf", tagged.mesh)
    u = field(tagged.mesh, 1, lambda x: 0.1 * x[:2])
    owned = len(tagged.cells("domain"))
    for time in (0.25, 1.0):
        writer.write(time, nodes={"displacement": u}, cells={"rank": np.full(owned, COMM.rank)})
    COMM.barrier()
    tree = ElementTree.parse(folder / "cook.xdmf")
    grids = tree.findall("./Domain/Grid[@CollectionType='Temporal']/Grid")
    assert [float(grid.find("Time").get("Value")) for grid in grids] == [0.25, 1.0]
    if COMM.rank == 0:  # meshio reads one grid, not a collection
        grids[1].remove(grids[1].find("Time"))
        tree.getroot().find("Domain")[:] = [grids[1]]
        tree.write(folder / "last.xdmf")
        result = meshio.read(folder / "last.xdmf")
        quads = result.points[result.cells_dict["quad"]]
        x, y = quads[..., 0], quads[..., 1]
        area = 0.5 * (x * np.roll(y, -1, 1) - y * np.roll(x, -1, 1)).sum(axis=1)
        assert np.all(np.abs(area) > 0)
        assert np.abs(area).sum() == pytest.approx(1440.0)
        assert np.allclose(result.point_data["displacement"], 0.1 * result.points)
        assert set(np.unique(result.cell_data["rank"][0])) <= set(range(COMM.size))


def test_quadratic_mesh_is_written_with_its_curves(folder):
    """A displaced quadratic triangle keeps its mid-side nodes."""
    import h5py

    path = folder / "six.vtk"
    if COMM.rank == 0:
        points = [[0, 0], [1, 0], [0, 1], [0.5, 0.1], [0.5, 0.5], [0, 0.5]]
        meshio.write_points_cells(
            path, np.pad(np.array(points), ((0, 0), (0, 1))), [("triangle6", [[0, 1, 2, 3, 4, 5]])]
        )
    COMM.barrier()
    mesh = read_mesh(path, COMM).mesh
    writer = FieldWriter(folder / "six.xdmf", mesh)
    writer.write(1.0, nodes={"u": field(mesh, 2, lambda x: np.stack([x[1], x[0]]))})
    COMM.barrier()
    with h5py.File(folder / "six.h5") as file:
        cell = file["mesh/points"][:][file["mesh/cells"][:][0]]
        moved = file["increments/000000/node/u"][:][file["mesh/cells"][:][0]]
    # Side k lies between corners k and k + 1; only the side on y = 0 is curved, by 0.1.
    bulge = np.linalg.norm(cell[3:] - 0.5 * (cell[:3] + np.roll(cell[:3], -1, 0)), axis=1)
    assert np.allclose(np.sort(bulge), [0, 0, 0.1])
    assert np.allclose(moved[:, :2], cell[:, [1, 0]])


def test_interrupted_increment_leaves_the_complete_ones(folder, monkeypatch):
    """A failure on rank 0 is an OSError on every rank; the next increment can be written."""
    import h5py

    tagged = rectangle(COMM, cells=(2, 2))
    writer = FieldWriter(folder / "out.xdmf", tagged.mesh)
    values = np.ones(len(tagged.cells("domain")))
    writer.write(1.0, cells={"a": values})
    before = (folder / "out.xdmf").read_text()
    with monkeypatch.context() as patch:
        patch.setattr("os.replace", _full_disk)
        with pytest.raises(OSError, match="No space left"):
            writer.write(2.0, cells={"a": 2 * values})
    assert (folder / "out.xdmf").read_text() == before
    writer.write(3.0, cells={"a": 3 * values})
    COMM.barrier()
    with h5py.File(folder / "out.h5") as file:
        assert sorted(file["increments"]) == ["000000", "000001"]
        assert np.all(file["increments/000001/cell/a"][:] == 3)
    assert sorted(p.name for p in folder.iterdir()) == ["out.h5", "out.xdmf"]


def _full_disk(*_):
    raise OSError(28, "No space left on device")


def test_wrong_fields_are_refused(folder):
    """Rows that do not match, components that mean nothing, Functions that vary in a cell."""
    tagged = rectangle(COMM, cells=(6, 5))
    owned = len(tagged.cells("domain"))
    with pytest.raises(InputError, match="xdmf"):
        FieldWriter(folder / "a.vtu", tagged.mesh)
    writer = FieldWriter(folder / "a.xdmf", tagged.mesh)
    for value, expected in [
        (np.zeros(owned + 1), "one row for each"),
        (np.zeros((owned, 6)), "6 components"),
        (field(tagged.mesh, 1, lambda x: x[:2]), "piecewise"),
    ]:
        with pytest.raises(InputError, match=expected):
            writer.write(0.0, cells={"stress": value})


def test_cell_average_is_exact_on_quadrature_functions_and_regions():
    """Average of a quadrature Function is the weighted mean; zero outside the region."""
    tagged = read_mesh(CELL, COMM)
    mesh = tagged.mesh
    element = basix.ufl.quadrature_element(mesh.basix_cell(), degree=2)
    stress = fem.Function(fem.functionspace(mesh, element))
    rng = np.random.default_rng(COMM.rank)
    stress.x.array[:] = rng.random(len(stress.x.array))
    fibre = tagged.cells("fibre")
    dx = ufl.Measure(
        "dx",
        domain=mesh,
        subdomain_data=[(1, fibre)],
        subdomain_id=1,
        metadata={"quadrature_degree": 2, "quadrature_scheme": "default"},
    )
    average = cell_average(mesh, [(stress, dx)])()
    points = stress.x.array[stress.function_space.dofmap.list]  # equal weights: 3 points
    assert np.allclose(average[fibre], points[fibre].mean(axis=1), rtol=1e-12)
    assert np.all(average[tagged.cells("matrix")] == 0)


@pytest.mark.parametrize("mode", [GhostMode.none, GhostMode.shared_facet])
def test_nodal_values_with_ghost_cells(mode):
    """All local nodes get their value, with ghosts and without."""
    mesh = create_unit_square(COMM, 5, 4, ghost_mode=mode)
    u = field(mesh, 2, lambda x: np.stack([x[0] + 2 * x[1], 3 - x[0]]))
    x = mesh.geometry.x
    expected = np.stack([x[:, 0] + 2 * x[:, 1], 3 - x[:, 0]], axis=1)
    assert np.allclose(nodal_values(mesh, u), expected, atol=1e-13)


def test_json_is_whole_and_plain(folder):
    """NumPy becomes plain, what is not finite becomes null; a failure leaves the old file."""
    path = folder / "new" / "results.json"
    content = {"a": np.float64(1.5), "b": np.arange(3), "c": float("nan"), 4: (True, "é", None)}
    write_json(path, content, COMM)
    COMM.barrier()
    expected = {"a": 1.5, "b": [0, 1, 2], "c": None, "4": [True, "é", None]}
    assert json.loads(path.read_text(encoding="utf-8")) == expected
    with pytest.raises(OSError, match="director"):
        write_json(path / "below" / "a.json", {}, COMM)
    assert [p.name for p in path.parent.iterdir()] == ["results.json"]


def test_gathered_cells_do_not_depend_on_the_ranks():
    """Polygons and values on COMM_WORLD equal those of one rank; the outline has its length."""
    whole = cook_membrane(MPI.COMM_SELF, cells=(5, 4)).mesh
    spread = cook_membrane(COMM, cells=(5, 4)).mesh
    gathered = []
    for mesh in (whole, spread):
        u = field(mesh, 2, lambda x: np.stack([0.01 * x[1], 0.02 * x[0]]))
        gathered.append(gather_plane(mesh, midpoints(mesh)[:, 1], displacement=u, scale=2.0))
    assert (gathered[1] is None) == (COMM.rank != 0)
    if COMM.rank == 0:
        assert np.allclose(gathered[0].polygons, gathered[1].polygons, atol=1e-12)
        assert np.allclose(gathered[0].values, gathered[1].values, atol=1e-12)
        lengths = np.linalg.norm(np.diff(gathered[1].outline, axis=1), axis=-1)
        expected = 44 + 16 + np.hypot(48, 44) + np.hypot(48, 16)
        assert lengths.sum() == pytest.approx(expected)
        corners = gathered[1].polygons.reshape(-1, 2)
        moved = np.array([48, 60]) + 2.0 * np.array([0.01 * 60, 0.02 * 48])
        assert np.isclose(np.linalg.norm(corners - moved, axis=1).min(), 0, atol=1e-12)


def test_pictures_are_drawn(folder):
    """Each picture shows something; the colours of the phases fill their area fractions."""
    if COMM.rank == 0:
        cell = read_cell(CELL)
        shares = cell.volume_fractions()
        plot_phases(folder / "cell.png", cell.mesh, cell.phase_cells, fractions=shares)
    tagged = cook_membrane(COMM, cells=(5, 4))
    mesh = tagged.mesh
    u = field(mesh, 2, lambda x: np.stack([0 * x[0], 0.003 * x[0] ** 2]))
    values = midpoints(mesh)[:, 0]
    pictures.plot_deformed(folder / "one.png", mesh, values, displacement=u, label="stress [MPa]")
    twin = cook_membrane(COMM, cells=(5, 4)).mesh  # as of another run of the same problem
    bent = field(twin, 2, lambda x: np.stack([0 * x[0], 0.003 * x[0] ** 2]))
    panels = [
        pictures.Panel("direct", mesh, u, values),
        pictures.Panel("network", twin, bent, 1.01 * midpoints(twin)[:, 0]),
    ]
    pictures.plot_comparison(folder / "two.png", panels, difference="difference")
    curves = {"direct": ([0, 1, 2], [0, 2, 3]), "network": ([0, 1, 2], [0, 2, 3])}
    plot_load_displacement(folder / "new" / "curve.png", curves, COMM)
    COMM.barrier()
    for name in ("cell.png", "one.png", "two.png", "new/curve.png"):
        image = matplotlib.image.imread(folder / name)
        assert min(image.shape[:2]) > 500
        assert np.ptp(image[..., :3]) > 0.5
    image = matplotlib.image.imread(folder / "cell.png")[..., :3]
    count = [
        np.sum(np.all(np.abs(image - np.array(colour) / 255) < 0.02, axis=2))
        for colour in ((0x2F, 0x5D, 0x8A), (0xD8, 0xDE, 0xE6))
    ]
    assert count[0] / sum(count) == pytest.approx(0.2, abs=0.02)


def test_what_cannot_be_drawn_is_refused(folder):
    """Solids, wrong numbers of values, no panels; a file that cannot be written."""
    solid = box(COMM, cells=(1, 1, 1)).mesh
    with pytest.raises(InputError, match="ParaView"):
        gather_plane(solid)
    mesh = rectangle(COMM, cells=(6, 5)).mesh
    with pytest.raises(InputError, match="no panels"):
        pictures.plot_comparison(folder / "a.png", [])
    other = rectangle(COMM, cells=(6, 6)).mesh
    panels = [pictures.Panel("", m, None, midpoints(m)[:, 0]) for m in (mesh, other)]
    with pytest.raises(InputError, match=r"\[30, 36\] cells"):
        pictures.plot_comparison(folder / "a.png", panels)
    with pytest.raises(InputError, match="one row for each"):
        pictures.plot_deformed(folder / "a.png", mesh, np.zeros(99))
    if COMM.rank == 0:
        (folder / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        plot_load_displacement(folder / "file" / "a.png", {}, COMM)
