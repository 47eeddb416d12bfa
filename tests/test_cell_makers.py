"""Cells that gmsh or a grid makes: exact fractions, matching faces, known effective constants."""

import signal
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fesurrogate import InputError, Kinematics
from fesurrogate.errors import MissingPackageError
from fesurrogate.fem.compat import geometry_dofmap
from fesurrogate.laws import isotropic_stiffness
from fesurrogate.micro import (
    Cell,
    RVEMaterial,
    conductor,
    hexagonal_packing,
    hole,
    linear_elastic,
    random_fibres,
    random_spheres,
    read_cell,
    square_packing,
    strut_lattice,
)
from fesurrogate.micro.cells.gmsh_mesh import gmsh_session

gmsh = pytest.importorskip("gmsh")

MAKERS: dict[str, tuple[Callable[..., Cell], float, str]] = {
    "square": (lambda **k: square_packing(0.5, resolution=5, **k), 0.5, "fibre"),
    "rectangle": (lambda **k: hexagonal_packing(0.8, resolution=8, **k), 0.8, "fibre"),
    "rhombus": (
        lambda **k: hexagonal_packing(0.6, cell="rhombus", resolution=5, **k),
        0.6,
        "fibre",
    ),
    "fibres": (lambda **k: random_fibres(0.6, 12, 5, resolution=20, **k), 0.6, "fibre"),
    "spheres": (lambda **k: random_spheres(0.3, 3, 5, resolution=7, **k), 0.3, "inclusion"),
    "hole": (lambda **k: hole(0.4, resolution=5, **k), 0.4, "void"),
    "pore": (lambda **k: hole(0.3, gdim=3, resolution=4, **k), 0.3, "void"),
}


def stiffness(cell: Cell, *, degree: int = 1, **young: float) -> np.ndarray:
    phases = {name: linear_elastic(young=E, poisson=0.3) for name, E in young.items()}
    kinematics = Kinematics(cell.mesh.geometry.dim, "small")
    rve = RVEMaterial(cell, phases, kinematics, degree=degree)
    response = rve.evaluate(np.zeros((1, kinematics.size)))
    assert response.ok.all()
    return response.tangent[0]


@pytest.mark.parametrize("degree", [1, 2])
@pytest.mark.parametrize("name", MAKERS)
def test_fractions_are_exact_and_faces_match(name: str, degree: int) -> None:
    """RVEMaterial refuses faces that do not match."""
    make, fraction, phase = MAKERS[name]
    cell = make(degree=degree)
    assert cell.volume_fractions() == pytest.approx(
        {"matrix": 1 - fraction, phase: fraction}, abs=1e-9
    )
    d = cell.mesh.geometry.dim
    nodes = d + 1 if degree == 1 else (d + 1) * (d + 2) // 2
    assert geometry_dofmap(cell.mesh).shape[1] == nodes
    young = {"matrix": 1.0} if phase == "void" else {"matrix": 1.0, phase: 10.0}
    eigenvalues = np.linalg.eigvalsh(stiffness(cell, degree=degree, **young))
    voigt = sum(cell.volume_fractions()[p] * E for p, E in young.items())
    assert eigenvalues[0] > 0
    assert eigenvalues[-1] < voigt * 1.0 / (1 - 2 * 0.3)  # 3K of the phases; in the plane less


def test_equal_arguments_give_equal_cells() -> None:
    make = MAKERS["fibres"][0]
    first = make().fingerprint
    assert make().fingerprint == first
    assert random_fibres(0.6, 12, 6, resolution=20).fingerprint != first


def conductivity(cell: Cell, **values: float) -> np.ndarray:
    phases = {name: conductor(conductivity=value) for name, value in values.items()}
    rve = RVEMaterial(cell, phases, Kinematics(2, "gradient"), degree=2)
    return rve.evaluate(np.zeros((1, 2))).tangent[0]


def perrins(cell: str, f: float, ratio: float) -> float:
    """Return the conductivity of arrays of cylinders, of matrix 1, to about f¹²: 1e-6 here.

    Perrins, McKenzie and McPhedran (1979), Proc. R. Soc. Lond. A 369, 207-225.
    """
    T = (1 + ratio) / (1 - ratio)
    if cell == "square":
        tail = 0.305827 * f**4 * T / (T**2 - 1.402958 * f**8) + 0.013362 * f**8 / T
    else:
        tail = 0.075422 * f**6 * T / (T**2 - 1.060283 * f**12) + 0.000076 * f**12 / T
    return 1 - 2 * f / (T + f - tail)


