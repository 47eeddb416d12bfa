"""Stresses that do not fit those of the other points."""

from __future__ import annotations

import math
from itertools import combinations_with_replacement

import numpy as np

from fesurrogate.data.dataset import Dataset
from fesurrogate.data.neighbours import Neighbours, Score, robust_limit
from fesurrogate.data.stiffening import nearest_mean, rising, rising_on_paths, stiffens
from fesurrogate.kinematics import Array, BoolArray

UNEXPLAINED = 0.6
DEVIATIONS, DEVIATIONS_ON_PATHS = 60.0, 25.0
TIMES = 8.0
"""Limits of the scores, and the multiple of the median that is a limit at least. What clean data
reach: neo-Hookean in an envelope of ±0.3 0.2 and 20, J2 plasticity on paths 5; laws that stiffen by
exponentials any number, but for what :mod:`fesurrogate.data.stiffening` excuses."""
ROUNDS = 10


def score(dataset: Dataset, sound: BoolArray, near: Neighbours | None) -> Score:
    """Return how far each stress is from what the others foretell.

    Without history, with tangents and without parameters: what the mean of both tangents leaves
    unexplained of the stress difference to the eight nearest points, the second smallest of them
    (third order in the distance where all is well, alike for all where it is not), over the median
    of the differences. Where the tangents differ much, all between their arithmetic and their
    geometric mean explains it. Else: the distance of the stress from a robust
    linear regression (Huber's weights), in robust standard deviations (1.4826 MAD) of each
    component: at single points on all terms of strain and parameters up to the third degree, if the
    points are three times as many, on paths on the strain, the last strain and the last stress. If
    the Material stiffens, stresses that rise with the strain all around a point are not held
    against it.
    """
    if near is not None and dataset.tangent is not None and not dataset.parameter_names:
        return _against_tangents(dataset, near)
    if near is not None:
        x, y, rows, allowance = _points(dataset, sound)
    else:
        x, y, rows, allowance = _increments(dataset, sound)
    if len(x) < 3 * x.shape[1]:
        return Score(None, np.inf, f"not looked for: {len(x)} points for {x.shape[1]} regressors")
    values = np.full(dataset.ok.shape, np.nan)
    values[rows] = _distance(x, y) / allowance
    least = DEVIATIONS if near is not None else DEVIATIONS_ON_PATHS
    limit, median = robust_limit(values, least, TIMES)
    if near is None:
        values = _first_of_a_row(values, limit)
    if stiffens(dataset, sound):
        values[rising_on_paths(dataset) if near is None else rising(dataset, near)] = 0.0
    how = "on powers of the strain" if near is not None else "on the last increment"
    note = f"robust deviations from a regression {how}; median {median:.2g}"
    return Score(values, limit, note)


def _against_tangents(dataset: Dataset, near: Neighbours) -> Score:
    i, j = near.points[:, None], near.near
    values = np.full(dataset.ok.shape, np.nan)
    if j.shape[1]:
        assert dataset.tangent is not None
        strain, stress, tangent = dataset.strain[:, 0], dataset.stress[:, 0], dataset.tangent[:, 0]
        step = strain[i] - strain[j]  # (k, c, m)
        found = stress[i] - stress[j]
        ends = [np.einsum("kcab,kcb->kca", tangent[k], step) for k in (i, j)]
        foretold = nearest_mean(found, *ends)
        left = np.linalg.norm(found - foretold, axis=2)
        size = 0.5 * (np.linalg.norm(found, axis=2) + np.linalg.norm(foretold, axis=2))
        floor = 1e-9 * np.linalg.norm(stress[near.points], axis=1).max(initial=0.0) + 1e-300
        second = np.sort(left, axis=1)[:, min(1, left.shape[1] - 1)]
        values[near.points, 0] = second / (np.median(size, axis=1) + floor)
    limit, median = robust_limit(values, UNEXPLAINED, TIMES)
    note = f"part of stress differences that tangents leave unexplained; median {median:.2g}"
    return Score(values, limit, note)


def _points(dataset: Dataset, sound: BoolArray) -> tuple[Array, Array, tuple, Array]:
    """Return regressors (k, c), stresses (k, m), their places and scales (k,), of points."""
    rows = np.flatnonzero(sound[:, 0])
    assert dataset.parameters is not None
    x: Array = np.hstack(
        [dataset.strain[rows, 0] - dataset.kinematics.rest, dataset.parameters[rows]]
    )
    if len(x):
        x = (x - x.mean(axis=0)) / (x.std(axis=0) + 1e-300)
    x = np.unique(x, axis=1)  # F12 is F21 where there are no rotations
    degree = next((d for d in (3, 2) if len(x) >= 3 * math.comb(x.shape[1] + d, d)), 1)
    terms = [
        x[:, chosen].prod(axis=1)
        for d in range(degree + 1)
        for chosen in map(list, combinations_with_replacement(range(x.shape[1]), d))
    ]
    allowance = 0.5 + 0.5 * (x**2).mean(axis=1) ** 2  # the terms left out grow so to the corners
    return np.stack(terms, axis=1), dataset.stress[rows, 0], (rows, 0), allowance


def _increments(dataset: Dataset, sound: BoolArray) -> tuple[Array, Array, tuple, Array]:
    """Return the same of increments whose last is sound."""
    rest = dataset.kinematics.rest
    strain = dataset.strain - rest
    before = np.concatenate([np.zeros_like(strain[:, :1]), strain[:, :-1]], axis=1)
    last = np.concatenate([np.zeros_like(dataset.stress[:, :1]), dataset.stress[:, :-1]], axis=1)
    held = np.concatenate([np.ones_like(sound[:, :1]), sound[:, :-1]], axis=1)
    rows = np.nonzero(sound & held)
    ones = np.ones((len(rows[0]), 1))
    x = np.hstack([ones, strain[rows], before[rows], last[rows]])
    return x, dataset.stress[rows], rows, np.ones(len(x))


def _distance(
    x: Array,  # (k, c)
    y: Array,  # (k, m)
) -> Array:  # (k,)
    """Return the distances from a regression that few bad rows cannot pull."""
    weight: Array = np.ones(len(x))
    distance, size = np.zeros(len(x)), np.sqrt((y**2).mean())
    for _ in range(ROUNDS):
        root = np.sqrt(weight)[:, None]
        solution = np.linalg.lstsq(root * x, root * y, rcond=1e-10)[0]
        left = y - x @ solution
        deviation = 1.4826 * np.median(np.abs(left), axis=0)
        scale = np.maximum(deviation, max(1e-3 * size, 0.1 * deviation.max(initial=0.0)))
        distance = np.sqrt(((left / (scale + 1e-300)) ** 2).mean(axis=1))
        weight = np.minimum(1.0, 1.5 / np.maximum(distance, 1e-300))
    return distance


def _first_of_a_row(values: Array, limit: float) -> Array:  # (N, T)
    """Leave out an increment that stands out only because the one before it does."""
    values = values.copy()
    for t in range(1, values.shape[1]):
        with np.errstate(invalid="ignore"):
            led = values[:, t - 1] > limit
        values[led, t] = np.nan
    return values
