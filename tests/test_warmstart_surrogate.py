"""The macro problem's guess by a surrogate: it leads to the direct answer, and changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from dolfinx import fem
from mpi4py import MPI

from fesurrogate.combine import Corrected
from fesurrogate.config import Settings, read_config
from fesurrogate.errors import InputError
from fesurrogate.fem import MacroProblem, MaterialField, strain_of
from fesurrogate.fem.mesh import rectangle
from fesurrogate.fem.stepping import Increment, run_increments
from fesurrogate.kinematics import Array
from fesurrogate.laws import J2Plasticity, NeoHookean
from fesurrogate.material import Material
from fesurrogate.run import run
from fesurrogate.run.summary import summary
from fesurrogate.warmstart import Led

pytestmark = pytest.mark.mpi
COMM = MPI.COMM_WORLD
TIMES = [0.25, 0.5, 0.75, 1.0]
RUBBER = NeoHookean(2, shear_modulus=1.0, lame=2.0)
METAL = J2Plasticity(2, young=70.0, poisson=0.3, yield_stress=0.3, hardening=5.0)


class Counted(Material):
    """Counts how often it is asked."""

    def __init__(self, of: Material) -> None:
        self.of, self.kinematics, self.num_state = of, of.kinematics, of.num_state
        self.asked = 0

    def respond(self, strain: Array, state: Array, dt: float, **wanted):  # type: ignore[no-untyped-def]
        self.asked += 1
        wanted |= {"parameters": None, "hint": None}
        return self.of.evaluate(strain, state, dt, **wanted)


def plate(
    material: Material, beside: MacroProblem | None = None, *, pull: float = 0.6
) -> tuple[MacroProblem, Callable[[float], None]]:
    """Stretched and sheared by a boundary; on the space of another problem."""
    tagged = rectangle(COMM, upper=(2.0, 1.0), cells=(4, 2))
    V = fem.functionspace(tagged.mesh, ("Lagrange", 1, (2,)))
    if beside is not None:
        V = beside.u.function_space
    u = fem.Function(V)
    field = MaterialField(material, strain_of(u, material.kinematics), degree=2)
    moved = fem.Constant(V.mesh, np.zeros(2))
    bcs = [
        fem.dirichletbc(value, fem.locate_dofs_topological(V, 1, tagged.facets(side)), V)
        for side, value in {"left": np.zeros(2), "right": moved}.items()
    ]

    def apply_load(time: float) -> None:
        moved.value[:] = [pull * time, 0.5 * pull * time]

    return MacroProblem(u, [field], bcs=bcs), apply_load


def solved(
    material: Material, surrogate: Material | None = None, *, pull: float = 0.6
) -> tuple[Array, list[Increment], int, int]:
    """The last unknown, the increments, how often the Material was asked, and how often led."""
    counted = Counted(material)
    problem, load = plate(counted, pull=pull)
    leader = None
    if surrogate is not None:
        cheap, its_load = plate(Corrected(surrogate), problem, pull=pull)
        leader = Led(problem, cheap, its_load)
    increments = run_increments(problem, load, TIMES, predictor=leader)
    leads = 0 if leader is None else leader.leads
    return problem.u.x.array.copy(), increments, counted.asked, leads


@pytest.mark.parametrize(
    ("law", "surrogate", "pull"),
    [
        (RUBBER, NeoHookean(2, shear_modulus=1.02, lame=1.95), 0.6),
        (METAL, J2Plasticity(2, young=71.0, poisson=0.3, yield_stress=0.302, hardening=5.0), 0.02),
    ],
    ids=["rubber", "metal"],
)
def test_a_surrogate_saves_answers_and_changes_nothing(
    law: Material, surrogate: Material, pull: float
) -> None:
    """Tolerances refer to the classical guess: both answers are within 1e-8 of the load.

    It leads again where it pays, until nothing is left to Newton's method.
    """
    plain, _, cold, _ = solved(law, pull=pull)
    u, increments, asked, leads = solved(law, surrogate, pull=pull)
    assert [i.guess for i in increments] == ["taken"] * len(TIMES)
    assert [i.iterations for i in increments] == [0] * len(TIMES) and leads > len(TIMES)
    np.testing.assert_allclose(u, plain, rtol=0, atol=2e-8 * pull)
    assert asked <= 0.7 * cold, (asked, cold)


@pytest.mark.parametrize(("law", "pull"), [(RUBBER, 0.6), (METAL, 0.02)], ids=["rubber", "metal"])
def test_the_law_itself_leads_to_its_answer(law: Material, pull: float) -> None:
    """Asked once an increment, and once at rest; its plastic strains follow what was accepted."""
    _, increments, asked, _ = solved(law, law, pull=pull)
    assert [i.iterations for i in increments] == [0] * len(TIMES)
    assert asked == 1 + len(TIMES)


@pytest.mark.parametrize("factor", [30.0, 0.02])
def test_a_bad_surrogate_changes_nothing(factor: float) -> None:
    """A law of another stiffness, set right at one strain, is a guess like any other.

    Where the stiff one leads the residual stays above a fifth: it is not asked again.
    """
    wrong = NeoHookean(2, shear_modulus=factor, lame=0.1 * factor)
    plain, *_ = solved(RUBBER)
    u, _, _, leads = solved(RUBBER, wrong)
    np.testing.assert_allclose(u, plain, rtol=0, atol=1e-8)
    assert factor < 1 or leads <= len(TIMES)


class Broken(Material):
    """Fails, or raises, at every strain but rest."""

    kinematics = RUBBER.kinematics

    def __init__(self, *, raises: bool) -> None:
        self.raises = raises

    def respond(self, strain: Array, state: Array, dt: float, **wanted):  # type: ignore[no-untyped-def]
        answer = RUBBER.evaluate(strain, tangent=wanted["tangent"])
        moved = np.abs(strain - self.kinematics.rest).max(axis=1) > 1e-12
        if self.raises and moved.any():
            raise ArithmeticError("no answer")
        answer.ok[moved] = False
        answer.stress[moved] = np.nan
        return answer


@pytest.mark.parametrize("raises", [False, True])
def test_where_the_surrogate_fails_the_increment_begins_as_ever(raises: bool) -> None:
    plain, before, *_ = solved(RUBBER)
    u, increments, *_ = solved(RUBBER, Broken(raises=raises))
    assert [i.guess for i in increments] == ["previous"] * len(TIMES)
    assert [i.iterations for i in increments] == [i.iterations for i in before]
    np.testing.assert_allclose(u, plain, rtol=0, atol=1e-12)


def test_what_leading_costs_is_summed_over_ranks_with_its_sign() -> None:
    problem, load = plate(RUBBER)
    cheap, its_load = plate(Corrected(RUBBER), problem)
    cheap.fields[0].tally.counts.update(rve_solves=2, guess_saved=-3)
    expected = {"rve_solves": 2 * COMM.size, "guess_saved": -3 * COMM.size}
    assert Led(problem, cheap, its_load).counts() == expected


def test_what_is_no_pair_is_refused() -> None:
    problem, load = plate(RUBBER)
    with pytest.raises(InputError, match="carries NeoHookean; expected Corrected"):
        Led(problem, plate(RUBBER, problem)[0], load)


TOML = """
[kinematics]
gdim = 2
measure = "finite"
[mesh]
generator = "rectangle"
cells = [2, 2]
[macro]
degree = 1
initial_guess = "surrogate"
surrogate = "neo_hookean"
[material]
kind = "rve"
[material.rve]
degree = 1
cell = { kind = "laminate", fractions = { soft = 0.5, stiff = 0.5 }, resolution = 2 }
phases.soft = { kind = "neo_hookean", shear_modulus = 1.0, lame = 1.5 }
phases.stiff = { kind = "neo_hookean", shear_modulus = 1.3, lame = 1.95 }
[material.neo_hookean]
shear_modulus = 1.14
lame = 1.7
[[dirichlet]]
boundary = "left"
[[dirichlet]]
boundary = "right"
value = [0.2, 0.1]
[[reaction]]
boundary = "right"
[steps]
increments = 3
[output]
folder = "out"
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    folder = COMM.bcast(tmp_path)
    if COMM.rank == 0:
        (folder / "led.toml").write_text(TOML)
    COMM.Barrier()
    return read_config(folder / "led.toml")


