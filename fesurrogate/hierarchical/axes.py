"""The axes of a table, and its grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

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
