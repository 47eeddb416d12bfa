"""A guard from TOML to the answer: data, calibration, model, and a load that leaves both."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dolfinx.mesh import locate_entities, meshtags
from guarding import ELASTIC, alone, direct, trained, with_guard
from mpi4py import MPI

from fesurrogate.build import ensure_dataset, ensure_model, load_material
from fesurrogate.build.calibration import calibration_of
from fesurrogate.build.problem import build_problem
from fesurrogate.combine import Balanced, Guarded
from fesurrogate.config import Settings, read_config
from fesurrogate.data.sampling import stretches
from fesurrogate.errors import InputError
from fesurrogate.fem.mesh import TaggedMesh, rectangle
from fesurrogate.fem.points import point_weights
from fesurrogate.run import run
from fesurrogate.run.audit import audit
from fesurrogate.surrogate.model_file import load_trust
from fesurrogate.trust import trust_from

pytestmark = pytest.mark.mpi
COMM = MPI.COMM_WORLD


@pytest.fixture(scope="module")
def problem(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings whose model is trained and calibrated."""
    return trained(
        tmp_path_factory.mktemp("guard"), COMM, ELASTIC, guard="tolerance = 0.02",
        train="iterations = 80\nhidden = [8]\nensemble = 3\nvalidation = 0.4",
    )  # fmt: skip


def test_the_guarded_run_is_within_the_tolerance_of_the_direct_one(problem: Settings) -> None:
    truthful, plain = (run(each(problem), COMM).results for each in (direct, alone))
    made = run(problem, COMM)
    found = made.results
    truth = np.array(truthful.reaction["right"])
    errors = [
        float(np.linalg.norm(np.array(each.reaction["right"]) - truth) / np.linalg.norm(truth))
        for each in (found, plain)
    ]
    assert errors[0] < 0.02 and errors[0] < 0.5 * errors[1], errors
    assert 0 < found.rve_solves < 0.9 * truthful.rve_solves
    assert found.material["material"]["fingerprint"] != plain.material["material"]["fingerprint"]
    field = made.model.fields["material"]
    assert isinstance(field.material, Guarded)
    assert isinstance(field.material.reference, Balanced) == (COMM.size > 1)
    assert field.response is not None
    away = COMM.allreduce(int(field.response.report["fallback"].sum()))
    assert 0 < away < COMM.allreduce(field.num_points)
    last = found.history[-1].fallback
    assert last is not None and sum(last.values()) == away and last["expected"] > 0
    assert truthful.history[-1].fallback is None and found.audit is None


