"""A laminate of two metals on a path that turns, against its rate equations integrated finely."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from verification import jump_modes, laminated, tagged_cell

from fesurrogate.kinematics import SYMMETRIC_PAIRS, Array, Kinematics
from fesurrogate.laws import J2Plasticity
from fesurrogate.micro import RVEMaterial

NAMES = ("weak", "strong")
SHARES = np.array([0.5, 0.5])
METALS = {
    "weak": {"young": 70.0, "poisson": 0.33, "yield_stress": 0.2, "hardening": 2.0},
    "strong": {
        "young": 210.0,
        "poisson": 0.3,
        "yield_stress": 0.6,
        "hardening": 4.0,
        "saturation": 0.3,
        "rate": 60.0,
    },
}
SOLID = Kinematics(3)
TRACE = np.array([1.0, 1.0, 1.0, 0.0, 0.0, 0.0])
DEVIATOR = np.eye(6) - np.outer(TRACE, TRACE) / 3


class Rates:
    """The continuum equations of J2 flow, written here from the yield function alone."""

    def __init__(
        self, *, young: float, poisson: float, yield_stress: float, hardening: float,
        saturation: float = 0.0, rate: float = 0.0,
    ) -> None:  # fmt: skip
        self.shear, bulk = young / (2 * (1 + poisson)), young / (3 * (1 - 2 * poisson))
        self.elastic = bulk * np.outer(TRACE, TRACE) + 2 * self.shear * DEVIATOR
        self.yield_stress, self.hardening = yield_stress, hardening
        self.saturation, self.rate = saturation, rate

    def excess(self, stress: Array, accumulated: float) -> float:
        """Return the yield function, in units of stress."""
        voce = self.saturation * (1 - np.exp(-self.rate * accumulated))
        flow = self.yield_stress + self.hardening * accumulated + voce
        return float(np.sqrt(1.5) * np.linalg.norm(DEVIATOR @ stress) - flow)

    def flow(self, stress: Array, accumulated: float) -> tuple[Array, Array]:  # (6, 6), (6,)
        """Return the continuum tangent, and g with α̇ = g · ε̇, where it flows."""
        direction = DEVIATOR @ stress
        direction /= np.linalg.norm(direction)
        slope = self.hardening + self.saturation * self.rate * np.exp(-self.rate * accumulated)
        speed = np.sqrt(6) * self.shear / (3 * self.shear + slope) * direction
        return self.elastic - 2 * self.shear * np.sqrt(1.5) * np.outer(direction, speed), speed


def integrated(
    path: Callable[[float], Array],  # rate of the strain (6,) at a time
    modes: Array,  # (6, 3)
) -> tuple[Array, Array]:  # (6,), (2,)
    """Return mean stress and accumulated plastic strains at time 1.

    Layers begin to flow one after the other (events of the integration) and must not stop again.
    The jumps' rates follow from the tangents as in an elastic laminate. Dormand and Prince's
    method at tolerance 1e-10.
    """
    layers = [Rates(**METALS[name]) for name in NAMES]

    def unpacked(y: Array) -> tuple[Array, Array]:
        return y[:12].reshape(2, 6), y[12:]

    def rates(flowing: tuple[bool, ...], t: float, y: Array) -> Array:
        stress, accumulated = unpacked(y)
        tangents, speeds = np.stack([law.elastic for law in layers]), np.zeros((2, 6))
        for k in np.flatnonzero(flowing):
            tangents[k], speeds[k] = layers[k].flow(stress[k], accumulated[k])
        K = [modes.T @ C @ modes for C in tangents]
        force = [modes.T @ C @ path(t) for C in tangents]
        # K_k ȧ_k + force_k alike, ȧ_weak f_weak + ȧ_strong f_strong = 0
        ratio = SHARES[0] / SHARES[1]
        first = np.linalg.solve(K[0] + ratio * K[1], force[1] - force[0])
        local = np.stack([path(t) + modes @ first, path(t) - ratio * modes @ first])
        grown = np.einsum("ki,ki->k", speeds, local)
        assert (grown[list(flowing)] > 0).all(), "the path must keep on loading"
        return np.concatenate([np.einsum("kij,kj->ki", tangents, local).ravel(), grown])

    def reached(k: int) -> Callable[[float, Array], float]:
        def event(t: float, state: Array) -> float:
            stress, accumulated = unpacked(state)
            return layers[k].excess(stress[k], accumulated[k])

        event.terminal = True  # type: ignore[attr-defined]
        return event

    y, start, flowing = np.zeros(14), 0.0, [False, False]
    while start < 1.0:
        waiting = [k for k in range(2) if not flowing[k]]
        now = tuple(flowing)
        done = solve_ivp(
            lambda t, y, now=now: rates(now, t, y), (start, 1.0), y, method="DOP853",
            rtol=1e-10, atol=1e-13, events=[reached(k) for k in waiting] or None,
        )  # fmt: skip
        y, start = done.y[:, -1], done.t[-1]
        for k, times in zip(waiting, done.t_events or [], strict=True):
            flowing[k] = len(times) > 0
    assert all(flowing)
    stress, accumulated = unpacked(y)
    return SHARES @ stress, accumulated


@pytest.mark.parametrize(
    ("dimension", "gdim"), [(2, 2), (2, 3), (3, 3)], ids=["plane", "prism", "solid"]
)
def test_two_metals_on_a_path_that_turns(dimension: int, gdim: int) -> None:
    """Backward Euler in the cell tends to the rate equations with order 1; extrapolated, faster."""
    kinematics = Kinematics(gdim)
    kind = "triangle" if dimension == 2 else "tetrahedron"
    cell = tagged_cell(
        kind,
        [2, 2, 1][:dimension],
        lambda x: np.where((x[:, 0] - x[:, 1]) % 1.0 < 0.5, *NAMES),
    )
    normal = np.array([1.0, -1.0, 0.0]) / np.sqrt(2)
    columns = [SYMMETRIC_PAIRS[3].index(pair) for pair in SYMMETRIC_PAIRS[gdim]]
    ends = np.zeros((2, 6))
    ends[:, columns] = 0.012 * np.random.default_rng(3).standard_normal((2, len(columns)))

    def strain(t: float) -> Array:
        return ends[0] * np.sin(1.5 * t) + ends[1] * (1 - np.cos(1.5 * t))

    def rate(t: float) -> Array:
        return 1.5 * (ends[0] * np.cos(1.5 * t) + ends[1] * np.sin(1.5 * t))

    exact, accumulated = integrated(rate, jump_modes(SOLID, normal))
    phases = {name: J2Plasticity(gdim, **METALS[name]) for name in NAMES}
    rve = RVEMaterial(cell, phases, kinematics, degree=1, rtol=1e-11)
    steps = np.array([16, 32, 64])
    ends_of_paths, flows = [], []
    for count in steps:
        state, hint = rve.initial_state(1), None
        for t in np.arange(1, count + 1) / count:
            got = rve.evaluate(strain(t)[None, columns], state, hint=hint, tangent=False)
            assert got.ok.all()
            state, hint = got.state, got.hint
        ends_of_paths.append(got.stress[0])
        # rows of 6 plastic strains and α, of every point of the strong layers, then of the weak
        points = state.reshape(2, -1, 7)[:, :, 6]
        np.testing.assert_allclose(points, points[:, :1] + 0 * points, rtol=1e-8)
        flows.append(points[::-1, 0])
    size = np.linalg.norm(exact[columns])
    errors = np.array([np.linalg.norm(s - exact[columns]) / size for s in ends_of_paths])
    orders = np.log2(errors[:-1] / errors[1:])
    assert errors[-1] < 0.01 and orders == pytest.approx(1.0, abs=0.15)
    better = [2 * b - a for a, b in zip(ends_of_paths, ends_of_paths[1:], strict=False)]
    left = np.array([np.linalg.norm(s - exact[columns]) / size for s in better])
    assert left[-1] < 0.1 * errors[-1]
    np.testing.assert_allclose(2 * flows[-1] - flows[-2], accumulated, rtol=0.01)
    assert (accumulated > 0.001).all()
    elastic = laminated(
        np.stack([Rates(**METALS[name]).elastic for name in NAMES]),
        SHARES,
        jump_modes(SOLID, normal),
    )
    unyielded = (elastic @ strain(1.0))[columns]
    assert np.linalg.norm(unyielded - exact[columns]) > 0.3 * size  # what plasticity changes
