"""Meshes: areas and groups survive reading and distribution; bad files fail on every rank alike."""

from pathlib import Path

import meshio
import numpy as np
import pytest
import ufl
from dolfinx import fem
from mpi4py import MPI

from fesurrogate.errors import InputError
from fesurrogate.fem.mesh import TaggedMesh, box, cook_membrane, read_mesh, rectangle

pytestmark = pytest.mark.mpi
COMM = MPI.COMM_WORLD
CELL = Path(__file__).parents[1] / "meshes" / "fibre_rve.msh"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One folder, the same on every rank."""
    return COMM.bcast(tmp_path, root=0)


def save(path: Path, points: list, blocks: list, **data) -> Path:
    """Write a mesh file on rank 0; collective."""
    if COMM.rank == 0:
        meshio.write(path, meshio.Mesh(np.array(points, dtype=float), blocks, **data))
    COMM.barrier()
    return path


def measure(tagged: TaggedMesh, name: str) -> float:
    """Volume of a group of cells, or area of a group of facets, over all ranks."""
    dim, tag = tagged.names[name]
    cells = dim == tagged.mesh.topology.dim
    tags = tagged.cell_tags if cells else tagged.facet_tags
    d = ufl.Measure("dx" if cells else "ds", domain=tagged.mesh, subdomain_data=tags)
    one = fem.Constant(tagged.mesh, 1.0)
    return tagged.mesh.comm.allreduce(fem.assemble_scalar(fem.form(one * d(tag))))


def message(call) -> str:
    """Return the InputError's text, after seeing that all ranks got the same."""
    with pytest.raises(InputError) as caught:
        call()
    texts = COMM.allgather(str(caught.value))
    assert len(set(texts)) == 1
    return texts[0]


def test_cell_of_fibres_has_its_fraction_and_periodic_edges():
    """Area fractions add to one; every node on an edge has a partner opposite."""
    tagged = read_mesh(CELL, COMM)
    assert measure(tagged, "fibre") == pytest.approx(0.2, abs=1e-4)
    assert measure(tagged, "fibre") + measure(tagged, "matrix") == pytest.approx(1.0, abs=1e-12)
    owned = tagged.mesh.topology.index_map(2).size_local
    here = np.concatenate([tagged.cells("fibre"), tagged.cells("matrix")])
    assert sorted(here) == list(range(owned))
    assert np.array_equal(tagged.cells("2"), tagged.cells("fibre"))

    points = read_mesh(CELL, MPI.COMM_SELF).mesh.geometry.x
    for axis in (0, 1):
        low, high = (np.sort(points[np.isclose(points[:, axis], v), 1 - axis]) for v in (0, 1))
        assert len(low) > 10
        assert np.allclose(low, high, atol=1e-12, rtol=0)


def test_every_rank_can_have_the_whole_mesh():
    """On COMM_SELF each rank reads all cells."""
    tagged = read_mesh(str(CELL), MPI.COMM_SELF)
    assert len(tagged.cells("fibre")) + len(tagged.cells("matrix")) == 1024


@pytest.mark.parametrize("cell", ["triangle", "quad", "tetra", "hexahedron"])
@pytest.mark.parametrize("order", [1, 2])
def test_gmsh_elements_of_two_orders(folder, cell, order):
    """A quarter disk (2D) or a box (3D) from gmsh: volumes, boundary groups, straightness.

    The quadratic quarter disk misses pi/4 by O(h^4): below 1e-4 at h = 0.35, where the linear one
    is off by O(h^2). The boundary group is the arc, of length pi/2.
    """
    path = folder / f"{cell}{order}.msh"
    if COMM.rank == 0:
        gmsh = pytest.importorskip("gmsh")
        _make_with_gmsh(gmsh, path, cell, order)
    COMM.barrier()
    tagged = read_mesh(path, COMM)
    if cell in ("triangle", "quad"):
        tolerance = (3e-2, 1e-4)[order - 1]
        assert measure(tagged, "body") == pytest.approx(np.pi / 4, abs=tolerance)
        assert measure(tagged, "arc") == pytest.approx(np.pi / 2, abs=tolerance)
    else:
        assert measure(tagged, "body") == pytest.approx(2.0, abs=1e-12)
        assert measure(tagged, "end") == pytest.approx(1.0, abs=1e-12)
        # Interpolating x on the mesh's own nodes is exact only if node order is right.
        x = ufl.SpatialCoordinate(tagged.mesh)
        gradient = ufl.grad(x) - ufl.Identity(3)
        error = fem.assemble_scalar(fem.form(ufl.inner(gradient, gradient) * ufl.dx))
        assert COMM.allreduce(error) < 1e-20
    assert tagged.mesh.geometry.dim == tagged.mesh.topology.dim


