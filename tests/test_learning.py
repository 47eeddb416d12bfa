"""A Material that learns in accept: what it takes, what it refuses, what it never forgets."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from contract import check_contract
from mpi4py import MPI

from fesurrogate import Kinematics
from fesurrogate.combine import Balanced, Guarded
from fesurrogate.config import TrainSettings
from fesurrogate.config.learning import LearningSettings
from fesurrogate.config.train import PolynomialSettings
from fesurrogate.data.dataset import Dataset
from fesurrogate.errors import InputError
from fesurrogate.kinematics import Array
from fesurrogate.laws import J2Plasticity, NeoHookean, Ogden
from fesurrogate.learning import Learning, teach, untaught
from fesurrogate.learning.choice import CLOSEST, collected, farthest, pick
from fesurrogate.learning.fitted import Judged
from fesurrogate.learning.samples import held_out, joined, samples_of, started_from
from fesurrogate.material import Material, Response
from fesurrogate.results import LearningEntry
from fesurrogate.surrogate import NetworkMaterial
from fesurrogate.trust import FixedMeasure, Trust, Violation

pytestmark = pytest.mark.mpi
COMM = MPI.COMM_WORLD
LAW = Ogden(2, terms=[[0.2, 10.0]], bulk_modulus=4.0)
"""No polynomial: one of degree 5 errs by some 1e-4 of the stress within U = I ± 0.1."""
FINITE = LAW.kinematics
TRAIN = TrainSettings(model="polynomial", polynomial=PolynomialSettings(degree=5), ensemble=3)
TOLERANCE = 0.01


def law_with_parameter() -> Material:
    """Return a law one of whose constants is a parameter of the points."""
    return Ogden(2, terms=[[0.2, 10.0]], bulk_modulus=4.0, parameters=("modulus_1",))


def strains(count: int, size: float, *, seed: int = 0) -> Array:
    """Return F = I + size * (...), drawn evenly, in which the last components are smaller."""
    rng = np.random.default_rng(seed)
    return FINITE.rest + size * rng.uniform(-1.0, 1.0, (count, 4)) * [1.0, 0.5, 0.5, 0.8]


def beyond(count: int, *, seed: int = 0) -> Array:
    """Return strains far outside of ``strains(..., 0.1)``."""
    return strains(count, 0.03, seed=seed) + 0.3 * np.eye(2).ravel()


def share(rows: Array) -> Array:
    """Return this rank's part of rows that all ranks have."""
    return np.array_split(rows, COMM.size)[COMM.rank]


def accepted(material: Learning, strain: Array, **options: Any) -> Response:
    """Evaluate this rank's part, and accept it."""
    mine = share(strain)
    got = material.evaluate(mine, **options)
    material.accept(mine, got)
    return got


def taught(reference: Material = LAW, size: float = 0.1, **settings: Any) -> Learning:
    """Return a Material that has learned from one increment."""
    material = Learning(
        untaught(reference, TRAIN, tolerance=TOLERANCE), TRAIN,
        settings=LearningSettings(**settings), comm=COMM,
    )  # fmt: skip
    accepted(material, strains(200, size))
    return material


@pytest.fixture(scope="module", name="learned")
def learned_once() -> dict[str, np.ndarray]:
    """What one increment teaches: a snapshot, for tests that go on from there."""
    return taught().snapshot()


def again(snapshot: dict[str, np.ndarray], **settings: Any) -> Learning:
    """Return a Material with what another has learned."""
    material = Learning(
        untaught(LAW, TRAIN, tolerance=TOLERANCE), TRAIN,
        settings=LearningSettings(**settings), comm=COMM,
    )  # fmt: skip
    material.restore(snapshot)
    return material


def samples(strain: Array) -> Dataset:
    """Return what the law answers as samples."""
    answer = LAW.evaluate(strain)
    assert answer.tangent is not None
    return samples_of(
        FINITE, (), strain=strain, stress=answer.stress, tangent=answer.tangent,
        parameters=np.zeros((len(strain), 0)), energy=answer.report["energy"],
    )  # fmt: skip


