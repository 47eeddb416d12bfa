"""The generalised Maxwell solid against closed forms of relaxation, ramps and vibration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from contract import check_contract

from fesurrogate.errors import InputError
from fesurrogate.kinematics import Array, Kinematics
from fesurrogate.laws import Viscoelastic
from fesurrogate.laws.maxwell import SMALL, dissipation_weights, relaxation
from fesurrogate.material import Response

SHEAR, BULK = 1.0, 2.5  # of the relaxed solid
SHEAR_BRANCHES = ((3.0, 0.2), (0.7, 5.0))
BULK_BRANCHES = ((1.5, 0.6),)
COLUMNS = {2: [0, 1, 5], 3: [0, 1, 2, 3, 4, 5]}  # of the solid's Mandel components
TRACE = np.array([1.0, 1, 1, 0, 0, 0])
gdims = pytest.mark.parametrize("gdim", [2, 3])


def solid(gdim: Any = 3) -> Viscoelastic:
    return Viscoelastic(
        gdim,
        shear_modulus=SHEAR,
        bulk_modulus=BULK,
        shear_branches=SHEAR_BRANCHES,
        bulk_branches=BULK_BRANCHES,
    )


def walk(law: Viscoelastic, path: Array, steps: Sequence[float] | Array) -> list[Response]:
    """Evaluate a path (T, n, m) with its time steps (T,)."""
    answers: list[Response] = []
    for strain, dt in zip(path, steps, strict=True):
        answers.append(law.evaluate(strain, answers[-1].state if answers else None, dt))
        assert answers[-1].ok.all()
    return answers


def relaxed(time: Any) -> tuple[Any, Any]:
    """Return the shear and bulk moduli that are left at a time after a step."""
    shear = SHEAR + sum(g * np.exp(-time / tau) for g, tau in SHEAR_BRANCHES)
    return shear, BULK + sum(k * np.exp(-time / tau) for k, tau in BULK_BRANCHES)


def stiffness(shear: float, bulk: float, gdim: int) -> Array:  # (m, m)
    """Return κ 1⊗1 + 2μ dev."""
    full = bulk * np.outer(TRACE, TRACE) + 2 * shear * (np.eye(6) - np.outer(TRACE, TRACE) / 3)
    return full[np.ix_(COLUMNS[gdim], COLUMNS[gdim])]


def some_strains(gdim: int, n: int = 5, seed: int = 0) -> Array:  # (n, m)
    return np.random.default_rng(seed).uniform(-0.1, 0.1, (n, Kinematics(gdim).size))


@pytest.mark.mpi
@gdims
@pytest.mark.parametrize("dt", [0.0, 0.3, 40.0])
def test_contract(gdim: Any, dt: float) -> None:
    try:
        from mpi4py import MPI
    except ImportError:
        comm = None
    else:
        comm = MPI.COMM_WORLD
    check_contract(solid(gdim), some_strains(gdim, 12), comm, dt=dt)


@gdims
def test_a_held_step_relaxes_as_the_prony_series(gdim: Any) -> None:
    """Exact to round-off for increments of any length, over six decades of time."""
    strain = some_strains(gdim)
    steps = np.concatenate([[0.0], np.diff(np.logspace(-4, 2, 12), prepend=0.0)])
    answers = walk(solid(gdim), np.tile(strain, (len(steps), 1, 1)), steps)
    for time, answer in zip(np.cumsum(steps), answers, strict=True):
        expected = strain @ stiffness(*relaxed(time), gdim)
        np.testing.assert_allclose(answer.stress, expected, rtol=0, atol=2e-15)


@gdims
@pytest.mark.parametrize(("dt", "time"), [(0.0, 0.0), (1e-13, 0.0), (1e14, np.inf)])
def test_fast_is_the_instantaneous_and_slow_the_relaxed_solid(
    gdim: Any, dt: float, time: float
) -> None:
    strain = some_strains(gdim)
    answer = solid(gdim).evaluate(strain, None, dt)
    expected = stiffness(*relaxed(time), gdim)
    assert answer.tangent is not None
    np.testing.assert_allclose(answer.tangent, np.tile(expected, (5, 1, 1)), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(answer.stress, strain @ expected, rtol=0, atol=1e-12)


def test_a_ramp_meets_its_closed_form_in_any_increments() -> None:
    """σ = 2 (μ t + Σ G τ (1 - exp(-t/τ))) dev ε̇ + ..., as the strain rate is constant."""
    rate, times = some_strains(3), np.array([0.01, 0.3, 0.35, 2.0, 30.0])
    answers = walk(solid(), times[:, None, None] * rate, np.diff(times, prepend=0.0))
    for time, answer in zip(times, answers, strict=True):
        shear = SHEAR * time + sum(g * tau * -np.expm1(-time / tau) for g, tau in SHEAR_BRANCHES)
        bulk = BULK * time + sum(k * tau * -np.expm1(-time / tau) for k, tau in BULK_BRANCHES)
        np.testing.assert_allclose(answer.stress, rate @ stiffness(shear, bulk, 3), rtol=1e-12)


def vibrate(steps: int, cycles: float, frequency: float, law: Viscoelastic) -> Array:  # (T, 6)
    """Return the stress at the ends of the increments of ε = sin(ωt) in all components."""
    time = cycles * 2 * np.pi / frequency * np.arange(1, steps + 1) / steps
    path = np.sin(frequency * time)[:, None, None] * np.ones(6)
    return np.array([a.stress[0] for a in walk(law, path, np.full(steps, time[0]))])


def test_the_error_on_a_sinus_falls_with_the_square_of_dt() -> None:
    counts = np.array([20, 40, 80, 160, 320])
    frequency, law = 3.0, solid()
    ends = [vibrate(int(count), 1.3, frequency, law)[-1] for count in counts]
    time = 1.3 * 2 * np.pi / frequency
    expected = np.sin(frequency * time) * np.ones(6) @ stiffness(SHEAR, BULK, 3)
    for (modulus, tau), part in [
        *((branch, stiffness(1.0, 0.0, 3)) for branch in SHEAR_BRANCHES),
        *((branch, stiffness(0.0, 1.0, 3)) for branch in BULK_BRANCHES),
    ]:  # ∫ exp(-(t-s)/τ) ω cos(ωs) ds
        wt = frequency * tau
        memory = np.cos(frequency * time) + wt * np.sin(frequency * time) - np.exp(-time / tau)
        expected += modulus * wt / (1 + wt**2) * memory * np.ones(6) @ part
    errors = [np.abs(end - expected).max() for end in ends]
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    assert np.abs(orders - 2).max() < 0.1, orders
    assert errors[-1] < 1e-3


@pytest.mark.parametrize("frequency", [0.05, 0.5, 5.0])
def test_storage_and_loss_moduli(frequency: float) -> None:
    """In the steady cycle G' = μ + Σ G (ωτ)²/(1 + (ωτ)²) and G'' = Σ G ωτ/(1 + (ωτ)²)."""
    per_cycle = 60
    law = Viscoelastic(3, shear_modulus=SHEAR, bulk_modulus=BULK, shear_branches=SHEAR_BRANCHES)
    cycles = int(np.ceil(12 * 5.0 * frequency / (2 * np.pi))) + 1  # exp(-12) of the start is left
    stress = vibrate(per_cycle * cycles, cycles, frequency, law)[-per_cycle:, 5]
    angle = 2 * np.pi * np.arange(1, per_cycle + 1) / per_cycle
    storage, loss = (np.mean(stress * f(angle)) for f in (np.sin, np.cos))  # 2μ / 2
    wt = frequency * np.array([tau for _, tau in SHEAR_BRANCHES])
    moduli = np.array([g for g, _ in SHEAR_BRANCHES])
    error = (2 * np.pi / per_cycle) ** 2  # of the linear interpolation of a sine
    assert storage == pytest.approx(SHEAR + moduli @ (wt**2 / (1 + wt**2)), rel=error)
    assert loss == pytest.approx(moduli @ (wt / (1 + wt**2)), rel=error)


