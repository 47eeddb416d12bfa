"""``[material.rve.cell]``: every kind of cell from a TOML, and what is refused."""

import re
from pathlib import Path

import numpy as np
import pytest
from mpi4py import MPI

from fesurrogate import InputError
from fesurrogate.build import load_material
from fesurrogate.config import read_config

pytest.importorskip("gmsh")

ELASTIC = 'kind = "linear_elastic"\nyoung = {}\npoisson = 0.3\n'


def write_toml(folder: Path, cell: str, phases: str, *, gdim: int = 2, rve: str = "") -> Path:
    """Write a TOML with a cell; ``phases`` such as "matrix=1 pore=void"."""
    text = (
        f'[kinematics]\ngdim = {gdim}\n[material]\nkind = "rve"\n[material.rve]\ndegree = 2\n{rve}'
    )
    text += f"[material.rve.cell]\n{cell}\n" if cell else ""
    for phase in phases.split():
        name, _, law = phase.partition("=")
        table = 'kind = "void"\n' if law == "void" else ELASTIC.format(law)
        text += f"[material.rve.phases.{name}]\n{table}"
    path = folder / "cell.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("cell", "phases", "gdim", "fractions"),
    [
        ('kind = "laminate"\nfractions = {a = 0.3, b = 0.7}\nresolution = 2', "a=1 b=2", 3,
         {"a": 0.3}),
        ('kind = "square"\nvolume_fraction = 0.4\nresolution = 4\ngeometry_degree = 2',
         "matrix=1 fibre=2", 2, {"fibre": 0.4}),
        ('kind = "hexagonal"\nvolume_fraction = 0.4\ncell = "rhombus"\nresolution = 4',
         "matrix=1 fibre=2", 3, {"fibre": 0.4}),  # a prism
        ('kind = "random_fibres"\nvolume_fraction = 0.4\ncount = 2\nseed = 1\ngap = 0.2\n'
         "resolution = 8",
         "matrix=1 fibre=2", 2, {"fibre": 0.4}),
        ('kind = "random_spheres"\nvolume_fraction = 0.2\ncount = 2\nseed = 1\nresolution = 5',
         "matrix=1 inclusion=2", 3, {"inclusion": 0.2}),
        ('kind = "hole"\nvolume_fraction = 0.2\nresolution = 4', "matrix=1", 2, {"void": 0.2}),
        ('kind = "hole"\nvolume_fraction = 0.2\nresolution = 4\ngdim = 2', "matrix=1 void=void", 3,
         {"void": 0.2}),
        ('kind = "lattice"\nvolume_fraction = 0.2\nresolution = 3', "matrix=1 void=void", 3,
         {"matrix": 0.2}),
        ('kind = "image"\nfile = "a.npy"\nlabels = {a = [0, 2], b = 1}\nspacing = 0.5',
         "a=1 b=3", 2, {"b": 1 / 9}),
        ('kind = "image"\nfile = "a.npy"\nlabels = {a = [0, 2], b = 1}', "a=1 b=void", 2,
         {"b": 1 / 9}),
    ],
)  # fmt: skip
def test_every_kind_of_cell_from_a_toml(
    tmp_path: Path, cell: str, phases: str, gdim: int, fractions: dict[str, float]
) -> None:
    np.save(tmp_path / "a.npy", np.array([[0, 0, 0], [0, 1, 0], [0, 0, 2]]))
    rve = load_material(write_toml(tmp_path, cell, phases, gdim=gdim))
    found = rve.cell.volume_fractions()
    assert {name: found[name] for name in fractions} == pytest.approx(fractions, abs=1e-9)
    assert rve.evaluate(np.zeros((1, rve.kinematics.size))).ok.all()