def fallback(response: Response) -> float:
    """Return the share of points, of all ranks, that the reference answered."""
    counts = COMM.allreduce(
        np.array([response.report["fallback"].sum(), len(response.stress)], dtype=float)
    )
    return float(counts[0] / counts[1])


def test_it_begins_with_nothing_and_asks_less_and_less() -> None:
    train = replace(TRAIN, ensemble=4)
    material = Learning(
        untaught(LAW, train, tolerance=TOLERANCE), train,
        settings=LearningSettings(checks=6), comm=COMM,
    )  # fmt: skip
    rates, sizes = [], (0.04, 0.055, 0.07, 0.07, 0.07)
    for k, size in enumerate(sizes):
        got = accepted(material, strains(200, size, seed=k))
        exact = LAW.evaluate(share(strains(200, size, seed=k)))
        scale = 1.0 if material.fitted is None else float(material.fitted.trust["scale"][0])
        wrong = np.linalg.norm(got.stress - exact.stress, axis=1) / scale
        assert (wrong[got.report["fallback"] == 1] < 1e-12).all()
        assert (wrong <= TOLERANCE).all()
        rates.append(fallback(got))
    assert rates[0] == 1.0 and rates[-1] < 0.05 and max(rates[1:]) < 0.7, rates
    lessons = material.lessons()
    assert {lesson.outcome for lesson in lessons} <= {"taken", "waiting"}
    assert lessons[0].fallen == 200 and lessons[0].checked == 0 and lessons[0].samples == 150
    assert all(lesson.checked == 6 and lesson.wrong == 0 for lesson in lessons[1:])
    assert lessons[-1].held_out == lessons[-1].samples // 3
    assert lessons[0].errors["held_out_after"] < 0.1 * TOLERANCE
    assert material.lessons() == ()


def test_answers_that_are_good_already_are_kept_but_no_reason_to_fit(
    learned: dict[str, np.ndarray],
) -> None:
    material = again(learned, checks=9, fresh=8)
    before = material.fitted
    for k in range(2):
        accepted(material, strains(60, 0.04, seed=k + 1))
        (lesson,) = material.lessons()
        assert (lesson.outcome, lesson.fallen, lesson.samples) == ("waiting", 0, 159 + 9 * k)
    assert before is not None and material.fitted is not None
    assert material.fitted.weights is before.weights


class Counted(Material):
    """The law, each of whose answers is one solve of an RVE."""

    kinematics = FINITE

    def respond(
        self, strain: Array, state: Array, dt: float, *, tangent: bool, **_: Any
    ) -> Response:
        answer = LAW.evaluate(strain, state, dt, tangent=tangent)
        solves = np.ones(len(strain), dtype=np.int64)
        return replace(answer, report={**answer.report, "rve_solves": solves})


@pytest.mark.parametrize("tangent", [True, False])
def test_samples_are_what_the_reference_answers(
    learned: dict[str, np.ndarray], tangent: bool
) -> None:
    """Of points that fell back and of points that are checked, whatever the increment asked."""
    material = again(learned, batch=5, checks=4, fresh=100)
    material.guarded.reference = Counted()
    accepted(material, np.concatenate([strains(40, 0.05, seed=3), beyond(20)]), tangent=tangent)
    data = material.samples.take(slice(150, None))
    exact = LAW.evaluate(data.strain[:, 0])
    (lesson,) = material.lessons()
    assert lesson.rve_solves == (4 if tangent else 4 + 5)
    assert len(data) == 9 and exact.tangent is not None and data.tangent is not None
    assert (data.strain[:5, 0, 0] > 1.2).all() and (data.strain[5:, 0, 0] < 1.1).all()
    size = np.abs(exact.tangent).max()
    np.testing.assert_allclose(data.stress[:, 0], exact.stress, rtol=0, atol=1e-13 * size)
    np.testing.assert_allclose(data.tangent[:, 0], exact.tangent, rtol=0, atol=1e-13 * size)
    energy = exact.report["energy"]
    np.testing.assert_allclose(data.reports["energy"][:, 0], energy, rtol=0, atol=1e-13 * size)


