"""The macro scale: forms against pure UFL, Newton's order, ranks, failure and cut-back."""

from collections.abc import Callable

import numpy as np
import pytest
import ufl
from dolfinx import fem, mesh
from dolfinx.fem import petsc as fem_petsc
from mpi4py import MPI
from petsc4py import PETSc

from fesurrogate import ConvergenceError, InputError, Kinematics, Material, Response
from fesurrogate.config import TrainSettings
from fesurrogate.data.generate import generate
from fesurrogate.data.sampling import stretches
from fesurrogate.fem.field import PATIENCE, MaterialField
from fesurrogate.fem.problem import MacroProblem
from fesurrogate.fem.stepping import run_increments
from fesurrogate.fem.strain import pack, strain_of
from fesurrogate.laws import Linear, NeoHookean, isotropic_stiffness
from fesurrogate.material import masked
from fesurrogate.micro import RVEMaterial, laminate_cell, neo_hookean
from fesurrogate.surrogate import NetworkMaterial
from fesurrogate.train import fit

MU, LAM = 1.0, 1.5
FINITE = Kinematics(2, "finite")


def plate(comm: MPI.Comm, n: int = 4) -> mesh.Mesh:
    return mesh.create_rectangle(
        comm, [[0.0, 0.0], [2.0, 1.0]], [n, n], mesh.CellType.quadrilateral
    )


def facets_at(domain: mesh.Mesh, x: float) -> np.ndarray:
    return mesh.locate_entities_boundary(domain, 1, lambda p: np.isclose(p[0], x))


def stretched(
    material: Material,
    comm: MPI.Comm,
    *,
    n: int = 4,
    degree: int = 2,
    options: dict | None = None,
) -> tuple[MacroProblem, Callable[[float], None], np.ndarray]:
    """A plate held at the left whose right edge is moved by (0.4, 0.3) times the load."""
    domain = plate(comm, n)
    V = fem.functionspace(domain, ("Lagrange", degree, (2,)))
    u = fem.Function(V)
    field = MaterialField(material, strain_of(u, material.kinematics), degree=2)
    moved = fem.Constant(domain, np.zeros(2))
    right = facets_at(domain, 2.0)
    bcs = [
        fem.dirichletbc(np.zeros(2), fem.locate_dofs_topological(V, 1, facets_at(domain, 0.0)), V),
        fem.dirichletbc(moved, fem.locate_dofs_topological(V, 1, right), V),
    ]

    def apply_load(time: float) -> None:
        moved.value[:] = [0.4 * time, 0.3 * time]

    return MacroProblem(u, [field], bcs=bcs, options=options), apply_load, right


def composite() -> RVEMaterial:
    cell = laminate_cell(2, {"soft": 0.5, "stiff": 0.5}, resolution=2)
    phases = {
        "soft": neo_hookean(shear_modulus=MU, lame=LAM),
        "stiff": neo_hookean(shear_modulus=5 * MU, lame=5 * LAM),
    }
    return RVEMaterial(cell, phases, FINITE, degree=1, rtol=1e-12)


@pytest.mark.mpi
def test_exact_law_reproduces_the_one_scale_vector_and_matrix() -> None:
    domain = plate(MPI.COMM_WORLD)
    V = fem.functionspace(domain, ("Lagrange", 2, (2,)))
    u, v, du = fem.Function(V), ufl.TestFunction(V), ufl.TrialFunction(V)
    u.interpolate(lambda x: np.stack([0.1 * np.sin(x[0] + x[1]), 0.1 * x[0] * x[1]]))
    field = MaterialField(NeoHookean(2, shear_modulus=MU, lame=LAM), strain_of(u, FINITE), degree=3)
    assert field.update() == 0
    F = ufl.Identity(2) + ufl.grad(u)
    J = ufl.det(F)
    energy = MU / 2 * (ufl.tr(F.T * F) - 2 - 2 * ufl.ln(J)) + LAM / 2 * ufl.ln(J) ** 2
    twin = ufl.derivative(energy * ufl.dx(metadata={"quadrature_degree": 3}), u, v)

    def matrix(form) -> np.ndarray:
        A = fem_petsc.assemble_matrix(fem.form(form))
        A.assemble()
        return A.getValuesCSR()[2]

    def vector(form) -> np.ndarray:
        return fem.assemble_vector(fem.form(form)).array

    np.testing.assert_allclose(vector(field.residual(v)), vector(twin), rtol=0, atol=1e-10)
    expected = matrix(ufl.derivative(twin, u, du))
    np.testing.assert_allclose(matrix(field.jacobian(du, v)), expected, rtol=0, atol=1e-10)


