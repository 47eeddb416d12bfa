"""A guess of the cell from a network of fields: one model for every mesh of a cell, and others.

w = R [S (U - 1) + L N(s; image, U - 1, p)] with F = R U: S is the cell's own linear response, N is
learned on a regular grid (:mod:`fesurrogate.surrogate.field_operator`) and read at the nodes by
multilinear interpolation. N knows the cell by its image alone, so that no solution of this cell or
this mesh need be there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import final

import numpy as np

from fesurrogate.errors import InputError
from fesurrogate.kinematics import Array, polar_decomposition
from fesurrogate.surrogate.cell_image import CellImage, corners

Predict = Callable[[Array], Array]
"""From U - 1 and parameters (n, m + p) to a field over the grid (n, c, points)."""


@final
class FieldGuess:
    """The guess q + g(ε) - g(ε'), g from a network of fields; g(ε) where there is no q yet.

    Args:
        image: Of the cell that is guessed.
        predict: The network on that image.
    """

    needs_relaxation = False
    guesses_relaxation = False

    def __init__(self, image: CellImage, predict: Predict) -> None:
        self.image = image
        self._predict = predict
        places = np.concatenate([image.points, image.fixed])
        self._index, self._weight = corners(places, image.image.shape[1:])

    def num_hint(self, unknowns: int) -> int:
        """Return the columns of a fluctuation and its strain."""
        return unknowns + self.image.kinematics.size

    def fluctuation(
        self,
        strain: Array,  # (n, m)
        parameters: Array,  # (n, p)
    ) -> Array:  # (n, unknowns)
        """Return what the network makes of the fluctuation: g."""
        image, n = self.image, len(strain)
        if not n:
            return np.zeros((0, len(image.linear)))
        stretch, rotation = polar_decomposition(image.kinematics, strain)
        change = stretch - image.kinematics.rest
        field = self._predict(np.concatenate([change, parameters], axis=1))  # (n, c, points)
        nodal = np.einsum("nckj,kj->nkc", field[:, :, self._index], self._weight)
        free = len(image.points)
        if len(image.fixed):
            nodal = nodal - nodal[:, free:].mean(axis=1, keepdims=True)
        linear = (change @ image.linear.T).reshape(n, free, -1)
        guess = linear + image.size * nodal[:, :free]
        if rotation is not None:
            guess = guess @ rotation.transpose(0, 2, 1)  # R w
        return guess.reshape(n, -1)

    def start(
        self,
        strain: Array,  # (n, m)
        parameters: Array,  # (n, p)
        hint: Array,  # (n, num_hint)
        unknowns: int,
    ) -> tuple[Array, Array | None]:  # (n, unknowns), twice
        """Return the previous fluctuation, and the guess.

        Raises:
            InputError: The cell has another number of unknowns than the image.
        """
        if unknowns != len(self.image.linear):
            raise InputError(
                f"the guess is for a mesh of {len(self.image.linear)} unknowns, but the cell has "
                f"{unknowns}: take an image of this cell"
            )
        rest = self.image.kinematics.rest
        q, before = hint[:, :unknowns], hint[:, unknowns:] + rest
        warm = q.any(axis=1)
        asked = np.concatenate([strain, before[warm]])
        given = np.concatenate([parameters, parameters[warm]])
        guess = self.fluctuation(asked, given)
        guess, known = guess[: len(strain)], guess[len(strain) :]
        guess[warm] += q[warm] - known
        return q, guess

    def relaxation(
        self,
        strain: Array,  # (m,)
        parameters: Array,  # (p,)
        hint: Array,  # (num_hint,)
    ) -> Array | None:  # (unknowns, m)
        """Return None: a guess of the derivative would cost m fields."""
        return None

    def keep(
        self,
        strain: Array,  # (m,)
        q: Array,  # (unknowns,)
        relaxation: Array | None,  # (unknowns, m)
    ) -> Array:  # (num_hint,)
        """Keep the fluctuation and its strain."""
        return np.concatenate([q, strain - self.image.kinematics.rest])
