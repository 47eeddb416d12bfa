"""A guarded surrogate with history that learns: the paths it follows, its trust, its editions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from contract import check_contract
from mpi4py import MPI

from fesurrogate import Kinematics
from fesurrogate.combine import Balanced
from fesurrogate.combine.followed import Followed
from fesurrogate.config import TrainSettings
from fesurrogate.config.learning import LearningSettings
from fesurrogate.config.train import PhysicalSettings, PointPhaseSettings
from fesurrogate.errors import InputError
from fesurrogate.kinematics import Array
from fesurrogate.laws import J2Plasticity, NeoHookean
from fesurrogate.learning import LearningPaths
from fesurrogate.learning.path_teach import judge_paths, scale_of
from fesurrogate.learning.paths import Paths, paths_from
from fesurrogate.material import Material, Response, masked

pytestmark = pytest.mark.mpi
COMM = MPI.COMM_WORLD
SMALL = Kinematics(2)
LAW = J2Plasticity(2, young=70.0, poisson=0.3, yield_stress=0.3, saturation=0.3, rate=80.0)
"""Its hardening saturates otherwise than that of the network's phases: no network is exact."""

PHASES = {
    "soft": PointPhaseSettings(
        young=70.0,
        poisson=0.3,
        yield_stress=0.3,
        saturation=0.2,
        rate=40.0,
        hardening=2.0,
        points=2,
        fraction=0.7,
    ),  # fmt: skip
    "stiff": PointPhaseSettings(young=100.0, poisson=0.2, points=1, fraction=0.3),
}
TRAIN = TrainSettings(
    model="physical", physical=PhysicalSettings(phases=PHASES), ensemble=3, iterations=12
)
TOLERANCE = 0.1
LEVELS = (0.3, 0.6, 0.8, 1.0, 0.7, 0.5)
"""Of the load: yield between the first two, unloading from the fourth."""

POINTS = 90


class Counted(Material):
    """The law, or a stiffer one, which counts what it is asked, and fails where it is too much."""

    def __init__(self, largest: float = np.inf, *, factor: float = 1.0) -> None:
        self.kinematics, self.num_state = LAW.kinematics, LAW.num_state
        self.largest, self.factor, self.asked = largest, factor, 0

    def initial_state(self, n: int) -> Array:
        """Return the law's."""
        return LAW.initial_state(n)

    def respond(self, strain: Array, state: Array, dt: float, **arguments: Any) -> Response:
        """Answer as the law does."""
        self.asked += len(strain)
        arguments.pop("hint"), arguments.pop("parameters")
        answer = LAW.evaluate(strain, state, dt, **arguments)
        count = {"rve_solves": np.ones(len(strain), dtype=np.int64)}
        stress, report = self.factor * answer.stress, {**answer.report, **count}
        answer = replace(answer, stress=stress, report=report)
        return masked(answer, strain[:, 0] <= self.largest)


def directions(count: int = POINTS, *, seed: int = 0) -> Array:  # (n, m)
    """Return the strains of a body's points at full load."""
    return np.random.default_rng(seed).uniform(-0.012, 0.012, (count, 3))


def share(rows: Array) -> Array:
    """Return this rank's part of rows that all ranks have."""
    return np.array_split(rows, COMM.size)[COMM.rank]


def learning(
    reference: Material | None = None, comm: MPI.Intracomm = COMM, **values: Any
) -> LearningPaths:
    """Return a Material that has learned nothing."""
    return LearningPaths(
        reference or Balanced(LAW, COMM), TRAIN,
        tolerance=TOLERANCE, settings=LearningSettings(paths=48), comm=comm, **values,
    )  # fmt: skip


class Body:
    """Points that are led through the levels of a load."""

    def __init__(self, material: Material, strain: Array) -> None:
        self.material, self.strain = material, strain
        self.state = material.initial_state(len(strain))
        self.hint = np.zeros((len(strain), material.num_hint))
        self.said: list[Response] = []

    def lead(self, *levels: float) -> Response:
        """Accept increments."""
        for level in levels:
            got = self.material.evaluate(level * self.strain, self.state, hint=self.hint)
            self.material.accept(level * self.strain, got)
            self.state, self.hint = got.state, got.hint
            self.said.append(got)
        return self.said[-1]