def test_strain_that_is_nonlinear_in_the_unknown_gets_its_second_variation() -> None:
    """St. Venant-Kirchhoff through Green-Lagrange strain, beside its pure-UFL twin."""
    kinematics = Kinematics(2, "small")
    domain = plate(MPI.COMM_SELF)
    V = fem.functionspace(domain, ("Lagrange", 1, (2,)))
    u, v, du = fem.Function(V), ufl.TestFunction(V), ufl.TrialFunction(V)
    u.interpolate(lambda x: np.stack([0.2 * x[1] ** 2, 0.1 * x[0] * x[1]]))
    F = ufl.Identity(2) + ufl.grad(u)
    E = (F.T * F - ufl.Identity(2)) / 2
    material = Linear(kinematics, isotropic_stiffness(kinematics, young=3.0, poisson=0.3))
    field = MaterialField(material, pack(kinematics, E), degree=4)
    assert field.update() == 0
    mu, lam = 3.0 / 2.6, 3.0 * 0.3 / (1.3 * 0.4)
    energy = lam / 2 * ufl.tr(E) ** 2 + mu * ufl.inner(E, E)
    twin = ufl.derivative(energy * ufl.dx(metadata={"quadrature_degree": 4}), u, v)
    got = fem.assemble_vector(fem.form(field.residual(v))).array
    np.testing.assert_allclose(got, fem.assemble_vector(fem.form(twin)).array, atol=1e-10)
    got = fem.assemble_matrix(fem.form(field.jacobian(du, v))).to_dense()
    expected = fem.assemble_matrix(fem.form(ufl.derivative(twin, u, du))).to_dense()
    np.testing.assert_allclose(got, expected, atol=1e-10)


def network() -> NetworkMaterial:
    """A network fitted roughly to the composite: its tangent is exact whatever its accuracy."""
    data = generate(composite(), stretches(FINITE, 24, 0.2, seed=1))
    settings = TrainSettings(hidden=(8, 8), iterations=20)
    return NetworkMaterial(fit(data, settings).network)


