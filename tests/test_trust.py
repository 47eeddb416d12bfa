"""A tolerance that means an error, from doubts that do not."""

import numpy as np
import pytest

from fesurrogate import Kinematics
from fesurrogate.data.generate import generate
from fesurrogate.data.sampling import stretches
from fesurrogate.errors import InputError
from fesurrogate.laws import NeoHookean
from fesurrogate.material import Material, Response
from fesurrogate.trust import (
    CalibratedMeasure,
    Deviation,
    Expected,
    FixedMeasure,
    Novelty,
    Trust,
    Violation,
    calibrate,
    expected,
    measures_of,
    stress_scale,
    training_inputs,
)

FINITE = Kinematics(2, "finite")
LAW = NeoHookean(2, shear_modulus=1.0, lame=1.5)


class Doubtful(Material):
    """A law whose stress is off by an error that grows away from rest, and which half knows."""

    kinematics = FINITE

    def respond(self, strain, state, dt, **arguments) -> Response:  # type: ignore[no-untyped-def]
        answer = LAW.evaluate(strain, tangent=arguments["tangent"])
        distance = np.linalg.norm(strain - FINITE.rest, axis=1)
        wave = np.abs(np.sin(1e3 * strain[:, 0]))  # what the deviation does not know
        error = distance**4 * np.exp(wave - 0.5)
        answer.stress[:, 0] += error
        report = {"energy": answer.report["energy"], "standard_deviation": distance**4}
        return Response(
            answer.stress, answer.tangent, answer.state, answer.hint, answer.ok, report=report
        )


def calibrated(measure: type, *, samples: int = 200) -> tuple[CalibratedMeasure, float]:
    training = generate(LAW, stretches(FINITE, 100, 0.2))
    scale = stress_scale(training)
    made = Deviation(scale) if measure is Deviation else Novelty(FINITE, training_inputs(training))
    unseen = generate(LAW, stretches(FINITE, samples, 0.35, seed=1), tangents=False)
    return calibrate(Doubtful(), [made], unseen, scale=scale)[0], scale


@pytest.mark.parametrize("tolerance", [0.003, 0.01, 0.03])
def test_of_the_trusted_few_exceed_the_tolerance_and_most_of_the_good_are_trusted(
    tolerance: float,
) -> None:
    known, scale = calibrated(Deviation)
    trust = Trust([known], tolerance)
    strain = stretches(FINITE, 2000, 0.35, seed=2)[:, 0]
    answer = Doubtful().evaluate(strain)
    error = np.linalg.norm(answer.stress - LAW.evaluate(strain).stress, axis=1) / scale
    trusted = trust.trusted(trust.doubts(strain, np.zeros((2000, 0)), answer))
    assert 100 < trusted.sum() < 1900
    assert (error[trusted] > tolerance).mean() <= 0.05
    assert trusted[error < tolerance / 2].mean() >= 0.8


def test_a_larger_tolerance_trusts_more_and_none_trusts_nothing() -> None:
    known, _ = calibrated(Deviation)
    limits = [known.limit(tolerance) for tolerance in (1e-12, 1e-3, 1e-2, 1e-1, 1e3)]
    assert limits[0] == -np.inf
    assert (np.diff(limits[1:]) >= 0).all() and limits[1] < limits[-2]
    assert limits[-1] == known.doubt.max()  # beyond what was seen nothing is known


def measured(doubt: np.ndarray, log_error: np.ndarray) -> CalibratedMeasure:
    return CalibratedMeasure(Deviation(1.0), doubt, np.exp(log_error))


def test_of_equal_doubts_all_or_none_are_trusted() -> None:
    """The first ten of the forty that doubt as much are good, and stand first."""
    doubt = np.repeat([1.0, 2.0], [100, 40])
    error = np.log(np.repeat([1e-3, 1.0], [110, 30]))
    assert measured(doubt, error).limit(0.01) == 1.0