@pytest.mark.parametrize(
    ("make", "arrangement", "ratio"),
    [
        (lambda **k: square_packing(0.3, **k), "square", 50.0),
        (lambda **k: hole(0.3, **k), "square", 0.0),
        (lambda **k: hexagonal_packing(0.6, **k), "hexagonal", 50.0),
        (lambda **k: hexagonal_packing(0.6, cell="rhombus", **k), "hexagonal", 50.0),
    ],
)
def test_arrays_conduct_as_in_the_series_of_rayleigh(
    make: Callable[..., Cell], arrangement: str, ratio: float
) -> None:
    """With quadratic elements: order 2 or more on straight edges, nearly 4 on curved ones."""
    values = {"matrix": 1.0} | ({"fibre": ratio} if ratio else {})
    fraction = 0.6 if arrangement == "hexagonal" else 0.3
    expected = perrins(arrangement, fraction, ratio)
    errors = {}
    for degree in (1, 2):
        for resolution in (8, 16):
            K = conductivity(make(resolution=resolution, degree=degree), **values)
            errors[degree, resolution] = np.abs(K / expected - np.eye(2)).max()
    assert errors[1, 16] < errors[1, 8] / 4 < 1e-3
    assert errors[2, 16] < errors[2, 8] / 8 < 1e-4


@pytest.mark.parametrize("shape", ["rectangle", "rhombus"])
def test_hexagonal_packing_is_isotropic_in_its_plane(shape: str) -> None:
    """C11 = C22 and C11 - C12 = 2 C66 (C66 in Mandel's components), better with finer meshes."""
    departure = {}
    for resolution in (6, 12):
        cell = hexagonal_packing(0.6, cell=shape, resolution=resolution)
        C = stiffness(cell, degree=2, matrix=1.0, fibre=20.0)
        gaps = [C[0, 0] - C[1, 1], C[0, 0] - C[0, 1] - C[2, 2], C[0, 2], C[1, 2]]
        departure[resolution] = np.abs(gaps).max() / C[0, 0]
    assert departure[12] < departure[6] / 3
    assert departure[12] < 1e-3


def test_rectangle_and_rhombus_are_cells_of_one_medium() -> None:
    """They agree as well as one agrees with itself on a coarser mesh."""
    shapes = ("rectangle", "rhombus")
    fine, other = (
        stiffness(hexagonal_packing(0.6, cell=s, resolution=12), degree=2, matrix=1.0, fibre=20.0)
        for s in shapes
    )
    coarse = stiffness(hexagonal_packing(0.6, resolution=6), degree=2, matrix=1.0, fibre=20.0)
    assert np.abs(fine - other).max() < np.abs(fine - coarse).max() < 0.02 * fine[0, 0]


def test_square_packing_has_the_symmetry_of_the_square_and_no_more() -> None:
    C = stiffness(square_packing(0.6, resolution=12), degree=2, matrix=1.0, fibre=20.0)
    assert np.abs([C[0, 0] - C[1, 1], C[0, 2], C[1, 2]]).max() < 1e-3 * C[0, 0]
    assert C[0, 0] - C[0, 1] > 1.3 * C[2, 2]


@pytest.mark.parametrize("gdim", [2, 3])
def test_struts_fill_their_fraction_and_are_cubic(gdim: int) -> None:
    for fraction in (0.1, 0.5, 0.9):
        cell = strut_lattice(fraction, gdim=gdim, resolution=4)
        assert cell.volume_fractions()["matrix"] == pytest.approx(fraction, abs=1e-12)
    C = stiffness(strut_lattice(0.3, gdim=gdim, resolution=8), matrix=1.0)
    swapped = [1, 0, 2] if gdim == 2 else [1, 2, 0, 4, 5, 3]
    np.testing.assert_allclose(C[np.ix_(swapped, swapped)], C, atol=1e-12)


def test_a_cell_survives_its_file(tmp_path: Path) -> None:
    import meshio

    cell = hexagonal_packing(0.5, cell="rhombus", resolution=5)
    tags = np.zeros(len(geometry_dofmap(cell.mesh)), dtype=np.int32)
    for tag, name in enumerate(("matrix", "fibre"), start=1):
        tags[cell.phase_cells[name]] = tag
    meshio.Mesh(
        cell.mesh.geometry.x,
        [("triangle", geometry_dofmap(cell.mesh))],
        cell_data={"gmsh:physical": [tags], "gmsh:geometrical": [tags]},
        field_data={"matrix": np.array([1, 2]), "fibre": np.array([2, 2])},
    ).write(tmp_path / "cell.msh", file_format="gmsh22", binary=False)
    again = read_cell(tmp_path / "cell.msh")
    assert again.volume_fractions() == pytest.approx(cell.volume_fractions(), abs=1e-12)
    C = stiffness(cell, matrix=1.0, fibre=10.0)
    np.testing.assert_allclose(stiffness(again, matrix=1.0, fibre=10.0), C, atol=1e-10)


