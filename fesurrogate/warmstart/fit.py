"""Learning a guess of the cell from solved fluctuations and, where they are known, derivatives.

Derivatives are cheap beside the fluctuations themselves: they are what a tangent solves for, and
each says as much as a fluctuation more. From 128 strains of a solid cell a polynomial that knows
them errs as one of four times as many that does not.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fesurrogate.chebyshev import Degrees, degrees_of, derivatives, term_count, values
from fesurrogate.errors import InputError
from fesurrogate.kinematics import Array, Kinematics
from fesurrogate.warmstart.modes import (
    HIGHEST,
    FluctuationModes,
    strain_directions,
    strain_inputs,
    turned,
)
from fesurrogate.warmstart.sketch import OVERSAMPLING, coefficients_of, stretch_slopes

Rows = NDArray[np.int64]

DISCARDED = 1e-9  # norm of what the modes leave out, relative to that of all fluctuations
SHARE = 0.1  # of the error on unseen strains, that modes may leave out
FLAT = 1e-9  # extent of the inputs in a direction, relative to the largest, that is none
MOST_TERMS = 1000  # that are tried
FILL = 0.8  # terms that are fitted, relative to what is known
UNSEEN = 8  # one in so many points chooses the degree


def fit_modes(
    kinematics: Kinematics,
    strain: Array,  # (N, m)
    fluctuations: Array,  # (N, unknowns)
    *,
    parameters: Array | None = None,  # (N, p)
    relaxations: Array | None = None,  # (N, unknowns, m)
    sketches: Array | None = None,  # (N, i, k)
    most: int = 400,
) -> FluctuationModes:
    """Return the guess that is learned from fluctuations in equilibrium.

    The degree of the polynomials is that which does best on one in eight points, which are unseen
    meanwhile; then all are fitted.

    Args:
        kinematics: Of the cell.
        strain: Where they were solved for; rest is added.
        fluctuations: What was found there.
        parameters: Of the cell there, where it has any.
        relaxations: Derivatives of the fluctuations by the strain, where they are known.
        sketches: What :func:`fesurrogate.warmstart.sketch.sketched_slopes` made of these, in their
            place: then the fluctuations alone give the modes.
        most: Modes that are kept at most.

    Raises:
        InputError: There are too few, they do not fit, or are not finite.
    """
    count = len(strain)
    given = np.zeros((count, 0)) if parameters is None else parameters
    if len(fluctuations) != count or len(given) != count:
        raise InputError(
            f"{count} strains, {len(fluctuations)} fluctuations and {len(given)} rows of "
            "parameters; expected as many of each"
        )
    if relaxations is not None and relaxations.shape != (*fluctuations.shape, kinematics.size):
        raise InputError(
            f"relaxations have shape {relaxations.shape}; expected "
            f"{(*fluctuations.shape, kinematics.size)}"
        )
    width = len(strain_directions(kinematics))  # of the inputs, without parameters
    if sketches is not None and (sketches.shape[:-1] != (count, width) or relaxations is not None):
        raise InputError(
            f"sketches of derivatives have shape {sketches.shape}; expected ({count}, {width}, k), "
            "and no relaxations beside them"
        )
    derived = [array for array in (relaxations, sketches) if array is not None]
    known = [strain, fluctuations, given, *derived]
    if not all(np.isfinite(array).all() for array in known):
        raise InputError("strains or fluctuations are not finite; leave out what failed")
    seen, rotation = strain_inputs(kinematics, strain)
    if rotation is not None:
        fluctuations = turned(fluctuations, rotation.transpose(0, 2, 1))
    inputs = np.concatenate([seen, given], axis=1)  # (N, i)
    inputs, unique = np.unique(inputs, axis=0, return_index=True)
    centre = np.zeros(inputs.shape[1])
    centre[seen.shape[1] :] = inputs[:, seen.shape[1] :].mean(axis=0)
    scale = np.abs(inputs - centre).max(axis=0, initial=0.0)
    _check(inputs, scale)
    q, unknowns = fluctuations[unique], fluctuations.shape[1]
    slopes: Array = np.zeros((len(inputs), 0, unknowns))  # (N, i or 0, unknowns)
    if relaxations is not None:
        slopes = stretch_slopes(kinematics, relaxations, rotation)[unique]
        slopes *= scale[:width, None]
    if sketches is None:
        rows = np.concatenate([q, slopes.reshape(-1, unknowns)])
        modes, lost = _decomposed(rows, most)
        targets = rows @ modes.T
    else:
        slopes = sketches[unique] * scale[:width, None]
        modes, _ = _decomposed(q, min(most, sketches.shape[2] // OVERSAMPLING))
        moved = coefficients_of(slopes.reshape(-1, slopes.shape[2]), modes)
        targets = np.concatenate([q @ modes.T, moved])
        turns, lost = _decomposed(targets, most)  # by what derivatives weigh, too
        modes, targets = turns @ modes, targets @ turns.T
    data = _Data(
        (inputs - centre) / scale, targets,
        slopes=slopes.shape[1], constant=given.shape[1] > 0,
    )  # fmt: skip
    degree, error = _best_degree(data)
    terms = degrees_of(inputs.shape[1], degree)[0 if data.constant else 1 :]
    coefficients = data.fit(terms, np.arange(len(inputs)))
    kept = max(1, int((lost[: len(modes)] > SHARE * error).sum()))
    return FluctuationModes(
        kinematics, terms, coefficients[:, :kept],
        modes=modes[:kept], centre=centre, scale=scale,
    )  # fmt: skip


class _Data:
    """Coefficients of the modes at points and, row upon row, their derivatives by the inputs.

    A cell at rest has no fluctuation, unless parameters give it one: then there is a constant.
    """

    def __init__(self, x: Array, targets: Array, *, slopes: int, constant: bool) -> None:
        n = len(x)
        self.x, self.constant = x, constant  # (N, i), scaled
        self.values = targets[:n]  # (N, k)
        self.slopes = targets[n:].reshape(n, slopes, targets.shape[1])  # (N, i or 0, k)

    def count(self, points: int) -> int:
        """Return what is known of one coefficient at so many points."""
        return points * (1 + self.slopes.shape[1])

    def fit(self, terms: Degrees, rows: Rows) -> Array:  # (t, k)
        """Return the coefficients of the terms by least squares."""
        matrix, target = self._system(terms, rows)
        return np.asarray(np.linalg.lstsq(matrix, target, rcond=None)[0])

    def error(self, terms: Degrees, coefficients: Array, rows: Rows) -> float:
        """Return the error at points, relative to what is known there."""
        matrix, target = self._system(terms, rows)
        size = float(np.linalg.norm(target))
        return float(np.linalg.norm(matrix @ coefficients - target)) / (size or 1.0)

    def _system(self, terms: Degrees, rows: Rows) -> tuple[Array, Array]:
        matrix, target = values(self.x[rows], terms), self.values[rows]
        if not self.constant:
            matrix -= values(np.zeros((1, self.x.shape[1])), terms)
        width = self.slopes.shape[1]
        if not width:
            return matrix, target
        moved = derivatives(self.x[rows], terms, width).reshape(-1, len(terms))
        known = self.slopes[rows].reshape(-1, target.shape[1])
        return np.concatenate([matrix, moved]), np.concatenate([target, known])


def _best_degree(data: _Data) -> tuple[int, float]:
    """Return the degree that errs least on unseen points, and that error."""
    points, inputs = data.x.shape
    rows = np.arange(points)
    unseen = rows % UNSEEN == UNSEEN - 1
    known = data.count(int((~unseen).sum()))
    errors = {}
    for degree in range(1, HIGHEST + 1):
        if degree > 1 and term_count(inputs, degree) > min(MOST_TERMS, FILL * known):
            break
        terms = degrees_of(inputs, degree)[0 if data.constant else 1 :]
        errors[degree] = data.error(terms, data.fit(terms, rows[~unseen]), rows[unseen])
    best = min(errors, key=lambda degree: errors[degree])
    return best, errors[best]


def _check(inputs: Array, scale: Array) -> None:
    """Refuse points that are too few, or in a plane.

    Raises:
        InputError: They are.
    """
    count, width = inputs.shape
    least = (width + 1) * (width + 2) // 2
    if count < least:
        raise InputError(
            f"{count} fluctuations of different strains; expected at least {least} for "
            f"{width} inputs: give more samples"
        )
    spread = (inputs - inputs.mean(axis=0)) / np.where(scale > 0, scale, 1.0)
    extents = np.linalg.svd(spread, compute_uv=False)
    if not extents[-1] > FLAT * extents[0]:
        raise InputError(
            "the strains (and parameters) of the fluctuations do not fill all directions; "
            "sample all components of the strain"
        )


def _decomposed(
    rows: Array,  # (r, unknowns)
    most: int,
) -> tuple[Array, Array]:  # (k, unknowns), (k,)
    """Return orthonormal modes, and the norm of what is lost from each on, relative to all."""
    _, size, modes = np.linalg.svd(rows, full_matrices=False)
    lost = np.sqrt(np.cumsum(size[::-1] ** 2)[::-1])
    lost /= lost[0] or 1.0
    count = max(1, min(int((lost > DISCARDED).sum()), most))
    return modes[:count], lost[:count]