def test_contract(learned: dict[str, np.ndarray]) -> None:
    """Between two accepts a Material as any other: where it trusts itself, and where it asks."""
    material = again(learned)
    strain = np.concatenate([strains(4, 0.05, seed=5), beyond(4)])
    away = material.evaluate(strain).report["fallback"]
    assert not away[:4].any() and away[4:].all()
    check_contract(material, strain, COMM, tolerance=1e-11, step=2e-3)


def test_contract_before_anything_is_learned() -> None:
    material = Learning(untaught(Balanced(LAW, COMM), TRAIN, tolerance=TOLERANCE), TRAIN, comm=COMM)
    check_contract(material, strains(8, 0.1), COMM, tolerance=1e-11)


def test_all_ranks_hold_the_same_bits() -> None:
    material = taught()
    for name, array in material.snapshot().items():
        for other in COMM.allgather(array):
            np.testing.assert_array_equal(array, other, err_msg=name)


def test_what_is_learned_does_not_depend_on_who_holds_the_points() -> None:
    """Samples and their order: from parts in another order, and where but one rank has points."""
    alone = Learning(untaught(LAW, TRAIN, tolerance=TOLERANCE), TRAIN)
    every = strains(200, 0.1)
    alone.accept(every, alone.evaluate(every))
    shuffled = every[np.random.default_rng(1).permutation(200)]
    for mine in (share(shuffled), shuffled[: 200 * (COMM.rank == COMM.size - 1)]):
        material = Learning(untaught(LAW, TRAIN, tolerance=TOLERANCE), TRAIN, comm=COMM)
        material.accept(mine, material.evaluate(mine))
        found, wanted = material.samples, alone.samples
        np.testing.assert_array_equal(found.strain, wanted.strain)
        np.testing.assert_array_equal(held_out(found), held_out(wanted))
        np.testing.assert_allclose(found.stress, wanted.stress, rtol=0, atol=1e-14)
        assert not material.evaluate(mine).report["fallback"].all() or not len(mine)
        material.accept(mine, material.evaluate(mine))  # checks, and points that fall back


def test_samples_are_spread_and_not_all_kept() -> None:
    """The greedy choice covers within twice the best possible radius, here of a lattice of 3 x 3.

    A cluster of a thousand points gives one sample, not a thousand.
    """
    grid = np.stack(np.meshgrid(*(np.linspace(-1, 1, 9),) * 2), axis=-1).reshape(-1, 2)
    crowd = 1e-3 * np.random.default_rng(0).uniform(-1, 1, (1000, 2)) + [0.5, 0.5]
    points = np.concatenate([grid, crowd])
    chosen = farthest(points, points[:0], 9)
    assert len(set(chosen)) == 9
    width = points.std(axis=0)
    distance = np.linalg.norm((points[:, None] - points[chosen]) / width, axis=2).min(axis=1)
    best = np.linalg.norm(np.array([0.375, 0.375]) / width)  # nine squares of the edge 0.75
    assert distance.max() <= 2.0 * best
    assert (np.linalg.norm(points[chosen] - 0.5, axis=1) < 0.01).sum() <= 1
    assert len(farthest(points, points, 5)) == 0  # nothing new
    some = farthest(crowd, crowd[:0], 1000)
    apart = np.linalg.norm((crowd[some][:, None] - crowd[some]) / crowd.std(axis=0), axis=2)
    assert apart[~np.eye(len(some), dtype=bool)].min() > CLOSEST


def test_chosen_points_of_all_ranks_come_in_the_order_of_choice() -> None:
    every = np.random.default_rng(3).uniform(-1, 1, (40, 3))
    begin = len(np.concatenate([np.zeros((0, 3)), *np.array_split(every, COMM.size)[: COMM.rank]]))
    mine = share(every)
    found = pick(COMM, mine, every[:0], 7)
    rows = {"number": begin + found.rows, "inputs": mine[found.rows]}
    whole = collected(COMM, found, rows)
    np.testing.assert_array_equal(whole["inputs"], found.inputs)
    np.testing.assert_array_equal(every[whole["number"]], found.inputs)


