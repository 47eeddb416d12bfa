"""A guess of the cell that was learned from its fluctuations: modes, and a polynomial for each.

Proper orthogonal decomposition gives the modes; their coefficients are polynomials in the strain
and the parameters of a point. At finite strain an observer who turns sees the fluctuation turned:
with F = R U, w(F) = R w(U), so only the stretch U - 1 is an input. Where inputs are few and answers
smooth this beats a small network, by far in training time; and its derivative by the strain is a
guess of what a tangent solves for. How it is learned is in :mod:`fesurrogate.warmstart.fit`.
"""

from __future__ import annotations

from typing import final

import numpy as np

from fesurrogate.chebyshev import Degrees, derivatives, values
from fesurrogate.errors import InputError
from fesurrogate.kinematics import Array, Kinematics, polar_decomposition
from fesurrogate.warmstart.learned import LearnedGuess

HIGHEST = 20  # total degree of a polynomial


@final
class FluctuationModes(LearnedGuess):
    """The guess whose g has a polynomial of x = (inputs - centre) / scale for each mode.

    Args:
        kinematics: Of the cell.
        degrees: Of the terms, which are products of Chebyshev's polynomials, by each input.
        coefficients: Of the terms, for each mode.
        modes: Rows.
        centre: Of the inputs: the strain, at finite strain the stretch, and the parameters.
        scale: Of the inputs.

    Without parameters g is nothing at rest: the terms are less what they are there.

    Raises:
        InputError: The arrays do not fit each other, or are not finite.
    """

    guesses_relaxation = True

    def __init__(
        self,
        kinematics: Kinematics,
        degrees: Degrees,  # (t, i)
        coefficients: Array,  # (t, k)
        *,
        modes: Array,  # (k, unknowns)
        centre: Array,  # (i,)
        scale: Array,  # (i,)
    ) -> None:
        self.kinematics, self.degrees, self.coefficients = kinematics, degrees, coefficients
        self.modes, self.centre, self.scale = modes, centre, scale
        width = len(strain_directions(kinematics))
        terms, inputs = degrees.shape
        fits = (
            coefficients.shape == (terms, len(modes))
            and centre.shape == scale.shape == (inputs,)
            and inputs >= width
            and degrees.min(initial=0) >= 0
            and degrees.sum(axis=1).max(initial=0) <= HIGHEST
        )
        arrays = (coefficients, modes, centre, scale)
        if not fits or not all(np.isfinite(a).all() for a in arrays) or not (scale > 0).all():
            raise InputError(
                f"modes {modes.shape}, coefficients {coefficients.shape} and degrees "
                f"{degrees.shape} do not fit ({width} inputs of the strain), or are not finite; "
                "train the guess again"
            )
        block = 1 if kinematics.measure == "gradient" else kinematics.gdim
        if kinematics.measure == "finite" and modes.shape[1] % block:
            raise InputError(f"{modes.shape[1]} unknowns are no vectors of {block} components")
        self.num_parameters = inputs - width
        self._reach = 1 + 1 / max(1, int(degrees.sum(axis=1).max(initial=0)))
        at_rest = values(-centre[None] / scale, degrees)[0] if inputs == width else np.zeros(terms)
        self._rest = at_rest @ coefficients  # (k,)

    def fluctuation(
        self,
        strain: Array,  # (n, m)
        parameters: Array,  # (n, p)
    ) -> Array:  # (n, unknowns)
        """Return what is learned of the fluctuation: g; far beyond what was seen, its rim."""
        x, rotation = self._inputs(strain, parameters)
        guess = (values(x, self.degrees) @ self.coefficients - self._rest) @ self.modes
        return guess if rotation is None else turned(guess, rotation)

    def _inputs(
        self,
        strain: Array,  # (n, m)
        parameters: Array,  # (n, p)
    ) -> tuple[Array, Array | None]:  # (n, i), (n, d, d)
        """Return the scaled inputs, cut off far beyond [-1, 1], and the rotations."""
        seen, rotation = strain_inputs(self.kinematics, strain)
        x = (np.concatenate([seen, parameters], axis=1) - self.centre) / self.scale
        return np.clip(x, -self._reach, self._reach), rotation

    def relaxation(
        self,
        strain: Array,  # (m,)
        parameters: Array,  # (p,)
        hint: Array,  # (num_hint,)
    ) -> Array | None:  # (unknowns, m)
        """Return the derivative of g by the strain; at finite strain by F, but for turns of it."""
        x, rotation = self._inputs(strain[None], parameters[None])
        directions = strain_directions(self.kinematics)  # (i, m)
        slopes = derivatives(x, self.degrees, len(directions))[0] @ self.coefficients
        columns = (slopes / self.scale[: len(directions), None]) @ self.modes  # (i, unknowns)
        if rotation is None:
            return np.asarray(columns.T @ directions)
        d, R = self.kinematics.gdim, rotation[0]
        columns = (columns.reshape(-1, d) @ R.T).reshape(columns.shape)
        moved = (R @ directions.reshape(-1, d, d)).reshape(len(columns), -1)  # (i, m), dF = R dU
        return np.asarray(columns.T @ (moved / (moved**2).sum(axis=1, keepdims=True)))


def strain_inputs(
    kinematics: Kinematics,
    strain: Array,  # (n, m)
) -> tuple[Array, Array | None]:  # (n, i), (n, d, d)
    """Return what the fluctuation depends on, zero at rest, and at finite strain the rotation."""
    stretch, rotation = polar_decomposition(kinematics, strain)
    if rotation is None:
        return stretch, None
    d = kinematics.gdim
    change = (stretch - kinematics.rest).reshape(-1, d, d)  # U - 1
    return np.asarray(change[:, *np.triu_indices(d)]), rotation


def strain_directions(kinematics: Kinematics) -> Array:  # (i, m)
    """Return the strain that belongs to a unit of each input."""
    if kinematics.measure != "finite":
        return np.eye(kinematics.size)
    d = kinematics.gdim
    rows, columns = np.triu_indices(d)
    units = np.zeros((len(rows), d, d))
    units[np.arange(len(rows)), rows, columns] = 1.0
    units[np.arange(len(rows)), columns, rows] = 1.0
    return units.reshape(len(rows), -1)


def turned(
    field: Array,  # (n, unknowns), vectors at nodes
    rotation: Array,  # (n, d, d)
) -> Array:  # (n, unknowns)
    """Return the fields, each vector of them turned."""
    n, d, _ = rotation.shape
    nodal = field.reshape(n, field.shape[1] // d, d)
    return np.asarray((nodal @ rotation.transpose(0, 2, 1)).reshape(field.shape))
