"""Seeded defects are found, each by its check, and clean data pass."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fesurrogate.config.data import GenerateSettings
from fesurrogate.data.coverage import coverage
from fesurrogate.data.dataset import Dataset
from fesurrogate.data.generate import generate
from fesurrogate.data.plan import plan_of
from fesurrogate.data.quality import Finding, examine, suspicious_points
from fesurrogate.data.sampling import stretches
from fesurrogate.data.stiffening import nearest_mean
from fesurrogate.data.store import write_dataset
from fesurrogate.errors import InputError
from fesurrogate.kinematics import Array, Kinematics
from fesurrogate.laws import J2Plasticity, Linear, NeoHookean, Viscoelastic
from fesurrogate.material import Material, Response

pytest.importorskip("scipy")


def points(law: Material, samples: int = 128, stretch: float = 0.2, **more: Any) -> Dataset:
    return generate(law, stretches(law.kinematics, samples, stretch), **more)


def walks(law: Material, path: str = "random_walk", *, samples: int = 24, **more: Any) -> Dataset:
    plan = plan_of(
        law.kinematics,
        GenerateSettings(path=path, samples=samples, stretch=0.03, increments=30, **more),
    )
    every = np.arange(samples)
    return generate(law, plan.strain(every), dt=plan.dt(every))


class Fibres(Material):
    """Collagen in a matrix: W = ε·ε / 2 + (exp(k x²) - 1) / 2k of the fibres' stretch x = a·ε > 0.

    Source: G. A. Holzapfel, T. C. Gasser, R. W. Ogden, J. Elasticity 61 (2000) 1-48, eq. (64).
    """

    kinematics = Kinematics(2)
    axis = np.array([0.7, 0.3, 0.5])

    def __init__(self, factor: float) -> None:
        self.factor = factor

    def respond(self, strain: Array, state: Array, dt: float, **options: Any) -> Response:
        """Answer."""
        stretch = np.maximum(strain @ self.axis, 0.0)
        power = np.exp(self.factor * stretch**2)
        slope = np.where(stretch > 0.0, power * (1.0 + 2.0 * self.factor * stretch**2), 0.0)
        energy = 0.5 * (strain**2).sum(axis=1) + (power - 1.0) / (2.0 * self.factor)
        return Response(
            strain + (stretch * power)[:, None] * self.axis,
            np.eye(3) + slope[:, None, None] * np.outer(self.axis, self.axis),
            state.copy(), np.zeros((len(strain), 0)), np.ones(len(strain), dtype=bool),
            report={"energy": energy},
        )  # fmt: skip


RUBBER = {d: NeoHookean(d, shear_modulus=1.0, lame=2.0) for d in (2, 3)}
METAL = {d: J2Plasticity(d, young=100.0, poisson=0.3, yield_stress=1.0, hardening=5.0)
         for d in (2, 3)}  # fmt: skip
CREEPS = Viscoelastic(
    2, shear_modulus=1.0, bulk_modulus=2.0, shear_branches=((1.0, 0.3),),
)  # fmt: skip
SKEW = Linear(Kinematics(2, "gradient"), np.array([[2.0, 0.5], [-0.5, 1.0]]))  # a Hall effect

CLEAN: dict[str, Callable[[], Dataset]] = {
    "few points": lambda: points(RUBBER[2], 12),
    "points": lambda: points(RUBBER[2]),
    "points in 3D": lambda: points(RUBBER[3], stretch=0.15),
    "wide envelope": lambda: points(RUBBER[3], 400, stretch=0.3),
    "no tangents": lambda: points(RUBBER[2], 300, stretch=0.3, tangents=False),
    "one step of plasticity": lambda: points(METAL[2], stretch=0.03),
    "conduction": lambda: points(SKEW),
    "plastic walks": lambda: walks(METAL[2]),
    "smooth walks in 3D": lambda: walks(METAL[3], smooth=True),
    "there and back": lambda: walks(METAL[2], "proportional", unload=True),
    "creep": lambda: walks(CREEPS, dt=(0.01, 10.0)),
    "elastic walks": lambda: walks(RUBBER[2]),
    "fibres": lambda: points(Fibres(60.0)),  # stiffer by e⁵ at a corner
    "few of stiff fibres": lambda: points(Fibres(150.0), 64),  # by e¹²
    "walks of fibres": lambda: walks(Fibres(2000.0)),
    "loaded fibres": lambda: walks(Fibres(4000.0), "proportional"),
}


@pytest.mark.parametrize("kind", CLEAN)
def test_clean_data_pass(kind: str) -> None:
    dataset = CLEAN[kind]()
    for data in (dataset, replace(dataset, reports={}), replace(dataset, tangent=None)):
        found = examine(data)
        assert [f"{f.name}: {f.note}" for f in found if f.count] == []


def changed(dataset: Dataset, name: str, where: tuple, change: Callable[[Any], Any]) -> Dataset:
    """Return the dataset with one entry of one array changed."""
    array = dataset.reports[name] if name in dataset.reports else getattr(dataset, name)
    array = array.copy()
    array[where] = change(array[where])
    if name in dataset.reports:
        return replace(dataset, reports={**dataset.reports, name: array})
    return replace(dataset, **{name: array})


def near_rest(dataset: Dataset) -> Dataset:
    """Return the dataset with path 7 replaced by one at rest."""
    law = RUBBER[2]
    answer = law.evaluate(law.kinematics.rest[None])
    for name, value in (("strain", law.kinematics.rest), ("stress", answer.stress[0]),
                        ("tangent", answer.tangent[0]), ("energy", 0.0)):  # fmt: skip
        dataset = changed(dataset, name, (7, 0), lambda _, value=value: value)
    return dataset


def turned(tangent: Any) -> Any:
    """Return a symmetric tangent with a negative eigenvalue for a stretch along x."""
    tangent = tangent.copy()
    tangent[0, 0] *= -1.0
    return tangent


DEFECTS: dict[str, tuple[str, Callable[[], Dataset], tuple[str, tuple, Callable[[Any], Any]]]] = {
    "NaN stress": ("unusable", CLEAN["points"], ("stress", (7, 0, 1), lambda _: np.nan)),
    "infinite tangent": ("unusable", CLEAN["points"], ("tangent", (7, 0, 1, 1), lambda _: np.inf)),
    "inverted": ("unusable", CLEAN["points"], ("strain", (7, 0, 3), lambda a: -a)),
    "sign": ("outlying", CLEAN["points"], ("stress", (7, 0), lambda s: -s)),
    "sign in 3D": ("outlying", CLEAN["points in 3D"], ("stress", (7, 0), lambda s: -s)),
    "units": ("outlying", CLEAN["points"], ("stress", (7, 0), lambda s: 1e3 * s)),
    "sign of a tangent": ("outlying", CLEAN["points"], ("tangent", (7, 0), lambda t: -t)),
    "sign without tangents": ("outlying", CLEAN["no tangents"],
                              ("stress", (7, 0), lambda s: -2.0 * s)),
    "sign beside fibres": ("outlying", CLEAN["fibres"], ("stress", (7, 0), lambda s: -s)),
    "sign of a tangent beside fibres": ("outlying", CLEAN["fibres"],
                                        ("tangent", (7, 0), lambda t: -t)),
    "energy beside fibres": ("energy and stress at odds", CLEAN["fibres"],
                             ("energy", (7, 0), lambda w: 2.0 * w)),
    "spike on a path of fibres": ("outlying", CLEAN["walks of fibres"],
                                  ("stress", (7, 11), lambda s: -30.0 * s)),
    "spike on a path": ("outlying", CLEAN["plastic walks"], ("stress", (7, 11), lambda s: 5.0 * s)),
    "skew tangent": ("asymmetric tangent", CLEAN["points"],
                     ("tangent", (7, 0, 0, 3), lambda t: t + 0.1)),
    "unstable": ("not positive definite at rest", lambda: near_rest(CLEAN["points"]()),
                 ("tangent", (7, 0), turned)),
    "energy": ("energy and stress at odds", CLEAN["points"], ("energy", (7, 0), lambda w: 2.0 * w)),
    "energy in 3D": ("energy and stress at odds", CLEAN["points in 3D"],
                     ("energy", (7, 0), lambda w: -w)),
    "energy from nothing": ("energy and stress at odds", CLEAN["plastic walks"],
                            ("energy", (7, 11), lambda w: w + 0.05)),
    "work from nothing": ("energy and stress at odds",
                          lambda: replace(walks(METAL[2]), reports={}, tangent=None),
                          ("stress", (7, slice(None)), lambda s: -s)),
}  # fmt: skip


@pytest.mark.parametrize("defect", DEFECTS)
def test_seeded_defects_are_found(defect: str) -> None:
    check, make, (name, where, change) = DEFECTS[defect]
    clean = make()
    assert not suspicious_points(examine(clean), clean).any()
    dataset = changed(clean, name, where, change)
    found = {finding.name: finding for finding in examine(dataset)}
    flagged = suspicious_points(tuple(found.values()), dataset)
    path, increments = where[0], where[1]
    assert found[check].points[path, increments].any()
    assert not np.delete(flagged, path, axis=0).any()  # and nobody else


def test_failed_and_copied_points_are_found() -> None:
    dataset = points(RUBBER[2])
    gone = np.zeros((128, 1), dtype=bool)
    gone[[3, 4]] = True
    dataset = dataset.without(gone)
    dataset = dataset.take(np.array([*range(128), 9, 10, 9]))
    found = {finding.name: finding for finding in examine(dataset)}
    assert np.flatnonzero(found["failed"].points).tolist() == [3, 4]
    assert np.flatnonzero(found["duplicated"].points).tolist() == [128, 129, 130]
    flagged = suspicious_points(tuple(found.values()), dataset)
    assert np.flatnonzero(flagged).tolist() == [128, 129, 130]


def test_what_cannot_be_judged_is_said() -> None:
    found: dict[str, Finding] = {f.name: f for f in examine(points(RUBBER[3], 6, tangents=False))}
    assert "6 points for" in found["outlying"].note
    assert "no tangents" in found["asymmetric tangent"].note
    skew = {f.name: f for f in examine(points(SKEW))}
    assert "half of the tangents are not symmetric" in skew["asymmetric tangent"].note


def test_coverage_knows_even_from_random_and_full_from_empty() -> None:
    kinematics = Kinematics(2)
    meta = {"generate": {"stretch": 0.1, "path": "point"}}
    even = points(Linear(kinematics, np.eye(3)), 500, 0.1, meta=meta)
    random = np.random.default_rng(0).uniform(-0.1, 0.1, (500, 1, 3)) * [1.0, 1.0, np.sqrt(2.0)]
    chance = generate(Linear(kinematics, np.eye(3)), random, meta=meta)
    one, two = coverage(even), coverage(chance)
    assert one.box == two.box == "envelope" and one.outside == two.outside == 0.0
    assert one.discrepancy < 0.3 * one.chance
    # the mean square over samples is what one sample fluctuates about
    assert 0.5 * two.chance < two.discrepancy < 2.0 * two.chance
    assert max(one.empty.values()) < 0.01 and one.nearest[0] > two.nearest[0]
    half = coverage(generate(Linear(kinematics, np.eye(3)), np.minimum(even.strain, 0.0),
                             meta={"generate": {"stretch": 0.1, "path": "point"}}))  # fmt: skip
    assert min(half.empty.values()) > 0.6 and half.discrepancy > two.discrepancy
    wide = coverage(replace(even, strain=3.0 * even.strain))
    assert wide.outside == pytest.approx(1.0 - 1.0 / 27.0, abs=0.02)
    assert coverage(replace(even, meta={})).box == "range of the points"
    with pytest.raises(InputError, match="needs two"):
        coverage(even.take(slice(0, 1)))


@pytest.mark.parametrize("policy", ["refuse", "drop", "downweight", "keep"])
def test_training_is_told_what_to_do(policy: Any, caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("torch")
    from fesurrogate.train.trust import trusted

    clean = walks(METAL[2])
    assert trusted(clean, policy) is clean
    dataset = changed(clean, "stress", (7, 11), lambda s: 100.0 * s)
    if policy == "refuse":
        with pytest.raises(InputError, match="1 of 720 .* 1 outlying .*fesurrogate inspect"):
            trusted(dataset, policy)
        return
    with caplog.at_level(logging.WARNING):
        left = trusted(dataset, policy)
    assert "1 outlying" in caplog.text
    if policy == "keep":
        assert left is dataset
        return
    if policy == "downweight":
        assert "counted by a weight of 0.1" in caplog.text and left.weight is not None
        np.testing.assert_array_equal(left.weight[7], np.where(np.arange(30) < 11, 1.0, 0.1))
        assert (np.delete(left.weight, 7, axis=0) == 1.0).all()
        assert left.fingerprint == dataset.fingerprint  # the data are the same
        return
    np.testing.assert_array_equal(left.ok[7], np.arange(30) < 11)  # and what follows
    assert np.delete(left.ok, 7, axis=0).all() and np.isnan(left.stress[7, 11:]).all()


def test_the_command_writes_figures_and_pictures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    from fesurrogate.cli import main

    dataset = points(RUBBER[2], meta={"generate": {"stretch": 0.2, "path": "point"}})
    dataset = changed(dataset, "stress", (7, 0), lambda s: -s)
    write_dataset(dataset, tmp_path / "dataset")
    with pytest.raises(SystemExit) as ended:
        main(["inspect", str(tmp_path / "dataset")])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert "suspicious: 1" in said and "[7, 0]" in said
    results = json.loads((tmp_path / "inspect" / "inspect.json").read_text())
    assert results["suspicious"] == 1 and results["fingerprint"] == dataset.fingerprint
    assert results["findings"]["outlying"]["points"] == [[7, 0]]
    assert results["coverage"]["outside"] == 0.0
    for name in ("coverage.png", "findings.png"):
        assert (tmp_path / "inspect" / name).read_bytes()[:4] == b"\x89PNG"
    with pytest.raises(SystemExit) as ended:
        main(["inspect", str(tmp_path / "nowhere")])
    assert ended.value.code == 2 and "does not exist" in capsys.readouterr().err
    for words, said in (
        ([tmp_path], "is no dataset"),
        ([tmp_path / "dataset", "--output", tmp_path / "inspect" / "coverage.png"], "is a file"),
        ([tmp_path / "dataset", "--output", "/proc/x"], "cannot write /proc/x"),
    ):
        with pytest.raises(SystemExit) as ended:
            main(["inspect", *map(str, words)])
        assert ended.value.code == 2 and said in capsys.readouterr().err


@pytest.mark.parametrize("power", [1, 2])
@pytest.mark.parametrize("factor", [0.1, 2.0, 10.0, 30.0])
def test_the_mean_of_a_growing_stiffness_is_between_two_means(power: int, factor: float) -> None:
    """Of exp(c x), and of exp(c x²) to a fifth; not where the ends are of opposite sign."""
    x = np.linspace(0.0, 1.0, 20001)
    mean = np.trapezoid(np.exp(factor * x**power), x)
    one, other = np.array([[1.0, 0.5]]), np.exp(factor) * np.array([[1.0, 0.5]])
    found = mean * np.array([[1.0, 0.5]])
    for ends in ((one, other), (other, one)):
        rtol = 1e-12 if power == 1 else 0.2
        np.testing.assert_allclose(nearest_mean(found, *ends), found, rtol=rtol)
        below = nearest_mean(0.0 * found, *ends)  # down to the geometric mean
        np.testing.assert_allclose(below, np.exp(0.5 * factor) * one, rtol=1e-9)
    np.testing.assert_allclose(nearest_mean(found, -one, other), 0.5 * (other - one))