def test_gmsh_in_use_is_left_as_it_was(capfd: pytest.CaptureFixture[str]) -> None:
    assert not gmsh.isInitialized()
    expected = square_packing(0.4, resolution=4).fingerprint
    assert not gmsh.isInitialized()
    gmsh.initialize(readConfigFiles=False, interruptible=False)
    try:
        gmsh.option.setNumber("General.Terminal", 0)
        gmsh.option.setNumber("Mesh.Algorithm", 5)
        gmsh.option.setNumber("Mesh.MeshSizeMax", 0.25)
        gmsh.model.add("mine")
        gmsh.model.add("another")
        gmsh.model.setCurrent("mine")
        gmsh.model.occ.addRectangle(0, 0, 0, 1, 1)
        gmsh.model.occ.synchronize()
        assert square_packing(0.4, resolution=4).fingerprint == expected
        assert gmsh.model.getCurrent() == "mine"
        assert len(gmsh.model.getEntities(2)) == 1
        assert set(gmsh.model.list()) >= {"mine", "another"}
        assert "fesurrogate cell" not in gmsh.model.list()
        assert gmsh.option.getNumber("Mesh.Algorithm") == 5
        assert gmsh.option.getNumber("Mesh.MeshSizeMax") == 0.25
        with pytest.raises(RuntimeError, match="stop"), gmsh_session():
            raise RuntimeError("stop")
        assert gmsh.model.getCurrent() == "mine"
    finally:
        gmsh.finalize()
    assert capfd.readouterr() == ("", "")


def test_an_interrupt_stays_the_callers() -> None:
    before = signal.getsignal(signal.SIGINT)

    def handler(*_: object) -> None:
        pass

    signal.signal(signal.SIGINT, handler)
    try:
        with gmsh_session():
            assert signal.getsignal(signal.SIGINT) is handler
        assert signal.getsignal(signal.SIGINT) is handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_without_gmsh_the_message_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gmsh", None)
    with pytest.raises(MissingPackageError, match="needs gmsh .* pip install gmsh"):
        square_packing(0.4)
    assert strut_lattice(0.3, resolution=2).void == "void"  # needs none


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: square_packing(0.78),
            "volume_fraction is 0.78; expected a number > 0 and at most",
        ),
        (lambda: hexagonal_packing(0.9), "at most 0.871"),
        (lambda: hexagonal_packing(0.5, cell="hexagon"), "cell is 'hexagon'; expected 'rectangle'"),
        (lambda: hole(0.3, gdim=4), "gdim is 4"),
        (lambda: hole(0.0), "volume_fraction is 0"),
        (lambda: square_packing(0.5, resolution=1), "resolution is 1; expected at least 2"),
        (lambda: square_packing(0.5, degree=3), "degree is 3; expected 1"),
        (lambda: random_fibres(0.7, 5, 0, gap=0.05, resolution=4), "resolution 4 is too coarse"),
        (lambda: random_fibres(0.7, 5, 0, gap=0.05, resolution=4), "or curved elements (degree 2"),
        (
            lambda: random_fibres(0.7, 5, 0, gap=0.05, resolution=4, degree=2),
            "would touch; take a larger resolution\n",  # curved already
        ),
        (lambda: strut_lattice(1.0), "volume_fraction is 1; expected a number in (0, 1)"),
        (lambda: strut_lattice(0.5, gdim=1), "gdim is 1"),
        (lambda: strut_lattice(0.5, resolution=1), "resolution is 1"),
    ],
)
def test_arguments_out_of_range_are_refused(make: Callable[[], Cell], message: str) -> None:
    with pytest.raises(InputError) as caught:
        make()
    assert message in f"{caught.value}\n"


def test_curved_elements_of_one_material_are_that_material() -> None:
    """∫ ∇φ dx is integrated exactly: a uniform stress is in equilibrium, and no node moves."""
    cell = random_spheres(0.2, 1, 0, resolution=5, degree=2)
    only = linear_elastic(young=3.0, poisson=0.3)
    phases = {"matrix": only, "inclusion": only}
    rve = RVEMaterial(cell, phases, Kinematics(3))
    strain = np.random.default_rng(3).uniform(-0.1, 0.1, (1, 6))
    answer = rve.evaluate(strain)
    stiffness = isotropic_stiffness(Kinematics(3), young=3.0, poisson=0.3)
    np.testing.assert_allclose(answer.stress, strain @ stiffness, rtol=0, atol=1e-12)
    np.testing.assert_allclose(answer.hint, 0.0, rtol=0, atol=1e-12)
    with pytest.raises(InputError, match="degree is 1, but the cell's elements are curved"):
        RVEMaterial(cell, phases, Kinematics(3), degree=1)
