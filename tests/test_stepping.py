"""A step that fails is cut, whatever made it fail; what was accepted comes back bit by bit."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from dolfinx import fem
from faults import Faulty
from mpi4py import MPI
from ranks import assert_same

from fesurrogate.combine import Balanced
from fesurrogate.errors import ConvergenceError, InputError, Interrupted
from fesurrogate.fem import MacroProblem, MaterialField, strain_of
from fesurrogate.fem.failure import SEARCHES, raising_rows, said_of_failures
from fesurrogate.fem.mesh import rectangle
from fesurrogate.fem.stepping import Increment, Position, run_increments
from fesurrogate.kinematics import Array, Kinematics
from fesurrogate.material import Response

WORLD = MPI.COMM_WORLD
pytestmark = pytest.mark.mpi
Load = Callable[[float], None]


def plate(*, wrap: bool = False, **fault: object) -> tuple[MacroProblem, Load]:
    """A plate pulled and sheared into the plastic range."""
    tagged = rectangle(WORLD, upper=(2.0, 1.0), cells=(4, 2))
    V = fem.functionspace(tagged.mesh, ("Lagrange", 1, (2,)))
    u = fem.Function(V)
    faulty = Faulty(Kinematics(2), **{"fault": "none", **fault})  # type: ignore[arg-type]
    material = Balanced(faulty, WORLD) if wrap else faulty
    field = MaterialField(material, strain_of(u, material.kinematics), degree=2)
    moved = fem.Constant(tagged.mesh, np.zeros(2))
    bcs = [
        fem.dirichletbc(value, fem.locate_dofs_topological(V, 1, tagged.facets(side)), V)
        for side, value in {"left": np.zeros(2), "right": moved}.items()
    ]

    def apply_load(time: float) -> None:
        moved.value[:] = [0.06 * time, 0.03 * time]

    return MacroProblem(u, [field], bcs=bcs), apply_load


def accepted(problem: MacroProblem) -> list[np.ndarray]:
    """All that stands for the accepted state, copied."""
    field = problem.fields[0]
    arrays = problem.u.x.array, field.stress.x.array, field.hint, *field.accepted
    return [np.array(array) for array in arrays]


@pytest.mark.parametrize("fault", ["nan", "raise"])
def test_a_failure_cuts_the_step_and_leaves_no_trace(fault: str) -> None:
    """Steps longer than 0.3 break on one rank; the same short steps without a fault agree.

    0 to 1 fails, then 0.5, then 0.25 holds; after it 0.5 is tried again, and so on.
    """
    broken, load = plate(fault=fault, above=1e-4, above_dt=0.3)
    increments = run_increments(broken, load, [1.0, 1.25])
    assert sum(i.dt for i in increments) == 1.25 and max(i.dt for i in increments) <= 0.3
    assert increments[-1].time == 1.25 and 1.0 in [i.time for i in increments]
    whole, load = plate()
    same = run_increments(whole, load, [i.time for i in increments])
    assert len(same) == len(increments)
    for one, other in zip(accepted(broken), accepted(whole), strict=True):
        assert_same(one, other)


def test_steps_grow_again() -> None:
    """Cut twice, then nothing is in the way: 1/4, 1/2, what is left, and the next in one."""
    problem, load = plate(fault="nan", above=1e-4, above_dt=0.3)
    material, times = problem.fields[0].material, []
    assert isinstance(material, Faulty)

    def mend(increment: Increment) -> None:
        times.append(increment.time)
        material.fault = "none"

    run_increments(problem, load, [1.0, 2.0], on_accept=mend)
    assert times == [0.25, 0.75, 1.0, 2.0]


def test_a_failed_increment_is_forgotten_bitwise() -> None:
    problem, load = plate(fault="raise", above=0.03)
    run_increments(problem, load, [0.25, 0.5])
    before = accepted(problem)
    assert np.abs(before[1]).max() > 0.5  # a stress that is worth keeping
    for _ in range(2):
        with pytest.raises(ConvergenceError):
            run_increments(problem, load, [5.0], start=0.5, max_cuts=0)
        for one, other in zip(before, accepted(problem), strict=True):
            np.testing.assert_array_equal(one, other)


def test_the_end_names_the_exception_and_the_points(caplog: pytest.LogCaptureFixture) -> None:
    problem, load = plate(fault="raise", above=0.03)
    with caplog.at_level(logging.ERROR), pytest.raises(ConvergenceError) as ended:
        run_increments(problem, load, [3.0], max_cuts=2)
    assert "ZeroDivisionError" in str(ended.value) and "after 2 cuts" in str(ended.value)
    failure = problem.fields[0].failure
    last = WORLD.rank == WORLD.size - 1
    assert failure is not None and (len(failure.rows) > 0) == last
    if last:
        assert failure.error in str(ended.value)
        assert (np.linalg.norm(failure.strain, axis=1) > 0.03).all()  # these and no others
        count = len(failure.rows)
        assert f"{count} points" in str(ended.value) and count < problem.fields[0].num_points
        said = [record for record in caplog.records if record.exc_info]
        assert 1 <= len(said) <= 3  # a traceback for each message, not for each attempt


def test_what_is_not_trusted_but_answered_has_not_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of all points that a guard warns of only those are counted that could not be solved."""
    problem, _ = plate(fault="nan", above=1e-4)
    field, respond = problem.fields[0], Faulty.respond

    def doubted(self: Faulty, strain: Array, *given: object, **options: object) -> Response:
        answer = respond(self, strain, *given, **options)  # type: ignore[arg-type]
        return replace(answer, report={**answer.report, "untrusted": np.ones(len(strain), int)})

    monkeypatch.setattr(Faulty, "respond", doubted)
    problem.u.interpolate(lambda x: np.stack([0.06 * x[0], 0.0 * x[0]]))
    assert field.update(1.0) == 1 < WORLD.allreduce(field.num_points)
    assert said_of_failures([field.failure], WORLD) == "1 points are not trusted by their guard"