def _make_with_gmsh(gmsh, path: Path, cell: str, order: int) -> None:
    gmsh.initialize()
    gmsh.option.setNumber("General.Verbosity", 0)
    gmsh.option.setNumber("Mesh.MeshSizeMax", 0.35)
    if cell in ("triangle", "quad"):
        disk = gmsh.model.occ.addDisk(0, 0, 0, 1, 1)
        square = gmsh.model.occ.addRectangle(0, 0, 0, 2, 2)
        gmsh.model.occ.intersect([(2, disk)], [(2, square)])
        gmsh.model.occ.synchronize()
        straight = [
            gmsh.model.getEntitiesInBoundingBox(-e, -e, -e, w + e, h + e, e, dim=1)
            for e, w, h in ((1e-6, 1, 0), (1e-6, 0, 1))
        ]
        arc = [t for _, t in set(gmsh.model.getEntities(1)) - set(sum(straight, []))]
        gmsh.model.addPhysicalGroup(1, arc, 7, "arc")
        gmsh.model.addPhysicalGroup(2, [t for _, t in gmsh.model.getEntities(2)], 3, "body")
        gmsh.option.setNumber("Mesh.RecombineAll", cell == "quad")
        gmsh.option.setNumber("Mesh.SubdivisionAlgorithm", cell == "quad")
        gmsh.model.mesh.generate(2)
    else:
        square = gmsh.model.occ.addRectangle(0, 0, 0, 1, 1)
        layers = {"numElements": [3], "recombine": True} if cell == "hexahedron" else {}
        gmsh.model.occ.extrude([(2, square)], 0, 0, 2, **layers)
        gmsh.model.occ.synchronize()
        if cell == "hexahedron":
            for _, tag in gmsh.model.getEntities(2):
                gmsh.model.mesh.setTransfiniteSurface(tag)
                gmsh.model.mesh.setRecombine(2, tag)
        end = gmsh.model.getEntitiesInBoundingBox(-1, -1, 1.9, 2, 2, 2.1, dim=2)
        gmsh.model.addPhysicalGroup(2, [tag for _, tag in end], 4, "end")
        gmsh.model.addPhysicalGroup(3, [t for _, t in gmsh.model.getEntities(3)], 5, "body")
        gmsh.model.mesh.generate(3)
    gmsh.model.mesh.setOrder(order)
    gmsh.write(str(path))
    gmsh.finalize()


def test_two_cells_on_more_ranks(folder):
    """A mesh with fewer cells than ranks, without groups and with unnamed ones."""
    square = [[0, 0], [1, 0], [1, 1], [0, 1]]
    cells = [("triangle", [[0, 1, 2], [0, 2, 3]])]
    tagged = read_mesh(save(folder / "plain.vtk", [[*p, 0] for p in square], cells), COMM)
    assert tagged.group_names(2) == ["domain"]
    assert COMM.allreduce(len(tagged.cells("domain"))) == 2
    assert measure(tagged, "domain") == pytest.approx(1.0)

    path = save(folder / "tags.vtk", [[*p, 0] for p in square], cells, cell_data={"a": [[4, 9]]})
    tagged = read_mesh(path, COMM)
    assert tagged.group_names(2) == ["4", "9"]
    assert measure(tagged, "9") == pytest.approx(0.5)


def test_sets_of_another_format(folder):
    """Abaqus element sets become groups; overlapping sets are refused."""
    points = [[0, 0], [1, 0], [1, 1], [0, 1], [2, 0], [2, 1]]
    cells = [("quad", [[0, 1, 2, 3], [1, 4, 5, 2]])]
    sets = {"SOFT": [np.array([0])], "STIFF": [np.array([1])]}
    tagged = read_mesh(save(folder / "a.inp", points, cells, cell_sets=sets), COMM)
    assert tagged.group_names(2) == ["SOFT", "STIFF"]
    assert measure(tagged, "STIFF") == pytest.approx(1.0)
    sets["ALL"] = [np.array([0, 1])]
    path = save(folder / "b.inp", points, cells, cell_sets=sets)
    assert "overlap" in message(lambda: read_mesh(path, COMM))