@gdims
def test_work_is_energy_and_dissipation(gdim: Any) -> None:
    """Exactly in each increment: the stress on the way is that of a part of the increment."""
    law, draw = solid(gdim), np.random.default_rng(3)
    path = np.cumsum(draw.uniform(-0.05, 0.05, (12, 5, law.kinematics.size)), axis=0)
    steps = 10.0 ** draw.uniform(-3, 0.5, 12)
    nodes, weights = np.polynomial.legendre.leggauss(30)
    work, strain, state = np.zeros(5), np.zeros_like(path[0]), law.initial_state(5)
    lost = np.zeros(5)
    for end, dt in zip(path, steps, strict=True):
        for part, weight in zip(0.5 * (1 + nodes), 0.5 * weights, strict=True):
            between = law.evaluate(strain + part * (end - strain), state, part * dt)
            work += weight * np.einsum("ni,ni->n", between.stress, end - strain)
        answer = law.evaluate(end, state, dt)
        balance = answer.report["energy"] + answer.report["dissipation"]
        np.testing.assert_allclose(balance, work, rtol=1e-12)
        assert (answer.report["dissipation"] > lost).all()
        strain, state, lost = end, answer.state, answer.report["dissipation"]
    assert (lost > 0.1 * work).all()


def test_the_weights_of_the_dissipation_are_their_integrals() -> None:
    """A, B and C by quadrature of E², E (1 - E)/x and (1 - E)²/x², on both sides of the series."""
    nodes, weights = np.polynomial.legendre.leggauss(60)
    for x in (1e-9, 1e-3, 0.1, SMALL * (1 - 1e-12), SMALL, 1.0, 3.0, 20.0):
        at, by = 0.5 * x * (1 + nodes), 0.5 * x * weights
        decay, rise = np.exp(-at), -np.expm1(-at) / x
        expected = [by @ decay**2, by @ (decay * rise), by @ rise**2]
        got = np.ravel(dissipation_weights(np.array([x])))
        np.testing.assert_allclose(got, expected, rtol=1e-12)