@pytest.fixture(scope="module")
def polynomial(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings of an ensemble of polynomials, calibrated with 160 points."""
    few = "[calibration]\nsamples = 96"
    assert few in ELASTIC
    return trained(
        tmp_path_factory.mktemp("polynomial"), COMM, ELASTIC.replace(few, "[calibration]"),
        guard="", train='model = "polynomial"\nensemble = 4\nvalidation = 0.3',
    )  # fmt: skip


@pytest.mark.parametrize("tolerance", [0.001, 0.002, 0.005])
@pytest.mark.parametrize("deviates", [True, False])
def test_of_unseen_points_few_are_trusted_wrongly_and_most_of_the_good_ones_are(
    polynomial: Settings, tolerance: float, deviates: bool
) -> None:
    """Inside and outside of the envelope, by an ensemble and as of a model that reports nothing."""
    law, model = load_material(direct(polynomial)), load_material(alone(polynomial))
    strain = stretches(law.kinematics, 400, 0.28, seed=7)[:, 0]
    truth, answer = law.evaluate(strain, tangent=False), model.evaluate(strain)
    arrays = dict(load_trust(polynomial.model))
    if not deviates:
        del arrays["doubt.deviation"]
    trust = trust_from(arrays, law.kinematics, tolerance)
    assert trust.names == ("expected", "violation")
    error = np.linalg.norm(answer.stress - truth.stress, axis=1) / arrays["scale"][0]
    trusted = trust.trusted(trust.doubts(strain, np.zeros((400, 0)), answer))
    good = error < 0.5 * tolerance
    assert good.sum() > 100 and (error > tolerance).sum() >= 20
    assert (error[trusted] > tolerance).mean() <= 0.05
    assert trusted[good].mean() >= 0.8


@pytest.mark.parametrize("policy", ["error", "cutback"])
def test_a_run_that_must_not_fall_back_ends(problem: Settings, policy: str) -> None:
    settings = replace(with_guard(problem, policy=policy), steps=replace(problem.steps, max_cuts=2))
    found = run(settings, COMM).results
    assert not found.converged
    assert ("'error'" in found.message) == (policy == "error"), found.message
    assert ("2 cuts" in found.message) == (policy == "cutback"), found.message


def test_an_audit_estimates_what_the_reference_would_change(problem: Settings) -> None:
    settings = with_guard(problem, policy="warn")
    made = run(settings, COMM)
    truth = run(direct(problem), COMM).results
    (field,) = made.model.fields.values()
    assert field.response is not None
    everything = audit(made.model, 0.5, points=10**6)
    assert everything is not None and everything.points == everything.served == truth.points
    # solved everywhere: the stress error itself, and outputs to first order in it
    assert everything.stress_error.low == everything.stress_error.value
    assert isinstance(field.material, Guarded)
    error = field.material.reference.evaluate(field.current_strain()).stress - field.response.stress
    weights = point_weights(field)
    sums = COMM.allreduce(np.array([
        weights @ np.linalg.norm(error, axis=1),
        weights @ np.linalg.norm(field.response.stress, axis=1),
    ]))  # fmt: skip
    assert everything.stress_error.value == pytest.approx(sums[0] / sums[1], rel=1e-6)
    change = np.array(truth.reaction["right"]) - made.results.reaction["right"]
    for k, axis in enumerate("xy"):
        predicted = everything.outputs[f"reaction right {axis}"].value
        assert abs(predicted - change[k]) < 0.1 * np.linalg.norm(change)
    # and from some of the points, an interval around that
    some = run(with_guard(settings, audit=48), COMM).results.audit
    assert some is not None and 24 < some.points <= 48
    assert some.stress_error.low <= everything.stress_error.value <= some.stress_error.high
    assert some.stress_error.high < 5.0 * everything.stress_error.value
    assert some.worst <= everything.worst * (1 + 1e-9)
    found = some.outputs["reaction right x"]
    assert found.low <= everything.outputs["reaction right x"].value <= found.high


def test_an_audit_is_the_same_on_any_number_of_ranks(problem: Settings) -> None:
    settings = with_guard(problem, policy="warn", audit=24)
    found, same = (run(settings, comm).results.audit for comm in (COMM, MPI.COMM_SELF))
    assert found is not None and same is not None and found.points == same.points
    for mine, other in ((found.stress_error, same.stress_error), *(
        (found.outputs[name], same.outputs[name]) for name in same.outputs
    )):  # fmt: skip
        assert mine.value == pytest.approx(other.value, rel=1e-5)
        assert mine.low == pytest.approx(other.low, rel=1e-4, abs=1e-6 * abs(other.value))
        assert mine.high == pytest.approx(other.high, rel=1e-4)


def test_points_that_fell_back_are_not_audited(problem: Settings) -> None:
    made = run(problem, COMM)
    (field,) = made.model.fields.values()
    assert field.response is not None
    away = COMM.allreduce(int(field.response.report["fallback"].sum()))
    found = audit(made.model, 0.5, points=10**6)
    assert found is not None and found.served == COMM.allreduce(field.num_points) - away
    assert audit(run(alone(problem), COMM).model, 0.5, points=64) is None


def test_a_run_that_ends_early_is_not_audited_and_a_restart_at_the_end_is(
    problem: Settings, tmp_path: Path
) -> None:
    far = replace(problem.dirichlet[1], value=(0.8, 0.4))
    steps = replace(problem.steps, increments=8, max_cuts=1)
    guarded = with_guard(problem, policy="cutback", audit=8)
    stopped = replace(guarded, dirichlet=(problem.dirichlet[0], far), steps=steps)
    found = run(stopped, COMM).results
    assert not found.converged and found.increments > 0 and found.audit is None
    folder = COMM.bcast(tmp_path)
    whole = with_guard(guarded, policy="warn")
    first = run(whole, COMM, folder).results.audit
    again = run(whole, COMM, folder, restart=True).results.audit
    assert first is not None and again is not None
    assert again.stress_error.value == pytest.approx(first.stress_error.value, rel=1e-6)
    more = run(with_guard(whole, audit=10**6), COMM, folder, restart=True).results.audit
    assert more is not None and more.points == more.served  # another audit of the same answers


def halves(comm: MPI.Intracomm, **arguments: Any) -> TaggedMesh:
    """Return a rectangle with a group of cells below and one above."""
    tagged = rectangle(comm, **arguments)
    mesh = tagged.mesh
    above = locate_entities(mesh, 2, lambda x: x[1] >= 0.5 - 1e-9)
    cells = mesh.topology.index_map(2).size_local + mesh.topology.index_map(2).num_ghosts
    values = np.ones(cells, dtype=np.int32)
    values[above] = 2
    tags = meshtags(mesh, 2, np.arange(cells, dtype=np.int32), values)
    names = {**tagged.names, "lower": (2, 1), "upper": (2, 2)}
    return TaggedMesh(mesh, tags, tagged.facet_tags, names)


def test_each_region_has_the_audit_of_its_guard(
    problem: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fesurrogate.build.problem.rectangle", halves)
    base = with_guard(problem, policy="warn", certify=True)
    assert base.material is not None and base.material.guard is not None

    def audits(lower: int, upper: int) -> Settings:
        tables = {
            name: replace(base.material, guard=replace(base.material.guard, audit=points))
            for name, points in {"lower": lower, "upper": upper}.items()
        }
        return replace(base, regions=tables)

    made = run(audits(16, 10**6), COMM)
    points = {k: COMM.allreduce(f.num_points) for k, f in made.model.fields.items()}
    found = made.results.audit
    assert found is not None and set(points) == {"lower", "upper"}
    assert found.served == sum(points.values())
    assert points["upper"] + 4 < found.points <= points["upper"] + 16
    one = run(audits(0, 10**6), COMM).results.audit
    assert one is not None and one.points == one.served == points["upper"]
    whole = audit(made.model, 0.5, points=10**6)
    assert whole is not None
    assert one.stress_error.value < found.stress_error.low
    assert found.stress_error.low <= whole.stress_error.value <= found.stress_error.high
    certified, truth = made.results.certified, run(direct(problem), COMM).results
    assert certified is not None and certified.converged
    np.testing.assert_allclose(certified.reaction["right"], truth.reaction["right"], rtol=1e-8)


def test_a_second_model_of_the_same_is_not_trained(problem: Settings) -> None:
    assert ensure_model(problem, comm=COMM).reused


def test_what_cannot_be_guarded_is_refused(problem: Settings) -> None:
    material = problem.material
    assert material is not None and material.guard is not None
    guard = replace(material.guard, measures=("deviation",))
    plain = replace(
        problem, calibration=None, train=replace(problem.train, ensemble=1),
        material=replace(material, guard=guard),
    )  # fmt: skip
    folder = COMM.bcast(problem.folder.parent / "plain")
    plain = replace(plain, output=replace(problem.output, folder=folder))
    ensure_dataset(plain, COMM)
    ensure_model(plain, comm=COMM)
    with pytest.raises(InputError, match=r"material.guard.*not calibrated.*\[calibration\]"):
        build_problem(plain, COMM)
    again = replace(plain, calibration=problem.calibration)
    ensure_dataset(calibration_of(again), COMM)
    ensure_model(again, comm=COMM)
    with pytest.raises(InputError, match="an ensemble or a Gaussian process has deviation"):
        build_problem(again, COMM)
    novel = replace(material.guard, measures=None)  # the best there is
    model = build_problem(replace(again, material=replace(material, guard=novel)), COMM)
    found = model.materials["material"].material
    assert isinstance(found, Guarded) and found.trust.names == ("expected", "violation")


def test_nothing_exact_to_fall_back_on_is_refused(tmp_path: Path) -> None:
    config = tmp_path / "bad.toml"
    config.write_text(ELASTIC.format(guard='reference = "network"', train=""))
    with pytest.raises(InputError, match="reference is 'network'"):
        read_config(config)