def test_bad_files_are_named_on_every_rank(folder):
    """Missing, unreadable, damaged, empty, mixed, inverted, crooked: one message each."""
    flat = [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [2, 0, 0]]
    text = folder / "notes.msh"
    if COMM.rank == 0:
        text.write_text("this is no mesh\n")
        (folder / "cut.msh").write_text(CELL.read_text()[:20_000])
        (folder / "mesh.unknown").write_text("?")
    COMM.barrier()
    bad_node = save(
        folder / "nan.vtk", [[0, 0, 0], [1, 0, 0], [0, np.nan, 0]], [("triangle", [[0, 1, 2]])]
    )
    if COMM.rank == 0:
        (folder / "gone.vtk").write_text(
            "# vtk DataFile Version 3.0\n\nASCII\nDATASET UNSTRUCTURED_GRID\nPOINTS 3 double\n"
            "0 0 0 1 0 0 0 1 0\nCELLS 1 4\n3 0 1 7\nCELL_TYPES 1\n5\n"
        )
    COMM.barrier()
    line = save(folder / "line.vtk", flat, [("line", [[0, 1]])])
    mixed = save(folder / "mixed.vtk", flat, [("triangle", [[1, 4, 2]]), ("quad", [[0, 1, 2, 3]])])
    wedge = save(folder / "wedge.vtk", [*flat, [0, 0, 1]], [("wedge", [[0, 1, 2, 3, 4, 5]])])
    inverted = save(folder / "inverted.vtk", flat, [("triangle", [[0, 1, 2], [1, 2, 4]])])
    twisted = save(folder / "twisted.vtk", flat, [("quad", [[0, 1, 3, 2]])])
    raised = save(
        folder / "raised.vtk", [[0, 0, 0], [1, 0, 0], [0, 1, 3]], [("triangle", [[0, 1, 2]])]
    )
    for path, expected in [
        (folder / "none.msh", "no mesh file"),
        (text, "cannot read mesh"),
        (folder / "cut.msh", "mesh"),
        (folder / "mesh.unknown", "cannot read mesh"),
        (folder / "gone.vtk", "number 7, counted from 0; there are 3"),
        (bad_node, "no finite number"),
        (line, "has no cells"),
        (mixed, "expected one type of cell"),
        (wedge, "expected one type of cell"),
        (inverted, "1 of 2 cells are inverted or flat, the first is cell 1 "),
        (twisted, "inverted or flat, the first is cell 0 "),
        (raised, "do not lie in z = 0"),
    ]:
        text_there = message(lambda path=path: read_mesh(path, COMM))
        assert expected in text_there
        assert path.name in text_there
    assert "gdim = 3" in message(lambda: read_mesh(CELL, COMM, gdim=3))


def test_unknown_group_lists_those_there_are():
    """A name, a facet name asked for as cells, a number that no cell has."""
    tagged = rectangle(COMM, cells=(2, 1))
    assert "'domain'" in message(lambda: tagged.cells("fibre"))
    assert "'domain'" in message(lambda: tagged.cells("left"))
    assert "'bottom', 'left', 'right', 'top'" in message(lambda: tagged.facets("7"))
    assert "none" in message(lambda: read_mesh(CELL, COMM).facets("left"))


@pytest.mark.parametrize("cell", ["quadrilateral", "triangle"])
def test_rectangle_sides(cell):
    """Lengths of the sides, and the place of each."""
    tagged = rectangle(COMM, lower=(1, 2), upper=(4, 4), cells=(3, 5), cell=cell)
    assert measure(tagged, "domain") == pytest.approx(6.0)
    for side, length, (axis, at) in [
        ("left", 2, (0, 1)),
        ("right", 2, (0, 4)),
        ("bottom", 3, (1, 2)),
        ("top", 3, (1, 4)),
    ]:
        assert measure(tagged, side) == pytest.approx(length)
        assert moment(tagged, side, axis) == pytest.approx(length * at)


@pytest.mark.parametrize("cell", ["hexahedron", "tetrahedron"])
def test_box_sides(cell):
    """Areas of the sides, and the place of each."""
    tagged = box(COMM, upper=(1, 2, 3), cells=(2, 1, 2), cell=cell)
    assert measure(tagged, "domain") == pytest.approx(6.0)
    for side, area, (axis, at) in [
        ("left", 6, (0, 0)),
        ("right", 6, (0, 1)),
        ("front", 3, (1, 0)),
        ("back", 3, (1, 2)),
        ("bottom", 2, (2, 0)),
        ("top", 2, (2, 3)),
    ]:
        assert measure(tagged, side) == pytest.approx(area)
        assert moment(tagged, side, axis) == pytest.approx(area * at, abs=1e-12)


def moment(tagged: TaggedMesh, side: str, axis: int) -> float:
    """Integral of a coordinate over a side."""
    ds = ufl.Measure("ds", domain=tagged.mesh, subdomain_data=tagged.facet_tags)
    x = ufl.SpatialCoordinate(tagged.mesh)
    return COMM.allreduce(fem.assemble_scalar(fem.form(x[axis] * ds(tagged.names[side][1]))))


def test_cook_membrane_is_cooks():
    """Area of the trapezoid, lengths of its four sides."""
    tagged = cook_membrane(COMM, cells=(6, 4))
    assert measure(tagged, "domain") == pytest.approx(48 * (44 + 16) / 2)
    lengths = {"left": 44, "right": 16, "bottom": np.hypot(48, 44), "top": np.hypot(48, 16)}
    for side, length in lengths.items():
        assert measure(tagged, side) == pytest.approx(length)
    assert moment(tagged, "right", 0) == pytest.approx(48 * 16)


def test_generators_check_their_arguments():
    """Wrong numbers of cells, empty boxes, foreign cells."""
    for arguments, expected in [
        ({"cells": (0, 2)}, "cells = [0, 2]"),
        ({"cells": (1, 2, 3)}, "expected 2 numbers"),
        ({"cells": (1, 1), "lower": (0, 2)}, "lower below upper"),
        ({"cells": (1, 1), "cell": "hexagon"}, "quadrilateral, triangle"),
    ]:
        assert expected in message(lambda arguments=arguments: rectangle(COMM, **arguments))
