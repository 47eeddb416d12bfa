"""Isotropic hardening, linear and Voce's: the flow stress, and how far a point flows."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from fesurrogate.kinematics import Array, BoolArray

NEWTON_TOLERANCE = 1e-14  # of the excess of the trial stress; round-off is about 1e-15
NEWTON_STEPS = 50


@dataclass(frozen=True)
class Hardening:
    """Flow stress = yield_stress + hardening α + saturation (1 - exp(-rate α)).

    Attributes:
        yield_stress: (n,), of each point.
        hardening: (n,).
        saturation: (n,).
        rate: (n,).
    """

    yield_stress: Array
    hardening: Array
    saturation: Array
    rate: Array

    def rows(self, rows: NDArray[np.intp]) -> Hardening:
        """Return the hardening of some of the points."""
        return Hardening(*(getattr(self, item.name)[rows] for item in fields(self)))

    def flow_stress(
        self,
        accumulated: Array,  # (n,), α
    ) -> Array:  # (n,)
        """Return the flow stress at the accumulated plastic strain."""
        linear = self.yield_stress + self.hardening * accumulated
        return linear - self.saturation * np.expm1(-self.rate * accumulated)

    def slope(
        self,
        accumulated: Array,  # (n,), α
    ) -> Array:  # (n,)
        """Return the derivative of the flow stress by α."""
        return self.hardening + self.saturation * self.rate * np.exp(-self.rate * accumulated)

    def stored_energy(
        self,
        accumulated: Array,  # (n,), α
    ) -> Array:  # (n,)
        """Return the energy per volume that hardening stores, ∫ (flow stress - yield_stress) dα."""
        rate = np.where(self.rate > 0.0, self.rate, 1.0)  # saturation is 0 where rate is
        remaining = np.expm1(-rate * accumulated) / rate
        linear = 0.5 * self.hardening * accumulated**2
        return linear + self.saturation * (accumulated + remaining)

    def derivatives(
        self,
        accumulated: Array,  # (n,), α
    ) -> dict[str, Array]:  # (n,) each
        """Return the derivative of the flow stress by each constant at fixed α."""
        decay = np.expm1(-self.rate * accumulated)
        return {
            "yield_stress": np.ones_like(accumulated),
            "hardening": accumulated,
            "saturation": -decay,
            "rate": self.saturation * accumulated * (1.0 + decay),
        }

    def increment(
        self,
        excess: Array,  # (n,), trial stress - flow stress, > 0
        accumulated: Array,  # (n,), α at the last accepted increment
        stiffness: Array,  # (n,), how fast the trial stress falls with Δα: 3μ
    ) -> tuple[Array, BoolArray]:  # (n,) each
        """Return Δα and whether Newton found it.

        f(Δα) = excess - (3μ + hardening) Δα - r (1 - exp(-rate Δα)),
        r = saturation exp(-rate α)

        falls and is convex: from the left of the root Newton rises to it and cannot pass it. The
        safeguard is the start, the root of the bound from below with all of r spent. It saves the
        many steps that the steep part would cost where saturation · rate far exceeds 3μ.
        """
        slope = stiffness + self.hardening
        converged: BoolArray = np.zeros(len(excess), dtype=np.bool_)
        reserve = self.saturation * np.exp(-self.rate * accumulated)
        root = np.asarray(np.clip(excess - reserve, 0.0, None) / slope, dtype=np.float64)
        left = np.arange(len(excess))  # points that still iterate: each one on its own
        for _ in range(NEWTON_STEPS):
            point, gain, rate = root[left], reserve[left], self.rate[left]
            decay = np.expm1(-rate * point)
            value = excess[left] - slope[left] * point + gain * decay
            more = np.abs(value) > NEWTON_TOLERANCE * excess[left]
            converged[left[~more]] = True
            if not more.any():
                break
            step = value / (slope[left] + rate * gain * (1.0 + decay))
            left = left[more]
            root[left] += step[more]
        return root, converged