def test_the_choice_among_points_as_far_as_others_is_the_same_in_any_order() -> None:
    """Of a symmetric lattice, where one distance is that of many."""
    axis = np.linspace(-1.0, 1.0, 5)
    every = np.stack(np.meshgrid(axis, axis, axis), axis=-1).reshape(-1, 3)
    shuffled = every[np.random.default_rng(1).permutation(len(every))]
    one, other = (pick(COMM, share(rows), every[:0], 9) for rows in (every, shuffled))
    np.testing.assert_array_equal(one.inputs, other.inputs)


def fails(*arguments: Any) -> Any:
    """Stand for a fit."""
    raise RuntimeError("linalg.lstsq: no")


def bad(network: Any, factor: float = 3.0) -> Any:
    """Multiply a polynomial's, or an ensemble's, coefficients."""
    for name, buffer in network.named_buffers():
        if name.endswith("coefficients"):
            buffer.mul_(factor)
    return network


def test_a_refinement_that_is_worse_is_not_taken(
    learned: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    material = again(learned)
    real = teach._fitted
    monkeypatch.setattr(teach, "_fitted", lambda *arguments: bad(real(*arguments)))
    strain = share(strains(60, 0.05, seed=9))
    before = material.evaluate(strain)
    accepted(material, beyond(200))
    (lesson,) = material.lessons()
    assert lesson.outcome == "refused"
    assert lesson.errors["held_out_after"] > 100 * lesson.errors["held_out_before"] + TOLERANCE
    after = material.evaluate(strain)
    np.testing.assert_array_equal(after.stress, before.stress)
    np.testing.assert_array_equal(after.report["fallback"], before.report["fallback"])
    monkeypatch.undo()  # what was refused stays a sample: the next one is better
    accepted(material, beyond(200, seed=7))
    assert material.lessons()[0].outcome == "taken"


def test_a_model_that_forgets_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is fitted to the newest samples alone is right about these, not about the old."""
    old, new = (
        samples(strains(150, 0.1)),
        samples(strains(150, 0.02, seed=1) + 0.2 * np.eye(2).ravel()),
    )
    known = replace(old, reports={"held_out": np.zeros((150, 1))})  # held out are new ones alone
    both = joined(known, new)
    fitted = teach.teach(old, TRAIN)
    before = NetworkMaterial(fitted.network())
    settings = {"train": TRAIN, "tolerance": TOLERANCE}
    assert teach.judge(both, before, 150, **settings).outcome == "taken"
    real = teach.teach
    monkeypatch.setattr(
        teach, "teach", lambda every, train: real(every.take(slice(150, None)), train)
    )
    judged = teach.judge(both, before, 150, **settings)
    assert judged.outcome == "refused" and judged.fitted is None
    assert judged.errors["held_out_after"] < judged.errors["held_out_before"]
    assert judged.errors["old_after"] > max(judged.errors["old_before"], 0.1 * TOLERANCE)


def test_trust_is_calibrated_by_a_model_that_has_not_seen_the_points() -> None:
    """Errors at the outer quarter of the training samples are those of an extrapolation."""
    data = samples(np.concatenate([strains(112, 0.04), beyond(38)]))
    fitted = teach.teach(data, TRAIN)
    training = data.take(np.flatnonzero(~held_out(data)))
    outer, told = training.take(slice(75, None)), fitted.trust["error"]
    assert len(outer) == 25 and len(told) == 25 + 50  # and those held out
    model, scale = NetworkMaterial(fitted.network()), float(fitted.trust["scale"][0])
    wrong = model.evaluate(outer.strain[:, 0]).stress - outer.stress[:, 0]
    own = np.linalg.norm(wrong, axis=1) / scale
    assert told[:25].min() > 10.0 * own.max()


def test_errors_on_old_samples_do_not_grow(learned: dict[str, np.ndarray]) -> None:
    """Regions come one after another; the first is not forgotten when the last is learned."""
    material = again(learned, batch=100)
    first, errors = strains(100, 0.08, seed=20), []
    exact = LAW.evaluate(first).stress
    scale = np.sqrt((exact**2).sum(axis=1).mean())
    for k, shift in enumerate(([0.16, 0, 0, 0.1], [-0.13, 0, 0, 0.1])):
        accepted(material, strains(150, 0.05, seed=30 + k) + shift)
        (lesson,) = material.lessons()
        assert lesson.outcome == "taken"
        assert lesson.errors["old_after"] <= max(lesson.errors["old_before"], 0.1 * TOLERANCE)
        wrong = material.guarded.surrogate.evaluate(first).stress - exact
        errors.append(float(np.sqrt((wrong**2).sum(axis=1).mean()) / scale))
    assert max(errors) < 0.1 * TOLERANCE, errors


def test_checks_find_a_model_that_is_trusted_wrongly() -> None:
    """A given surrogate that is believed everywhere: checks see it, and it is replaced."""
    believed = Trust([FixedMeasure(Violation(FINITE, 1.0))], TOLERANCE)
    begin = Guarded(NeoHookean(2, shear_modulus=0.5, lame=2.0), LAW, believed)
    train = replace(TRAIN, ensemble=1)
    material = Learning(
        begin, train, settings=LearningSettings(checks=130, first=0), comm=COMM
    )  # fmt: skip
    got = accepted(material, strains(200, 0.1))
    assert fallback(got) == 0.0
    (lesson,) = material.lessons()
    assert lesson.checked == 130 and lesson.fallen == 0 and lesson.outcome == "taken"
    accepted(material, strains(50, 0.05, seed=2))
    assert lesson.errors["held_out_before"] > 0.1 > 100 * lesson.errors["held_out_after"]


def test_wrong_checks_are_believed_where_no_better_model_comes(
    learned: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model that is trusted too far, and no other: after checks that go wrong it is not."""
    material = again(learned, checks=40)
    assert material.fitted is not None
    sure = {name: a for name, a in material.fitted.trust.items() if not name.startswith("doubt")}
    far = {"doubt.deviation": np.array([0.0, 1e9]), "error": np.array([1e-9, 1e-9])}
    material._take(replace(material.fitted, trust={**sure, **far, "doubt.novelty": np.ones(2)}))
    monkeypatch.setattr(teach, "teach", fails)
    got = accepted(material, beyond(200))
    assert fallback(got) == 0.0
    (lesson,) = material.lessons()
    assert lesson.outcome == "failed" and lesson.wrong > 10
    assert fallback(material.evaluate(share(beyond(200, seed=1)))) > 0.9


def test_where_samples_are_many_enough_checks_go_on() -> None:
    """No more samples are kept than wanted; the answers are still checked, and trust hears it."""
    material = taught(first=145, checks=10, samples=150)
    assert len(material.samples) == 145
    for k, size in enumerate((150, 150)):
        accepted(material, strains(100, 0.04, seed=k + 1))
        assert len(material.samples) == size
    first, _, last = material.lessons()
    assert first.outcome == "taken" and (last.outcome, last.checked) == ("waiting", 10)
    assert material.fitted is not None
    begun = len(material.fitted.trust["error"])
    accepted(material, strains(100, 0.04, seed=3))
    assert len(material.fitted.trust["error"]) == begun + 10
    errors = 0.5 * material.fitted.trust["scale"]  # a stress
    trust = material.fitted.knowing({"deviation": np.array([3.0])}, errors).trust
    told = [trust[name][-1] for name in ("error", "doubt.deviation", "doubt.novelty")]
    assert told == [0.5, 3.0, np.inf]


def test_parameters_of_the_points_are_learned_with_them() -> None:
    law = law_with_parameter()
    material = Learning(untaught(law, TRAIN, tolerance=0.02), TRAIN, comm=COMM)
    moduli = np.random.default_rng(0).uniform(0.15, 0.25, (200, 1))
    accepted(material, strains(200, 0.06), parameters=share(moduli))
    strain, unseen = strains(20, 0.04, seed=1), np.linspace(0.17, 0.23, 20)[:, None]
    got = material.evaluate(strain, parameters=unseen)
    assert not got.report["fallback"].any()
    exact = law.evaluate(strain, parameters=unseen).stress
    size = np.linalg.norm(exact, axis=1).mean()
    assert np.linalg.norm(got.stress - exact, axis=1).max() < 0.02 * size
    assert material.samples.parameters is not None
    assert set(material.samples.parameters[:, 0]) <= set(moduli[:, 0])


def test_it_goes_on_from_a_snapshot(learned: dict[str, np.ndarray]) -> None:
    one, other = again(learned), again(learned)
    assert one.snapshot().keys() == learned.keys()
    for name, array in learned.items():
        np.testing.assert_array_equal(one.snapshot()[name], array, err_msg=name)
    for material in (one, other):
        accepted(material, strains(100, 0.15, seed=3))
    left, right = (each.evaluate(share(strains(30, 0.15, seed=4))) for each in (one, other))
    np.testing.assert_array_equal(left.stress, right.stress)
    assert one.lessons() == other.lessons()
    nothing = Learning(untaught(LAW, TRAIN, tolerance=TOLERANCE), TRAIN, comm=COMM)
    one.restore(nothing.snapshot())
    assert not one.taught and len(one.samples) == 0  # back to the beginning


def test_hostile_snapshots_are_refused(learned: dict[str, np.ndarray]) -> None:
    material = again(learned)
    weight = next(name for name in learned if name.startswith("weight."))
    for change in (
        {"facts": np.frombuffer(b'{"network": "os.system"}', dtype=np.uint8)},
        {"facts": np.zeros(3, dtype=np.uint8)},
        {weight: learned[weight] * np.nan},
        {"samples.strain": learned["samples.strain"][:, :, :3]},
        {"count": np.zeros(3)},
        {"increment": np.zeros(0)},
        {"trust.error": learned["trust.error"][1:]},
        {"trust.scale": np.zeros(0)},
        {"trust.inputs": np.zeros((2, 2))},
    ):
        with pytest.raises(InputError):
            material.restore({**learned, **change})


def test_what_cannot_learn_is_refused() -> None:
    metal = J2Plasticity(2, young=1.0, poisson=0.3, yield_stress=1.0, hardening=1.0)
    with pytest.raises(InputError, match="history"):
        untaught(metal, TRAIN, tolerance=0.01)
    with pytest.raises(InputError, match="deviation"):
        untaught(LAW, replace(TRAIN, ensemble=1), tolerance=0.01, measures=["deviation"])
    with pytest.raises(InputError, match="judged by"):
        untaught(LAW, TRAIN, tolerance=0.01, measures=["expected"])
    warned = Guarded(LAW, LAW, Trust([FixedMeasure(Violation(FINITE, 1.0))], 0.01), policy="warn")
    with pytest.raises(InputError, match="fallback"):
        Learning(warned, TRAIN)
    data = taught().samples
    with pytest.raises(InputError, match="expected"):
        started_from(data, Kinematics(2, "small"), (), 100)
    with pytest.raises(InputError, match="tangents"):
        started_from(replace(data, tangent=None), FINITE, (), 100)


def test_it_starts_from_samples() -> None:
    """Of another run, whose held-out ones stay so; and of any dataset, spread and held out anew."""
    data = taught().samples
    material = Learning(untaught(LAW, TRAIN, tolerance=TOLERANCE), TRAIN, start=data, comm=COMM)
    assert material.taught
    np.testing.assert_array_equal(held_out(material.samples), held_out(data))
    assert not material.evaluate(strains(10, 0.04, seed=3)).report["fallback"].any()
    plain = replace(data, reports={})
    assert int(held_out(started_from(plain, FINITE, (), 120)).sum()) == 40
    assert len(started_from(plain, FINITE, (), 120)) == 120


def test_a_reference_that_raises_teaches_nothing(learned: dict[str, np.ndarray]) -> None:
    material = again(learned)

    class Broken(Material):
        kinematics = FINITE

        def respond(self, *arguments: Any, **options: Any) -> Response:
            raise ZeroDivisionError

    strain = share(strains(40, 0.05, seed=1))
    got = material.evaluate(strain)
    material.guarded.reference = Broken()
    material.accept(strain, got)
    (lesson,) = material.lessons()
    assert (lesson.outcome, lesson.samples) == ("waiting", 150)


def test_a_fit_that_fails_is_told(
    learned: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    material = again(learned)

    monkeypatch.setattr(teach, "teach", fails)
    accepted(material, beyond(100))
    (lesson,) = material.lessons()
    assert isinstance(lesson, LearningEntry) and lesson.outcome == "failed"
    assert "lstsq" in lesson.note and isinstance(Judged("failed"), Judged)
