"""Localisation: the fields of a cell at a point average to the macro answer."""

import numpy as np
import pytest
import ufl
from dolfinx import fem, mesh
from mpi4py import MPI

from fesurrogate import InputError, Kinematics, Material
from fesurrogate.fem.values import nodal_values
from fesurrogate.kinematics import Array
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
RTOL = 1e-11  # of the cells
CLOSE = 1e-9  # of fields of these cells, whose stress is of order 1


def inclusion(dimension: int, *, void: bool = False, size: float = 1.0) -> Cell:
    """A block of one element in the middle of 3 x 3 (x 3), stiff or void."""
    count = [3] * dimension
    if dimension == 2:
        unit = mesh.create_unit_square(MPI.COMM_SELF, *count, mesh.CellType.quadrilateral)
    else:
        unit = mesh.create_unit_cube(MPI.COMM_SELF, *count, mesh.CellType.hexahedron)
    cells = np.arange(unit.topology.index_map(dimension).size_local, dtype=np.int32)
    middle = mesh.compute_midpoints(unit, dimension, cells)[:, :dimension]
    inside = (np.abs(middle - 0.5) < 0.2).all(axis=1)
    name = "hole" if void else "stiff"
    unit.geometry.x[:] *= size
    phases = {"soft": cells[~inside], name: cells[inside]}
    return make_cell(unit, phases, void=name if void else None)


def phases_of(kinematics: Kinematics, *, kind: str) -> dict[str, Phase | Material]:
    """Energies, Materials, or one of each."""
    if kinematics.measure == "gradient":
        energies = {
            "soft": conductor(conductivity=1.0),
            "stiff": conductor(conductivity=5.0),
        }
        laws = {"soft": Linear(kinematics, np.eye(kinematics.gdim))}
    elif kinematics.measure == "finite":
        energies = {"soft": neo_hookean(**SOFT), "stiff": neo_hookean(**STIFF)}
        laws = {"soft": NeoHookean(kinematics.gdim, **SOFT)}
    else:
        energies = {
            "soft": linear_elastic(young=1.0, poisson=0.3),
            "stiff": linear_elastic(young=10.0, poisson=0.2),
        }
        stiffness = isotropic_stiffness(kinematics, young=1.0, poisson=0.3)
        laws = {"soft": Linear(kinematics, stiffness)}
    return energies if kind == "energies" else {**energies, **laws}


def some_strain(kinematics: Kinematics) -> Array:  # (m,)
    rng = np.random.default_rng(5)
    return kinematics.rest + rng.uniform(-0.1, 0.1, kinematics.size)


def volumes(domain: mesh.Mesh) -> Array:  # (e,)
    test = ufl.TestFunction(fem.functionspace(domain, ("DG", 0)))
    return fem.assemble_vector(fem.form(test * ufl.dx)).array


SHAPES = [
    (gdim, dimension, measure)
    for gdim, dimension in ((2, 2), (3, 3), (3, 2))
    for measure in ("small", "finite", "gradient")
]


@pytest.mark.parametrize("kind", ["energies", "mixed"])
@pytest.mark.parametrize(("gdim", "dimension", "measure"), SHAPES)
def test_stress_averages_to_the_macro_stress(
    gdim: int, dimension: int, measure: str, kind: str
) -> None:
    kinematics = Kinematics(gdim, measure)
    strain = some_strain(kinematics)
    phases = phases_of(kinematics, kind=kind)
    cell = inclusion(dimension)
    rve = RVEMaterial(cell, phases, kinematics, degree=1, rtol=RTOL)
    answer = rve.evaluate(strain[None])
    assert answer.ok.all()
    fields = rve.localise(strain, rve.initial_state(1)[0], hint=answer.hint[0])
    assert fields.ok and fields.iterations == 0
    mean = volumes(cell.mesh) @ fields.stress / cell.volume
    np.testing.assert_allclose(mean, answer.stress[0], rtol=0, atol=CLOSE)
    strained = volumes(cell.mesh) @ fields.strain / cell.volume
    np.testing.assert_allclose(strained, strain, rtol=0, atol=CLOSE)
    norms = np.linalg.norm(fields.stress, axis=1)
    assert (fields.stress_norm >= norms * (1 - 1e-12)).all()  # mean of norms >= norm of mean
    stiff = cell.phase_cells["stiff"]
    others = np.setdiff1d(np.arange(len(norms)), stiff)
    assert norms[stiff].mean() > 1.05 * norms[others].mean()  # the fields do vary