def test_at_the_limit_too_many_must_not_err() -> None:
    """Of thirty points around the tolerance, beside a thousand good ones, one half exceeds it."""
    doubt = np.concatenate([np.linspace(1.0, 2.0, 1000), np.linspace(3.0, 4.0, 30)])
    error = np.log(np.repeat([1e-4, 1e-2], [1000, 30])) + 0.3 * (-1.0) ** np.arange(1030)
    assert measured(doubt, error).limit(0.01) == 2.0


def test_what_departs_elsewhere_may_depart_here() -> None:
    """None errs too much by count; by the model 0.1 k / (100 + k) do, 0.03 at k = 42."""
    doubt = np.arange(200.0)
    error = np.log(np.repeat([1e-4, 5e-3], 100))
    error[:100:5] += 1.0  # of five points each, 0.8 above what is typical
    assert measured(doubt, error).limit(0.01) == 141.0


def test_novelty_is_zero_at_samples_grows_outside_and_does_not_see_rotations() -> None:
    strain = stretches(FINITE, 200, 0.2)[:, 0]
    training = generate(LAW, strain[:, None])
    novelty = Novelty(FINITE, training_inputs(training))
    answer = LAW.evaluate(strain)
    none = np.zeros((200, 0))
    np.testing.assert_allclose(novelty.doubt(strain, none, answer), 0.0, atol=1e-12)
    unseen = stretches(FINITE, 200, 0.2, seed=3)[:, 0]
    outside = FINITE.rest + 3.0 * (unseen - FINITE.rest)
    inner, outer = novelty.doubt(unseen, none, answer), novelty.doubt(outside, none, answer)
    assert 0.5 < np.median(inner) < 2.0  # in units of the samples' own distances
    assert (outer > inner).mean() > 0.95
    c, s = np.cos(0.7), np.sin(0.7)
    turned = (np.array([[c, -s], [s, c]]) @ unseen.reshape(-1, 2, 2)).reshape(-1, 4)
    np.testing.assert_allclose(novelty.doubt(turned, none, answer), inner, atol=1e-10)
    unseen[0] = np.nan
    assert novelty.doubt(unseen, none, answer)[0] == np.inf


def known_points(count: int, *, seed: int) -> tuple[list[CalibratedMeasure], np.ndarray]:
    """Measures that each know a part of the error, and doubts as of points to come."""
    rng = np.random.default_rng(seed)
    training = training_inputs(generate(LAW, stretches(FINITE, 50, 0.2)))
    measures = measures_of(FINITE, training, 1.0, deviates=True)[:3]
    parts = np.exp(rng.normal(size=(count, 3)))
    one, other, _ = (parts + [measure.floor for measure in measures]).T
    error = 1e-2 * one**0.7 * other**1.5 * np.exp(0.3 * rng.normal(size=count))
    return [
        CalibratedMeasure(measure, part, error)
        for measure, part in zip(measures, parts.T, strict=True)
    ], parts


@pytest.mark.parametrize("tolerance", [0.003, 0.01, 0.03])
def test_measures_together_trust_what_each_alone_does_not(tolerance: float) -> None:
    """Both bars hold for points to come, as for none of the measures alone."""
    known, _ = known_points(200, seed=3)
    unseen, parts = known_points(20000, seed=4)
    error = unseen[0].error
    joint = expected(known)
    assert isinstance(joint.measure, Expected)
    b = joint.measure.coefficients
    np.testing.assert_allclose(b[1:3], [0.7, 1.5], atol=0.15)
    assert 0.0 <= b[3] < 0.15  # knows nothing
    floors = [measure.floor for measure in joint.measure.parts]
    doubt = np.exp(b[0] + np.log(parts + floors) @ b[1:])
    trusted = doubt <= joint.limit(tolerance)
    assert (error[trusted] > tolerance).mean() <= 0.05
    assert trusted[error < tolerance / 2].mean() >= 0.8
    for alone, doubts in zip(known, parts.T, strict=True):
        assert (doubts <= alone.limit(tolerance))[error < tolerance / 2].mean() < 0.7


