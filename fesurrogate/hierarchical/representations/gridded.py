"""A quantity at every point of a tensor grid, and splines through it: the whole table."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from functools import cached_property
from types import ModuleType
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from fesurrogate.hierarchical.axes import Axis
from fesurrogate.hierarchical.representations.base import Representation
from fesurrogate.hierarchical.representations.splines import Packed, Spline
from fesurrogate.kinematics import Array

DEGREES = {"multilinear": 1, "spline": 3}
FILL = 8
"""Numbers of an entry are filled up to a multiple of it, as compiled loops take them."""


@final
class Gridded(Representation):
    """Products of splines of the axes, of degree 1 (multilinear) or 3.

    Args:
        axes: p, with k₁, ..., k_p values.
        coefficients: (k₁, ..., k_p, c).
        degree: Of the splines.

    Attributes:
        axes: As given.
        coefficients: As given; of degree 1 they are the entries.
        degree: As given.
    """

    kind = "gridded"

    def __init__(self, axes: Sequence[Axis], coefficients: Array, degree: int) -> None:
        shape = tuple(len(axis.values) for axis in axes)
        if coefficients.shape[:-1] != shape or degree not in DEGREES.values():
            raise ValueError(f"coefficients {coefficients.shape} of degree {degree} over {shape}")
        self.outputs, self.degree = coefficients.shape[-1], degree
        self.axes, self.coefficients = tuple(axes), coefficients
        self._splines = [Spline(axis.values, degree) for axis in axes]
        self._flat = np.ascontiguousarray(coefficients.reshape(-1, self.outputs))
        self._strides = [int(np.prod(shape[k + 1 :])) for k in range(len(shape))]

    @classmethod
    def through(cls, axes: Sequence[Axis], entries: Array, degree: int) -> Gridded:
        """Return the interpolant of entries (k₁, ..., k_p, c)."""
        return cls(axes, spline_coefficients(axes, entries, degree), degree)

    def respond(
        self,
        points: Array,  # (n, p)
        *,
        slopes: bool,
        kernels: ModuleType | None = None,
    ) -> Array:  # (n, 1 + p, c), or (n, 1, c)
        """Add up the B-splines about each point."""
        n, p = points.shape
        found = np.empty((n, 1 + p if slopes else 1, self.outputs))
        if kernels is None:
            self._add_up(points, found)
            return found
        packed = self._packed
        local = packed.local(points, kernels)
        kernels.products(*local, packed.counts, packed.widths, self._filled_up, found)
        return found

    @cached_property
    def _packed(self) -> Packed:
        return Packed.of(self._splines)

    @cached_property
    def _filled_up(self) -> Array:  # (k₁ ... k_p, c or a few more)
        more = -self.outputs % FILL
        return np.pad(self._flat, ((0, 0), (0, more)))

    def _add_up(
        self,
        points: Array,  # (n, p)
        found: Array,  # (n, 1 + p, c) or (n, 1, c), written
    ) -> None:
        """Answer :meth:`respond` by sparse products."""
        from scipy.sparse import csr_matrix

        n, slopes = len(points), found.shape[1] > 1
        local = [s.local(points[:, k], slopes=slopes) for k, s in enumerate(self._splines)]
        widths = [weights.shape[1] for _, weights, _ in local]
        first = sum((f * s for (f, _, _), s in zip(local, self._strides, strict=True)), start=0)
        steps = np.array([
            sum(j * s for j, s in zip(corner, self._strides, strict=True))
            for corner in itertools.product(*map(range, widths))
        ])  # fmt: skip
        entries = np.asarray(first).reshape(n, 1) + steps
        ends = np.arange(0, entries.size + 1, len(steps))
        for q in range(found.shape[1]):
            product = np.ones((n, 1))
            for k, (_, weights, rate) in enumerate(local):
                chosen = weights if k + 1 != q or rate is None else rate
                product = (product[:, :, None] * chosen[:, None, :]).reshape(n, -1)
            matrix = csr_matrix(
                (product.ravel(), entries.ravel(), ends), shape=(n, len(self._flat))
            )
            found[:, q] = matrix @ self._flat

    def on_grid(self, axes: Sequence[Axis]) -> Array:  # (N, c)
        """Return the numbers at all points of another grid, axis by axis."""
        found: NDArray[np.floating] = self.coefficients
        for k, (spline, axis) in enumerate(zip(self._splines, axes, strict=True)):
            found = np.moveaxis(np.tensordot(spline.matrix(axis.values), found, axes=(1, k)), 0, k)
        return np.ascontiguousarray(found).reshape(-1, self.outputs)

    def arrays(self) -> dict[str, Array]:
        """Return the values of the axes, and the coefficients."""
        return {**values_of(self.axes), "coefficients": self.coefficients}

    def facts(self) -> dict[str, Any]:
        """Return the degree."""
        return {"degree": self.degree}

    @classmethod
    def restored(
        cls, axes: Sequence[Axis], facts: Mapping[str, Any], arrays: Mapping[str, Array]
    ) -> Gridded:
        """Return the interpolant."""
        return cls(with_values(axes, arrays), arrays["coefficients"], int(facts["degree"]))


def spline_coefficients(axes: Sequence[Axis], entries: Array, degree: int) -> Array:
    """Return the coefficients of the products of splines through entries (k₁, ..., k_p, c)."""
    found = np.asarray(entries, dtype=np.float64)
    for k, axis in enumerate(axes):
        found = Spline(axis.values, degree).coefficients(found, k)
    return np.ascontiguousarray(found)


def values_of(axes: Sequence[Axis]) -> dict[str, Array]:
    """Return the values of axes as arrays; :func:`with_values` takes them."""
    return {f"axis{k}": axis.values for k, axis in enumerate(axes)}


def with_values(axes: Sequence[Axis], arrays: Mapping[str, Array]) -> list[Axis]:
    """Return the axes with values of a representation's own, which it may have fewer of."""
    return [
        Axis(axis.name, arrays.get(f"axis{k}", axis.values), axis.unit)
        for k, axis in enumerate(axes)
    ]