@pytest.mark.parametrize("boundary", ["periodic", "linear", "traction"])
@pytest.mark.parametrize("measure", ["small", "finite"])
def test_every_boundary_condition_averages_to_its_own_stress(boundary: str, measure: str) -> None:
    kinematics = Kinematics(2, measure)
    cell, strain = inclusion(2), some_strain(kinematics)
    rve = RVEMaterial(
        cell, phases_of(kinematics, kind="mixed"), kinematics, boundary=boundary, rtol=RTOL
    )
    answer = rve.evaluate(strain[None])
    fields = rve.localise(strain, rve.initial_state(1)[0])
    assert fields.iterations > 0  # no hint: solved anew
    mean = volumes(cell.mesh) @ fields.stress / cell.volume
    np.testing.assert_allclose(mean, answer.stress[0], rtol=0, atol=CLOSE)


@pytest.mark.parametrize("dimension", [2, 3])
def test_a_void_carries_nothing_and_counts_in_the_mean(dimension: int) -> None:
    kinematics = Kinematics(dimension)
    cell, strain = inclusion(dimension, void=True, size=2.0), some_strain(kinematics)
    law = J2Plasticity(dimension, **METAL)
    rve = RVEMaterial(cell, {"soft": law}, kinematics, degree=1, rtol=RTOL)
    answer = rve.evaluate(strain[None])
    assert answer.ok.all()
    fields, volume = rve.localise(strain, rve.initial_state(1)[0]), volumes(cell.mesh)
    assert volume.sum() == pytest.approx(2.0**dimension * (1 - 3.0**-dimension), rel=1e-12)
    mean = volume @ fields.stress / cell.volume
    np.testing.assert_allclose(mean, answer.stress[0], rtol=0, atol=CLOSE)
    for name in ("plastic_strain", "dissipation"):
        got = volume @ fields.reports[name] / cell.volume
        assert got > 0.01
        assert answer.report[name][0] == pytest.approx(got, rel=1e-9)


def test_displacement_is_macro_strain_plus_periodic_fluctuation() -> None:
    for measure in ("small", "finite"):
        kinematics = Kinematics(2, measure)
        cell, strain = inclusion(2), some_strain(kinematics)
        rve = RVEMaterial(cell, phases_of(kinematics, kind="energies"), kinematics, rtol=RTOL)
        fields = rve.localise(strain, rve.initial_state(1)[0])
        gradient = kinematics.unpack((strain - kinematics.rest)[None])[0]  # F - 1, or ε
        x = cell.mesh.geometry.x[:, :2]
        fluctuation = fields.displacement - x @ gradient.T
        assert np.ptp(fluctuation, axis=0).max() > 1e-3
        for axis in (0, 1):
            order = np.argsort(x[:, 1 - axis])
            lower = [k for k in order if x[k, axis] < 1e-9]
            upper = [k for k in order if x[k, axis] > 1 - 1e-9]
            np.testing.assert_allclose(fluctuation[lower], fluctuation[upper], rtol=0, atol=1e-12)
        u = nodal_values(cell.mesh, fields.displacement_function())
        np.testing.assert_allclose(u, fields.displacement, rtol=0, atol=1e-15)


@pytest.mark.parametrize("measure", ["small", "finite", "gradient"])
def test_a_homogeneous_prism_moves_along_its_axis(measure: str) -> None:
    kinematics, strain = Kinematics(3, measure), some_strain(Kinematics(3, measure))
    cell = laminate_cell(2, {"soft": 1.0}, resolution=1)
    phases = {"soft": phases_of(kinematics, kind="energies")["soft"]}
    rve = RVEMaterial(cell, phases, kinematics, degree=1)
    fields = rve.localise(strain, rve.initial_state(1)[0])
    gradient = kinematics.unpack((strain - kinematics.rest)[None])[0].reshape(-1, 3)
    if measure == "small":  # the shear along the axis moves the section along it, not sideways
        gradient = np.vstack([gradient[:2], [2 * gradient[2, 0], 2 * gradient[2, 1], 0]])
    x = cell.mesh.geometry.x[:, :2] - 0.5
    np.testing.assert_allclose(fields.displacement, x @ gradient[:, :2].T, rtol=0, atol=1e-14)
    assert fields.displacement.shape[1] == (1 if measure == "gradient" else 3)


