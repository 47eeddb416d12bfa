"""An interval that holds the truth as often as it says, from few points."""

import numpy as np
import pytest

from fesurrogate.errors import InputError
from fesurrogate.results import Estimate
from fesurrogate.trust.audit import AuditPlan, estimate_sum, plan_audit, total


def population(spread: float, *, count: int = 2000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return doubts, weights and errors that follow the doubts with a lognormal factor."""
    rng = np.random.default_rng(5)
    doubt = np.exp(rng.normal(0.0, 1.0, count))
    return doubt, rng.uniform(0.5, 1.5, count), doubt * np.exp(rng.normal(0.0, spread, count))


def audited(doubt: np.ndarray, weight: np.ndarray, error: np.ndarray, seed: int) -> Estimate:
    plan = plan_audit(doubt, weight, 64, seed=seed)
    values = {int(i): float(weight[i] * error[i]) for i in plan.points}
    return estimate_sum(plan, values, seed=seed)


@pytest.mark.parametrize("spread", [0.3, 1.0])
def test_the_interval_covers_and_the_estimate_is_unbiased(spread: float) -> None:
    doubt, weight, error = population(spread)
    truth = float(weight @ error)
    found = [audited(doubt, weight, error, seed) for seed in range(400)]
    covered = np.mean([each.low <= truth <= each.high for each in found])
    assert covered >= 0.93
    values = np.array([each.value for each in found])
    assert abs(values.mean() - truth) <= 3.0 * values.std() / np.sqrt(len(values))
    assert np.median([each.high for each in found]) <= (1.2 if spread < 0.5 else 2.0) * truth


def test_doubt_that_knows_the_error_narrows_the_interval() -> None:
    doubt, weight, error = population(0.3)
    blind = np.ones_like(doubt)

    def width(known: np.ndarray) -> float:
        found = [audited(known, weight, error, seed) for seed in range(50)]
        return float(np.median([each.high - each.low for each in found]))

    assert width(doubt) < 0.6 * width(blind)


def test_the_most_doubtful_are_all_taken_and_few_points_are_solved_all() -> None:
    doubt, weight, error = population(1.0)
    doubt[[3, 5]] = np.inf
    plan = plan_audit(doubt, weight, 64, seed=0)
    assert {3, 5} <= set(plan.certain) and len(plan.certain) == 16
    assert not set(plan.certain) & set(plan.drawn)
    assert len(plan.points) <= 64
    few = plan_audit(doubt[:20], weight[:20], 64, seed=0)
    assert sorted(few.points) == list(range(20))
    values = {i: float(error[i]) for i in range(20)}
    exact = estimate_sum(few, values)
    assert exact.low == exact.value == exact.high == pytest.approx(error[:20].sum(), rel=1e-12)


def test_points_that_come_twice_leave_an_interval_of_sense() -> None:
    """Of six draws five are alike but for round-off: so are all that many a resample has."""
    plan = AuditPlan(np.arange(2), np.array([2, 3, 4, 5, 6, 7]), np.full(6, 0.1))
    values = {i: 1.0 + 1e-9 * i for i in range(8)} | {7: 1.5}
    found = estimate_sum(plan, values, nonnegative=False)
    assert found.low <= found.value <= found.high
    assert found.high - found.low < 60.0 / np.sqrt(6.0)  # 4 x 3.4 errors of 2.04 / √6 to each side


def test_equal_samples_and_too_few_points() -> None:
    plan = plan_audit(np.zeros(100), np.ones(100), 16, seed=0)
    same = estimate_sum(plan, dict.fromkeys(map(int, plan.points), 2.0))
    assert same.value == pytest.approx(200.0) and same.high - same.low <= 1e-9
    with pytest.raises(InputError, match="at least 8"):
        plan_audit(np.zeros(100), np.ones(100), 7, seed=0)


def test_intervals_of_independent_parts_add_up_to_one_that_covers() -> None:
    """Of a wide and a narrow one, and not as wide as both ends added."""
    parts = [population(1.0), population(0.3)]
    truth = sum(float(weight @ error) for _, weight, error in parts)
    covered, narrower = [], []
    for seed in range(400):
        found = [audited(*part, seed + 1000 * k) for k, part in enumerate(parts)]
        whole = total(found, nonnegative=True)
        assert whole.value == pytest.approx(sum(each.value for each in found))
        covered.append(whole.low <= truth <= whole.high)
        narrower.append((whole.high - whole.low) / sum(each.high - each.low for each in found))
    assert np.mean(covered) >= 0.93
    assert max(narrower) <= 1.0
    exact = total(
        [Estimate(value=1.0, low=-2.0, high=9.0), Estimate(value=-2.0, low=-6.0, high=4.0)]
    )
    assert (exact.value, exact.low, exact.high) == (-1.0, -1.0 - 5.0, -1.0 + 10.0)
