"""Points at odds with an energy: tangents, stresses and energies that cannot belong together."""

from __future__ import annotations

import numpy as np

from fesurrogate.data.dataset import Dataset
from fesurrogate.data.envelope import component_names, strain_with
from fesurrogate.data.neighbours import Neighbours, Score, robust_limit
from fesurrogate.data.stiffening import contrast
from fesurrogate.kinematics import Array, BoolArray

ASYMMETRY = 1e-3
NEAR_REST = 0.05
NEGATIVE = 1e-3
ENERGY = 0.1


def asymmetry(dataset: Dataset, sound: BoolArray) -> Score:
    """Return ‖A - Aᵀ‖ / ‖A‖; not held against points where it is the Material's nature."""
    if dataset.tangent is None:
        return Score(None, np.inf, "not looked for: no tangents")
    tangent = np.where(sound[:, :, None, None], dataset.tangent, 0.0)
    skew = np.linalg.norm(tangent - np.swapaxes(tangent, 2, 3), axis=(2, 3))
    values = skew / (np.linalg.norm(tangent, axis=(2, 3)) + 1e-300)
    values[~sound] = np.nan
    limit, median = robust_limit(values, ASYMMETRY, 100.0)
    if median > ASYMMETRY:
        limit = np.inf
        return Score(values, limit, f"half of the tangents are not symmetric (by {median:.2g})")
    return Score(values, limit, f"skew part of the tangent; median {median:.2g}")


def negative(dataset: Dataset, sound: BoolArray) -> Score:
    """Return -λ_min / λ_max of the tangents close to rest, on strains without rotation."""
    if dataset.tangent is None:
        return Score(None, np.inf, "not looked for: no tangents")
    offset = np.linalg.norm(dataset.strain - dataset.kinematics.rest, axis=2)
    reach = float(np.max(offset[sound], initial=0.0))
    rows = np.nonzero(sound & (offset <= NEAR_REST * reach))
    if not len(rows[0]):
        return Score(None, np.inf, f"not looked for: no point within {NEAR_REST:.0%} of rest")
    units = np.eye(len(component_names(dataset.kinematics)))
    basis = strain_with(dataset.kinematics, units) - dataset.kinematics.rest  # (q, m)
    tangent = basis @ dataset.tangent[rows] @ basis.T  # (k, q, q)
    eigenvalues = np.linalg.eigvalsh(0.5 * (tangent + np.swapaxes(tangent, 1, 2)))
    values = np.full(dataset.ok.shape, np.nan)
    values[rows] = -eigenvalues[:, 0] / (np.abs(eigenvalues).max(axis=1) + 1e-300)
    note = f"smallest eigenvalue of {len(rows[0])} tangents within {NEAR_REST:.0%} of rest"
    return Score(values, NEGATIVE, note)


def mismatch(dataset: Dataset, sound: BoolArray, near: Neighbours | None) -> Score:
    """Return how far work and energy differ, beyond what the distance of the points excuses.

    At single points: of energies of neighbours, against the work of the stress on the straight way
    between them (trapezium, with tangents corrected to fifth order). The more the law stiffens in
    between, the more of the difference of the works of both stresses is excused. On paths from
    rest: energy
    stored in an increment beyond its work, or where no energy is known, work that a virgin body
    has given away in all; both over the bound ½ |Δσ| |Δε| of the error of the trapezium.
    """
    energy = dataset.reports.get("energy")
    if energy is not None and energy.shape == dataset.ok.shape:
        sound = sound & np.isfinite(energy)
        known = energy if sound.any() else None
    else:
        known = None
    if near is None:
        return _along_paths(dataset, sound if known is not None else dataset.ok, known)
    if known is None or dataset.parameter_names:
        why = "parameters differ" if known is not None else "no energies"
        return Score(None, np.inf, f"not looked for: {why}")
    return _between_neighbours(dataset, sound, near, known[:, 0])


def _between_neighbours(
    dataset: Dataset,
    sound: BoolArray,
    near: Neighbours,
    energy: Array,  # (N,)
) -> Score:
    i, j = near.points[:, None], near.near
    values = np.full(dataset.ok.shape, np.nan)
    strain, stress = dataset.strain[:, 0], dataset.stress[:, 0]
    if j.shape[1]:
        step = strain[i] - strain[j]  # (k, c, m)
        ends = [(stress[k] * step).sum(axis=2) for k in (i, j)]
        least, most = np.minimum(*ends), np.maximum(*ends)
        work = 0.5 * (least + most)
        if dataset.tangent is not None:
            one, other = (np.einsum("kcab,kcb->kca", dataset.tangent[k, 0], step) for k in (i, j))
            work += ((other - one) * step).sum(axis=2) / 12.0
            stiffens = contrast(one, other)
            work = np.where(stiffens > 0.0, np.clip(work, least, most), work)
        else:
            secant = (
                stress
                / (np.linalg.norm(strain - dataset.kinematics.rest, axis=1) + 1e-300)[:, None]
            )
            stiffens = 0.5 * contrast(secant[i], secant[j])
        allowed = stiffens * (most - least)
        size = np.linalg.norm(stress[i], axis=2) + np.linalg.norm(stress[j], axis=2)
        size = 0.5 * size * np.linalg.norm(step, axis=2)
        left = np.maximum(np.abs(energy[i] - energy[j] - work) - allowed, 0.0)
        values[near.points, 0] = np.nanmedian(left / (size + 1e-300), axis=1)
    values[~sound] = np.nan
    smallest = ENERGY if dataset.tangent is not None else 3.0 * ENERGY
    limit, median = robust_limit(values, smallest, 10.0)
    return Score(values, limit, f"energy against work between neighbours; median {median:.2g}")


def _along_paths(dataset: Dataset, sound: BoolArray, energy: Array | None) -> Score:
    usable = np.logical_and.accumulate(sound, axis=1)  # up to the first that is not

    def from_rest(array: Array, first: Array | float) -> Array:
        start = np.broadcast_to(first, array[:, :1].shape)
        whole = np.concatenate([start, array], axis=1)
        mask = usable.reshape(*usable.shape, *(1,) * (array.ndim - 2))
        return np.where(np.concatenate([np.ones_like(mask[:, :1]), mask], axis=1), whole, 0.0)

    strain = from_rest(dataset.strain, dataset.kinematics.rest)
    stress = from_rest(dataset.stress, 0.0)
    step, rise = np.diff(strain, axis=1), np.diff(stress, axis=1)
    work = 0.5 * ((stress[:, 1:] + stress[:, :-1]) * step).sum(axis=2)  # (N, T)
    error = 0.5 * np.linalg.norm(rise, axis=2) * np.linalg.norm(step, axis=2)
    scale = float(np.max(np.abs(work[usable]), initial=0.0)) + 1e-300
    if energy is not None:
        excess = np.diff(from_rest(energy, 0.0), axis=1) - work
        note = "energy stored beyond the work done, over the error of the trapezium"
    else:
        excess, error = -np.cumsum(work, axis=1), 0.5 * np.cumsum(error, axis=1)
        note = "work given away by a virgin body, over the error of the trapezium"
    values = np.where(usable, excess / (error + 1e-6 * scale), np.nan)
    return Score(values, 1.0, note)
