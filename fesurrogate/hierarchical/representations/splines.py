"""Piecewise polynomials of one axis that are smooth at its values: degree 1 or 3.

Source: Piegl and Tiller, The NURBS Book, 2nd ed. 1997, algorithm A2.2 and equation 2.7; ends as
de Boor's not-a-knot condition says.
"""

from __future__ import annotations

from typing import final

import numpy as np
from numpy.typing import NDArray

from fesurrogate.kinematics import Array


@final
class Spline:
    """B-splines of an axis, of which those that are not zero at a point are neighbours.

    Args:
        values: (k,) of the axis, where it interpolates.
        degree: 1 or 3; lower where there are too few values.

    Attributes:
        count: k, number of B-splines.
        degree: That is reached.
    """

    def __init__(self, values: Array, degree: int) -> None:
        self.count, self.degree = len(values), min(degree, len(values) - 1)
        half = (self.degree + 1) // 2
        inner = values[half:-half] if self.degree % 2 else values[:0]
        low, high = [values[:1]] * (self.degree + 1), [values[-1:]] * (self.degree + 1)
        self._knots = np.concatenate([*low, inner, *high])
        self._values = values

    def local(
        self,
        points: Array,  # (n,)
        *,
        slopes: bool = False,
    ) -> tuple[NDArray[np.int64], Array, Array | None]:
        """Return (first, weights, slopes): (n,), (n, degree + 1) twice.

        B-spline ``first + j`` has the j-th weight. At a knot the derivative is that of the side of
        larger values; a point beyond the ends counts as one at the end.
        """
        t, d = self._knots, self.degree
        x = np.clip(points, t[0], t[-1])
        span = np.clip(np.searchsorted(t, x, side="right") - 1, d, self.count - 1)
        weights = [np.ones_like(x)]
        before = weights
        for j in range(1, d + 1):
            before, weights = weights, [np.zeros_like(x) for _ in range(j + 1)]
            for r in range(j):
                right, left = t[span + r + 1], t[span + 1 + r - j]
                part = before[r] / (right - left)
                weights[r] = weights[r] + (right - x) * part
                weights[r + 1] = weights[r + 1] + (x - left) * part
        found = None
        if slopes:
            rate = [np.zeros_like(x) for _ in range(d + 1)]
            for r in range(d):
                part = d * before[r] / (t[span + r + 1] - t[span + 1 + r - d])
                rate[r], rate[r + 1] = rate[r] - part, rate[r + 1] + part
            found = np.stack(rate, axis=1)
        return span - d, np.stack(weights, axis=1), found

    def matrix(
        self,
        points: Array,  # (n,)
    ) -> Array:  # (n, k)
        """Return the weights of all B-splines at points."""
        first, weights, _ = self.local(points)
        found = np.zeros((len(points), self.count))
        for j in range(self.degree + 1):
            found[np.arange(len(points)), first + j] = weights[:, j]
        return found

    def coefficients(
        self,
        entries: Array,  # (..., k, ...), at the values
        axis: int,
    ) -> Array:  # the same shape
        """Return the coefficients of the spline through entries along one of their axes."""
        if self.degree == 1:
            return entries
        moved = np.moveaxis(entries, axis, 0)
        matrix = self.matrix(self._values)
        solved = np.linalg.solve(matrix, moved.reshape(self.count, -1)).reshape(moved.shape)
        return np.moveaxis(np.asarray(solved, dtype=np.float64), 0, axis)
