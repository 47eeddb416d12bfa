"""Piecewise polynomials of one axis that are smooth at its values: degree 1 or 3.

Source: Piegl and Tiller, The NURBS Book, 2nd ed. 1997, algorithm A2.2 and equation 2.7; ends as
de Boor's not-a-knot condition says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
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
        knots: (k + degree + 1,).
    """

    def __init__(self, values: Array, degree: int) -> None:
        self.count, self.degree = len(values), min(degree, len(values) - 1)
        half = (self.degree + 1) // 2
        inner = values[half:-half] if self.degree % 2 else values[:0]
        low, high = [values[:1]] * (self.degree + 1), [values[-1:]] * (self.degree + 1)
        self.knots = np.concatenate([*low, inner, *high])
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
        t, d = self.knots, self.degree
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


@dataclass(frozen=True)
class Packed:
    """The splines of several axes as compiled loops take them.

    Attributes:
        knots: (p, t), each axis filled up at its end.
        counts: (p,), number of B-splines.
        degrees: (p,).
    """

    knots: Array
    counts: NDArray[np.int64]
    degrees: NDArray[np.int64]

    @classmethod
    def of(cls, splines: Sequence[Spline]) -> Packed:
        """Return the splines of axes."""
        most = max(len(each.knots) for each in splines)
        return cls(
            np.stack([np.pad(each.knots, (0, most - len(each.knots))) for each in splines]),
            np.array([each.count for each in splines], dtype=np.int64),
            np.array([each.degree for each in splines], dtype=np.int64),
        )

    @property
    def widths(self) -> NDArray[np.int64]:  # (p,)
        """Return how many B-splines are not zero at a point."""
        return self.degrees + 1

    def local(
        self,
        points: Array,  # (n, p)
        kernels: ModuleType,
    ) -> tuple[NDArray[np.int64], Array]:
        """Return what :meth:`Spline.local` does, of all axes: (n, p), (n, p, 2, 4)."""
        n, p = points.shape
        first, weights = np.empty((n, p), dtype=np.int64), np.zeros((n, p, 2, 4))
        given = np.ascontiguousarray(points)
        kernels.local(given, self.knots, self.counts, self.degrees, first, weights)
        return first, weights
