"""The axes of a table, and the weights by which its entries are interpolated."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fesurrogate.errors import InputError
from fesurrogate.kinematics import Array, BoolArray

SLACK = 1e-9
"""Of the length of an axis: what a value may lie outside by rounding."""


@dataclass(frozen=True)
class Axis:
    """A parameter over which quantities are tabulated.

    Attributes:
        name: ``PHASE.NAME`` of a phase's constant, or a number of the cell, as ``volume_fraction``.
        values: (k,), rising, at least two.
        unit: In the user's words.

    Raises:
        InputError: The values do not rise.
    """

    name: str
    values: Array
    unit: str = ""

    def __post_init__(self) -> None:
        values = np.asarray(self.values, dtype=np.float64)
        if values.ndim != 1 or len(values) < 2 or not (np.diff(values) > 0).all():
            raise InputError(
                f"axis {self.name} has the values {values.tolist()}; expected at least two that "
                "rise"
            )
        if not np.isfinite(values).all():
            raise InputError(f"axis {self.name} has values that are not finite; expected numbers")
        object.__setattr__(self, "values", values)

    @property
    def range(self) -> tuple[float, float]:
        """Return the ends of the axis, with what rounding may add."""
        low, high = float(self.values[0]), float(self.values[-1])
        slack = SLACK * (high - low)
        return low - slack, high + slack

    def inside(
        self,
        points: Array,  # (n,)
    ) -> BoolArray:  # (n,)
        """Return which values lie on the axis, but for rounding."""
        low, high = self.range
        return np.asarray((points >= low) & (points <= high), dtype=np.bool_)


def grid(axes: Sequence[Axis]) -> Array:  # (N, p)
    """Return the points of the tensor grid, the last axis running fastest."""
    columns = np.meshgrid(*(axis.values for axis in axes), indexing="ij")
    return np.stack([column.ravel() for column in columns], axis=1)


@dataclass(frozen=True)
class Weights:
    """How points are made of the entries of a table: sparse matrices (n, N).

    Attributes:
        values: Multilinear weights, none negative, of sum 1; a zero row outside of the table.
        slopes: Their derivatives by each of the p parameters; empty where not asked for.
        inside: (n,), which points lie in the table.
    """

    values: Any
    slopes: tuple[Any, ...]
    inside: BoolArray


def multilinear(
    axes: Sequence[Axis],
    points: Array,  # (n, p)
    *,
    slopes: bool = False,
) -> Weights:
    """Return the weights of multilinear interpolation.

    Where a point lies on a plane of the grid the derivative is that of the side of larger values.
    """
    n, sizes = len(points), [len(axis.values) for axis in axes]
    strides = np.append(np.cumprod(sizes[:0:-1], dtype=np.int64)[::-1], 1)
    inside: BoolArray = np.ones(n, dtype=np.bool_)
    first = np.zeros(n, dtype=np.int64)  # entry at the lower corner
    parts, lengths = [], []
    for k, axis in enumerate(axes):
        column, values = points[:, k], axis.values
        inside &= axis.inside(column)
        below = np.clip(np.searchsorted(values, column, side="right") - 1, 0, len(values) - 2)
        length = np.diff(values)[below]
        part = np.clip(np.nan_to_num((column - values[below]) / length), 0.0, 1.0)
        parts.append((1.0 - part, part))
        lengths.append(length)
        first += strides[k] * below
    corners = list(itertools.product((0, 1), repeat=len(axes)))
    steps = np.array(corners) @ strides  # (2^p,)
    entries = first[:, None] + steps

    def matrix(skipped: int | None) -> Any:
        weights = np.empty((n, len(corners)))
        for column, corner in enumerate(corners):
            product = inside.astype(np.float64)
            for k, side in enumerate(corner):
                if k == skipped:
                    product = product * (2 * side - 1) / lengths[k]
                else:
                    product = product * parts[k][side]
            weights[:, column] = product
        return _sparse(weights, entries, int(np.prod(sizes)))

    derivatives = tuple(matrix(k) for k in range(len(axes))) if slopes else ()
    return Weights(matrix(None), derivatives, inside)


def _sparse(
    weights: Array,  # (n, c)
    entries: NDArray[np.int64],  # (n, c)
    size: int,
) -> Any:
    from scipy.sparse import csr_matrix

    n, count = weights.shape
    ends = np.arange(0, n * count + 1, count)
    return csr_matrix((weights.ravel(), entries.ravel(), ends), shape=(n, size))
