"""A guess of the cell that was learned from its fluctuations: modes, smoothly interpolated.

Proper orthogonal decomposition gives the modes, radial basis functions their coefficients as
functions of the strain and the parameters of a point. At finite strain an observer who turns sees
the fluctuation turned: with F = R U, w(F) = R w(U), so only the stretch U - 1 is learned. Where
inputs are few and answers smooth this beats a small network, by far in training time.

A point that has a fluctuation q already, at strain ε', is guessed by q + g(ε) - g(ε'): what the
learned g lacks cancels for the most part; at the first solve, ε' is rest and q is nothing.
"""

from __future__ import annotations

from typing import final

import numpy as np
from scipy.interpolate import RBFInterpolator

from fesurrogate.errors import InputError
from fesurrogate.kinematics import Array, Kinematics

DISCARDED = 1e-6  # norm of what the modes leave out, relative to that of all fluctuations
FLAT = 1e-9  # extent of the inputs in a direction, relative to the largest, that is none
KERNEL = "quintic"


@final
class FluctuationModes:
    """The guess q + g(ε) - g(ε') with modes and the coefficients of each at some points.

    Args:
        kinematics: Of the cell.
        inputs: Strain, at finite strain the stretch, and parameters of each point.
        coefficients: Of the modes at each point.
        modes: Orthonormal rows.
        num_parameters: p.

    Raises:
        InputError: The arrays do not fit each other, hold NaN, or the points are too few.
    """

    needs_relaxation = False

    def __init__(
        self,
        kinematics: Kinematics,
        inputs: Array,  # (N, i)
        coefficients: Array,  # (N, k)
        modes: Array,  # (k, unknowns)
        *,
        num_parameters: int = 0,
    ) -> None:
        self.kinematics, self.num_parameters = kinematics, num_parameters
        self.inputs, self.coefficients, self.modes = inputs, coefficients, modes
        width = len(_strain_inputs(kinematics, kinematics.rest[None])[0][0]) + num_parameters
        count, unknowns = len(inputs), modes.shape[1]
        fits = inputs.shape == (count, width) and coefficients.shape == (count, len(modes))
        if not fits or not all(np.isfinite(a).all() for a in (inputs, coefficients, modes)):
            raise InputError(
                f"modes {modes.shape}, coefficients {coefficients.shape} and inputs {inputs.shape} "
                f"do not fit ({width} inputs), or are not finite; train the guess again"
            )
        least = (width + 1) * (width + 2) // 2
        if count < least:
            raise InputError(
                f"{count} fluctuations of different strains; expected at least {least} for "
                f"{width} inputs: give more samples"
            )
        block = 1 if kinematics.measure == "gradient" else kinematics.gdim
        if kinematics.measure == "finite" and unknowns % block:
            raise InputError(f"{unknowns} unknowns are no vectors of {block} components")
        self._scale = np.ptp(inputs, axis=0) / 2
        spread = (inputs - inputs.mean(axis=0)) / np.where(self._scale > 0, self._scale, 1.0)
        extents = np.linalg.svd(spread, compute_uv=False)
        if not extents[-1] > FLAT * extents[0]:
            raise InputError(
                "the strains (and parameters) of the fluctuations do not fill all directions; "
                "sample all components of the strain"
            )
        self._interpolate = RBFInterpolator(inputs / self._scale, coefficients, kernel=KERNEL)

    def num_hint(self, unknowns: int) -> int:
        """Return the columns of a fluctuation and its strain."""
        return unknowns + self.kinematics.size

    def fluctuation(
        self,
        strain: Array,  # (n, m)
        parameters: Array,  # (n, p)
    ) -> Array:  # (n, unknowns)
        """Return what is learned of the fluctuation: g."""
        if not len(strain):
            return np.zeros((0, self.modes.shape[1]))
        seen, rotation = _strain_inputs(self.kinematics, strain)
        inputs = np.concatenate([seen, parameters], axis=1) / self._scale
        guess = self._interpolate(inputs) @ self.modes
        return guess if rotation is None else _turned(guess, rotation)

    def start(
        self,
        strain: Array,  # (n, m)
        parameters: Array,  # (n, p)
        hint: Array,  # (n, num_hint)
        unknowns: int,
    ) -> tuple[Array, Array | None]:  # (n, unknowns), twice
        """Return the previous fluctuation, and the guess."""
        q, before = hint[:, :unknowns], hint[:, unknowns:] + self.kinematics.rest
        guess = self.fluctuation(strain, parameters)
        warm = np.flatnonzero(q.any(axis=1))
        if len(warm):
            guess[warm] += q[warm] - self.fluctuation(before[warm], parameters[warm])
        return q, guess

    def keep(
        self,
        strain: Array,  # (m,)
        q: Array,  # (unknowns,)
        relaxation: Array | None,  # (unknowns, m)
    ) -> Array:  # (num_hint,)
        """Keep the fluctuation and its strain."""
        return np.concatenate([q, strain - self.kinematics.rest])


