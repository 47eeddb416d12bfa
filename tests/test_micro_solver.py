"""The cell's solver: few factorisations, the same answers, and what it says of stability."""

from collections.abc import Iterator

import numpy as np
import pytest
import scipy.sparse as sp
import ufl
from petsc4py import PETSc

from fesurrogate import Kinematics
from fesurrogate.kinematics import Array
from fesurrogate.micro import Phase, RVEMaterial, laminate_cell, linear_elastic, neo_hookean
from fesurrogate.micro import solver as solver_module
from fesurrogate.micro.iterative import set_rigid_motions
from fesurrogate.micro.solver import CellSolver
from fesurrogate.micro.start import accelerated_start


def layers(
    contrast: float = 10.0, *, fraction: float = 0.6, gdim: int = 2, **options
) -> RVEMaterial:
    """Two layers of neo-Hookean solids."""
    cell = laminate_cell(gdim, {"soft": 1 - fraction, "stiff": fraction}, resolution=4)
    phases = {
        "soft": neo_hookean(shear_modulus=1.0, lame=1.5),
        "stiff": neo_hookean(shear_modulus=contrast, lame=1.5 * contrast),
    }
    return RVEMaterial(cell, phases, Kinematics(gdim, "finite"), **{"degree": 1, **options})


def strains(rve: RVEMaterial, n: int, amplitude: float = 0.15) -> Array:
    rng = np.random.default_rng(7)
    return rve.kinematics.rest + rng.uniform(-amplitude, amplitude, (n, rve.kinematics.size))


