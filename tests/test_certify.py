"""Certified runs end with the direct answer, or say that they do not."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from guarding import ELASTIC, direct, trained, with_guard
from mpi4py import MPI

from fesurrogate.build.problem import MacroModel
from fesurrogate.config import Settings
from fesurrogate.config.material import GuardSettings
from fesurrogate.results import CertifiedResults
from fesurrogate.run import run
from fesurrogate.run.audit import audit
from fesurrogate.run.certify import Certification, certify, prepare, wants_certificate

pytestmark = pytest.mark.mpi
COMM = MPI.COMM_WORLD


@pytest.fixture(scope="module")
def problem(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings whose model is trained and calibrated."""
    return trained(
        tmp_path_factory.mktemp("certify"), COMM, ELASTIC,
        guard="tolerance = 0.1\ncertify = true", train="iterations = 60\nhidden = [8]",
    )  # fmt: skip


def relative(found: list[float], truth: list[float]) -> float:
    return float(np.linalg.norm(np.subtract(found, truth)) / np.linalg.norm(truth))


@pytest.mark.parametrize("policy", ["fallback", "warn"])
def test_the_certified_answer_is_the_direct_one(
    problem: Settings, tmp_path: Path, policy: str
) -> None:
    folder = COMM.bcast(tmp_path)
    wanted = with_guard(problem, policy=policy)
    truth = run(direct(problem), COMM)
    made = run(wanted, COMM, folder)
    found, certified = made.results, made.results.certified
    assert certified is not None and certified.converged and found.converged
    for name, value in truth.results.reaction.items():
        assert relative(certified.reaction[name], value) < 1e-8
        assert relative(found.history[-1].reaction[name], value) > 1e-5  # the surrogate's own
    assert relative(certified.probes["inner"], truth.results.probes["inner"]) < 1e-8
    assert made.direct is not None
    u, v = made.direct.u.x.array, truth.model.u.x.array
    assert COMM.allreduce(float(np.abs(u - v).max()), op=MPI.MAX) < 1e-9
    assert found.reaction == certified.reaction and found.probes == certified.probes
    # once at the surrogate's solution, once where it leads, set right; and a point and iteration
    assert certified.rve_solves == found.points * (certified.newton_iterations + 2)
    assert certified.newton_iterations <= (1 if policy == "fallback" else 2)
    assert len(certified.residual_norms) == certified.newton_iterations + 2
    if COMM.rank == 0:
        kept = json.loads((folder / "results.json").read_text())
        assert kept["certified"]["rve_solves"] == certified.rve_solves
        assert (folder / "certified.xdmf").is_file() and (folder / "certified.h5").is_file()


def test_what_certifying_changes_is_what_the_audit_expects(problem: Settings) -> None:
    """The audit's estimate lacks only what is of second order in the surrogate's error."""
    made = run(with_guard(problem, policy="warn"), COMM)
    certified = made.results.certified
    expected = audit(made.model, 0.5, points=10**6)  # at every point
    assert certified is not None and expected is not None
    names = ["reaction right x", "reaction right y", "probe inner x", "probe inner y"]
    assert sorted(certified.changes) == sorted(expected.outputs) == sorted(names)
    for pair in (names[:2], names[2:]):
        change = np.array([certified.changes[name] for name in pair])
        estimate = np.array([expected.outputs[name].value for name in pair])
        assert np.linalg.norm(estimate - change) < 0.1 * np.linalg.norm(change)


def test_what_newton_cannot_reach_is_said(
    problem: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hasty(model: MacroModel, **options: object) -> Certification:
        made = prepare(model, **options)  # type: ignore[arg-type]
        for each in (made.direct.problem, made.led.surrogate):
            each.snes.setTolerances(max_it=1)
        return made

    monkeypatch.setattr("fesurrogate.run.command.prepare", hasty)
    made = run(with_guard(problem, policy="warn"), COMM)
    found = made.results
    assert found.certified is not None and not found.certified.converged
    assert not found.converged and not made.interrupted  # exit code 3
    assert "DIVERGED_MAX_IT" in found.message and "more samples" in found.message
    assert found.reaction == found.history[-1].reaction and not found.certified.reaction


def test_a_run_stopped_while_certifying_is_taken_up_there(
    problem: Settings, tmp_path: Path
) -> None:
    folder, certifying = COMM.bcast(tmp_path), False

    def stop() -> bool:
        return certifying

    with pytest.MonkeyPatch.context() as patch:

        def begun(*given: Any) -> CertifiedResults:
            nonlocal certifying
            certifying = COMM.rank == 0
            return certify(*given)

        patch.setattr("fesurrogate.run.certify_path.certify", begun)
        stopped = run(problem, COMM, folder, stop=stop)
    assert stopped.interrupted and "certifying" in stopped.results.message
    assert stopped.results.certified is not None and not stopped.results.certified.rve_solves
    made = run(problem, COMM, folder, restart=True).results
    whole = run(problem, COMM).results
    assert made.converged and made.increments == 2 and made.restarts == (1.0,)
    assert made.evaluations == stopped.results.evaluations  # the surrogate is not asked again
    assert relative(made.reaction["right"], whole.reaction["right"]) < 1e-10


def test_only_a_guard_that_is_used_is_certified(problem: Settings) -> None:
    assert wants_certificate(problem)
    assert not wants_certificate(direct(problem))
    assert not wants_certificate(with_guard(problem, certify=False))
    assert not GuardSettings().certify