def exact(strain: Array, levels: tuple[float, ...] = LEVELS) -> Array:  # (T, n, m)
    """Return the stresses of the law."""
    state, stresses = LAW.initial_state(len(strain)), []
    for level in levels:
        answer = LAW.evaluate(level * strain, state, tangent=False)
        state = answer.state
        stresses.append(answer.stress)
    return np.array(stresses)


@pytest.fixture(scope="module", name="led")
def led_once() -> Body:
    """A body that was led through all levels."""
    body = Body(learning(), share(directions()))
    body.lead(*LEVELS)
    return body


@pytest.fixture(scope="module", name="taught")
def taught_once(led: Body) -> dict[str, np.ndarray]:
    """What it has learned."""
    return led.material.snapshot()


def again(snapshot: dict[str, np.ndarray]) -> LearningPaths:
    """Return a Material with what another has learned."""
    material = learning()
    material.restore(snapshot)
    return material


def test_it_begins_with_nothing_and_asks_less(led: Body) -> None:
    """Fewer points fall back, though every increment is new; what is trusted errs by little."""
    shares, wrong, trusted = [], 0, 0
    scale = scale_of(led.material.samples)
    for got, truth in zip(led.said, exact(led.strain), strict=True):
        fell = got.report["fallback"] == 1
        error = np.linalg.norm(got.stress - truth, axis=1) / scale
        assert (error[fell] < 1e-12).all()
        counts = COMM.allreduce(np.array([fell.sum(), (~fell).sum(), (error > TOLERANCE).sum()]))
        shares.append(counts[0] / POINTS)
        trusted, wrong = trusted + counts[1], wrong + counts[2]
    assert shares[0] == 1.0 and max(shares[3:]) < 0.3, shares
    assert trusted > POINTS and wrong <= 0.05 * trusted
    lessons = led.material.lessons()
    assert [lesson.fallen for lesson in lessons] == [round(POINTS * each) for each in shares]
    assert lessons[-1].samples <= 48 and lessons[-1].held_out == lessons[-1].samples // 3
    assert {lesson.outcome for lesson in lessons} <= {"taken", "refused", "waiting"}
    assert sum(lesson.checked for lesson in lessons) > 0


def test_a_path_that_is_followed_costs_a_solve_an_increment() -> None:
    """And a new one as many as it is long; the paths hold what the law answers."""
    reference = Counted()
    body = Body(learning(reference, MPI.COMM_SELF), directions(30))
    for t, level in enumerate(LEVELS[:4]):
        before = len(body.material.paths)
        begin = reference.asked
        got = body.material.evaluate(level * body.strain, body.state, hint=body.hint)
        counted = got.report["rve_solves"].sum()
        assert counted == reference.asked - begin  # the way there, too
        begin = reference.asked
        body.material.accept(level * body.strain, got)
        body.state, body.hint = got.state, got.hint
        new = len(body.material.paths) - before
        (lesson,) = body.material.lessons()
        assert lesson.rve_solves == reference.asked - begin == before + new * (t + 1)
        paths = body.material.paths
        assert (paths.length == t + 1).all()
        unit = paths.steps[:, 0, :-1] / LEVELS[0]
        truth = exact(unit, LEVELS[: t + 1]).swapaxes(0, 1)
        np.testing.assert_allclose(paths.stress, truth, rtol=0, atol=1e-12)


def test_a_path_goes_on_where_the_reference_is_led_anew() -> None:
    """A point that falls back late is led along its path: its answer is that of the law."""
    material = learning()
    strain, other = share(directions()), share(directions(seed=1))
    body = Body(material, strain)
    body.lead(*LEVELS[:3])
    turned = Body(material, strain)
    turned.state, turned.hint = body.state, body.hint
    got = material.evaluate(2.5 * other, turned.state, hint=turned.hint)
    fell = got.report["fallback"] == 1
    assert COMM.allreduce(int(fell.sum())) > 0.5 * POINTS
    state = LAW.initial_state(len(strain))
    for level in LEVELS[:3]:
        state = LAW.evaluate(level * strain, state).state
    truth = LAW.evaluate(2.5 * other, state)
    np.testing.assert_allclose(got.stress[fell], truth.stress[fell], rtol=0, atol=1e-12)


