"""The macro problem's guess: extrapolation over increments, taken only where it is better."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import ufl
from dolfinx import fem
from mpi4py import MPI
from petsc4py import PETSc
from ranks import assert_same

from fesurrogate.errors import InputError
from fesurrogate.fem import MacroProblem, MaterialField, strain_of
from fesurrogate.fem.mesh import rectangle
from fesurrogate.fem.stepping import Increment, Position, run_increments
from fesurrogate.kinematics import Array
from fesurrogate.laws import J2Plasticity, NeoHookean
from fesurrogate.material import Material
from fesurrogate.warmstart import DynamicModes, Extrapolation

WORLD = MPI.COMM_WORLD
pytestmark = pytest.mark.mpi
TIMES = [0.1 * k for k in range(1, 11)]


LAW = NeoHookean(2, shear_modulus=1.0, lame=2.0)
METAL = J2Plasticity(2, young=70.0, poisson=0.3, yield_stress=10.0, hardening=5.0)


def plate(material: Material = LAW) -> tuple[MacroProblem, Callable[[float], None]]:
    """A plate, hyperelastic as a rule, stretched and sheared by prescribed displacements."""
    tagged = rectangle(WORLD, upper=(2.0, 1.0), cells=(6, 3))
    V = fem.functionspace(tagged.mesh, ("Lagrange", 1, (2,)))
    u = fem.Function(V)
    field = MaterialField(material, strain_of(u, material.kinematics), degree=2)
    moved = fem.Constant(tagged.mesh, np.zeros(2))
    bcs = [
        fem.dirichletbc(value, fem.locate_dofs_topological(V, 1, tagged.facets(side)), V)
        for side, value in {"left": np.zeros(2), "right": moved}.items()
    ]

    def apply_load(time: float) -> None:
        moved.value[:] = [0.8 * time, 0.4 * time**2]

    return MacroProblem(u, [field], bcs=bcs), apply_load


def solved(predictor: object = None, material: Material = LAW) -> tuple[Array, list[Increment]]:
    """The last unknown, and the increments."""
    problem, load = plate(material)
    increments = run_increments(problem, load, TIMES, predictor=predictor)  # type: ignore[arg-type]
    return problem.u.x.array.copy(), increments


@pytest.mark.parametrize("order", [1, 2])
def test_extrapolation_is_exact_for_polynomials_of_its_order(order: int) -> None:
    """Also with steps of unequal length; one order more is missed."""
    guess, powers = Extrapolation(order), np.arange(order + 2)
    coefficients = np.random.default_rng(0).normal(size=(order + 2, 5))
    coefficients[-1] = 0.0
    assert guess.predict(0.1) is None
    for time in (0.0, 0.1, 0.25, 0.3):
        guess.accept(time, time**powers @ coefficients)
    found = guess.predict(0.5)
    np.testing.assert_allclose(found, 0.5**powers @ coefficients, rtol=1e-12)
    coefficients[-1] = 1.0
    assert found is not None and not np.allclose(found, 0.5**powers @ coefficients, atol=1e-2)


def test_with_less_behind_it_the_order_is_lower() -> None:
    guess = Extrapolation(2)
    guess.accept(0.0, np.array([1.0]))
    assert guess.predict(1.0) is None
    guess.accept(0.5, np.array([2.0]))
    np.testing.assert_allclose(guess.predict(1.0), [3.0])


def test_what_was_accepted_twice_at_a_time_counts_once() -> None:
    """A run that goes on from where another ended tells of the same state again."""
    guess = Extrapolation(1)
    for time, value in ((0.0, 0.0), (1.0, 1.0), (1.0, 1.0)):
        guess.accept(time, np.array([value]))
    np.testing.assert_allclose(guess.predict(2.0), [2.0])


def test_extrapolation_saves_iterations_and_changes_nothing() -> None:
    """Tolerances refer to the classical guess: both answers are within them, 1e-8 of the load."""
    plain, before = solved()
    counts = [sum(i.iterations for i in before)]
    for order in (1, 2):
        u, increments = solved(Extrapolation(order))
        assert [i.guess for i in increments[1:]] == ["taken"] * 9
        assert increments[0].guess == "previous"
        np.testing.assert_allclose(u, plain, rtol=0, atol=1e-8)
        counts.append(sum(i.iterations for i in increments))
    assert counts[2] <= counts[1] < counts[0]


class Adversary:
    """Guesses what is wrong."""

    def __init__(self, kind: str) -> None:
        self.kind, self.last = kind, np.zeros(0)

    def accept(self, time: float, unknown: Array) -> None:
        self.last = unknown.copy()

    def predict(self, time: float) -> Array | None:
        size = len(self.last)
        return {
            "random": 10 * np.random.default_rng(WORLD.rank).normal(size=size),
            "nan": np.full(size, np.nan) if WORLD.rank == 0 else self.last,
            "inverted": self.last - 5 * np.arange(size),
        }[self.kind]


@pytest.mark.parametrize("material", [LAW, METAL], ids=["elastic", "plastic"])
@pytest.mark.parametrize("kind", ["random", "nan", "inverted"])
def test_no_guess_changes_an_answer(kind: str, material: Material) -> None:
    """What is refused on one rank is refused on all, and leaves no trace."""
    u, increments = solved(Adversary(kind), material)
    plain, before = solved(None, material)
    assert [i.guess for i in increments] == ["refused"] * len(TIMES)
    assert_same(u, plain)
    assert [i.iterations for i in increments] == [i.iterations for i in before]


def test_what_does_not_converge_is_solved_again_from_the_accepted_unknown() -> None:
    problem, load = plate()
    solve, calls = problem.solve, []

    def failing(dt: float = 1.0, *, atol: float | None = None) -> object:
        calls.append(atol)
        result = solve(dt, atol=atol)
        return result if atol is None else type(result)(False, -3, result.iterations, ())

    problem.solve = failing  # type: ignore[method-assign, assignment]
    increments = run_increments(problem, load, TIMES, predictor=Extrapolation(1))
    assert [i.guess for i in increments] == ["previous", *["repeated"] * 9]
    assert [i.time for i in increments] == TIMES  # nothing was cut
    np.testing.assert_allclose(problem.u.x.array, solved()[0], rtol=0, atol=1e-12)


def test_a_load_that_is_held_needs_no_guess() -> None:
    """Extrapolation goes on where the load does not; its residual says so."""
    problem, load = plate()

    def held(time: float) -> None:
        load(min(time, 0.3))

    increments = run_increments(problem, held, [0.1, 0.2, 0.3, 0.4], predictor=Extrapolation(1))
    assert increments[-1].guess == "refused" and increments[-1].iterations <= 1


def test_the_rest_of_a_run_begins_from_the_accepted_unknown() -> None:
    """A new extrapolation knows nothing of the increments before; its order rises again."""
    problem, load = plate()
    run_increments(problem, load, TIMES[:5], predictor=Extrapolation(2))
    rest = run_increments(
        problem, load, TIMES, start=Position(TIMES[4]), predictor=Extrapolation(2)
    )
    assert [i.guess for i in rest] == ["previous", *["taken"] * 4]
    np.testing.assert_allclose(problem.u.x.array, solved()[0], rtol=0, atol=1e-8)


def test_other_orders_are_refused() -> None:
    with pytest.raises(InputError, match="expected 1"):
        Extrapolation(3)


TYPED = {
    "trust_region": {"snes_type": "newtontr"},
    "backtracking": {"snes_linesearch_type": "bt"},
    "quasi_newton": {"snes_type": "qn", "snes_qn_scale_type": "jacobian"},
    "krylov": {"ksp_type": "gmres", "pc_type": "jacobi"},
}


@pytest.mark.parametrize("name", TYPED)
def test_the_solver_stays_the_users(name: str) -> None:
    """What is typed wins, with a guess as without, and a monitor sees every iteration."""
    exact, _ = solved()
    database = PETSc.Options("macro_")
    wanted = {**TYPED[name], "snes_max_it": 60}
    for key, value in wanted.items():
        database[key] = value
    try:
        problem, load = plate()
    finally:
        for key in wanted:
            database.delValue(key)
    seen: list[int] = []
    problem.snes.setMonitor(lambda snes, iteration, norm: seen.append(iteration))
    owned = problem.u.function_space.dofmap.index_map.size_local * 2
    increments = run_increments(problem, load, TIMES, predictor=DynamicModes(WORLD, owned))
    assert problem.snes.getType() == wanted.get("snes_type", "newtonls")
    assert problem.snes.getTolerances()[3] == 60
    assert "taken" in [i.guess for i in increments]
    # an increment has its initial residual besides, and one may be solved again
    assert len(seen) >= sum(i.iterations for i in increments) + len(increments)
    np.testing.assert_allclose(problem.u.x.array, exact, rtol=0, atol=1e-7)


# -- dynamic modes --------------------------------------------------------------------------

SPAN = 0.1 * np.arange(40)
TWO, THREE = (np.random.default_rng(3).normal(size=(k, 20)) for k in (2, 3))
HISTORIES = {
    "parabola": np.outer(SPAN**2 + SPAN, TWO[0]),
    "oscillation": np.outer(np.sin(2 * SPAN), TWO[0]),
    "relaxation": THREE[0]
    + np.outer(np.exp(-SPAN), THREE[1])
    + np.outer(np.exp(-SPAN / 3), THREE[2]),
    "cycle": sum(np.outer(np.sin(4 * SPAN) ** (k + 1), THREE[k]) for k in range(3)),
}
"""Unknowns over time that a linear map of two increments takes on, from some increments on."""


def errors(guess: object, history: Array, times: Array = SPAN) -> list[float]:
    """Errors of the guesses, relative to the largest unknown; each rank has some of the entries."""
    mine = history[:, WORLD.rank :: WORLD.size]
    found = []
    for time, unknown in zip(times, mine, strict=True):
        guessed = guess.predict(time)  # type: ignore[attr-defined]
        if guessed is not None:
            here = float(np.abs(guessed - unknown).max(initial=0.0))
            found.append(WORLD.allreduce(here, op=MPI.MAX) / np.abs(history).max())
        guess.accept(time, unknown)  # type: ignore[attr-defined]
    return found


def modes(history: Array, **options: int) -> DynamicModes:
    return DynamicModes(WORLD, len(history[0, WORLD.rank :: WORLD.size]), **options)


@pytest.mark.parametrize("name", HISTORIES)
def test_dynamic_modes_go_on_as_a_linear_map_does(name: str) -> None:
    """Exact to what is discarded, 1e-5 of an increment, once the window shows all; so is none."""
    history = HISTORIES[name]
    assert max(errors(modes(history), history)[16:]) < 1e-6
    if name != "parabola":
        assert max(errors(Extrapolation(2), history)[16:]) > 3e-5


def test_until_the_steps_are_even_it_is_the_parabola() -> None:
    times = np.cumsum(np.tile([0.1, 0.05], 20))
    history = np.outer(np.sin(2 * times), TWO[0])
    found = errors(modes(history), history, times)
    np.testing.assert_allclose(found, errors(Extrapolation(2), history, times), rtol=1e-10)


def test_an_old_increment_is_forgotten() -> None:
    """A jump is out of sight when the window has passed it."""
    history = HISTORIES["oscillation"].copy()
    history[:10] += TWO[1]
    found = errors(modes(history, window=6), history)
    assert max(found[:16]) > 0.1 and max(found[17:]) < 1e-6


def test_a_body_under_cycles_needs_fewer_iterations() -> None:
    """Under a dead load and rotations: guesses are taken whose residual is the larger one."""
    tagged = rectangle(WORLD, upper=(4.0, 1.0), cells=(8, 2))
    times = list(np.arange(1, 25) * np.pi / 6)

    def cycled(name: str) -> tuple[Array, list[Increment]]:
        V = fem.functionspace(tagged.mesh, ("Lagrange", 1, (2,)))
        u, force = fem.Function(V), fem.Constant(tagged.mesh, np.zeros(2))
        field = MaterialField(LAW, strain_of(u, LAW.kinematics), degree=2)
        held = fem.locate_dofs_topological(V, 1, tagged.facets("left"))
        problem = MacroProblem(
            u, [field], bcs=[fem.dirichletbc(np.zeros(2), held, V)],
            external=ufl.inner(force, ufl.TestFunction(V)) * ufl.dx,
        )  # fmt: skip

        def load(time: float) -> None:
            force.value[:] = [0.0, 0.02 * np.sin(time)]

        owned = V.dofmap.index_map.size_local * 2
        chosen = {"parabola": Extrapolation(2), "modes": DynamicModes(WORLD, owned)}
        increments = run_increments(problem, load, times, predictor=chosen.get(name))
        return u.x.array.copy(), increments

    (plain, before), (_, parabola), (u, increments) = map(cycled, ("none", "parabola", "modes"))
    np.testing.assert_allclose(u, plain, rtol=0, atol=1e-7)
    counts = [sum(i.iterations for i in each) for each in (before, parabola, increments)]
    assert counts[2] < 0.8 * min(counts[:2])
    assert [i.guess for i in increments[12:]].count("taken") >= 11
    risen = [
        one.residual_norms[0] > other.residual_norms[0]
        for one, other in zip(increments, before, strict=True)
        if one.guess == "taken"
    ]
    assert any(risen)


def test_a_window_without_a_map_is_refused() -> None:
    with pytest.raises(InputError, match="window is 2"):
        DynamicModes(WORLD, 3, window=2)
