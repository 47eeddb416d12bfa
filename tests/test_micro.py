"""The cell's solution against closed forms, identities and its own derivative."""

import numpy as np
import pytest
import ufl
from contract import check_contract
from dolfinx import fem, mesh
from mpi4py import MPI
from scipy.optimize import root

from fesurrogate import InputError, Kinematics
from fesurrogate.laws import Linear, NeoHookean, isotropic_stiffness
from fesurrogate.micro import (
    RVEMaterial,
    conductor,
    laminate_cell,
    linear_elastic,
    make_cell,
    neo_hookean,
)

SOFT, STIFF = {"shear_modulus": 1.0, "lame": 1.5}, {"shear_modulus": 10.0, "lame": 15.0}


def strains(kinematics: Kinematics, n: int, amplitude: float = 0.15) -> np.ndarray:
    rng = np.random.default_rng(7)
    return kinematics.rest + rng.uniform(-amplitude, amplitude, (n, kinematics.size))


def laminate_rve(gdim: int, **options) -> RVEMaterial:
    cell = laminate_cell(gdim, {"soft": 0.4, "stiff": 0.6}, resolution=3)
    phases = {"soft": neo_hookean(**SOFT), "stiff": neo_hookean(**STIFF)}
    return RVEMaterial(cell, phases, Kinematics(gdim, "finite"), degree=1, **options)


@pytest.mark.parametrize("gdim", [2, 3])
@pytest.mark.parametrize("degree", [1, 2])
def test_homogeneous_cell_is_its_phase_at_finite_strain(gdim: int, degree: int) -> None:
    cell = laminate_cell(gdim, {"soft": 1.0}, resolution=2)
    kinematics = Kinematics(gdim, "finite")
    rve = RVEMaterial(cell, {"soft": neo_hookean(**SOFT)}, kinematics, degree=degree)
    law = NeoHookean(gdim, **SOFT)
    F = strains(kinematics, 4)
    got, expected = rve.evaluate(F), law.evaluate(F)
    assert got.ok.all()
    np.testing.assert_allclose(got.stress, expected.stress, rtol=0, atol=1e-10)
    np.testing.assert_allclose(got.tangent, expected.tangent, rtol=0, atol=1e-10)
    np.testing.assert_allclose(got.report["energy"], expected.report["energy"], atol=1e-10)


@pytest.mark.parametrize("gdim", [2, 3])
def test_homogeneous_cell_is_its_phase_at_small_strain(gdim: int) -> None:
    kinematics = Kinematics(gdim, "small")
    cell = laminate_cell(gdim, {"only": 1.0}, resolution=2)
    rve = RVEMaterial(cell, {"only": linear_elastic(young=3.0, poisson=0.3)}, kinematics)
    law = Linear(kinematics, isotropic_stiffness(kinematics, young=3.0, poisson=0.3))
    strain = strains(kinematics, 4)
    got, expected = rve.evaluate(strain), law.evaluate(strain)
    np.testing.assert_allclose(got.stress, expected.stress, rtol=0, atol=1e-10)
    np.testing.assert_allclose(got.tangent, expected.tangent, rtol=0, atol=1e-10)