def test_the_slope_of_the_gain_is_its_integral() -> None:
    """φ - E = ∫ (exp(-t) - exp(-x)) dt / x, positive everywhere: by quadrature."""
    nodes, weights = np.polynomial.legendre.leggauss(60)
    for x in (1e-9, 1e-3, 0.1, SMALL * (1 - 1e-12), SMALL, 1.0, 3.0, 20.0):
        at = 0.5 * x * (1 + nodes)
        expected = 0.5 * weights @ (np.exp(-x) * np.expm1(x - at))
        assert relaxation(np.array([x]))[2][0] == pytest.approx(expected, rel=1e-12)


def test_plane_strain_is_the_solid_without_out_of_plane_strain() -> None:
    path = np.cumsum(np.random.default_rng(4).uniform(-0.1, 0.1, (6, 5, 3)), axis=0)
    embedded = np.zeros((6, 5, 6))
    embedded[:, :, COLUMNS[2]] = path
    steps = [0.1, 0.0, 2.0, 0.3, 1.0, 0.01]
    pairs = zip(walk(solid(2), path, steps), walk(solid(3), embedded, steps), strict=True)
    for flat, full in pairs:
        assert flat.tangent is not None and full.tangent is not None
        close = {"rtol": 1e-12, "atol": 1e-14}
        np.testing.assert_allclose(flat.stress, full.stress[:, COLUMNS[2]], **close)
        np.testing.assert_allclose(flat.report["out_of_plane_stress"], full.stress[:, 2], **close)
        block = full.tangent[:, COLUMNS[2]][:, :, COLUMNS[2]]
        np.testing.assert_allclose(flat.tangent, block, **close)
        for name in ("energy", "dissipation"):
            np.testing.assert_allclose(flat.report[name], full.report[name], **close)


def test_without_branches_it_is_hookes_law_and_loses_nothing() -> None:
    law = Viscoelastic(3, shear_modulus=SHEAR, bulk_modulus=BULK)
    answer = law.evaluate(some_strains(3), None, 0.7)
    np.testing.assert_allclose(
        answer.stress, some_strains(3) @ stiffness(SHEAR, BULK, 3), rtol=1e-13
    )
    assert not answer.report["dissipation"].any()
    assert law.num_state == 7


def test_a_hopeless_state_fails_alone_and_is_kept() -> None:
    law, strain = solid(), some_strains(3)
    state = law.evaluate(strain, None, 0.1).state
    state[1, 8] = np.inf
    answer = law.evaluate(strain, state, 0.1)
    np.testing.assert_array_equal(answer.ok, [True, False, True, True, True])
    np.testing.assert_array_equal(answer.state[1], state[1])
    assert np.isnan(answer.report["energy"][1]) and np.isfinite(answer.report["energy"][2])


@pytest.mark.parametrize("dt", [-1.0, np.nan, np.inf])
def test_a_time_step_that_is_none_is_refused(dt: float) -> None:
    with pytest.raises(InputError, match="Viscoelastic: dt is .*expected a finite number >= 0"):
        solid().evaluate(some_strains(3), None, dt)


@pytest.mark.parametrize(
    ("constants", "named"),
    [
        ({"shear_modulus": 0.0}, "shear_modulus is 0.0"),
        ({"bulk_modulus": np.inf}, "bulk_modulus is inf"),
        ({"shear_branches": [(1.0, 1.0), (1.0, 0.0)]}, r"shear_branches\[1\] is \(1.0, 0.0\)"),
        ({"shear_branches": [(1.0,)]}, r"shear_branches\[0\] is .* a modulus and a relaxation"),
        ({"bulk_branches": [(np.nan, 1.0)]}, r"bulk_branches\[0\]"),
    ],
)
def test_bad_constants_are_named(constants: dict[str, Any], named: str) -> None:
    with pytest.raises(InputError, match=f"Viscoelastic: {named}"):
        Viscoelastic(2, **{"shear_modulus": 1.0, "bulk_modulus": 1.0, **constants})
