"""Cells with a crack against the stress intensity of collinear cracks, and energy differences."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from mpi4py import MPI
from test_precompute import settings_of

from fesurrogate.build.precompute import ensure_table
from fesurrogate.errors import InputError
from fesurrogate.fem.compat import geometry_dofmap
from fesurrogate.hierarchical import Tabulation, read_tabulation
from fesurrogate.hierarchical.fracture import crack_tips, energy_release_rate
from fesurrogate.hierarchical.solved import SolvedCell
from fesurrogate.kinematics import Kinematics
from fesurrogate.laws import TransverselyIsotropic, isotropic_stiffness
from fesurrogate.material import Material
from fesurrogate.micro import (
    Cell,
    Phase,
    RVEMaterial,
    cell_from_arrays,
    cracked_cell,
    laminate_cell,
    linear_elastic,
    read_cell,
)

E, NU = 3.0, 0.35
HEIGHT = 2.0
AXIS = "[precompute.axes.crack_length]\nvalues = [0.3, 0.6]\n"


def toml(*, gdim: int = 2, resolution: int = 8, axes: str = AXIS, degree: int = 2) -> str:
    return (
        f'[kinematics]\ngdim = {gdim}\nmeasure = "small"\n[material]\nkind = "table"\n'
        f"[material.rve]\ndegree = {degree}\n"
        f'cell = {{ kind = "crack", crack_length = 0.5, resolution = {resolution} }}\n'
        f'[material.rve.phases.matrix]\nkind = "linear_elastic"\nyoung = {E}\npoisson = {NU}\n'
        f'[precompute]\nquantities = ["stiffness", "energy_release_rate"]\nheld_out = 0\n{axes}'
    )


def tabulated(folder: Path, text: str) -> Tabulation:
    return read_tabulation(ensure_table(settings_of(folder, text), MPI.COMM_SELF).path)


def solved(cell: Cell, phases: dict[str, Phase | Material], gdim: int = 2) -> SolvedCell:
    rve = RVEMaterial(cell, phases, Kinematics(gdim), degree=2)
    solid = {n: _solid(p) for n, p in phases.items()}
    return SolvedCell(
        rve, lambda: RVEMaterial(cell, solid, Kinematics(3), degree=2), np.zeros(0), {}, np.eye(3)
    )


def _solid(phase: Phase | Material) -> Phase | Material:
    """Return a phase under the kinematics of the solid."""
    return phase if isinstance(phase, Phase) else wood(Kinematics(3))


WOOD = {
    "young_along": 10.0, "young_across": 2.0, "shear_along": 1.0, "poisson_along": 0.3,
    "poisson_across": 0.4,
}  # fmt: skip


def wood(kinematics: Kinematics) -> Material:
    grain = [math.cos(0.4), math.sin(0.4), 0.0]
    return TransverselyIsotropic(kinematics, **WOOD, direction=grain[: kinematics.gdim])


# -- closed forms ---------------------------------------------------------------------------


@pytest.mark.parametrize("gdim", [2, 3])
def test_rates_of_collinear_cracks(tmp_path: Path, gdim: int) -> None:
    """K = σ √(W tan(π a / W)) for a row of cracks 2a in an infinite sheet, in all three modes.

    G = (1 - ν²) (K_I² + K_II²) / E + (1 + ν) K_III² / E. Rows that are a height of 2 apart disturb
    one another by exp(-4π), 3e-6. Source: Tada, Paris and Irwin, The Stress Analysis of Cracks
    Handbook, 7.1a (Westergaard 1939, Irwin 1957, Koiter 1959).
    """
    found = tabulated(tmp_path, toml(gdim=gdim))
    for length, form, stiffness in zip(
        found.axes[0].values,
        found.quantities["energy_release_rate"],
        found.quantities["stiffness"],
        strict=True,
    ):
        assert form.shape == (2, *stiffness.shape)
        compliance = np.linalg.inv(stiffness)
        of_stress = compliance @ form @ compliance  # G = σ · N σ
        square = math.tan(math.pi * length / 2)  # K²/σ², W = 1
        modes = {1: (1 - NU**2) / E, (2 if gdim == 2 else 5): (1 - NU**2) / E / 2}
        if gdim == 3:
            modes[3] = (1 + NU) / E / 2  # Mandel's √2 τ
        exact = np.zeros_like(compliance)
        for k, factor in modes.items():
            exact[k, k] = factor * square
        for tip in of_stress:
            np.testing.assert_allclose(tip, exact, rtol=0, atol=5e-3 * exact.max())


def test_rates_and_stiffness_converge(tmp_path: Path) -> None:
    """The error of both falls with the third power of the elements: the grading's, n⁻³.

    The compliance that a crack adds follows from the rate: ½ σ² ∂S/∂a H = 2 G.
    """
    whole = np.linalg.inv(isotropic_stiffness(Kinematics(2), young=E, poisson=NU))
    errors = []
    for resolution in (4, 8):
        (folder := tmp_path / str(resolution)).mkdir()
        found = tabulated(folder, toml(resolution=resolution))
        row = []
        for length, form, stiffness in zip(
            found.axes[0].values,
            found.quantities["energy_release_rate"],
            found.quantities["stiffness"],
            strict=True,
        ):
            compliance = np.linalg.inv(stiffness)
            rate = (compliance @ form[0] @ compliance)[1, 1]
            row.append(rate * E / (1 - NU**2) / math.tan(math.pi * length / 2) - 1)
            added = compliance - whole
            exact = (
                -4 * (1 - NU**2) / (math.pi * E * HEIGHT) * math.log(math.cos(math.pi * length / 2))
            )
            row.append(added[1, 1] / exact - 1)
        errors.append(row)
    orders = np.log2(np.array(errors[0]) / np.array(errors[1]))
    assert (orders > 2.5).all() and (np.abs(errors[1]) < 5e-3).all(), (errors, orders)


# -- energy differences ---------------------------------------------------------------------


def test_the_rate_is_the_energy_difference(tmp_path: Path) -> None:
    """-½ ε · dC/da ε |Y| is what both tips release, on meshes alike but for the length.

    Central differences of a length of ±0.01; both sides share most of the mesh's error.
    """
    axes = "[precompute.axes.crack_length]\nvalues = [0.49, 0.5, 0.51]\n"
    found = tabulated(tmp_path, toml(axes=axes))
    low, _, high = found.quantities["stiffness"]
    released = -0.5 * (high - low) / (0.51 - 0.49) * HEIGHT * 2  # by a = length / 2
    both = found.quantities["energy_release_rate"][1].sum(axis=0)
    np.testing.assert_allclose(both, released, rtol=0, atol=1e-2 * released.max())
    assert np.linalg.eigvalsh(both)[0] > -1e-12


def test_rates_in_an_anisotropic_body() -> None:
    """A law that is a Material, turned out of the axes: also by difference of energy."""
    law = wood(Kinematics(2))
    stiffness = [solved(cracked_cell(length), {"matrix": law}).stiffness for length in (0.49, 0.51)]
    released = -0.5 * (stiffness[1] - stiffness[0]) / 0.02 * HEIGHT * 2
    form = energy_release_rate(solved(cracked_cell(0.5), {"matrix": law}))
    np.testing.assert_allclose(form[0], form[1], rtol=0, atol=1e-9)  # the cell turned by π
    np.testing.assert_allclose(form.sum(axis=0), released, rtol=0, atol=1e-2 * released.max())
    assert abs(form[0, 1, 2]) > 0.01 * form[0].max()  # the modes mix


def test_rates_beside_another_phase() -> None:
    """Stiff strips above and below: the domain of the integral stays out of them."""
    plain = cracked_cell(0.5)
    phases: dict[str, Phase | Material] = {
        "matrix": linear_elastic(young=E, poisson=NU),
        "strip": linear_elastic(young=20 * E, poisson=0.2),
    }

    def striped(length: float) -> SolvedCell:
        cell = cracked_cell(length)
        nodes = cell.mesh.geometry.x[geometry_dofmap(cell.mesh)][:, :, 1]
        strip = np.abs(nodes.mean(axis=1) - HEIGHT / 2) > 0.13
        rows = np.arange(len(strip), dtype=np.int32)
        parts = {"matrix": rows[~strip], "strip": rows[strip]}
        return solved(Cell(cell.mesh, parts, cell.origin, cell.lattice), phases)

    released = -0.5 * (striped(0.51).stiffness - striped(0.49).stiffness) / 0.02 * HEIGHT * 2
    form = energy_release_rate(striped(0.5))
    alone = energy_release_rate(solved(plain, {"matrix": phases["matrix"]}))
    np.testing.assert_allclose(form.sum(axis=0), released, rtol=0, atol=1e-2 * released.max())
    assert abs(form[0, 1, 1] / alone[0, 1, 1] - 1) > 0.2  # the strips matter


# -- where cracks are -----------------------------------------------------------------------


def test_tips_of_a_crack_and_their_reach() -> None:
    left, right = crack_tips(cracked_cell(0.6))
    np.testing.assert_allclose([left.place, right.place], [[0.2, 1.0], [0.8, 1.0]], atol=1e-15)
    np.testing.assert_allclose([left.ahead, right.ahead], [[-1, 0], [1, 0]], atol=1e-15)
    assert left.reach == pytest.approx(0.2) and right.reach == pytest.approx(0.2)


def test_faces_of_a_crack_are_not_joined_whatever_the_boundary() -> None:
    """Softer than the body, and from traction over periodic to linear ever stiffer."""
    whole = isotropic_stiffness(Kinematics(2), young=E, poisson=NU)
    phases = {"matrix": linear_elastic(young=E, poisson=NU)}
    cell, found = cracked_cell(0.5, height=1.0, resolution=4), []
    for boundary in ("traction", "periodic", "linear"):
        rve = RVEMaterial(cell, phases, Kinematics(2), degree=2, boundary=boundary)
        found.append(rve.evaluate(np.zeros((1, 3))).tangent[0])
    for softer, stiffer in zip(found, [*found[1:], whole], strict=True):
        gap = np.linalg.eigvalsh(stiffer - softer + (stiffer - softer).T) / 2
        assert gap[0] > -1e-9 and gap[-1] > 1e-3


def test_cells_without_a_sound_tip_are_refused() -> None:
    phases: dict[str, Phase | Material] = {"a": linear_elastic(young=E, poisson=NU)}
    phases["b"] = phases["a"]
    with pytest.raises(InputError, match="no crack that ends inside"):
        energy_release_rate(solved(laminate_cell(2, {"a": 1.0}, resolution=2), {"a": phases["a"]}))
    cell = cracked_cell(0.5, resolution=2)
    rows = np.arange(sum(map(len, cell.phase_cells.values())), dtype=np.int32)
    halves = {"a": rows[::2], "b": rows[1::2]}
    with pytest.raises(InputError, match="the phases a and b meet"):
        energy_release_rate(solved(Cell(cell.mesh, halves, cell.origin, cell.lattice), phases))
    solid = laminate_cell(3, {"a": 1.0}, resolution=2)
    with pytest.raises(InputError, match="the cell is solid"):
        crack_tips(solid)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"crack_length": 1.0}, "a share in"),
        ({"crack_length": 0.5, "height": 0.0}, "widths > 0"),
        ({"crack_length": 0.5, "resolution": 1}, "at least 2"),
    ],
)
def test_cracks_that_do_not_fit_are_refused(arguments: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        cracked_cell(**arguments)  # type: ignore[arg-type]


def test_a_slit_of_a_mesh_file(tmp_path: Path) -> None:
    """As gmsh's plugin Crack leaves it: the rates of collinear cracks to 1 %, by the mesh."""
    gmsh = pytest.importorskip("gmsh")
    length, path = 0.5, tmp_path / "slit.msh"
    gmsh.initialize(interruptible=False)
    try:
        gmsh.option.setNumber("General.Terminal", 0)
        box = [(0, 0), (1, 0), (1, HEIGHT), (0, HEIGHT)]
        corners = [gmsh.model.geo.addPoint(x, y, 0, 0.12) for x, y in box]
        ends = [
            gmsh.model.geo.addPoint((1 + side * length) / 2, HEIGHT / 2, 0, 0.006)
            for side in (-1, 1)
        ]
        sides = [gmsh.model.geo.addLine(corners[k], corners[(k + 1) % 4]) for k in range(4)]
        crack = gmsh.model.geo.addLine(*ends)
        sheet = gmsh.model.geo.addPlaneSurface([gmsh.model.geo.addCurveLoop(sides)])
        gmsh.model.geo.synchronize()
        gmsh.model.mesh.embed(1, [crack], 2, sheet)
        for upper, lower, axis, size in ((1, 3, 0, 1.0), (2, 0, 1, HEIGHT)):
            shift = np.eye(4)
            shift[axis, 3] = size
            gmsh.model.mesh.setPeriodic(1, [sides[upper]], [sides[lower]], shift.ravel())
        gmsh.model.addPhysicalGroup(2, [sheet], 1, "matrix")
        gmsh.model.addPhysicalGroup(1, [crack], 2)
        gmsh.model.mesh.generate(2)
        gmsh.plugin.setNumber("Crack", "Dimension", 1)
        gmsh.plugin.setNumber("Crack", "PhysicalGroup", 2)
        gmsh.plugin.run("Crack")
        gmsh.model.removePhysicalGroups([(1, 2)])
        gmsh.write(str(path))
    finally:
        gmsh.finalize()
    found = solved(read_cell(path), {"matrix": linear_elastic(young=E, poisson=NU)})
    compliance = np.linalg.inv(found.stiffness)
    for form in energy_release_rate(found):
        rate = compliance @ form @ compliance
        exact = (1 - NU**2) / E * math.tan(math.pi * length / 2)
        assert [rate[1, 1], 2 * rate[2, 2]] == pytest.approx([exact, exact], rel=1e-2)


def test_a_kinked_crack_has_tips_along_its_ends() -> None:
    """Of a slit given as arrays: its reach ends at the kink."""
    x, y = np.meshgrid(np.arange(5.0), np.arange(5.0), indexing="ij")
    points = np.stack([x.ravel(), y.ravel()], axis=1)
    node = np.arange(25).reshape(5, 5)
    cells = np.array(
        [
            [node[i, j], node[i + 1, j], node[i, j + 1], node[i + 1, j + 1]]
            for i in range(4)
            for j in range(4)
        ]
    )
    points = np.concatenate([points, [[2.0, 2.0]]])  # the slit from (1, 2) to (2, 2) to (2, 3)
    cells[1 * 4 + 2, 1] = 25  # the element above the first and left of the second part
    body = cell_from_arrays("quadrilateral", points, cells, phases={"a": np.arange(16)})
    first, second = crack_tips(body)
    assert first.place.tolist() == [1, 2] and first.ahead.tolist() == [-1, 0]
    assert second.place.tolist() == [2, 3] and second.ahead.tolist() == [0, 1]
    assert first.reach == pytest.approx(1.0) and second.reach == pytest.approx(1.0)
