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

from fesurrogate.kinematics import Array, polar_decomposition
from fesurrogate.surrogate.cell_image import CellImage, corners
from fesurrogate.warmstart.learned import LearnedGuess

Predict = Callable[[Array], Array]
"""From U - 1 and parameters (n, m + p) to a field over the grid (n, c, points)."""


@final
class FieldGuess(LearnedGuess):
    """The guess whose g is from a network of fields; a derivative of it would cost m fields.

    Args:
        image: Of the cell that is guessed.
        predict: The network on that image.
    """

    def __init__(self, image: CellImage, predict: Predict) -> None:
        self.image, self.kinematics = image, image.kinematics
        self._predict = predict
        places = np.concatenate([image.points, image.fixed])
        self._index, self._weight = corners(places, image.image.shape[1:])

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
        nodal: Array = np.zeros((*field.shape[:2], len(self._index)))
        for index, weight in zip(self._index.T, self._weight.T, strict=True):
            nodal += field[:, :, index] * weight
        nodal = nodal.transpose(0, 2, 1)  # (n, nodes, c)
        free = len(image.points)
        if len(image.fixed):
            nodal = nodal - nodal[:, free:].mean(axis=1, keepdims=True)
        linear = (change @ image.linear.T).reshape(n, free, -1)
        guess = linear + image.size * nodal[:, :free]
        if rotation is not None:
            guess = guess @ rotation.transpose(0, 2, 1)  # R w
        return guess.reshape(n, -1)