@pytest.mark.parametrize("gdim", [2, 3])
def test_fields_of_a_homogeneous_cell_are_those_of_its_law(gdim: int) -> None:
    kinematics, law = Kinematics(gdim), J2Plasticity(gdim, **METAL)
    cell = laminate_cell(gdim, {"metal": 1.0}, resolution=1)
    rve = RVEMaterial(cell, {"metal": law}, kinematics, degree=1)
    first, second = 0.03 * some_strain(kinematics), -0.3 * some_strain(kinematics)
    start = law.evaluate(first[None])
    state = rve.evaluate(first[None]).state[0]
    expected = law.evaluate(second[None], start.state)
    fields = rve.localise(second, state)
    for values, wanted in (
        (fields.stress, expected.stress[0]),
        *((fields.reports[name], value[0]) for name, value in expected.report.items()),
    ):
        np.testing.assert_allclose(values, np.broadcast_to(wanted, values.shape), atol=1e-12)
    if gdim == 3:
        flow = METAL["yield_stress"] + METAL["hardening"] * expected.state[0, -1]
        assert fields.von_mises is not None  # on the yield surface
        np.testing.assert_allclose(fields.von_mises, flow, rtol=1e-10)
    else:
        assert fields.von_mises is None
    again = rve.evaluate(second[None], state[None])
    for name in ("energy", "plastic_strain", "dissipation"):
        assert again.report[name][0] == pytest.approx(expected.report[name][0], rel=1e-10)


def test_history_is_that_of_the_start_of_the_increment() -> None:
    rve = plastic()
    strain = np.array([0.02, -0.01, 0.005])
    loaded = rve.evaluate(strain[None])
    unloaded = rve.evaluate(0.9 * strain[None], loaded.state)
    fields = rve.localise(0.9 * strain, loaded.state[0])
    mean = volumes(fields.mesh) @ fields.stress
    np.testing.assert_allclose(mean, unloaded.stress[0], rtol=0, atol=CLOSE)
    virgin = rve.localise(0.9 * strain, rve.initial_state(1)[0])
    assert np.abs(virgin.stress - fields.stress).max() > 0.1
    metal = rve.cell.phase_cells["metal"]
    assert (fields.reports["plastic_strain"][metal] > 0).all()
    fibre = rve.cell.phase_cells["fibre"]
    assert np.isnan(fields.reports["plastic_strain"][fibre]).all()


def plastic() -> RVEMaterial:
    cell = laminate_cell(2, {"metal": 0.5, "fibre": 0.5}, resolution=2)
    phases = {
        "metal": J2Plasticity(2, **METAL),
        "fibre": linear_elastic(young=400.0, poisson=0.2),
    }
    return RVEMaterial(cell, phases, Kinematics(2), degree=1, rtol=RTOL)


def test_energy_of_a_mixed_cell_is_the_work_done_on_it_while_elastic() -> None:
    rve = plastic()
    strain = 1e-4 * np.array([1.0, 0.5, -0.3])
    answer = rve.evaluate(strain[None])
    assert answer.report["plastic_strain"][0] == 0.0
    work = answer.stress[0] @ strain / 2
    assert answer.report["energy"][0] == pytest.approx(work, rel=1e-9)


def test_a_parameter_reaches_the_fields() -> None:
    kinematics = Kinematics(2)
    cell, strain = inclusion(2), some_strain(kinematics)
    phases = phases_of(kinematics, kind="energies")
    graded = RVEMaterial(cell, phases, kinematics, parameters=["stiff.young"], degree=1, rtol=RTOL)
    given = np.array([30.0])
    answer = graded.evaluate(strain[None], parameters=given[None])
    fields = graded.localise(strain, np.zeros(0), parameters=given)
    mean = volumes(cell.mesh) @ fields.stress
    np.testing.assert_allclose(mean, answer.stress[0], rtol=0, atol=CLOSE)


def test_what_cannot_be_solved_is_nan_and_what_does_not_fit_is_refused() -> None:
    kinematics = Kinematics(2, "finite")
    phases = phases_of(kinematics, kind="energies")
    rve = RVEMaterial(inclusion(2), phases, kinematics, degree=1)
    inverted = rve.localise(np.array([-1.0, 0.0, 0.0, 1.0]), np.zeros(0))
    assert not inverted.ok and np.isnan(inverted.stress).all()
    assert np.isnan(inverted.displacement).all()
    with pytest.raises(InputError, match=r"strain has shape \(1, 4\); expected \(4,\), one point"):
        rve.localise(kinematics.rest[None], np.zeros(0))
