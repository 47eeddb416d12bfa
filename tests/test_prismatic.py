"""A plane cell under the kinematics of the solid: a prism in generalised plane strain."""

import numpy as np
import pytest
from contract import check_contract
from dolfinx import mesh
from mpi4py import MPI

from fesurrogate import InputError, Kinematics
from fesurrogate.laws import J2Plasticity, Linear, NeoHookean, isotropic_stiffness
from fesurrogate.micro import (
    Cell,
    Phase,
    RVEMaterial,
    conductor,
    laminate_cell,
    linear_elastic,
    make_cell,
    neo_hookean,
)

SOFT, STIFF = {"shear_modulus": 1.0, "lame": 1.5}, {"shear_modulus": 10.0, "lame": 15.0}
METAL = {"young": 200.0, "poisson": 0.3, "yield_stress": 1.0, "hardening": 20.0}
MEASURES = ("small", "finite", "gradient")


def phases_of(measure: str) -> dict[str, Phase]:
    return {
        "small": lambda: {
            "soft": linear_elastic(young=1.0, poisson=0.3),
            "stiff": linear_elastic(young=10.0, poisson=0.2),
        },
        "finite": lambda: {"soft": neo_hookean(**SOFT), "stiff": neo_hookean(**STIFF)},
        "gradient": lambda: {
            "soft": conductor(conductivity=1.0),
            "stiff": conductor(conductivity=5.0),
        },
    }[measure]()


def inclusion(dimension: int, count: int = 4) -> Cell:
    """A square inclusion, in the plane or extruded by two layers of elements."""
    if dimension == 2:
        unit = mesh.create_unit_square(MPI.COMM_SELF, count, count, mesh.CellType.quadrilateral)
    else:
        size = [count, count, 2]
        unit = mesh.create_unit_cube(MPI.COMM_SELF, *size, mesh.CellType.hexahedron)
    cells = np.arange(unit.topology.index_map(dimension).size_local, dtype=np.int32)
    middle = mesh.compute_midpoints(unit, dimension, cells)
    stiff = (np.abs(middle[:, :2] - [0.5, 0.375]) < [0.25, 0.2]).all(axis=1)
    return make_cell(unit, {"soft": cells[~stiff], "stiff": cells[stiff]})


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("boundary", ["periodic", "linear", "traction"])
def test_a_homogeneous_prism_is_its_phase(measure: str, boundary: str) -> None:
    kinematics = Kinematics(3, measure)
    law = {
        "small": lambda: Linear(
            kinematics, isotropic_stiffness(kinematics, young=1.0, poisson=0.3)
        ),
        "finite": lambda: NeoHookean(3, **SOFT),
        "gradient": lambda: Linear(kinematics, np.eye(3)),
    }[measure]()
    cell = laminate_cell(2, {"soft": 1.0}, resolution=2)
    rve = RVEMaterial(cell, {"soft": phases_of(measure)["soft"]}, kinematics, boundary=boundary)
    rng = np.random.default_rng(2)
    strain = kinematics.rest + rng.uniform(-0.1, 0.1, (3, kinematics.size))
    got, expected = rve.evaluate(strain), law.evaluate(strain)
    assert got.ok.all()
    np.testing.assert_allclose(got.stress, expected.stress, rtol=0, atol=1e-10)
    np.testing.assert_allclose(got.tangent, expected.tangent, rtol=0, atol=1e-10)


@pytest.mark.parametrize("measure", MEASURES)
def test_a_prism_is_the_solid_of_the_same_section(measure: str) -> None:
    """The solution in the extruded cell does not change along z: the two spaces hold the same."""
    kinematics = Kinematics(3, measure)
    rng = np.random.default_rng(3)
    strain = kinematics.rest + rng.uniform(-0.05, 0.05, (2, kinematics.size))
    answers = [
        RVEMaterial(inclusion(d), phases_of(measure), kinematics, degree=1, rtol=1e-10).evaluate(
            strain
        )
        for d in (2, 3)
    ]
    assert answers[0].ok.all() and answers[1].ok.all()
    scale = np.abs(answers[1].tangent).max()
    np.testing.assert_allclose(
        answers[0].stress, answers[1].stress, rtol=0, atol=1e-8 * np.abs(answers[1].stress).max()
    )
    np.testing.assert_allclose(answers[0].tangent, answers[1].tangent, rtol=0, atol=1e-8 * scale)


def test_plane_strain_is_a_part_of_it() -> None:
    cell, phases = inclusion(2), phases_of("small")
    plane = RVEMaterial(cell, phases, Kinematics(2, "small")).evaluate(np.zeros((1, 3))).tangent[0]
    prism = RVEMaterial(cell, phases, Kinematics(3, "small")).evaluate(np.zeros((1, 6))).tangent[0]
    rows = [0, 1, 5]
    np.testing.assert_allclose(prism[np.ix_(rows, rows)], plane, rtol=0, atol=1e-10)
    assert np.linalg.eigvalsh(prism).min() > 0.1


def test_a_plastic_prism_meets_the_contract() -> None:
    kinematics = Kinematics(3, "small")
    cell = laminate_cell(2, {"metal": 0.5, "fibre": 0.5}, resolution=2)
    phases = {
        "metal": J2Plasticity(3, **METAL),
        "fibre": linear_elastic(young=400.0, poisson=0.2),
    }
    rve = RVEMaterial(cell, phases, kinematics, degree=1, rtol=1e-11)
    strain = 0.02 * np.random.default_rng(5).standard_normal((4, 6))
    check_contract(rve, strain, tolerance=1e-9, step=1e-3)


def test_a_solid_cell_is_no_cell_of_the_plane() -> None:
    with pytest.raises(InputError, match="the cell is 3D, but the kinematics have gdim 2"):
        RVEMaterial(inclusion(3, 2), phases_of("small"), Kinematics(2, "small"))
