"""Strains fill the envelope, paths stay in it, and all is the same by seed and number."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fesurrogate.config.data import GenerateSettings
from fesurrogate.data.dataset import Dataset
from fesurrogate.data.envelope import components_of, envelope_of
from fesurrogate.data.paths import proportional, random_walk
from fesurrogate.data.plan import plan_of
from fesurrogate.data.sampling import latin_hypercube, stretches
from fesurrogate.errors import InputError
from fesurrogate.kinematics import Kinematics

KINEMATICS = [Kinematics(d, m) for d in (2, 3) for m in ("small", "finite", "gradient")]


@pytest.mark.parametrize("kinematics", KINEMATICS, ids=str)
def test_samples_fill_the_envelope(kinematics: Kinematics) -> None:
    strain = stretches(kinematics, 512, 0.2, seed=3)
    assert strain.shape == (512, 1, kinematics.size)
    offset = kinematics.unpack(strain[:, 0] - kinematics.rest)
    assert np.abs(offset).max() <= 0.2 + 1e-15
    # every octant of the Sobol cube holds samples: each component reaches both ends
    assert (offset.max(axis=0) > 0.19).all() and (offset.min(axis=0) < -0.19).all()
    assert np.abs(offset.mean(axis=0)).max() < 0.005  # far below the 0.2/sqrt(3*512) of chance
    if kinematics.measure == "finite":
        np.testing.assert_array_equal(offset, np.swapaxes(offset, 1, 2))
        assert np.linalg.eigvalsh(offset + np.eye(kinematics.gdim)).min() > 0.0


def test_each_component_has_its_own_range() -> None:
    kinematics = Kinematics(2, "finite")
    box = ((-0.1, 0.3), (-0.2, 0.05), (0.0, 0.15))
    found = components_of(kinematics, stretches(kinematics, 256, box)[:, 0])
    for (low, high), column in zip(box, found.T, strict=True):
        assert low - 1e-15 <= column.min() and column.max() <= high + 1e-15
        assert column.max() - column.min() > 0.98 * (high - low)  # 256 even points reach the ends


@pytest.mark.parametrize("kinematics", KINEMATICS, ids=str)
def test_components_are_blind_to_rotations(kinematics: Kinematics) -> None:
    envelope = envelope_of(kinematics, 0.15)
    given = np.random.default_rng(2).uniform(-0.15, 0.15, (20, len(envelope.low)))
    strain = envelope.strain(given)
    if kinematics.measure == "finite":
        d = kinematics.gdim
        turns = np.linalg.qr(np.random.default_rng(3).standard_normal((20, d, d)))[0]
        turns[:, 0] *= np.linalg.det(turns)[:, None]
        strain = kinematics.pack(turns @ kinematics.unpack(strain))
    np.testing.assert_allclose(components_of(kinematics, strain), given, atol=1e-14)


def test_sampling_is_seeded_and_extends() -> None:
    kinematics = Kinematics(2)
    long = stretches(kinematics, 100, 0.1, seed=5)
    np.testing.assert_array_equal(long, stretches(kinematics, 100, 0.1, seed=5))
    np.testing.assert_array_equal(long[:30], stretches(kinematics, 30, 0.1, seed=5))
    assert not np.array_equal(long, stretches(kinematics, 100, 0.1, seed=6))


@pytest.mark.parametrize(
    ("samples", "stretch", "named"),
    [
        (0, 0.1, "samples"), (4, -0.1, "stretch"), (4, 0.5, "1/2"), (4, float("nan"), "finite"),
        (4, ((-0.1, 0.1),), "xx, yy, xy"), (4, ((-0.1, 0.1), (0.1, 0.1), (0.0, 0.1)), "low < high"),
        (4, ((-0.6, 0.1), (-0.1, 0.1), (-0.4, 0.1)), "positive definite"),
    ],
)  # fmt: skip
def test_bad_envelopes_are_refused(samples: int, stretch: Any, named: str) -> None:
    with pytest.raises(InputError, match=named):
        stretches(Kinematics(2, "finite"), samples, stretch)


def test_a_latin_hypercube_has_one_point_in_each_slice() -> None:
    cube = latin_hypercube(50, 3, seed=1)
    for column in cube.T:
        np.testing.assert_array_equal(np.sort(np.floor(50 * column)), np.arange(50))


def test_proportional_paths_go_straight_out_and_back() -> None:
    ends = np.array([[0.1, -0.2, 0.05]])
    out = proportional(ends, 4)[0]
    np.testing.assert_allclose(out, ends * np.array([[0.25], [0.5], [0.75], [1.0]]), rtol=1e-15)
    back = proportional(ends, 5, unload=True)[0]
    factors = np.array([1 / 3, 2 / 3, 1.0, 0.5, 0.0])
    np.testing.assert_allclose(back, ends * factors[:, None], atol=1e-16)


@pytest.mark.parametrize("smooth", [False, True])
def test_random_walks_stay_inside_turn_and_unload(smooth: bool) -> None:
    envelope = envelope_of(Kinematics(2), ((-0.1, 0.2), (-0.1, 0.1), (0.0, 0.05)))
    walks = np.array(
        [random_walk(envelope, k, 60, turns=6, smooth=smooth, seed=0) for k in range(40)]
    )
    assert (walks >= envelope.low).all() and (walks <= envelope.high).all()
    width = envelope.high - envelope.low
    assert (walks.max((0, 1)) - walks.min((0, 1)) > 0.95 * width).all()
    steps = np.diff(walks, axis=1, prepend=0.0)  # from rest
    assert np.abs(steps).max() <= (0.1 if not smooth else 0.3) * width.max()  # a leg is 10 steps
    closer = np.diff(np.linalg.norm(walks, axis=2), axis=1) < 0.0
    assert closer.any(axis=1).mean() > 0.9  # nearly every walk unloads somewhere
    jumps = np.abs(np.diff(steps, axis=1)).max()
    assert smooth == (jumps < 0.6 * np.abs(steps).max())  # smooth ones turn gently


def settings(**changes: Any) -> GenerateSettings:
    return GenerateSettings(**{"samples": 20, "stretch": 0.1, **changes})


KINDS = [
    {"path": "point"},
    {"path": "proportional", "increments": 6, "unload": True},
    {"path": "random_walk", "increments": 12, "turns": 3},
    {"path": "random_walk", "increments": 12, "smooth": True, "dt": (0.1, 10.0)},
]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: "-".join(map(str, kind.values())))
def test_a_plan_depends_on_seed_and_number_alone(kind: dict) -> None:
    names, ranges = ("a", "b"), {"a": (1.0, 2.0), "b": (0.3, 0.3)}
    kinematics = Kinematics(2, "finite")

    def made(**more: Any) -> Any:
        return plan_of(kinematics, settings(**kind, parameters=ranges, **more), names)

    short, long, other = made(), made(samples=33), made(seed=1)
    all_paths = np.arange(20)
    for part in ("strain", "dt", "parameters"):
        whole = getattr(short, part)(all_paths)
        np.testing.assert_array_equal(whole, getattr(long, part)(all_paths))
        some = np.array([3, 17, 4])
        np.testing.assert_array_equal(whole[some], getattr(short, part)(some))
        assert len(getattr(short, part)(all_paths[:0])) == 0
    assert not np.array_equal(short.strain(all_paths), other.strain(all_paths))
    drawn = short.parameters(all_paths)
    assert 1.0 <= drawn[:, 0].min() < 1.1 and 1.9 < drawn[:, 0].max() <= 2.0
    np.testing.assert_array_equal(drawn[:, 1], 0.3)
    assert kinematics.admissible(short.strain(all_paths).reshape(-1, 4)).all()


def test_dt_is_drawn_evenly_in_its_logarithm() -> None:
    plan = plan_of(Kinematics(2), settings(path="proportional", increments=500, dt=(0.01, 100.0)))
    drawn = np.log10(plan.dt(np.arange(20)))
    counts = np.histogram(drawn, bins=4, range=(-2.0, 2.0))[0]
    assert counts.sum() == drawn.size
    # 10,000 draws: each quarter holds 2,500 ± 5 standard deviations of 43
    assert np.abs(counts - 2500).max() < 5 * np.sqrt(10_000 * 0.25 * 0.75)
    assert not plan_of(Kinematics(2), settings()).timed and plan.timed


def test_recorded_paths_are_taken_without_their_rotations() -> None:
    kinematics = Kinematics(2, "finite")
    stretch = plan_of(kinematics, settings(path="random_walk", increments=5)).strain(np.arange(20))
    c, s = np.cos(0.4), np.sin(0.4)
    turned = np.array([[c, -s], [s, c]]) @ stretch.reshape(-1, 2, 2)
    recording = Dataset(
        kinematics, turned.reshape(stretch.shape), np.zeros(stretch.shape), None,
        np.ones((20, 5), bool), np.full((20, 5), 0.5),
    )  # fmt: skip
    wanted = settings(path="recorded", recorded="there", samples=8)
    plan = plan_of(kinematics, wanted, recorded=recording)
    taken = plan.strain(np.arange(8))
    distance = np.abs(taken[:, None] - stretch[None]).max((2, 3))
    assert (distance.min(axis=1) < 1e-14).all()
    assert len(np.unique(distance.argmin(axis=1))) == 8  # no path twice
    np.testing.assert_array_equal(plan.dt(np.arange(8)), 0.5)
    with pytest.raises(InputError, match="holds 20 paths"):
        plan_of(kinematics, settings(path="recorded", recorded="there", samples=21),
                recorded=recording)  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"source": "rvee"}, "'rve'"), ({"increments": 3}, "path = 'proportional'"),
        ({"path": "recorded"}, "need each other"), ({"dt": 0.0}, "dt is 0.0"),
        ({"dt": (2.0, 1.0)}, "dt is"), ({"parameters": {"a": (2.0, 1.0)}}, "parameters.a"),
        ({"parameters": {"b": (1.0, 2.0)}}, "expected NAME = .low, high. of each parameter .*: a"),
        ({"path": "random_walk", "increments": 2, "stretch": ((0.1, 0.2),) * 3}, "begin at rest"),
    ],
)  # fmt: skip
def test_settings_that_do_not_fit_are_refused(changes: dict, named: str) -> None:
    with pytest.raises(InputError, match=named):
        names = ("a",) if "parameters" in changes else ()
        plan_of(Kinematics(2), settings(**changes), names)
