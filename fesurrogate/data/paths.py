"""Strain paths inside an envelope: radial, and random walks that unload."""

from __future__ import annotations

import numpy as np

from fesurrogate.data.envelope import Envelope
from fesurrogate.kinematics import Array

STEP = 0.7
"""Standard deviation of a leg of a random walk, in half-widths of the envelope."""
UNLOADING = 0.25
"""Share of the legs of a random walk that go straight back towards rest."""


def proportional(
    ends: Array,  # (n, q)
    increments: int,
    *,
    unload: bool = False,
) -> Array:  # (n, T, q)
    """Return paths from rest straight to their ends in equal steps.

    Args:
        ends: Components at the far end.
        increments: T.
        unload: Whether they return to rest: the end is reached after the first half of the
            increments (rounded up), rest after the last.
    """
    if not unload:
        factor = np.arange(1, increments + 1) / increments
    else:
        out = -(-increments // 2)
        times = np.arange(1, increments + 1)
        factor = np.interp(times, [0, out, max(increments, out + 1)], [0.0, 1.0, 0.0])
    return ends[:, None, :] * factor[:, None]


def random_walk(
    envelope: Envelope,
    path: int,
    increments: int,
    *,
    turns: int,
    smooth: bool,
    seed: int,
) -> Array:  # (T, q)
    """Return one random walk from rest with unloading, which stays inside the envelope.

    It visits ``turns`` points at equal distances in time. A leg is a normal step (:data:`STEP`),
    reflected at the faces of the envelope; a quarter of the legs (:data:`UNLOADING`) instead lead
    straight towards rest, by a random part of the way and up to a quarter beyond it. In between
    the walk is linear or, if smooth, the monotone cubic of each component (Fritsch and Carlson,
    SIAM J. Numer. Anal. 17 (1980) 238-246), which never leaves the box of its two neighbours.
    Random walks of this kind, non-proportional and with unloading, are what recurrent surrogates
    are trained on (L. Wu, V. D. Nguyen, N. G. Kilingar, L. Noels, Comput. Methods Appl. Mech. Eng.
    369 (2020) 113234).

    Args:
        envelope: Must hold rest.
        path: Number of the path: with the seed, all that its numbers depend on.
        increments: T.
        turns: Number of legs.
        smooth: Whether the walk has a continuous rate.
        seed: Of all walks.
    """
    random = np.random.default_rng([seed, path])
    low, high = envelope.low, envelope.high
    points: list[Array] = [np.zeros(len(low))]
    for _ in range(turns):
        here = points[-1]
        unloads, share = random.random() < UNLOADING, random.uniform(-0.25, 0.75)
        step = STEP * 0.5 * (high - low) * random.standard_normal(len(low))
        there = share * here if unloads and here.any() else here + step
        points.append(_reflected(there, low, high))
    times = np.linspace(0.0, turns, increments + 1)[1:]
    knots, values = np.arange(turns + 1), np.array(points)
    if smooth:
        from scipy.interpolate import PchipInterpolator

        walk = PchipInterpolator(knots, values)(times)
    else:
        walk = np.stack([np.interp(times, knots, column) for column in values.T], axis=1)
    return np.clip(walk, low, high)  # from rounding alone


def _reflected(point: Array, low: Array, high: Array) -> Array:
    """Return a point folded into a box by reflections at its faces."""
    width = high - low
    folded = np.mod(point - low, 2.0 * width)
    return low + np.where(folded > width, 2.0 * width - folded, folded)
