"""Derivatives of fluctuations, made small for a dataset: a sketch of each.

A derivative of a fluctuation is as long as the fluctuation itself, and a point has three of them in
2D, six in 3D. But they lie nearly in the space of the fluctuations' own modes, of which there are
few: so a dataset keeps a random projection of each derivative, from which its coefficients in
modes that are known only later follow by least squares.

A projection Ω takes each unknown, with random signs, to one of 32 sums in each of its blocks.
Source: Nelson and Nguyen (2013), FOCS, 117-126, for this Ω (OSNAP); Woodruff (2014), Found. Trends
Theor. Comput. Sci. 10, 1-157, for least squares with it.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import scipy.sparse as sp

from fesurrogate.errors import InputError
from fesurrogate.kinematics import Array, Kinematics
from fesurrogate.warmstart.modes import strain_directions, strain_inputs, turned

BLOCK = 32  # sums to one of which an unknown goes
FEWEST, MOST = 4, 16  # blocks
SHARE = 4  # unknowns for one sum
SEED = 20131026
OVERSAMPLING = 2  # sums for each mode whose coefficients are sought


def sketch_width(unknowns: int) -> int:
    """Return k, the sums that are kept of a field of so many unknowns."""
    return BLOCK * int(np.clip(-(-unknowns // (SHARE * BLOCK)), FEWEST, MOST))


@lru_cache(maxsize=1)
def projection(unknowns: int, width: int) -> sp.csr_matrix:  # (k, unknowns)
    """Return Ω: the same wherever and whenever it is made.

    Raises:
        InputError: The width is none that :func:`sketch_width` gives.
    """
    if width not in range(FEWEST * BLOCK, MOST * BLOCK + 1, BLOCK):
        raise InputError(
            f"derivatives of fluctuations are sketched by {width} numbers; expected a multiple of "
            f"{BLOCK} up to {MOST * BLOCK}: generate them again"
        )
    blocks = width // BLOCK
    words = np.random.PCG64(SEED).random_raw(unknowns * MOST // 8)  # the same on every NumPy
    chance = words.astype("<u8").view(np.uint8).reshape(unknowns, MOST)[:, :blocks]
    rows = (chance % BLOCK).astype(np.int64) + BLOCK * np.arange(blocks)  # (unknowns, blocks)
    signs = np.where(chance & 128, -1.0, 1.0)
    columns = np.repeat(np.arange(unknowns), blocks)
    shape = (width, unknowns)
    return sp.csr_matrix((signs.ravel(), (rows.ravel(), columns)), shape=shape)


def stretch_slopes(
    kinematics: Kinematics,
    relaxations: Array,  # (n, unknowns, m)
    rotation: Array | None,  # (n, d, d)
) -> Array:  # (n, i, unknowns)
    """Return the derivatives by the inputs of a guess, as an observer sees them who does not turn.

    Args:
        kinematics: Of the cell.
        relaxations: Derivatives of fluctuations by the strain.
        rotation: What turns the observer, at finite strain.
    """
    directions = strain_directions(kinematics)  # (i, m)
    if rotation is None:
        return np.einsum("nqm,im->niq", relaxations, directions, optimize=True)
    d = kinematics.gdim
    moved = np.einsum("nab,ibc->niac", rotation, directions.reshape(-1, d, d))
    moved = moved.reshape(len(relaxations), len(directions), -1)  # (n, i, m), R dU
    columns = np.einsum("nqm,nim->niq", relaxations, moved, optimize=True)
    back = np.repeat(rotation.transpose(0, 2, 1), len(directions), axis=0)
    return turned(columns.reshape(-1, columns.shape[2]), back).reshape(columns.shape)


def sketched_slopes(
    kinematics: Kinematics,
    strain: Array,  # (n, m)
    relaxations: Array,  # (n, unknowns, m)
) -> Array:  # (n, i, k)
    """Return the sketches of the derivatives of fluctuations by the inputs of a guess."""
    _, rotation = strain_inputs(kinematics, strain)
    slopes = stretch_slopes(kinematics, relaxations, rotation)
    n, inputs, unknowns = slopes.shape
    matrix = projection(unknowns, sketch_width(unknowns))
    return np.asarray((matrix @ slopes.reshape(-1, unknowns).T).T).reshape(n, inputs, -1)


def coefficients_of(
    sketches: Array,  # (r, k)
    modes: Array,  # (j, unknowns), orthonormal; j <= k / OVERSAMPLING
) -> Array:  # (r, j)
    """Return what fields are in a space of modes, by least squares of their sketches."""
    seen = projection(modes.shape[1], sketches.shape[1]) @ modes.T  # (k, j)
    return np.asarray(np.linalg.lstsq(seen, sketches.T, rcond=None)[0].T)