@pytest.mark.parametrize("tolerance", [0.003, 0.01])
def test_few_draws_of_the_calibration_trust_too_many(tolerance: float) -> None:
    """One in twenty at most, each of 160 points; a regression of their errors follows their noise.

    By the isotonic regression of other measures it is one in six, and one in twelve.
    """
    unseen, parts = known_points(20000, seed=4)
    error, wrong = unseen[0].error, []
    for seed in range(100, 160):
        joint = expected(known_points(160, seed=seed)[0])
        assert isinstance(joint.measure, Expected)
        b, floors = joint.measure.coefficients, [part.floor for part in joint.measure.parts]
        trusted = np.exp(b[0] + np.log(parts + floors) @ b[1:]) <= joint.limit(tolerance)
        wrong.append(float((error[trusted] > tolerance).mean()))
    assert np.mean(np.array(wrong) > 0.05) <= 0.05
    assert 0.01 < np.mean(wrong) < 0.035


def test_the_expected_error_is_a_typical_one_and_reaches_no_farther_than_known() -> None:
    training = generate(LAW, stretches(FINITE, 100, 0.2))
    scale = stress_scale(training)
    measures = measures_of(FINITE, training_inputs(training), scale, deviates=True)
    unseen = generate(LAW, stretches(FINITE, 200, 0.35, seed=1), tangents=False)
    joint = expected(calibrate(Doubtful(), measures, unseen, scale=scale))
    strain = stretches(FINITE, 1000, 0.35, seed=2)[:, 0]
    answer = Doubtful().evaluate(strain)
    doubt = joint.measure.doubt(strain, np.zeros((1000, 0)), answer)
    error = np.linalg.norm(answer.stress - LAW.evaluate(strain).stress, axis=1) / scale
    assert abs(np.log(doubt / error).mean()) < 0.1
    assert np.log(doubt / error).std() < 0.4  # what exp(wave - 0.5) varies by
    far = FINITE.rest + 4.0 * (strain[:5] - FINITE.rest)
    there = joint.measure.doubt(far, np.zeros((5, 0)), Doubtful().evaluate(far))
    assert np.isinf(there[np.linalg.norm(far - FINITE.rest, axis=1) > 1.5]).all()


def test_from_few_points_nothing_is_expected_and_nothing_trusted() -> None:
    few, _ = known_points(19, seed=3)
    joint = expected(few)
    assert joint.limit(1.0) == -np.inf
    strain = stretches(FINITE, 5, 0.1)[:, 0]
    answer = Doubtful().evaluate(strain)
    assert np.isinf(joint.measure.doubt(strain, np.zeros((5, 0)), answer)).all()


def test_parts_of_other_points_are_refused() -> None:
    known, _ = known_points(200, seed=3)
    other, _ = known_points(200, seed=5)
    with pytest.raises(InputError, match="two or more measures"):
        expected(known[:1])
    with pytest.raises(InputError, match="same points"):
        expected([known[0], other[1]])


def test_violations() -> None:
    strain = stretches(FINITE, 5, 0.1)[:, 0]
    answer = LAW.evaluate(strain)
    assert answer.tangent is not None
    answer.report["energy"][1] = -1.0
    answer.tangent[2, 3, 3] = -1.0
    answer.ok[3] = False
    answer.stress[4, 0] = np.nan
    doubt = Violation(FINITE, 1.0).doubt(strain, np.zeros((5, 0)), answer)
    assert doubt.tolist() == [0.0] + 4 * [np.inf]
    trust = Trust([FixedMeasure(Violation(FINITE, 1.0))], 0.01)
    assert trust.reasons(doubt[:, None]).tolist() == [0, 1, 1, 1, 1]


def test_what_cannot_be_calibrated_is_refused() -> None:
    with pytest.raises(InputError, match="at least 40"):
        calibrated(Deviation, samples=39)
    with pytest.raises(InputError, match="tolerance"):
        Trust([FixedMeasure(Violation(FINITE, 1.0))], -0.1)
    with pytest.raises(InputError, match="measures"):
        Trust([], 0.1)
    solid = NeoHookean(3, shear_modulus=1.0, lame=1.0)
    other = generate(solid, stretches(solid.kinematics, 50, 0.1))
    with pytest.raises(InputError, match="gdim=3"):
        calibrate(Doubtful(), [], other, scale=1.0)