def fit_modes(
    kinematics: Kinematics,
    strain: Array,  # (N, m)
    fluctuations: Array,  # (N, unknowns)
    *,
    parameters: Array | None = None,  # (N, p)
    most: int = 200,
) -> FluctuationModes:
    """Return the guess that is learned from fluctuations in equilibrium.

    Args:
        kinematics: Of the cell.
        strain: Where they were solved for; rest is added.
        fluctuations: What was found there.
        parameters: Of the cell there, where it has any.
        most: Modes that are kept at most.

    Raises:
        InputError: There are too few, or they do not fit.
    """
    given = np.zeros((len(strain), 0)) if parameters is None else parameters
    if len(strain) != len(fluctuations) or len(given) != len(strain):
        raise InputError(
            f"{len(strain)} strains, {len(fluctuations)} fluctuations and {len(given)} rows of "
            "parameters; expected as many of each"
        )
    seen, rotation = _strain_inputs(kinematics, strain)
    if rotation is not None:
        fluctuations = _turned(fluctuations, rotation.transpose(0, 2, 1))
    inputs = np.concatenate([seen, given], axis=1)
    if not given.shape[1]:
        inputs = np.concatenate([inputs, np.zeros((1, inputs.shape[1]))])
        fluctuations = np.concatenate([fluctuations, np.zeros((1, fluctuations.shape[1]))])
    inputs, unique = np.unique(inputs, axis=0, return_index=True)
    left, size, modes = np.linalg.svd(fluctuations[unique], full_matrices=False)
    lost = np.sqrt(np.cumsum(size[::-1] ** 2))[::-1]  # norm of what is lost from each mode on
    count = max(1, min(int((lost > DISCARDED * lost[0]).sum()), most))
    coefficients = left[:, :count] * size[:count]
    return FluctuationModes(
        kinematics, inputs, coefficients, modes[:count], num_parameters=given.shape[1]
    )


def _strain_inputs(
    kinematics: Kinematics,
    strain: Array,  # (n, m)
) -> tuple[Array, Array | None]:  # (n, i), (n, d, d)
    """Return what the fluctuation depends on, zero at rest, and at finite strain the rotation."""
    if kinematics.measure != "finite":
        return strain, None
    d = kinematics.gdim
    left, stretch, right = np.linalg.svd(strain.reshape(-1, d, d))
    rotation = left @ right
    U = np.einsum("nki,nk,nkj->nij", right, stretch, right) - np.eye(d)
    return np.asarray(U[:, *np.triu_indices(d)]), rotation


def _turned(
    field: Array,  # (n, unknowns), vectors at nodes
    rotation: Array,  # (n, d, d)
) -> Array:  # (n, unknowns)
    n, d, _ = rotation.shape
    nodal = field.reshape(n, -1, d)
    return np.asarray((nodal @ rotation.transpose(0, 2, 1)).reshape(n, -1))