def test_a_hint_of_other_weights_is_passed_over(led: Body, taught: dict[str, np.ndarray]) -> None:
    """After a refinement the surrogate's answer is that of the new weights along the whole path."""
    material = again(taught)
    before = material.guarded.surrogate
    assert isinstance(before, Followed)
    follower = Followed(before.material, 100, edition=before.edition + 1)
    old_state = led.state[:, : follower.num_state]
    hint = led.hint[:, 1 : 1 + follower.num_hint].copy()
    assert (hint[:, 0] <= before.edition).all()
    k = 1 + 1  # edition, and how far
    hint[:, k:] += 1.0  # a state that would be wrong
    fresh = follower.evaluate(led.strain, old_state)
    kept = follower.evaluate(led.strain, old_state, hint=hint)
    np.testing.assert_array_equal(kept.stress, fresh.stress)
    on = follower.evaluate(led.strain, old_state, hint=fresh.hint)
    np.testing.assert_allclose(on.stress, fresh.stress, rtol=0, atol=1e-12)
    network, state = before.material, before.material.initial_state(len(led.strain))
    for level in LEVELS:
        state = network.evaluate(level * led.strain, state, tangent=False).state
    truth = network.evaluate(led.strain, state)
    np.testing.assert_allclose(fresh.stress, truth.stress, rtol=0, atol=1e-12)


def test_contract(taught: dict[str, np.ndarray]) -> None:
    material = again(taught)
    strain = np.concatenate([0.5 * directions(5, seed=3), 20.0 * directions(4, seed=4)])
    away = material.evaluate(strain).report["fallback"]
    assert not away[:4].all() and away[5:].all()
    check_contract(material, strain, COMM, tolerance=1e-11, step=1e-4)


def test_contract_before_anything_is_learned() -> None:
    check_contract(learning(), directions(8, seed=5), COMM, tolerance=1e-11, step=1e-4)


def test_all_ranks_hold_the_same_bits(taught: dict[str, np.ndarray]) -> None:
    for name, array in taught.items():
        for other in COMM.allgather(array):
            np.testing.assert_array_equal(array, other, err_msg=name)


def test_what_is_learned_does_not_depend_on_who_holds_the_points(
    taught: dict[str, np.ndarray],
) -> None:
    """One rank alone has all points, in another order, and some of them twice."""
    every = np.concatenate([directions(), directions()[:20]])[::-1]
    body = Body(learning(), every if COMM.rank == 0 else every[:0])
    body.lead(*LEVELS)
    for name, array in body.material.snapshot().items():
        np.testing.assert_allclose(array, taught[name], rtol=1e-6, atol=1e-9, err_msg=name)


def test_what_is_restored_goes_on_as_if_it_had_not_been_left() -> None:
    strain = share(directions())
    whole = Body(learning(), strain)
    whole.lead(*LEVELS[:2])
    kept = {name: array.copy() for name, array in whole.material.snapshot().items()}
    restarted = Body(again(kept), strain)
    restarted.state, restarted.hint = whole.state, whole.hint
    for body in (whole, restarted):
        body.lead(LEVELS[2])
    for name, array in whole.material.snapshot().items():
        np.testing.assert_array_equal(array, restarted.material.snapshot()[name], err_msg=name)
    np.testing.assert_array_equal(whole.said[-1].stress, restarted.said[-1].stress)


@pytest.mark.parametrize("factor", [1.0, 3.0])
def test_what_is_trusted_wrongly_is_told(
    led: Body, taught: dict[str, np.ndarray], factor: float
) -> None:
    """Of a reference that has changed meanwhile, all that is trusted is wrong, and is learned."""
    material = learning(Balanced(Counted(factor=factor), COMM))
    material.restore(taught)
    body = Body(material, led.strain)
    body.state, body.hint = led.state, led.hint
    body.lead(0.4)
    (lesson,) = material.lessons()
    share_wrong = lesson.wrong / lesson.checked
    assert share_wrong == 1.0 if factor > 1.0 else share_wrong < 0.2
    assert factor == 1.0 or lesson.outcome != "waiting"


