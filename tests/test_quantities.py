"""Quantities of yielding cells against closed forms, and against cells that yield."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from mpi4py import MPI
from test_precompute import AXIS, FIBRES, LAMINATE, settings_of, stiffnesses, toml
from verification import jump_modes

from fesurrogate.build.precompute import ensure_table
from fesurrogate.errors import InputError
from fesurrogate.hierarchical import Tabulation, read_tabulation
from fesurrogate.hierarchical.yield_strain import LARGEST
from fesurrogate.kinematics import Array, Kinematics
from fesurrogate.laws import J2Plasticity
from fesurrogate.micro import RVEMaterial, hexagonal_packing, linear_elastic

YIELD = {"matrix": 0.05, "fibre": 0.9}
PHASE = {"matrix": {"young": 3.0, "poisson": 0.35}, "fibre": {"young": 70.0, "poisson": 0.2}}


def plastic(text: str, *names: str) -> str:
    """Return the TOML with J2 plasticity in some phases."""
    for name in names:
        head = f'[material.rve.phases.{name}]\nkind = "linear_elastic"\n'
        assert head in text
        new = head.replace("linear_elastic", "j2_plasticity") + f"yield_stress = {YIELD[name]}\n"
        text = text.replace(head, new)
    return text


def tabulated(folder: Path, text: str) -> Tabulation:
    return read_tabulation(ensure_table(settings_of(folder, text), MPI.COMM_SELF).path)


def von_mises(
    stress: Array,  # (6,)
) -> float:
    deviator = stress - np.array([1.0, 1, 1, 0, 0, 0]) * stress[:3].mean()
    return float(np.sqrt(1.5 * deviator @ deviator))


# -- first yield ----------------------------------------------------------------------------


def test_first_yield_of_laminates_by_direction(tmp_path: Path) -> None:
    """The stress of a layer is known: the multiple is its yield stress over von Mises' of it.

    To 1e-7: the cell is solved to a residual of 1e-8.
    """
    text = plastic(toml(gdim=3, quantities='["stiffness", "yield_strain"]'), "matrix", "fibre")
    found = tabulated(tmp_path, text.replace("[precompute]\n", "[precompute]\ndirections = 5\n"))
    directions = np.array(found.meta["precompute"]["directions"])
    assert directions.shape == (5, 6)
    np.testing.assert_allclose(np.linalg.norm(directions, axis=1), 1.0, rtol=1e-14)
    C, B = stiffnesses(Kinematics(3)), jump_modes(Kinematics(3), np.eye(3)[0])
    for f, got in zip(found.axes[0].values, found.quantities["yield_strain"], strict=True):
        left = B.T @ (f * C[0] + (1 - f) * C[1]) @ B
        for k, strain in enumerate(directions):
            jump = B @ np.linalg.solve(left, B.T @ (C[1] - C[0]) @ strain)
            matrix = YIELD["matrix"] / von_mises(C[0] @ (strain + f * jump))
            fibre = YIELD["fibre"] / von_mises(C[1] @ (strain + (f - 1) * jump))
            assert got[:, k] == pytest.approx([fibre, matrix], rel=1e-7)


def test_first_yield_of_a_homogeneous_cell_in_plane_strain(tmp_path: Path) -> None:
    """Both phases alike: shear at σ/√3, pull at σ (1 - ν²) / E / √(1 - ν + ν²)."""
    text = plastic(toml(quantities='["yield_strain"]'), "matrix", "fibre")
    text = text.replace("young = 70.0\npoisson = 0.2", "young = 3.0\npoisson = 0.35")
    axes = '[precompute.axes."matrix.yield_stress"]\nvalues = [0.03, 0.06]\n'
    text = text.replace(AXIS, axes).replace("resolution = 2", "resolution = 2")
    listed = "[precompute]\ndirections = [[0, 0, 7], [0.65, -0.35, 0]]\n"
    found = tabulated(tmp_path, text.replace("[precompute]\n", listed))
    shear = 3.0 / 2.7  # G
    for stress, got in zip([0.03, 0.06], found.quantities["yield_strain"], strict=True):
        sheared = stress / math.sqrt(3) / (math.sqrt(2) * shear)  # σ_xy = 2G ε_xy, √2 ε_xy = t
        # no stress along y: ε_y = -ν / (1 - ν) ε_x, σ_x = E ε_x / (1 - ν²), σ_z = ν σ_x
        across = 0.65 / math.hypot(0.65, 0.35)  # ε_x of the multiple 1
        pulled = stress / math.sqrt(1 - 0.35 + 0.35**2) * (1 - 0.35**2) / 3.0 / across
        assert got[1] == pytest.approx([sheared, pulled], rel=1e-7)  # of the matrix
        assert got[0] == pytest.approx(np.array([sheared, pulled]) * 0.9 / stress, rel=1e-7)


def test_a_cell_yields_there_and_not_before(tmp_path: Path) -> None:
    """Fibres in a matrix that yields: no plastic strain at 1 - 1e-6 of it, some at 1 + 1e-6."""
    text = plastic(toml(FIBRES, quantities='["stiffness", "yield_strain"]'), "matrix")
    text = text.replace(AXIS, "[precompute.axes.volume_fraction]\nvalues = [0.4, 0.5]\n")
    listed = "[precompute]\ndirections = [[1, 0, 0], [1, 1, 0], [0.2, -0.5, 0.8]]\n"
    found = tabulated(tmp_path, text.replace("[precompute]\n", listed))
    multiple = found.quantities["yield_strain"][1]  # (1, 3): only the matrix can yield
    assert multiple.shape == (1, 3)
    law = J2Plasticity(2, **PHASE["matrix"], yield_stress=YIELD["matrix"])
    cell = hexagonal_packing(0.5, cell="rhombus", resolution=6)
    phases = {"matrix": law, "fibre": linear_elastic(**PHASE["fibre"])}
    rve = RVEMaterial(cell, phases, Kinematics(2), degree=1)
    directions = np.array(found.meta["precompute"]["directions"])
    for factor, some in ((1 - 1e-6, False), (1 + 1e-6, True)):
        answer = rve.evaluate(factor * multiple[0][:, None] * directions)
        assert ((answer.report["plastic_strain"] > 0) == some).all()


def test_a_phase_that_does_not_yield_has_the_largest_strain(tmp_path: Path) -> None:
    """Under pressure a homogeneous cell never does."""
    text = plastic(toml(gdim=3, quantities='["yield_strain"]'), "matrix", "fibre")
    text = text.replace("young = 70.0\npoisson = 0.2", "young = 3.0\npoisson = 0.35")
    listed = "[precompute]\ndirections = [[1, 1, 1, 0, 0, 0]]\n"
    found = tabulated(tmp_path, text.replace("[precompute]\n", listed))
    np.testing.assert_array_equal(found.quantities["yield_strain"], np.full((3, 2, 1), LARGEST))


def test_an_entry_that_yields_at_once_is_marked(tmp_path: Path) -> None:
    """Whatever the quantity: unit fields are those of a cell that is elastic."""
    text = plastic(toml(quantities='["stiffness", "stress_concentration"]'), "matrix")
    axes = '[precompute.axes."matrix.yield_stress"]\nvalues = [1e-9, 0.05]\n'
    assert tabulated(tmp_path, text.replace(AXIS, axes)).ok.tolist() == [False, True]


# -- phases that are turned in the plane ----------------------------------------------------

WOOD = (
    'kind = "transversely_isotropic"\nyoung_along = 70.0\nyoung_across = 20.0\n'
    "shear_along = 7.0\npoisson_along = 0.2\npoisson_across = 0.3\ndirection = [{}, {}]{}\n"
)


def test_the_angle_of_a_phase_is_an_axis_of_all_quantities(tmp_path: Path) -> None:
    """A turned phase is one whose fibres lie there, and one whose orientation is given."""
    names = '["stiffness", "expansion", "stress_concentration"]'
    elastic = 'kind = "linear_elastic"\nyoung = 70.0\npoisson = 0.2\n'
    other = '[precompute.axes."matrix.young"]\nvalues = [3.0, 4.0]\n'
    turned = f'[precompute.axes."fibre.angle"]\nvalues = [0.0, 0.5]\n{other}'
    found = []
    for number, (law, axes) in enumerate(
        [
            (WOOD.format(1.0, 0.0, "\nrotated = true"), turned),
            (WOOD.format(math.cos(0.5), math.sin(0.5), ""), other),
            (WOOD.format(1.0, 0.0, "\norientation = 0.5"), other),
        ]
    ):
        (folder := tmp_path / str(number)).mkdir()
        text = toml(quantities=names, axes=axes).replace(elastic, law)
        found.append(tabulated(folder, text).quantities)
    for name, array in found[0].items():
        for given in found[1:]:
            scale = np.abs(given[name]).max()
            np.testing.assert_allclose(array[1], given[name], rtol=0, atol=1e-7 * scale)
            assert np.abs(array[0] - given[name]).max() > 1e-2 * scale


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (toml(quantities='["yield_strain"]'), "no phase of the cell can yield"),
        (
            plastic(toml(quantities='["yield_strain"]'), "matrix").replace("0.05", "1e-7"),
            "the cell yields under a strain of 1e-06 already",
        ),
        (
            toml().replace("[precompute]\n", "[precompute]\ndirections = [[1, 0]]\n"),
            r"holds \[1.0, 0.0\]; expected strains of 3",
        ),
        (
            toml().replace("[precompute]\n", "[precompute]\ndirections = [[0, 0, 0]]\n"),
            "not all zero",
        ),
    ],
)
def test_what_has_no_yield_strain_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        ensure_table(settings_of(tmp_path, text), MPI.COMM_SELF)


def test_a_family_that_yields_is_for_tables_only(tmp_path: Path) -> None:
    """Cells whose mesh changes with a number have no history that a point could keep."""
    from fesurrogate.build import load_material

    given = 'parameters = { "fractions.fibre" = 0.4 }\n'
    text = plastic(toml(LAMINATE, quantities='["yield_strain"]', material=given), "matrix")
    with pytest.raises(InputError, match="phase matrix has history"):
        load_material(settings_of(tmp_path, text), kind="rve")
