"""Quantities of interest over the axes of a table, as plain data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fesurrogate.errors import InputError
from fesurrogate.hierarchical.axes import Axis, Weights, multilinear
from fesurrogate.kinematics import Array, BoolArray, Kinematics

STIFFNESS = {"small": "stiffness", "gradient": "conductivity"}
"""The quantity (m, m) that a Material is made of, by strain measure."""


@dataclass(frozen=True)
class Scattered:
    """Quantities at points of no grid, by which the error of interpolation is judged.

    Attributes:
        points: (N, p).
        quantities: (N, ...) by name.
        ok: (N,), False where the cell could not be solved.
    """

    points: Array
    quantities: Mapping[str, Array]
    ok: BoolArray


@dataclass(frozen=True)
class Tabulation:
    """Quantities of interest of a cell on a tensor grid.

    Attributes:
        kinematics: Strain measure of the cell; Mandel components at small strain.
        axes: p of them, with k₁, ..., k_p values.
        quantities: (k₁, ..., k_p, ...) by name, NaN where the cell could not be solved.
        ok: (k₁, ..., k_p), where it could.
        held_out: The same at points between those of the grid, if there are any.
        units: In the user's words.
        cell: Fingerprint of the cell.
        meta: JSON-like facts: versions, seconds a point.

    Raises:
        InputError: An array has the wrong shape.
    """

    kinematics: Kinematics
    axes: tuple[Axis, ...]
    quantities: Mapping[str, Array]
    ok: BoolArray
    held_out: Scattered | None = None
    units: str = ""
    cell: str = ""
    meta: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, array in {**self.quantities, "ok": self.ok}.items():
            if array.shape[: len(self.axes)] != self.shape:
                raise InputError(
                    f"{name} of a table has shape {array.shape}; expected {self.shape} first, one "
                    "entry for each point of the grid"
                )

    @property
    def shape(self) -> tuple[int, ...]:
        """Return (k₁, ..., k_p)."""
        return tuple(len(axis.values) for axis in self.axes)

    def look_up(
        self,
        name: str,
        points: Array,  # (n, p)
    ) -> tuple[Array, BoolArray]:  # (n, ...), (n,)
        """Return a quantity by multilinear interpolation, and where the table has it.

        Elsewhere, outside of the axes or beside an entry that could not be computed, it is NaN.

        Raises:
            InputError: The table lacks the quantity, or the points have the wrong shape.
        """
        if name not in self.quantities:
            raise InputError(
                f"the table holds no {name!r}; expected one of {', '.join(self.quantities)}, or "
                "compute it with: quantities of [precompute]"
            )
        if points.ndim != 2 or points.shape[1] != len(self.axes):
            raise InputError(
                f"points have shape {points.shape}; expected (n, {len(self.axes)}): "
                f"{', '.join(axis.name for axis in self.axes)}"
            )
        weights = multilinear(self.axes, points)
        known = self.known(weights)
        found = weights.values @ self.entries(name)
        found[~known] = np.nan
        return found.reshape(len(points), *self.trailing(name)), known

    def entries(
        self,
        name: str,
    ) -> Array:  # (N, c)
        """Return a quantity as one row an entry; zero where it could not be computed."""
        array = self.quantities[name]
        rows = array.reshape(self.ok.size, math.prod(self.trailing(name)))
        return np.where(self.ok.reshape(-1, 1), rows, 0.0)

    def trailing(self, name: str) -> tuple[int, ...]:
        """Return the shape of one entry of a quantity."""
        shape: tuple[int, ...] = self.quantities[name].shape[len(self.axes) :]
        return shape

    def known(self, weights: Weights) -> BoolArray:  # (n,)
        """Return which points are inside and take nothing from an entry that failed."""
        if self.ok.all():
            return weights.inside
        lost: NDArray = weights.values @ (~self.ok.reshape(-1)).astype(np.float64)
        return np.asarray(weights.inside & (lost == 0.0), dtype=np.bool_)

    @cached_property
    def errors(self) -> dict[str, tuple[float, float]]:
        """Return the mean and the largest error of interpolation at the held-out points, by name.

        It is |interpolated - computed| / |computed|, of Frobenius norms. Empty without such points.
        """
        found: dict[str, tuple[float, float]] = {}
        held = self.held_out
        for name in self.quantities if held is not None else ():
            assert held is not None
            guess, known = self.look_up(name, held.points)
            rows = known & held.ok
            if not rows.any():
                continue
            exact = held.quantities[name][rows].reshape(rows.sum(), -1)
            off = np.linalg.norm(guess[rows].reshape(exact.shape) - exact, axis=1)
            size = np.linalg.norm(exact, axis=1)
            ratio = off / np.where(size > 0, size, 1.0)
            found[name] = (float(ratio.mean()), float(ratio.max()))
        return found