def test_regions_that_share_it_teach_it_each() -> None:
    """Every path goes on once an increment, whichever region its point is of."""
    material, strain = learning(), directions()
    regions = [Body(material, share(part)) for part in (strain[:45], strain[45:])]
    for t, level in enumerate(LEVELS[:2]):
        answers = [
            material.evaluate(level * body.strain, body.state, hint=body.hint) for body in regions
        ]
        for body, got in zip(regions, answers, strict=True):
            material.accept(level * body.strain, got)
            body.state, body.hint = got.state, got.hint
        assert (material.paths.length == t + 1).all()
        one, other = material.lessons()
        assert one.fallen == other.fallen == 45 and one.samples < other.samples
    for part in (strain[:45], strain[45:]):
        own = (LEVELS[0] * part[:, None] == material.paths.steps[None, :, 0, :-1]).all(axis=2)
        assert own.any(axis=1).sum() > 6  # of an eighth of 48 paths in an increment


def test_a_path_that_fails_ends() -> None:
    reference = Counted(largest=0.008)
    paths = Paths.none(3, reference.num_state, 0)
    from fesurrogate.learning.asked import Asked

    asked = Asked(reference, COMM)
    strain = np.array([[0.004, 0.0, 0.0], [0.006, 0.001, 0.0]])
    steps = np.concatenate([strain, np.ones((2, 1))], axis=1)[:, None]
    paths = asked.from_rest(paths, steps)
    step = np.concatenate([1.5 * strain, np.ones((2, 1))], axis=1)
    paths = asked.led_on(paths, np.array([0, 1]), step)
    assert paths.length.tolist() == [2, -2] and paths.going_on.tolist() == [0]
    assert paths.ok.tolist() == [[True, True], [True, False]] and np.isnan(paths.stress[1, 1]).all()
    assert list(paths.pasts().values()) == [0]
    data = paths.dataset(SMALL)
    assert np.isfinite(data.strain).all() and data.failed == 1


def test_a_reference_that_raises_teaches_nothing() -> None:
    class Broken(Counted):
        def respond(self, *arguments: Any, **more: Any) -> Response:
            raise RuntimeError("broken")

    from fesurrogate.learning.asked import Asked

    steps = np.ones((2, 1, 4))
    paths = Asked(Broken(), COMM).from_rest(Paths.none(3, LAW.num_state, 0), steps)
    assert paths.length.tolist() == [-1, -1] and not paths.ok.any()


def test_a_worse_model_is_not_taken(taught: dict[str, np.ndarray]) -> None:
    """Paths whose training part lies: what was learned from the truth is kept."""
    material = again(taught)
    assert material.fitted is not None
    paths = material.paths
    lying = np.where(paths.held[:, None, None], paths.stress, 3.0 * paths.stress)
    judged = judge_paths(
        replace(paths, stress=lying), material.fitted.network(), SMALL,
        known=len(paths), iterations=10, tolerance=TOLERANCE,
    )  # fmt: skip
    assert judged.outcome == "refused" and judged.fitted is None
    assert judged.errors["held_out_after"] > judged.errors["held_out_before"]


def test_the_next_run_begins_with_what_the_first_has_learned(led: Body) -> None:
    data = led.material.samples
    assert data.reports["held_out"].shape == data.ok.shape and len(data) <= 48
    material = learning(start=data)
    np.testing.assert_array_equal(material.paths.held, led.material.paths.held)
    assert material.paths.going_on.size == 0 and material.fitted is not None
    body = Body(material, share(directions(seed=7)))
    first = body.lead(LEVELS[0])
    assert COMM.allreduce(int(first.report["fallback"].sum())) < 0.3 * POINTS
    assert len(material.paths) == len(data) + 24  # its own are followed, to be checked by
    (lesson,) = material.lessons()
    assert lesson.rve_solves == 0  # the law counts none