@pytest.fixture
def factorised(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Counts how often a solver gives its matrix new values: each is a factorisation."""
    count = [0]
    update = CellSolver._update_matrix

    def counted(self: CellSolver) -> None:
        count[0] += 1
        update(self)

    monkeypatch.setattr(CellSolver, "_update_matrix", counted)
    yield count


@pytest.mark.parametrize("gdim", [2, 3])
def test_a_point_is_factorised_once_and_answers_as_by_plain_newton(
    gdim: int, factorised: list[int]
) -> None:
    """Equilibrium differs by rtol, the stress by its square, and the tangent by the first."""
    rve, plain = layers(gdim=gdim), layers(gdim=gdim)
    plain.problem.solver._reference = None
    F = strains(rve, 8, 0.1)
    factorised[0] = 0
    got = rve.evaluate(F)
    assert got.ok.all() and factorised[0] == len(F)
    factorised[0] = 0
    expected = plain.evaluate(F)
    assert factorised[0] > 2 * len(F)  # the test would see it
    assert got.tangent is not None and expected.tangent is not None
    scale = np.abs(expected.tangent).max()
    np.testing.assert_allclose(got.stress, expected.stress, rtol=0, atol=1e-14 * scale)
    np.testing.assert_allclose(got.tangent, expected.tangent, rtol=0, atol=1e-7 * scale)


@pytest.mark.parametrize("gdim", [2, 3])
@pytest.mark.parametrize(("worth", "each"), [(100.0, 0), (0.0, 1)])
def test_a_stress_alone_is_factorised_where_that_costs_less(
    gdim: int, worth: float, each: int, factorised: list[int]
) -> None:
    """Whatever a factorisation costs, in steps of the start, the stress errs by rtol."""
    rve = layers(gdim=gdim)
    F = strains(rve, 8, 0.1)
    expected = rve.evaluate(F)
    rve.problem.solver._factorisation = worth
    factorised[0] = 0
    stress = rve.evaluate(F, tangent=False).stress
    assert factorised[0] == each * len(F)
    assert expected.tangent is not None
    scale = np.abs(expected.tangent).max()
    np.testing.assert_allclose(stress, expected.stress, rtol=0, atol=1e-7 * scale)


def test_a_linear_cell_is_factorised_once_for_all_points(factorised: list[int]) -> None:
    cell = laminate_cell(2, {"soft": 0.4, "stiff": 0.6}, resolution=4)
    phases = {
        "soft": linear_elastic(young=1.0, poisson=0.3),
        "stiff": linear_elastic(young=9.0, poisson=0.2),
    }
    rve = RVEMaterial(cell, phases, Kinematics(2))
    assert factorised[0] == 1
    response = rve.evaluate(strains(rve, 5))
    assert factorised[0] == 1 and (response.report["micro_iterations"] <= 2).all()
    assert response.tangent is not None
    np.testing.assert_allclose(
        response.stress,
        np.einsum("nij,nj->ni", response.tangent, strains(rve, 5)),
        rtol=0,
        atol=1e-14 * np.abs(response.tangent).max(),
    )


@pytest.mark.parametrize("gdim", [2, 3])
def test_the_factorisation_of_newton_gives_the_tangent_of_a_fresh_one(gdim: int) -> None:
    rve = layers(gdim=gdim)
    F = strains(rve, 4)
    kept = rve.evaluate(F)
    assert kept.tangent is not None
    for i, strain in enumerate(F):
        problem = rve.problem
        problem.assemble(strain, kept.hint[i], tangent=True)
        problem.solver.factorise()
        _, fresh = problem.condense(strain, kept.hint[i])
        np.testing.assert_allclose(
            kept.tangent[i], fresh, rtol=0, atol=1e-7 * np.linalg.norm(fresh, 2)
        )


@pytest.mark.parametrize("gdim", [2, 3])
def test_an_old_factorisation_gives_the_tangent_all_the_same(gdim: int) -> None:
    """It errs by the square of what repeating leaves, the root of rtol, whatever was factorised."""
    rve = layers(gdim=gdim)
    F = strains(rve, 1)
    response, problem = rve.evaluate(F), rve.problem
    problem.assemble(rve.kinematics.rest, np.zeros(rve.num_hint), tangent=True)
    problem.solver.factorise()
    _, tangent = problem.condense(F[0], response.hint[0])
    scale = np.abs(tangent).max()
    np.testing.assert_allclose(tangent, response.tangent[0], rtol=0, atol=1e-8 * scale)


def test_what_stands_elsewhere_is_assembled_anew() -> None:
    """A displacement that is set from outside moves the cell from where its force is at hand."""
    rve = layers(gdim=2)
    F, problem = strains(rve, 1)[0], rve.problem
    q = rve.evaluate(F[None]).hint[0]
    problem.assemble(F, q, tangent=True)
    force, stiffness = problem.force.copy(), problem.stiffness.data.copy()
    problem.set_displacement(np.zeros(len(force)))
    problem.assemble(F, q, tangent=True)
    np.testing.assert_array_equal(problem.force, force)
    np.testing.assert_array_equal(problem.stiffness.data, stiffness)


def test_where_the_start_misleads_the_plain_way_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    rve = layers(rtol=1e-11)
    F = strains(rve, 3)
    expected = rve.evaluate(F).stress

    def astray(residual, precondition, guess, **options):  # noqa: ANN001, ANN202
        return np.full_like(guess, 0.3) * np.arange(len(guess)), 2

    monkeypatch.setattr(solver_module, "accelerated_start", astray)
    got = rve.evaluate(F)
    assert got.ok.all()
    np.testing.assert_allclose(got.stress, expected, rtol=0, atol=1e-12 * np.abs(expected).max())


def test_the_start_ends_after_as_many_steps_as_there_are_eigenvalues() -> None:
    """On a linear problem Anderson's method is GMRES: k eigenvalues take k steps, and one more."""
    rng = np.random.default_rng(2)
    vectors = np.linalg.qr(rng.standard_normal((30, 30)))[0]
    matrix = vectors @ np.diag(np.repeat([0.3, 0.9, 1.7], 10)) @ vectors.T
    load = rng.standard_normal(30)
    q, steps = accelerated_start(
        lambda q: matrix @ q - load, lambda r: r, np.zeros(30), target=1e-10, most=20
    )
    assert steps == 4
    np.testing.assert_allclose(matrix @ q, load, rtol=0, atol=1e-10)


@pytest.mark.parametrize("kind", ["nan", "grows", "at once", "there"])
def test_the_start_returns_the_best_point_it_saw(kind: str) -> None:
    guess = np.array([2.0, -1.0])
    residual = {
        "nan": lambda q: np.full(2, np.nan),
        "grows": lambda q: 10 * q**3,
        "at once": lambda q: q,
        "there": lambda q: 0 * q,
    }[kind]
    q, steps = accelerated_start(residual, lambda r: r, guess, target=1e-12, most=20)
    assert steps <= 1
    np.testing.assert_array_equal(q, np.zeros(2) if kind == "at once" else guess)


def eigenvalues(rve: RVEMaterial, strain: Array, hint: Array) -> Array:
    problem = rve.problem
    problem.assemble(strain, hint, tangent=True)
    T = problem.prolongation
    return np.linalg.eigvalsh((T.T @ problem.stiffness @ T).toarray())


def test_directions_in_which_a_laminate_has_buckled_are_counted(
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Thin stiff layers under compression; nothing is printed where Cholesky's method fails."""
    rve = layers(100.0, fraction=0.1, degree=2)
    F = np.array([[1.0, 0, 0, 1 - shortening] for shortening in (0.02, 0.1, 0.2)])
    response = rve.evaluate(F)
    counts = [int((eigenvalues(rve, *row) < 0).sum()) for row in zip(F, response.hint, strict=True)]
    assert response.ok.all() and counts[0] == 0 and counts[-1] > counts[1] > 0
    assert response.report["negative_pivots"].tolist() == counts
    assert capfd.readouterr() == ("", "")


def test_an_energy_that_is_not_convex_has_its_closed_form() -> None:
    """W = (|g|² - 1)² / 4 in one phase: σ = (|g|² - 1) g, unstable where |g|² < 1."""
    cell = laminate_cell(2, {"only": 1.0}, resolution=3)
    phase = Phase(lambda g: (ufl.inner(g, g) - 1) ** 2 / 4)
    rve = RVEMaterial(cell, {"only": phase}, Kinematics(2, "gradient"), degree=1)
    g = np.array([[0.0, 0.0], [0.3, 0.1], [0.9, 0.0], [2.0, 0.5]])
    response, excess = rve.evaluate(g), (g**2).sum(axis=1) - 1
    np.testing.assert_allclose(response.stress, excess[:, None] * g, rtol=0, atol=1e-13)
    expected = excess[:, None, None] * np.eye(2) + 2 * g[:, :, None] * g[:, None]
    np.testing.assert_allclose(response.tangent, expected, rtol=0, atol=1e-13)
    counts = [(eigenvalues(rve, *row) < 0).sum() for row in zip(g, response.hint, strict=True)]
    assert response.report["negative_pivots"].tolist() == counts
    assert counts[0] == rve.num_hint and counts[-1] == 0 < counts[2] < counts[0]


def test_the_command_line_wins(factorised: list[int]) -> None:
    typed = {"own_pc_type": "lu", "own_pc_factor_mat_solver_type": "petsc", "own_snes_max_it": "1"}
    database = PETSc.Options()
    for name, value in typed.items():
        database[name] = value
    try:
        rve = layers(prefix="own_")
    finally:
        for name in typed:
            database.delValue(name)
    F, usual = strains(rve, 2, 0.01), layers()
    pc = rve.problem.solver._snes.ksp.pc
    assert (pc.getType(), pc.getFactorSolverType()) == ("lu", "petsc")
    assert rve.problem.equilibrate(F[0], np.zeros(rve.num_hint))[2] is False  # in one iteration
    warm = rve.evaluate(F, hint=usual.evaluate(F).hint)
    assert warm.ok.all() and np.isnan(warm.report["negative_pivots"]).all()
    np.testing.assert_allclose(warm.tangent, usual.evaluate(F).tangent, rtol=0, atol=1e-7)


def factors(rve: RVEMaterial) -> list[PETSc.Mat]:
    """Return the factorisations of the start and of the last point."""
    rve.evaluate(strains(rve, 2))
    solver = rve.problem.solver
    solver.factorise()
    assert solver._reference is not None
    return [each.pc.getFactorMatrix() for each in (solver._reference, solver._snes.ksp)]


def test_options_of_the_package_reach_every_factorisation() -> None:
    """PETSc reads them when a matrix is first factorised, long after the TOML's are gone."""
    from fesurrogate.fem.petsc_options import petsc_options

    given = {"pc_type": "lu", "pc_factor_mat_solver_type": "mumps", "mat_mumps_icntl_14": "77"}
    with petsc_options("own_", given):
        rve = layers(prefix="own_")
    assert [factor.getMumpsIcntl(14) for factor in factors(rve)] == [77, 77]
    assert not PETSc.Options().hasName("own_mat_mumps_icntl_14")


@pytest.mark.parametrize("gdim", [2, 3])
def test_iterations_answer_as_factorisations_do(gdim: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both to rtol in equilibrium; the tangent to rtol too, by its columns to the root of it."""
    direct = layers(gdim=gdim)
    limits = dict.fromkeys((2, 3), 1)
    monkeypatch.setattr("fesurrogate.micro.condensation.LARGEST_FACTORISED", limits)
    iterative = layers(gdim=gdim)
    ksp = iterative.problem.solver._snes.ksp
    assert (ksp.getType(), direct.problem.solver._snes.ksp.getType()) == ("minres", "preonly")
    F = strains(direct, 3)
    expected, got = direct.evaluate(F), iterative.evaluate(F)
    assert got.ok.all() and got.tangent is not None and expected.tangent is not None
    assert np.isnan(got.report["negative_pivots"]).all()
    scale = np.abs(expected.tangent).max()
    np.testing.assert_allclose(got.stress, expected.stress, rtol=0, atol=1e-13 * scale)
    np.testing.assert_allclose(got.tangent, expected.tangent, rtol=0, atol=1e-7 * scale)


@pytest.mark.parametrize("d", [2, 3])
def test_rigid_motions_are_of_the_unknowns_nodes(d: int) -> None:
    """Linear elasticity without a constraint does not resist them."""
    cell = laminate_cell(d, {"only": 1.0}, resolution=2)
    phases = {"only": linear_elastic(young=1.0, poisson=0.3)}
    problem = RVEMaterial(cell, phases, Kinematics(d), degree=1).problem
    x = problem.assembly.u.function_space.tabulate_dof_coordinates()[:, :d]
    n = problem.stiffness.shape[0]
    matrix = PETSc.Mat().createAIJ((n, n), nnz=1, comm=PETSc.COMM_SELF)
    set_rigid_motions(matrix, sp.identity(n, format="csr"), x, fluctuating=d)
    motions = matrix.getNearNullSpace().getVecs()
    assert len(motions) == d * (d + 1) // 2
    forces = [
        np.abs(problem.stiffness @ motion.getArray(readonly=True)).max() for motion in motions
    ]
    np.testing.assert_allclose(forces, 0.0, atol=1e-14)