def test_a_mesh_may_have_a_void_and_a_lattice(tmp_path: Path) -> None:
    import meshio

    points = np.array([[x, y, 0.0] for y in range(4) for x in range(4)]) / 3
    quads = [
        [i + 4 * j, i + 1 + 4 * j, i + 5 + 4 * j, i + 4 + 4 * j] for j in range(3) for i in range(3)
    ]
    tags = np.array([1, 1, 1, 1, 2, 1, 1, 1, 1])
    meshio.Mesh(
        points,
        [("quad", np.array(quads))],
        cell_data={"gmsh:physical": [tags], "gmsh:geometrical": [tags]},
        field_data={"plate": np.array([1, 2]), "pore": np.array([2, 2])},
    ).write(tmp_path / "a.msh", file_format="gmsh22", binary=False)
    rve = 'mesh = "a.msh"\nlattice = [[1.0, 0.0], [0.0, 1.0]]\n'
    cell = load_material(write_toml(tmp_path, "", "plate=1 pore=void", rve=rve)).cell
    assert cell.volume_fractions() == pytest.approx({"plate": 8 / 9, "pore": 1 / 9})
    bad = write_toml(tmp_path, "", "plate=1 pore=void", rve=rve.replace("0.0, 1.0", "1.0, 0.0"))
    with pytest.raises(InputError, match="span no volume"):
        load_material(bad)


SQUARE = 'kind = "square"\nvolume_fraction = 0.5'


@pytest.mark.parametrize(
    ("cell", "phases", "rve", "message"),
    [
        ("", "a=1", "", "give either mesh, a file, or the table cell"),
        (SQUARE, "matrix=1 fibre=2", 'mesh = "a.msh"\n', "give either mesh, a file, or"),
        (SQUARE, "matrix=1 fibre=2", "lattice = [[1, 0], [0, 1]]\n", "lattice: only for a mesh"),
        (SQUARE + "\ncount = 3", "matrix=1 fibre=2", "", "kind 'square' needs volume_fraction, and "
         "takes resolution, geometry_degree; given: count, volume_fraction"),
        ('kind = "hole"', "matrix=1", "", "kind 'hole' needs volume_fraction"),
        (SQUARE.replace("0.5", "1.5"), "matrix=1 fibre=2", "", "volume_fraction is 1.5"),
        (SQUARE + "\nresolution = 1", "matrix=1 fibre=2", "", "resolution is 1; expected a whole"),
        (SQUARE + "\ngeometry_degree = 3", "matrix=1 fibre=2", "", "cell.geometry_degree is 3"),
        (SQUARE, "matrix=1 fiber=2", "", "phases are fiber, matrix, but a cell of kind 'square' "
         "has matrix, fibre"),
        (SQUARE, "matrix=1 fibre=void", "", "phase 'fibre' is of kind 'void', but a cell of kind"),
        (SQUARE, "matrix=void fibre=void", "", "phases matrix and fibre are of kind 'void'"),
        ('kind = "hole"\nvolume_fraction = 0.2', "matrix=1 void=1", "", "phase 'void' of a cell of "
         "kind 'hole' has a law"),
        ('kind = "laminate"\nfractions = {a = 0.3, b = 0.6}', "a=1 b=1", "", "of sum 1"),
        ('kind = "image"\nfile = "a.npy"\nlabels = {a = 0}', "a=1", "", "at least two phases"),
        (SQUARE.replace("square", "sqare"), "matrix=1", "", 'cell.kind is "sqare": expected'),
    ],
)  # fmt: skip
def test_a_toml_is_refused_when_it_is_read(
    tmp_path: Path, cell: str, phases: str, rve: str, message: str
) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        read_config(write_toml(tmp_path, cell, phases, rve=rve))


def test_what_only_its_maker_knows_is_refused_with_its_place(tmp_path: Path) -> None:
    toml = write_toml(tmp_path, SQUARE.replace("0.5", "0.9"), "matrix=1 fibre=2")
    with pytest.raises(InputError, match="^material.rve.cell: volume_fraction is 0.9"):
        load_material(toml)


@pytest.mark.mpi
def test_every_rank_makes_the_same_cell(tmp_path: Path) -> None:
    comm = MPI.COMM_WORLD
    cell = 'kind = "random_fibres"\nvolume_fraction = 0.5\ncount = 6\nseed = 1\nresolution = 12'
    toml = write_toml(tmp_path, cell, "matrix=1 fibre=2") if comm.rank == 0 else None
    material = load_material(comm.bcast(toml), comm)
    assert len(set(comm.allgather(material.fingerprint))) == 1
    assert len(set(comm.allgather(material.cell.fingerprint))) == 1