def guessed(settings: Settings, **macro: str) -> Settings:
    return replace(settings, macro=replace(settings.macro, **macro))


def test_a_toml_names_what_leads(settings: Settings) -> None:
    plain = run(guessed(settings, initial_guess="previous"), COMM).results
    found = run(settings, COMM).results
    one, other = plain.reaction["right"], found.reaction["right"]
    np.testing.assert_allclose(other, one, rtol=0, atol=1e-8 * np.abs(one).max())
    assert [entry.guess for entry in found.history] == ["taken"] * 3
    assert found.rve_solves < plain.rve_solves
    said = summary(found, settings.run_folder)["initial guesses of increments"]
    assert said.startswith("3 taken, 0 refused, 0 repeated")


def test_a_run_that_was_stopped_is_led_to_the_same_end(settings: Settings, tmp_path: Path) -> None:
    folder = COMM.bcast(tmp_path) / "run"
    calls, most = 0, 10**6

    def stop() -> bool:
        nonlocal calls
        calls += 1
        return calls > most

    whole = run(settings, COMM, stop=stop).results
    calls, most = 0, int(0.6 * calls)
    stopped = run(settings, COMM, folder, stop=stop)
    assert stopped.interrupted and 0 < stopped.results.increments < 3
    rest = run(settings, COMM, folder, restart=True).results
    np.testing.assert_allclose(rest.reaction["right"], whole.reaction["right"], rtol=1e-7)
    assert [entry.guess for entry in rest.history] == ["taken"] * 3
    other = run(guessed(settings, initial_guess="linear"), COMM, folder, restart=True).results
    assert other.converged and other.reaction == rest.reaction  # it was at its end


def test_where_nothing_is_a_cell_nothing_is_guessed(settings: Settings) -> None:
    assert settings.material is not None
    cheap = replace(settings, material=replace(settings.material, kind="neo_hookean"))
    assert {entry.guess for entry in run(cheap, COMM).results.history} == {"previous"}


def test_what_cannot_lead_is_refused(settings: Settings) -> None:
    with pytest.raises(InputError, match=r"macro.initial_guess.*there is no model"):
        run(guessed(settings, surrogate="network"), COMM)
    with pytest.raises(InputError, match="surrogate is rve; expected a kind"):
        guessed(settings, surrogate="rve")
