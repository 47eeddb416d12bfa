"""What a law that stiffens by orders of magnitude looks like, so that it is not taken for an error.

A stiffness k that grows by exp(c x) over a step has a mean between the geometric and the arithmetic
mean of its values at both ends, (k₁ - k₀) / ln(k₁ / k₀). One that grows by exp(c x²) from rest has,
too, if c is above 4; else its mean may be less than the geometric one by up to a fifth.
"""

from __future__ import annotations

import numpy as np

from fesurrogate.data.dataset import Dataset
from fesurrogate.data.neighbours import Neighbours
from fesurrogate.kinematics import Array, BoolArray

STIFFER = 1.25
"""Ratio from which the points far from rest are stiffer: neo-Hookean within ±0.3 has 1.1."""
JUMP = 10.0
"""Ratio of its stiffness to the last one's that the last increment of a path may show."""


def contrast(
    one: Array,  # (..., m), tangent · step at one end
    other: Array,  # (..., m), at the other
) -> Array:  # (...)
    """Return (√a - √b) / (√a + √b) of two stiffnesses a > b along a step.

    The geometric mean is below the arithmetic one by this part of half their difference: 0 where
    they are equal, near 1 where one is far larger. 0 also where they are of opposite sign, which is
    no stiffening.
    """
    a, b = (np.sqrt(np.linalg.norm(end, axis=-1)) for end in (one, other))
    return np.where((one * other).sum(axis=-1) > 0.0, np.abs(a - b) / (a + b + 1e-300), 0.0)


def nearest_mean(
    found: Array,  # (..., m), stress difference
    one: Array,  # (..., m), tangent · step at one end
    other: Array,  # (..., m), at the other
) -> Array:  # (..., m)
    """Return what is nearest to the difference from the arithmetic to the geometric mean."""
    mean, half = 0.5 * (one + other), 0.5 * (one - other)
    larger = np.linalg.norm(one, axis=-1) > np.linalg.norm(other, axis=-1)
    down = (contrast(one, other) * np.where(larger, -1.0, 1.0))[..., None] * half
    share = ((found - mean) * down).sum(axis=-1) / ((down**2).sum(axis=-1) + 1e-300)
    return mean + np.clip(share, 0.0, 1.0)[..., None] * down


def stiffens(
    dataset: Dataset,
    sound: BoolArray,  # (N, T)
) -> bool:
    """Return whether the points far from rest are stiffer than those near it, most of all alike.

    The stiffness of an increment is |Δσ| / |Δε|, and what is compared its quantile of 90 % in the
    farther and in the nearer half of the points, which few bad points cannot move.
    """
    step, rise = _increments(dataset)
    stiffness = np.linalg.norm(rise, axis=2) / (np.linalg.norm(step, axis=2) + 1e-300)
    distance = np.linalg.norm(dataset.strain - dataset.kinematics.rest, axis=2)
    known = sound & np.isfinite(stiffness)
    if known.sum() < 2:
        return False
    far = distance[known] > np.median(distance[known])
    near, farther = (np.quantile(stiffness[known][part], 0.9) for part in (~far, far))
    return bool(farther > STIFFER * near)


def _increments(dataset: Dataset) -> tuple[Array, Array]:  # (N, T, m) each
    """Return the changes of strain and stress, the first from rest."""
    rest = np.broadcast_to(dataset.kinematics.rest, dataset.strain[:, :1].shape)
    step = np.diff(dataset.strain, axis=1, prepend=rest)
    return step, np.diff(dataset.stress, axis=1, prepend=np.zeros_like(rest))


def rising(dataset: Dataset, near: Neighbours) -> BoolArray:  # (N, 1)
    """Return the points i with (σᵢ - σⱼ) · (εᵢ - εⱼ) > 0 for all neighbours j."""
    i, j = near.points[:, None], near.near
    rise = dataset.stress[i, 0] - dataset.stress[j, 0]
    step = dataset.strain[i, 0] - dataset.strain[j, 0]
    answer = np.zeros(dataset.ok.shape, dtype=bool)
    answer[near.points, 0] = ((rise * step).sum(axis=2) > 0.0).all(axis=1)
    return answer


def rising_on_paths(dataset: Dataset) -> BoolArray:  # (N, T)
    """Return where Δσ · Δε > 0 in an increment and in the one after it.

    The last of a path has none after it: it must not be more than :data:`JUMP` times as stiff as
    the one before.
    """
    step, rise = _increments(dataset)
    work = (rise * step).sum(axis=2)
    stiffness = work / ((step**2).sum(axis=2) + 1e-300)
    with np.errstate(invalid="ignore"):
        rising: BoolArray = work > 0.0
        answer = rising.copy()
        answer[:, :-1] &= rising[:, 1:]
        answer[:, -1] &= rising[:, -2:-1].all(axis=1)
        answer[:, -1] &= stiffness[:, -1] <= JUMP * stiffness[:, -2:-1].sum(axis=1)
    return answer
