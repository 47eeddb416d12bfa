"""Interpolation of scattered points by radial functions: for tables of no grid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import final

import numpy as np

from fesurrogate.chebyshev import degrees_of, term_count, values
from fesurrogate.errors import InputError
from fesurrogate.hierarchical.axes import Axis
from fesurrogate.hierarchical.representations.base import Representation
from fesurrogate.hierarchical.representations.polynomial import Polynomial, scaled
from fesurrogate.kinematics import Array

TAIL = 2
"""Degree of the polynomial beside them, which makes the quintic's matrix definite."""
MOST = 4000


@final
class Radial(Representation):
    """Value = Σ_i w_i |y - y_i|⁵ + a quadratic, y from -1 to 1 along each axis.

    Args:
        axes: p.
        centres: (N, p), the points through which it goes.
        weights: (N, c).
        tail: (t, c), coefficients of the quadratic.

    Source: Buhmann, Radial Basis Functions, Cambridge 2003, section 5.
    """

    kind = "radial_basis"

    def __init__(
        self, axes: Sequence[Axis], centres: Array, *, weights: Array, tail: Array
    ) -> None:
        if centres.shape != (len(weights), len(axes)) or weights.shape[1:] != tail.shape[1:]:
            raise ValueError(f"{len(weights)} weights at {centres.shape} centres")
        self.outputs = weights.shape[1]
        self._axes, self._centres, self._weights = tuple(axes), centres, weights
        self._tail = Polynomial(axes, tail, TAIL)
        self._y = scaled(axes, centres)[0]

    @classmethod
    def through(
        cls,
        axes: Sequence[Axis],
        points: Array,  # (N, p)
        entries: Array,  # (N, c)
    ) -> Radial:
        """Return the interpolant.

        Raises:
            InputError: Too few points for the quadratic, or too many to solve for; points that do
                not fill the axes, or are the same.
        """
        count = term_count(len(axes), TAIL)
        if not count <= len(points) <= MOST:
            raise InputError(
                f"radial functions through {len(points)} points; expected {count} to {MOST} of them"
            )
        y = scaled(axes, points)[0]
        terms = values(y, degrees_of(len(axes), TAIL))
        if np.linalg.matrix_rank(terms) < count or len(np.unique(y, axis=0)) < len(y):
            raise InputError(
                "the points of the table do not span its axes, or two are one; expected different "
                "points that fill them"
            )
        distance = np.linalg.norm(y[:, None] - y, axis=-1)
        matrix = np.block([[distance**5, terms], [terms.T, np.zeros((count, count))]])
        right = np.concatenate([entries, np.zeros((count, entries.shape[1]))])
        found = np.linalg.solve(matrix, right)
        return cls(axes, points, weights=found[: len(points)], tail=found[len(points) :])

    def respond(
        self,
        points: Array,  # (n, p)
        *,
        slopes: bool,
        kernels: ModuleType | None = None,
    ) -> Array:  # (n, 1 + p, c), or (n, 1, c)
        """Add up."""
        y, length = scaled(self._axes, points)
        found = self._tail.respond(points, slopes=slopes, kernels=kernels)
        apart = y.T[:, :, None] - self._y.T[:, None]  # (p, n, N)
        square = (apart**2).sum(axis=0)
        cubed = square * np.sqrt(square)
        found[:, 0] += (cubed * square) @ self._weights
        if slopes:
            for k, half in enumerate(length):
                found[:, 1 + k] += (cubed * apart[k]) @ self._weights * (5.0 / half)
        return found

    def arrays(self) -> dict[str, Array]:
        """Return centres and weights."""
        tail = self._tail.arrays()["coefficients"]
        return {"centres": self._centres, "weights": self._weights, "tail": tail}

    @classmethod
    def restored(
        cls, axes: Sequence[Axis], facts: Mapping[str, object], arrays: Mapping[str, Array]
    ) -> Radial:
        """Return the interpolant."""
        return cls(axes, arrays["centres"], weights=arrays["weights"], tail=arrays["tail"])