@pytest.mark.parametrize("gdim", [2, 3])
def test_laminate_at_finite_strain(gdim: int) -> None:
    """Layers deform by F + a ⊗ N / -a ⊗ N with continuous traction P N: a root of d equations."""
    soft, stiff = NeoHookean(gdim, **SOFT), NeoHookean(gdim, **STIFF)
    normal = np.eye(gdim)[0]

    def layers(F: np.ndarray, a: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        jump = np.outer(a, normal).ravel()
        return F + jump / 0.4, F - jump / 0.6

    def traction_jump(a: np.ndarray, F: np.ndarray) -> np.ndarray:
        first, second = layers(F, a)
        P = soft.evaluate(first[None]).stress - stiff.evaluate(second[None]).stress
        return P.reshape(gdim, gdim) @ normal

    F = strains(Kinematics(gdim, "finite"), 4)
    got = laminate_rve(gdim).evaluate(F)
    for i in range(len(F)):
        a = root(traction_jump, np.zeros(gdim), args=(F[i],), tol=1e-13).x
        first, second = layers(F[i], a)
        P = 0.4 * soft.evaluate(first[None]).stress + 0.6 * stiff.evaluate(second[None]).stress
        np.testing.assert_allclose(got.stress[i], P[0], rtol=0, atol=1e-8)


def test_laminate_conducts_as_resistors_in_series_and_in_parallel() -> None:
    cell = laminate_cell(2, {"poor": 0.3, "good": 0.7}, resolution=4)
    phases = {"poor": conductor(conductivity=1.0), "good": conductor(conductivity=5.0)}
    rve = RVEMaterial(cell, phases, Kinematics(2, "gradient"), degree=1)
    conductivity = rve.evaluate(np.zeros((1, 2))).tangent[0]
    series, parallel = 1 / (0.3 / 1.0 + 0.7 / 5.0), 0.3 * 1.0 + 0.7 * 5.0
    np.testing.assert_allclose(conductivity, np.diag([series, parallel]), atol=1e-12)


@pytest.mark.parametrize("degree", [1, 2])
def test_hill_mandel(degree: int) -> None:
    """The mean of P : δF over the cell is P̄ : δF̄, and P̄ is the mean of P."""
    cell = checkerboard()
    phases = {"soft": neo_hookean(**SOFT), "stiff": neo_hookean(**STIFF)}
    kinematics = Kinematics(2, "finite")
    rve = RVEMaterial(cell, phases, kinematics, degree=degree)
    F_bar = strains(kinematics, 1)
    response = rve.evaluate(F_bar)
    problem = rve.problem
    problem.assemble(F_bar[0], response.hint[0])
    u = problem.assembly.u
    F = ufl.variable(ufl.Identity(2) + ufl.grad(u))
    work, mean = 0.0, np.zeros((2, 2))
    for name, dx in cell.measures(max(1, 2 * (degree - 1))).items():
        P = ufl.diff(phases[name].energy(F, **phases[name].constants), F)
        work += fem.assemble_scalar(fem.form(ufl.inner(P, F) * dx))
        for i in range(2):
            for j in range(2):
                mean[i, j] += fem.assemble_scalar(fem.form(P[i, j] * dx))
    stress = response.stress[0]
    assert abs(work / cell.volume - stress @ F_bar[0]) < 1e-8 * np.linalg.norm(stress)
    np.testing.assert_allclose(mean.ravel() / cell.volume, stress, atol=1e-8)


def checkerboard():
    unit = mesh.create_unit_square(MPI.COMM_SELF, 6, 6)
    cells = np.arange(unit.topology.index_map(2).size_local, dtype=np.int32)
    middle = mesh.compute_midpoints(unit, 2, cells)
    stiff = (middle[:, 0] < 0.5) ^ (middle[:, 1] < 0.5)
    return make_cell(unit, {"soft": cells[~stiff], "stiff": cells[stiff]})


def test_tangent_is_the_derivative_and_not_the_mean_of_the_tangents() -> None:
    rve = laminate_rve(2)
    F = strains(rve.kinematics, 1)
    tangent = rve.evaluate(F).tangent[0]
    direction = np.random.default_rng(1).standard_normal(4)
    base = rve.evaluate(F, tangent=False).stress[0]
    errors = []
    for h in (4e-3, 2e-3, 1e-3):
        stress = rve.evaluate(F + h * direction, tangent=False).stress[0]
        errors.append(np.linalg.norm(stress - base - h * tangent @ direction))
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    assert (orders > 1.9).all()
    np.testing.assert_allclose(tangent, tangent.T, atol=1e-10)


@pytest.mark.parametrize("kind", ["random", "huge", "nan"])
def test_a_bad_hint_costs_time_but_changes_nothing(kind: str) -> None:
    rve = laminate_rve(2)
    F = strains(rve.kinematics, 3)
    clean = rve.evaluate(F)
    rng = np.random.default_rng(3)
    hint = (
        rng.standard_normal(clean.hint.shape) * {"random": 1e-2, "huge": 10.0, "nan": np.nan}[kind]
    )
    got = rve.evaluate(F, hint=hint)
    assert got.ok.all()
    np.testing.assert_allclose(got.stress, clean.stress, atol=1e-7)
    warm = rve.evaluate(F, hint=clean.hint)
    assert warm.report["micro_iterations"].sum() == 0
    np.testing.assert_allclose(warm.tangent, clean.tangent, atol=1e-7)


@pytest.mark.parametrize("warm", [False, True])
def test_finite_strain_however_close_to_rest_is_solved(warm: bool) -> None:
    """Rounding of F is that of 1: no tolerance may ask for more, and the stress is linear."""
    rve = laminate_rve(2)
    hint = rve.evaluate(strains(rve.kinematics, 4)).hint if warm else None
    directions = strains(rve.kinematics, 4) - rve.kinematics.rest
    tangent = rve.evaluate(rve.kinematics.rest[None]).tangent[0]
    for size in (1e-5, 1e-7, 1e-9, 1e-12, 0.0):
        strain = rve.kinematics.rest + size * directions
        answer = rve.evaluate(strain, hint=hint)
        assert answer.ok.all(), size
        expected = (strain - rve.kinematics.rest) @ tangent.T
        # second order of the law, and rounding of F times the stiffest modulus, some 40
        atol = 100 * size**2 + 40 * 10 * np.finfo(float).eps
        np.testing.assert_allclose(answer.stress, expected, rtol=0, atol=atol)


def test_points_that_cannot_be_solved_are_flagged_and_harm_no_other() -> None:
    rve = laminate_rve(2)
    F = strains(rve.kinematics, 3)
    alone = rve.evaluate(F)
    bad = np.array([[-1.0, 0, 0, 1], [np.nan, 0, 0, 1]])
    mixed = rve.evaluate(np.vstack([F[:1], bad, F[1:]]))
    assert mixed.ok.tolist() == [True, False, False, True, True]
    assert np.isnan(mixed.stress[1:3]).all() and np.isnan(mixed.tangent[1:3]).all()
    np.testing.assert_array_equal(mixed.stress[[0, 3, 4]], alone.stress)


def test_cells_that_are_none_are_refused() -> None:
    unit = mesh.create_unit_square(MPI.COMM_SELF, 4, 4)
    cells = np.arange(unit.topology.index_map(2).size_local, dtype=np.int32)
    with pytest.raises(InputError, match="every cell needs exactly one physical group"):
        make_cell(unit, {"soft": cells[:-1]})
    on_right = np.isclose(unit.geometry.x[:, 0], 1.0)
    inner = on_right & (unit.geometry.x[:, 1] > 0.1) & (unit.geometry.x[:, 1] < 0.9)
    unit.geometry.x[inner, 1] += 0.02
    cell = make_cell(unit, {"soft": cells})
    place = r"at \[1, 0\.\d{1,6}\] has no partner"
    with pytest.raises(InputError, match=f"faces do not match: the node {place}"):
        RVEMaterial(cell, {"soft": neo_hookean(**SOFT)}, Kinematics(2, "finite"))
    unit.geometry.x[on_right, 0] += 0.1 * unit.geometry.x[on_right, 1]
    with pytest.raises(InputError, match="no parallelepiped"):
        make_cell(unit, {"soft": cells})
    good = laminate_cell(2, {"soft": 1.0}, resolution=2)
    with pytest.raises(InputError, match="name the same phases"):
        RVEMaterial(good, {"sfot": neo_hookean(**SOFT)}, Kinematics(2, "finite"))
    with pytest.raises(InputError, match="shear_modulus is -1"):
        neo_hookean(shear_modulus=-1.0, lame=0.0)


@pytest.mark.mpi
@pytest.mark.parametrize("gdim", [2, 3])
def test_contract(gdim: int) -> None:
    rve = laminate_rve(gdim)
    comm = MPI.COMM_WORLD
    check_contract(rve, strains(rve.kinematics, 8), comm, tolerance=1e-7, objective=True)


@pytest.mark.parametrize("boundary", ["linear", "traction"])
@pytest.mark.parametrize("gdim", [2, 3])
def test_other_boundary_conditions_meet_the_contract(boundary: str, gdim: int) -> None:
    rve = laminate_rve(gdim, boundary=boundary)
    check_contract(rve, strains(rve.kinematics, 6), tolerance=1e-7, objective=True)


@pytest.mark.parametrize("boundary", ["periodic", "linear", "traction"])
@pytest.mark.parametrize("measure", ["small", "finite", "gradient"])
def test_homogeneous_cell_under_every_boundary_condition(boundary: str, measure: str) -> None:
    kinematics = Kinematics(2, measure)
    if measure == "finite":
        phase, law = neo_hookean(**SOFT), NeoHookean(2, **SOFT)
    elif measure == "small":
        stiffness = isotropic_stiffness(kinematics, young=3.0, poisson=0.3)
        phase, law = linear_elastic(young=3.0, poisson=0.3), Linear(kinematics, stiffness)
    else:
        phase, law = conductor(conductivity=2.0), Linear(kinematics, 2.0 * np.eye(2))
    cell = laminate_cell(2, {"only": 1.0}, resolution=3)
    rve = RVEMaterial(cell, {"only": phase}, kinematics, boundary=boundary)
    strain = strains(kinematics, 3)
    got, expected = rve.evaluate(strain), law.evaluate(strain)
    np.testing.assert_allclose(got.stress, expected.stress, rtol=0, atol=1e-10)
    np.testing.assert_allclose(got.tangent, expected.tangent, rtol=0, atol=1e-10)


@pytest.mark.parametrize("gdim", [2, 3])
def test_stiffnesses_are_ordered(gdim: int) -> None:
    """Reuss ≤ traction ≤ periodic ≤ linear ≤ Voigt: no difference has a negative eigenvalue."""
    kinematics = Kinematics(gdim, "small")
    unit = (
        mesh.create_unit_square(MPI.COMM_SELF, 6, 6)
        if gdim == 2
        else mesh.create_unit_cube(MPI.COMM_SELF, 4, 4, 4)
    )
    cells = np.arange(unit.topology.index_map(gdim).size_local, dtype=np.int32)
    middle = mesh.compute_midpoints(unit, gdim, cells)[:, :gdim]
    stiff = np.linalg.norm(middle - 0.5, axis=1) < 0.35
    cell = make_cell(unit, {"soft": cells[~stiff], "stiff": cells[stiff]})
    constants = {
        "soft": {"young": 1.0, "poisson": 0.4},
        "stiff": {"young": 20.0, "poisson": 0.2},
    }
    phases = {name: linear_elastic(**values) for name, values in constants.items()}
    single = {name: isotropic_stiffness(kinematics, **v) for name, v in constants.items()}
    share = cell.volume_fractions()
    ladder = [np.linalg.inv(sum(share[k] * np.linalg.inv(single[k]) for k in single))]
    for boundary in ("traction", "periodic", "linear"):
        rve = RVEMaterial(cell, phases, kinematics, degree=1, boundary=boundary)
        ladder.append(rve.evaluate(kinematics.rest[None]).tangent[0])
    ladder.append(sum(share[k] * single[k] for k in single))
    for lower, upper in zip(ladder, ladder[1:], strict=False):
        eigenvalues = np.linalg.eigvalsh(upper - lower)
        assert eigenvalues.min() > -1e-12 and eigenvalues.max() > 1e-3


def test_unknown_boundary_condition_is_refused() -> None:
    with pytest.raises(InputError, match="boundary is 'free'; expected one of periodic"):
        laminate_rve(2, boundary="free")


def test_stress_errs_by_the_square_of_what_equilibrium_lacks() -> None:
    loose, exact = laminate_rve(2, rtol=1e-2), laminate_rve(2, rtol=1e-12)
    F = strains(exact.kinematics, 6)
    got, expected = loose.evaluate(F), exact.evaluate(F)
    simple = loose.evaluate(F, tangent=False).stress
    scale = np.abs(expected.stress).max()
    plain_error = np.abs(simple - expected.stress).max() / scale
    assert plain_error > 1e-7  # it did stop early
    assert np.abs(got.stress - expected.stress).max() / scale < plain_error**1.5