def test_a_material_that_communicates_fails_on_all_ranks_together() -> None:
    """What one rank raises inside Balanced, while the others wait in it, is a cut step on all."""
    problem, load = plate(fault="raise", above=0.03, wrap=True)
    with pytest.raises(ConvergenceError, match="ZeroDivisionError"):
        run_increments(problem, load, [3.0], max_cuts=1)
    assert problem.fields[0].material.collective


def test_raising_points_are_found_by_halving() -> None:
    rng = np.random.default_rng(3)
    bad, calls = set(rng.choice(1000, 5, replace=False).tolist()), []

    def evaluate(rows: np.ndarray) -> None:
        calls.append(len(rows))
        if bad & set(rows.tolist()):
            raise ValueError

    assert set(np.flatnonzero(raising_rows(evaluate, 1000)).tolist()) == bad
    assert len(calls) <= 2 * 5 * 11 + 1  # two halves for each of 10 levels and 5 points
    bad, calls = set(range(1000)), []
    assert raising_rows(evaluate, 1000).all() and len(calls) == SEARCHES
    assert not raising_rows(lambda rows: None, 0).any()


def test_stepping_goes_on_from_a_position() -> None:
    """What was reached is all that stepping remembers: the rest of the run is the same."""
    reached: list[Increment] = []

    def go(start: Position, times: list[float], problem: MacroProblem, load: Load) -> None:
        run_increments(problem, load, times, start=start, on_accept=reached.append)

    options = {"fault": "nan", "above": 1e-4, "above_dt": 0.3}
    go(Position(), [1.0, 2.0], *plate(**options))
    whole, reached = reached, []
    problem, load = plate(**options)
    asked = iter([False] * 14)
    problem.stop = lambda: next(asked, True)
    with pytest.raises(Interrupted, match="stopped at time"):
        go(Position(), [1.0, 2.0], problem, load)
    assert 0 < len(reached) < len(whole)
    problem.stop = None
    go(reached[-1].reached, [1.0, 2.0], problem, load)
    for one, other in zip(reached, whole, strict=True):
        assert replace(one, residual_norms=()) == replace(other, residual_norms=())
        assert_same(np.array(one.residual_norms[:1]), np.array(other.residual_norms[:1]))


def test_a_stop_on_one_rank_stops_all_at_what_was_accepted() -> None:
    problem, load = plate()
    run_increments(problem, load, [0.25])
    before = accepted(problem)
    problem.stop = lambda: WORLD.rank == WORLD.size - 1
    with pytest.raises(Interrupted, match="0.25"):
        run_increments(problem, load, [1.0], start=0.25)
    for one, other in zip(before, accepted(problem), strict=True):
        np.testing.assert_array_equal(one, other)


def test_times_must_rise() -> None:
    problem, load = plate()
    with pytest.raises(InputError, match="rising"):
        run_increments(problem, load, [0.5, 0.5])
