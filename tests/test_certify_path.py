"""Certified increments of a plastic cell: direct ones, to which a surrogate with history leads."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from guarding import PLASTIC, direct, trained
from mpi4py import MPI

from fesurrogate.build.predictor import led, without_cells
from fesurrogate.build.problem import MacroModel, build_problem
from fesurrogate.combine import Corrected
from fesurrogate.config import Settings
from fesurrogate.fem.stepping import Increment, run_increments
from fesurrogate.run import Run, run
from fesurrogate.run.certify import Certification, prepare

pytestmark = pytest.mark.mpi
COMM = MPI.COMM_WORLD
EQUAL = 1e-6
"""Of reactions: six increments, each solved to 1e-8 of the residual that it begins with."""


@pytest.fixture(scope="module")
def problem(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings whose physically recurrent network is trained and calibrated."""
    return trained(
        tmp_path_factory.mktemp("path"), COMM, PLASTIC,
        guard='policy = "warn"\ncertify = true', train='model = "physical"\niterations = 40',
    )  # fmt: skip


@pytest.fixture(scope="module")
def truth(problem: Settings) -> Run:
    """Direct FE²."""
    return run(direct(problem), COMM)


def relative(found: list[float], truth: list[float]) -> float:
    return float(np.linalg.norm(np.subtract(found, truth)) / np.linalg.norm(truth))


def test_every_increment_is_the_direct_one(problem: Settings, truth: Run, tmp_path: Path) -> None:
    folder = COMM.bcast(tmp_path)
    found = run(problem, COMM, folder).results
    certified, exact = found.certified, truth.results
    assert certified is not None and certified.converged and found.converged
    assert [entry.time for entry in certified.history] == [entry.time for entry in exact.history]
    errors = []
    for mine, other, its in zip(certified.history, found.history, exact.history, strict=True):
        assert relative(mine.reaction["right"], its.reaction["right"]) < EQUAL
        assert relative(mine.probes["inner"], its.probes["inner"]) < EQUAL
        errors.append(relative(other.reaction["right"], its.reaction["right"]))
    assert max(errors) > 1e-3  # the surrogate's own
    assert found.reaction == certified.reaction == certified.history[-1].reaction
    change = np.subtract(certified.reaction["right"], found.history[-1].reaction["right"])
    assert certified.changes["reaction right x"] == pytest.approx(change[0])
    assert {entry.guess for entry in certified.history} == {"taken"}
    assert certified.leads >= len(certified.history)
    assert certified.rve_solves <= 0.8 * exact.rve_solves
    if COMM.rank == 0:
        times = [float(t.get("Value")) for t in ET.parse(folder / "certified.xdmf").iter("Time")]
        assert times == [entry.time for entry in certified.history]


def test_the_surrogate_follows_the_direct_strains(problem: Settings, truth: Run) -> None:
    """Its states are those of the network led along the strains of direct FE², bit by bit."""
    model = build_problem(direct(problem), COMM)
    leader = led(model, without_cells(problem))
    (field,) = model.fields.values()
    (corrected,) = (f.material for f in leader.surrogate.fields)
    assert isinstance(corrected, Corrected)
    network = corrected.surrogate
    state = network.initial_state(field.num_points)

    def follow(increment: Increment) -> None:
        nonlocal state
        state = network.evaluate(field.current_strain(), state, increment.dt).state
        for _, kept in leader.kept()[1]:
            np.testing.assert_array_equal(kept[:, : network.num_state], state)

    times = problem.steps.end_times
    increments = run_increments(
        model.problem, model.apply_load, times, predictor=leader, on_accept=follow
    )
    assert len(increments) == len(times) and COMM.allreduce(np.abs(state).max(initial=0.0)) > 0.0
    u, v = model.u.x.array, truth.model.u.x.array
    assert np.abs(u - v).max(initial=0.0) < 1e-7 * 0.012


def test_stopped_while_certifying_it_goes_on_from_there(problem: Settings, tmp_path: Path) -> None:
    """With the surrogate's states: it leads as often as without the stop, to the same answer."""
    folder, certifying = COMM.bcast(tmp_path), False
    whole = run(problem, COMM).results.certified
    with pytest.MonkeyPatch.context() as patch:

        def stopping(model: MacroModel, **options: object) -> Certification:
            made = prepare(model, **options)  # type: ignore[arg-type]
            accept = made.led.accept

            def accepted(time: float, unknown: np.ndarray) -> None:
                nonlocal certifying
                accept(time, unknown)
                certifying = COMM.rank == 0 and time >= 1.0

            patch.setattr(made.led, "accept", accepted)
            return made

        patch.setattr("fesurrogate.run.command.prepare", stopping)
        stopped = run(problem, COMM, folder, stop=lambda: certifying)
    part = stopped.results.certified
    assert stopped.interrupted and part is not None and "certifying" in stopped.results.message
    assert [entry.time for entry in part.history] == [0.3, 0.6, 1.0]
    certifying = False
    made = run(problem, COMM, folder, restart=True).results
    rest = made.certified
    assert made.converged and rest is not None and whole is not None
    assert [entry.time for entry in rest.history] == list(problem.steps.end_times)
    assert relative(rest.reaction["right"], whole.reaction["right"]) < EQUAL
    assert rest.leads == whole.leads
    # once more at the accepted strain, of which a checkpoint holds no tangent
    assert rest.rve_solves == whole.rve_solves + made.points
    if COMM.rank == 0:
        assert len(list(ET.parse(folder / "certified.xdmf").iter("Time"))) == 6


def test_a_disk_that_is_full_while_certifying_is_said(
    problem: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def writer(*given: object, **options: object) -> Callable[[float], None]:
        def write(time: float) -> None:
            raise OSError("No space left on device")

        return write

    monkeypatch.setattr("fesurrogate.run.certify_path.increment_writer", writer)
    made = run(problem, COMM, COMM.bcast(tmp_path))
    assert made.interrupted and not made.results.converged
    assert "certifying: No space left on device" in made.results.message


def test_what_the_direct_run_cannot_reach_is_said(
    problem: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hasty(model: MacroModel, **options: object) -> Certification:
        made = prepare(model, **options)  # type: ignore[arg-type]
        for each in (made.direct.problem, made.led.surrogate):
            each.snes.setTolerances(max_it=1)
        return made

    monkeypatch.setattr("fesurrogate.run.command.prepare", hasty)
    made = run(replace(problem, steps=replace(problem.steps, max_cuts=0)), COMM)
    found = made.results
    assert found.certified is not None and not found.certified.converged
    assert not found.converged and not made.interrupted  # exit code 3
    assert "no convergence at time" in found.message and not found.certified.reaction
    assert found.reaction == found.history[-1].reaction