@pytest.mark.mpi
@pytest.mark.parametrize(
    "make", [lambda: NeoHookean(2, shear_modulus=MU, lame=LAM), composite, network]
)
def test_newton_is_quadratic_and_ranks_agree(make: Callable[[], Material]) -> None:
    world = MPI.COMM_WORLD
    pair = world.Split(world.rank // 2)  # two ranks, where there are, and the rest alone
    reactions = []
    for comm in (world, pair, MPI.COMM_SELF):
        problem, apply_load, right = stretched(make(), comm, n=2)
        apply_load(1.0)
        result = problem.solve()
        assert result.converged
        assert fitted_order(result.residual_norms) >= 1.8
        reactions.append(problem.reaction(right))
    np.testing.assert_allclose(reactions[:2], [reactions[2]] * 2, rtol=1e-8)


def fitted_order(norms: tuple[float, ...]) -> float:
    """Slope of log r_{k+1} over log r_k, of the steps in the basin and above the floor."""
    norms = np.array(norms) / norms[0]
    pairs = [(a, b) for a, b in zip(norms, norms[1:], strict=False) if 1e-6 < a < 0.1 and b > 1e-13]
    (a, b), (c, d) = pairs[-2:] if len(pairs) > 1 else [(norms[-3], norms[-2]), pairs[-1]]
    return float(np.log(d / b) / np.log(c / a))


@pytest.mark.mpi
def test_ranks_without_cells() -> None:
    """One cell on all ranks together: all ranks but one own nothing, and meet every collective."""
    reactions = []
    for comm in (MPI.COMM_WORLD, MPI.COMM_SELF):
        problem, apply_load, right = stretched(composite(), comm, n=1)
        run_increments(problem, apply_load, [0.5, 1.0])
        reactions.append(problem.reaction(right))
    np.testing.assert_allclose(reactions[0], reactions[1], rtol=1e-8)


@pytest.mark.mpi
def test_regions_carry_different_materials() -> None:
    domain = plate(MPI.COMM_WORLD)
    V = fem.functionspace(domain, ("Lagrange", 1, (2,)))
    u, v = fem.Function(V), ufl.TestFunction(V)
    u.interpolate(lambda x: np.stack([0.1 * x[0] * x[1], 0.05 * x[0] ** 2]))
    owned = domain.topology.index_map(2).size_local  # DOLFINx integrates the cells it is given
    left = mesh.locate_entities(domain, 2, lambda x: x[0] <= 1.0 + 1e-9)
    right = mesh.locate_entities(domain, 2, lambda x: x[0] >= 1.0 - 1e-9)
    left, right = left[left < owned], right[right < owned]
    dx = ufl.Measure("dx", domain=domain, subdomain_data=[(1, left), (2, right)])
    total = 0
    for k, (cells, factor) in enumerate([(left, 1.0), (right, 7.0)], start=1):
        law = NeoHookean(2, shear_modulus=factor * MU, lame=factor * LAM)
        field = MaterialField(law, strain_of(u, FINITE), degree=2, cells=cells)
        field.update()
        total = total + field.residual(v, dx=dx(k))
    F = ufl.Identity(2) + ufl.grad(u)
    J = ufl.det(F)
    energy = MU / 2 * (ufl.tr(F.T * F) - 2 - 2 * ufl.ln(J)) + LAM / 2 * ufl.ln(J) ** 2
    metadata = {"quadrature_degree": 2}
    twin = ufl.derivative(
        energy * dx(1, metadata=metadata) + 7 * energy * dx(2, metadata=metadata), u, v
    )
    got = fem.assemble_vector(fem.form(total)).array
    np.testing.assert_allclose(got, fem.assemble_vector(fem.form(twin)).array, atol=1e-12)
    alone = fem.assemble_vector(fem.form(field.residual(v))).array
    other = ufl.derivative(7 * energy * dx(2, metadata=metadata), u, v)
    np.testing.assert_allclose(alone, fem.assemble_vector(fem.form(other)).array, atol=1e-12)


class Brittle(Material):
    """Linear, but unsolvable where the strain moves by more than 0.05 from the accepted one."""

    kinematics = Kinematics(2, "small")
    num_state = 3

    def __init__(self) -> None:
        stiffness = isotropic_stiffness(self.kinematics, young=1.0, poisson=0.3)
        self.law = Linear(self.kinematics, stiffness)
        self.calls = 0

    def respond(self, strain, state, dt, **options) -> Response:
        self.calls += 1
        answer = self.law.evaluate(strain)
        moved = np.abs(strain - state).max(axis=1, initial=0.0)
        state = strain.copy()
        whole = Response(answer.stress, answer.tangent, state, answer.hint, answer.ok)
        return masked(whole, moved < 0.05)


@pytest.mark.mpi
def test_failed_points_cut_the_step_and_nothing_accepted_is_lost() -> None:
    material = Brittle()
    problem, apply_load, right = stretched(material, MPI.COMM_WORLD, degree=1)
    increments = run_increments(problem, apply_load, [1.0], max_cuts=6)
    assert len(increments) > 4 and increments[-1].time == 1.0
    reference, load, right_too = stretched(material.law, MPI.COMM_WORLD, degree=1)
    load(1.0)
    reference.solve()
    np.testing.assert_allclose(
        problem.reaction(right), reference.reaction(right_too), rtol=1e-7, atol=1e-12
    )


@pytest.mark.mpi
def test_a_step_that_cannot_be_cut_further_ends_with_the_accepted_state() -> None:
    material = Brittle()
    problem, apply_load, _ = stretched(material, MPI.COMM_WORLD, degree=1)
    run_increments(problem, apply_load, [0.05])
    accepted = problem.u.x.array.copy()
    state = problem.fields[0].state.copy()
    with pytest.raises(ConvergenceError, match="after 1 cuts"):
        run_increments(problem, apply_load, [1.0], start=0.05, max_cuts=1)
    np.testing.assert_array_equal(problem.u.x.array, accepted)
    np.testing.assert_array_equal(problem.fields[0].state, state)


@pytest.mark.mpi
@pytest.mark.parametrize("make", [lambda: NeoHookean(2, shear_modulus=MU, lame=LAM), composite])
def test_a_load_that_is_held_or_taken_off_and_held_converges(
    make: Callable[[], Material],
) -> None:
    problem, apply_load, right = stretched(make(), MPI.COMM_WORLD, n=2, degree=1)
    path = np.array([0.2, 0.4, 0.4, 0.4, 0.0, 0.0])
    forces = []
    accepted = run_increments(
        problem,
        lambda time: apply_load(float(np.interp(time, range(7), [0.0, *path]))),
        range(1, 7),
        max_cuts=0,
        on_accept=lambda _: forces.append(problem.reaction(right)),
    )
    assert [i.time for i in accepted] == [1, 2, 3, 4, 5, 6]
    loaded = np.linalg.norm(forces[1])
    np.testing.assert_allclose(forces[3], forces[1], atol=1e-8 * loaded)
    assert np.linalg.norm(forces[5]) < 1e-8 * loaded


def test_the_tolerance_of_a_held_load_is_the_users_where_it_is_set() -> None:
    law = NeoHookean(2, shear_modulus=MU, lame=LAM)
    problem, apply_load, _ = stretched(law, MPI.COMM_SELF, n=2, options={"snes_atol": 1e-30})
    apply_load(0.5)
    assert problem.solve().converged
    problem.accept()
    assert not problem.solve().converged  # no arithmetic reaches it


def test_a_hopeless_step_does_not_call_the_material_forty_times() -> None:
    material = Brittle()
    backtracking = {"snes_linesearch_type": "bt"}
    problem, apply_load, _ = stretched(material, MPI.COMM_SELF, degree=1, options=backtracking)
    apply_load(100.0)
    assert not problem.solve().converged
    assert material.calls <= PATIENCE + 1


def test_no_point_is_solved_twice_at_the_same_strain() -> None:
    law = NeoHookean(2, shear_modulus=MU, lame=LAM)
    problem, apply_load, _ = stretched(law, MPI.COMM_SELF)
    increments = run_increments(problem, apply_load, [0.5, 1.0])
    field = problem.fields[0]
    # one evaluation for each Newton iterate, and the state at rest
    assert field.tally.updates == 1 + sum(i.iterations for i in increments)


def test_shapes_that_do_not_match_are_refused_at_once() -> None:
    domain = plate(MPI.COMM_SELF)
    u = fem.Function(fem.functionspace(domain, ("Lagrange", 1, (2,))))
    law = NeoHookean(2, shear_modulus=MU, lame=LAM)
    with pytest.raises(InputError, match=r"strain expression has shape \(3,\)"):
        MaterialField(law, strain_of(u, Kinematics(2, "small")), degree=2)
    with pytest.raises(InputError, match="parameters have shape"):
        MaterialField(law, strain_of(u, FINITE), degree=2, parameters=ufl.as_vector([1.0]))
    field = MaterialField(law, strain_of(u, FINITE), degree=2)
    scalar = ufl.TestFunction(fem.functionspace(domain, ("Lagrange", 1)))
    with pytest.raises(InputError, match="pass unknown="):
        field.residual(scalar)


@pytest.mark.mpi
def test_a_failure_on_one_rank_is_seen_on_all() -> None:
    comm = MPI.COMM_WORLD
    domain = plate(comm, 6)
    u = fem.Function(fem.functionspace(domain, ("Lagrange", 1, (2,))))
    u.interpolate(lambda x: np.stack([np.where(x[0] > 1.9, -5.0, 0.0) * x[0], 0 * x[0]]))
    field = MaterialField(NeoHookean(2, shear_modulus=MU, lame=LAM), strain_of(u, FINITE), degree=2)
    failed = field.update()
    assert failed > 0 and comm.allgather(failed) == [failed] * comm.size
    assert np.isnan(field.stress.x.array).all()  # a script need not ask


@pytest.mark.parametrize("new_state", [True, False])
def test_the_same_strain_is_evaluated_anew_once_the_state_has_moved(new_state: bool) -> None:
    """Held at a strain, a Kelvin-Voigt solid feels no rate after the first increment."""
    domain = plate(MPI.COMM_SELF, 1)
    u = fem.Function(fem.functionspace(domain, ("Lagrange", 1, (2,))))
    u.interpolate(lambda x: np.stack([0.1 * x[0], 0 * x[0]]))
    field = MaterialField(KelvinVoigt(), strain_of(u, KelvinVoigt.kinematics), degree=2)
    field.update(0.5)
    strain, first = field.current_strain(), field.response.stress.copy()
    if new_state:
        field.accept()
    field.update(0.5)
    rate_free = strain @ field.material.law.stiffness.T
    expected = rate_free if new_state else first
    np.testing.assert_allclose(field.response.stress, expected, atol=1e-12)
    assert np.abs(first - rate_free).max() > 0.01
    field.update(0.25)  # another increment from the same state
    np.testing.assert_allclose(
        field.response.stress, rate_free if new_state else 2 * first - rate_free, atol=1e-12
    )


class KelvinVoigt(Material):
    """A spring beside a dashpot, as in docs/adding_a_material.md."""

    kinematics = Kinematics(2, "small")
    num_state = 3

    def __init__(self) -> None:
        self.law = Linear(
            self.kinematics, isotropic_stiffness(self.kinematics, young=1.0, poisson=0.3)
        )

    def respond(self, strain, state, dt, **options) -> Response:
        answer = self.law.evaluate(strain)
        stress = answer.stress + 0.5 * (strain - state) / dt
        tangent = answer.tangent + 0.5 / dt * np.eye(3)
        return Response(stress, tangent, strain.copy(), answer.hint, answer.ok)


def test_parameters_that_change_are_seen_at_the_same_strain() -> None:
    class Scaled(Material):
        kinematics = Kinematics(2, "small")
        parameter_names = ("modulus",)

        def respond(self, strain, state, dt, *, parameters, hint, **options) -> Response:
            tangent = parameters[:, :, None] * np.eye(3)
            ok = np.ones(len(strain), dtype=bool)
            return Response(parameters * strain, tangent, state, hint, ok)

    domain = plate(MPI.COMM_SELF, 1)
    u = fem.Function(fem.functionspace(domain, ("Lagrange", 1, (2,))))
    u.interpolate(lambda x: np.stack([0.1 * x[0], 0 * x[0]]))
    modulus = fem.Constant(domain, 1.0)
    field = MaterialField(
        Scaled(), strain_of(u, Scaled.kinematics), degree=2, parameters=ufl.as_vector([modulus])
    )
    field.update()
    soft = field.response.stress.copy()
    modulus.value = 5.0
    field.update()
    np.testing.assert_allclose(field.response.stress, 5.0 * soft)


def test_the_state_that_is_accepted_belongs_to_the_displacement() -> None:
    """What was evaluated last need not be the iterate that SNES ends on."""
    law = NeoHookean(2, shear_modulus=MU, lame=LAM)
    problem, apply_load, _ = stretched(law, MPI.COMM_SELF)
    field = problem.fields[0]

    def meddle(snes, iteration, norm) -> None:
        kept = problem.u.x.array.copy()
        problem.u.x.array[:] *= 0.5
        field.update()
        problem.u.x.array[:] = kept

    problem.snes.setMonitor(meddle)
    apply_load(1.0)
    assert problem.solve().converged
    np.testing.assert_array_equal(field._last_strain, field.current_strain())


@pytest.mark.mpi
def test_a_load_beyond_all_numbers_ends_with_a_message() -> None:
    problem, apply_load, _ = stretched(Brittle(), MPI.COMM_WORLD, degree=1)

    def overload(time: float) -> None:
        problem.u.x.array[:] = np.nan if time > 0 else 0.0

    with pytest.raises(ConvergenceError, match="residual"):
        run_increments(problem, overload, [1.0], max_cuts=1)


def test_options_of_the_package_reach_the_factorisation() -> None:
    """PETSc reads them when the matrix is first factorised; none is left in its database."""
    law = NeoHookean(2, shear_modulus=MU, lame=LAM)
    options = {"mat_mumps_icntl_14": "77"}
    problem, apply_load, _ = stretched(law, MPI.COMM_SELF, n=2, options=options)
    apply_load(0.2)
    assert problem.solve().converged
    assert problem.snes.ksp.pc.getFactorMatrix().getMumpsIcntl(14) == 77
    assert not PETSc.Options().hasName("macro_mat_mumps_icntl_14")


def test_petsc_options_that_cannot_be_are_refused() -> None:
    law = NeoHookean(2, shear_modulus=MU, lame=LAM)
    for options in ({"ksp_type": "nonsense"}, {"snes_max_it": "abc"}):
        with pytest.raises(InputError, match="PETSc refuses an option with the prefix 'macro_'"):
            stretched(law, MPI.COMM_SELF, options=options)
    problem, apply_load, _ = stretched(law, MPI.COMM_SELF)  # and nothing of them is left
    apply_load(0.1)
    assert problem.solve().converged
