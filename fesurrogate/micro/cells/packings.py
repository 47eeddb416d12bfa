"""Equal discs and spheres placed at random in the periodic unit cell, without a mesh.

Random sequential addition jams near 0.55 in the plane and 0.38 in space. Here uniformly random
centres are pushed apart until none overlap (the force-biased algorithm: Mościński, Bargieł, Rycerz
and Jacobs (1989), Mol. Simul. 3, 201-212) and then moved at random one by one wherever there is
room (Metropolis et al. (1953), J. Chem. Phys. 21, 1087-1092). Long enough, the second step samples
every arrangement without overlap alike, the hard-core fluid in equilibrium; at high fractions,
where an inclusion cannot leave its neighbours, memory of the first step remains. Clusters, resin
pockets or a spread of radii, as in a real composite, do not arise.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np

from fesurrogate.errors import InputError
from fesurrogate.kinematics import Array

DENSEST = {2: math.pi / math.sqrt(12), 3: math.pi / math.sqrt(18)}
"""Largest fraction of equal discs (Thue) and of equal spheres (Kepler)."""

BALL = {2: math.pi, 3: 4 * math.pi / 3}
"""Area of the unit disc and volume of the unit sphere."""

RELAXATIONS, SWEEPS, ORIGINS = 3000, 200, 1000


@dataclass(frozen=True)
class Packing:
    """Equal discs or spheres in the periodic unit cell.

    Attributes:
        centres: (count, d), in [0, 1).
        radius: Of each.
    """

    centres: Array
    radius: float


def random_packing(
    volume_fraction: float,
    count: int,
    *,
    gdim: int,
    seed: int,
    gap: float = 0.1,
) -> Packing:
    """Place equal discs (2D) or spheres (3D) at random in the periodic unit cell.

    The cell's origin is then moved to where no inclusion grazes a face, which changes the periodic
    medium in nothing.

    Args:
        volume_fraction: Of the inclusions; the radius follows from it.
        count: Of inclusions.
        gdim: 2 or 3.
        seed: Of the random numbers; equal arguments give equal packings.
        gap: Smallest distance between two inclusions, in radii.

    Raises:
        InputError: An argument is out of range, or the fraction is not reached; the message names
            the largest that is.
    """
    check_packing(volume_fraction, count, gdim=gdim, seed=seed, gap=gap)
    radius = _radius(volume_fraction, count, gdim)
    distance = (2 + gap) * radius
    start = np.random.default_rng([seed, 0]).random((count, gdim))
    centres = _pushed_apart(start, distance)
    if centres is None:
        reached = _largest_fraction(start, gdim, gap, volume_fraction)
        raise InputError(
            f"volume_fraction {volume_fraction:g} is not reached with {count} inclusions that are "
            f"{gap:g} radii apart and seed {seed}; {reached:.3f} is. Lower the fraction or the "
            "gap, or take another count or seed"
        )
    centres = _moved_at_random(centres, distance, np.random.default_rng([seed, 1]))
    return _away_from_faces(centres, radius, np.random.default_rng([seed, 2]))


def check_packing(volume_fraction: float, count: int, *, gdim: int, seed: int, gap: float) -> None:
    """Refuse arguments of a packing that no arrangement can meet.

    Raises:
        InputError: One is out of range, or the fraction is beyond the densest packing.
    """
    if gdim not in (2, 3):
        raise InputError(f"gdim is {gdim}; expected 2 (discs) or 3 (spheres)")
    if count < 1:
        raise InputError(f"count is {count}; expected at least 1 inclusion")
    if seed < 0:
        raise InputError(f"seed is {seed}; expected a whole number >= 0")
    if not 0 < gap < 1:
        raise InputError(f"gap is {gap}; expected a number of radii in (0, 1)")
    own_image = count * BALL[gdim] * (1 / (2 + gap)) ** gdim  # (2 + gap) radius <= 1
    largest = min(DENSEST[gdim] * (2 / (2 + gap)) ** gdim, own_image)
    if not 0 < volume_fraction <= largest:
        raise InputError(
            f"volume_fraction is {volume_fraction:g}; expected a number > 0 and at most "
            f"{largest:.3f}, beyond which no arrangement of {count} inclusions that are {gap:g} "
            "radii apart exists. Lower the fraction or the gap"
        )


def grazing_clearance(
    centres: Array,  # (..., count, d)
    radius: float,
) -> Array:  # (...)
    """Return the smallest distance in radii between a surface and touching a face, edge or corner.

    Edges exist in 3D, where a face's distance counts one coordinate, an edge's two, a corner's all.
    """
    d = centres.shape[-1]
    smallest = np.full(centres.shape[:-2], np.inf)
    for upper in itertools.product((0.0, 1.0, None), repeat=d):
        axes = [k for k in range(d) if upper[k] is not None]
        if axes:
            corner = np.array([upper[k] for k in axes])
            away = np.linalg.norm(centres[..., axes] - corner, axis=-1)  # (..., count)
            smallest = np.minimum(smallest, np.abs(away / radius - 1).min(axis=-1))
    return smallest


def _radius(volume_fraction: float, count: int, gdim: int) -> float:
    return (volume_fraction / (count * BALL[gdim])) ** (1 / gdim)


def _pushed_apart(centres: Array, distance: float) -> Array | None:  # (count, d)
    """Return centres at least ``distance`` apart, each pair pushed by its overlap; None if jammed.

    The overlap is that of a slightly larger distance, so that the limit is passed, not approached.
    """
    for _ in range(RELAXATIONS):
        apart = centres[:, None] - centres  # (count, count, d)
        apart -= np.round(apart)  # to the nearest image
        lengths = np.linalg.norm(apart, axis=-1)
        np.fill_diagonal(lengths, np.inf)
        if lengths.min() >= distance:
            return centres
        overlap = np.clip(1.002 * distance - lengths, 0, None) / np.maximum(lengths, 1e-12)
        centres = (centres + 0.45 * np.einsum("ij,ijk->ik", overlap, apart)) % 1.0
    return None


def _largest_fraction(start: Array, gdim: int, gap: float, refused: float) -> float:
    """Return a fraction that is reached from the same start, found by bisection to 0.005."""
    reached, failed = 0.0, refused
    while failed - reached > 0.005:
        tried = math.floor(500 * (reached + failed)) / 1000  # as it will be printed
        done = _pushed_apart(start, (2 + gap) * _radius(tried, len(start), gdim)) is not None
        reached, failed = (tried, failed) if done else (reached, tried)
    return reached


def _moved_at_random(centres: Array, distance: float, rng: np.random.Generator) -> Array:
    """Return the centres after sweeps of single moves that are refused where they overlap."""
    centres = centres.copy()
    amplitude = 0.2 * distance
    for sweep in range(SWEEPS):
        moves = rng.uniform(-1, 1, centres.shape) * amplitude
        accepted = 0
        for i in range(len(centres)):
            candidate = centres[i] + moves[i]
            apart = centres - candidate
            apart -= np.round(apart)
            squared = np.einsum("ij,ij->i", apart, apart)
            squared[i] = np.inf
            if squared.min() >= distance**2:
                centres[i] = candidate % 1.0
                accepted += 1
        if sweep < SWEEPS // 2:  # then constant, as equal odds of a move and of its reverse ask
            amplitude *= 1.1 if 2 * accepted > len(centres) else 0.9
            amplitude = min(amplitude, 0.5)
    return centres


def _away_from_faces(centres: Array, radius: float, rng: np.random.Generator) -> Packing:
    """Return the packing as it is seen from the origin, of those drawn, that grazes least."""
    origins = rng.random((ORIGINS, 1, centres.shape[1]))
    best = int(grazing_clearance((centres - origins) % 1.0, radius).argmax())
    return Packing((centres - origins[best]) % 1.0, radius)