def test_paths_of_unlike_length_are_kept_side_by_side(led: Body) -> None:
    like = Paths.none(3, LAW.num_state, 0)
    begun = paths_from(led.material.samples, like, SMALL, 10)
    assert len(begun) == 10 and (begun.length == -len(LEVELS)).all()
    steps = np.full((2, 1, 4), 0.001)
    more = begun.with_new(steps, LAW.initial_state(2), np.zeros((2, 0)))
    more = more.longer(
        np.array([10, 11]), steps[:, 0], np.ones((2, 3)), np.array([True, True]),
        LAW.initial_state(2), np.zeros((2, 0)),
    )  # fmt: skip
    assert more.ok.sum(axis=1).tolist() == [len(LEVELS)] * 10 + [1, 1]
    np.testing.assert_array_equal(more.steps[10, 1:, :-1], np.full((5, 3), 0.001))
    again = Paths.from_arrays(more.arrays(), like)
    np.testing.assert_array_equal(again.steps, more.steps)


@pytest.mark.parametrize("count", [0, 2])
def test_a_body_of_too_few_points_is_left_to_the_reference(count: int) -> None:
    """No path is held out that could judge a model: there is none, and what is said is right."""
    body = Body(learning(), share(directions(count)))
    for got, truth in zip((body.lead(level) for level in LEVELS), exact(body.strain), strict=True):
        np.testing.assert_allclose(got.stress, truth, rtol=0, atol=1e-12)
    lessons = body.material.lessons()
    assert body.material.fitted is None and {each.outcome for each in lessons} == {"waiting"}
    assert [(each.samples, each.fallen) for each in lessons] == [(count, count)] * len(LEVELS)


def test_an_increment_without_load_does_no_harm() -> None:
    """Nothing is learned of points at rest, and what comes after is learned as ever."""
    body = Body(learning(), share(directions()))
    body.lead(0.0, *LEVELS[:4])
    lessons = body.material.lessons()
    assert lessons[0].outcome == "waiting" and lessons[0].samples == 1
    assert body.material.fitted is not None and lessons[-1].samples > 12
    assert np.isfinite(body.said[-1].stress).all()


def test_a_path_without_room_teaches_no_more() -> None:
    """Its last increment is not known: it is answered, as by any guard, and the next one fails."""
    body = Body(learning(max_increments=2), share(directions(30)))
    body.lead(*LEVELS[:2])
    before = body.material.paths
    last = body.lead(LEVELS[2])
    assert last.ok.all()
    for name, array in body.material.paths.arrays().items():
        np.testing.assert_array_equal(array, before.arrays()[name], err_msg=name)
    fell = COMM.allreduce(int(last.report["fallback"].sum()))
    lesson = body.material.lessons()[-1]
    assert (lesson.fallen, lesson.outcome) == (fell, "waiting") and fell > 0
    after = body.material.evaluate(LEVELS[3] * body.strain, body.state, hint=body.hint)
    assert not after.ok.any()


def test_a_start_of_which_nothing_was_solved_is_no_start(led: Body) -> None:
    data = led.material.samples
    material = learning(start=replace(data, ok=np.zeros_like(data.ok)))
    assert len(material.paths) == 0 and material.fitted is None
    few = learning(start=data.take(np.arange(2)))  # none of them is held out
    assert len(few.paths) == 2 and few.fitted is None


def test_a_model_that_cannot_be_fitted_is_not_taken(taught: dict[str, np.ndarray]) -> None:
    material = again(taught)
    assert material.fitted is not None
    paths, network = material.paths, material.fitted.network()
    for bad, note in ((np.nan, "not finite"), (0.0, "does not answer")):
        stress = np.where(paths.ok[:, :, None], bad, paths.stress)
        judged = judge_paths(
            replace(paths, stress=stress), network, SMALL,
            known=0, iterations=1, tolerance=TOLERANCE,
        )  # fmt: skip
        assert judged.outcome == "failed" and note in judged.note


def test_what_cannot_be_learned_is_refused() -> None:
    with pytest.raises(InputError, match="physical networks"):
        LearningPaths(LAW, TrainSettings(model="polynomial", ensemble=4), tolerance=0.01)
    with pytest.raises(InputError, match="ensemble 1"):
        LearningPaths(LAW, replace(TRAIN, ensemble=1), tolerance=0.01)
    with pytest.raises(InputError, match="history"):
        LearningPaths(NeoHookean(2, shear_modulus=1.0, lame=1.0), TRAIN, tolerance=0.01)
    with pytest.raises(InputError, match="edition is 0"):
        Followed(LAW, 3, edition=0)
    with pytest.raises(InputError, match="cannot be read"):
        learning().restore({"increment": np.array([1])})
