"""Quantities of interest over the axes of a table, as plain data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from fesurrogate.errors import InputError
from fesurrogate.hierarchical.axes import Axis, grid
from fesurrogate.hierarchical.compiled import kernels_for
from fesurrogate.hierarchical.representations import Gridded, Representation
from fesurrogate.hierarchical.representations.base import chunks
from fesurrogate.hierarchical.representations.forms import Form, decode, encoded, form_of
from fesurrogate.hierarchical.representations.gridded import DEGREES
from fesurrogate.hierarchical.representations.polynomial import scaled
from fesurrogate.hierarchical.strains import QUANTITIES as OVER_STRAIN
from fesurrogate.kinematics import Array, BoolArray, Kinematics

STIFFNESS = {"small": "stiffness", "gradient": "conductivity"}
"""The quantity (m, m) that a Material is made of, by strain measure."""


@dataclass(frozen=True)
class Scattered:
    """Quantities at points of no grid: of a table of them, or by which interpolation is judged.

    Attributes:
        points: (N, p).
        quantities: (N, ...) by name.
        ok: (N,), False where the cell could not be solved.
    """

    points: Array
    quantities: Mapping[str, Array]
    ok: BoolArray


@dataclass(frozen=True)
class Kept:
    """A quantity as it is kept: numbers over the axes, and what an entry is made of them.

    Attributes:
        representation: Gives the numbers.
        form: How an entry is written as numbers.
        shape: Of an entry.
    """

    representation: Representation
    form: Form
    shape: tuple[int, ...]

    def evaluate(
        self,
        points: Array,  # (n, p), inside of the axes
        *,
        slopes: bool = False,
    ) -> tuple[Array, Array | None]:  # (n, ...), (n, ..., p)
        """Return the quantity and, if asked for, its derivatives along the axes."""
        n, p = points.shape
        whole = np.empty((n, 1 + p if slopes else 1, *self.shape))
        kernels = kernels_for(n)
        for rows in chunks(n):
            found = self.representation.respond(points[rows], slopes=slopes, kernels=kernels)
            decode(self.form, found, whole[rows], kernels)
        return whole[:, 0], np.moveaxis(whole[:, 1:], 1, -1) if slopes else None


@dataclass(frozen=True)
class Tabulation:
    """Quantities of interest of a cell on a tensor grid, at scattered points, or as learned.

    Attributes:
        kinematics: Strain measure of the cell; Mandel components at small strain.
        axes: p of them, with k₁, ..., k_p values; of a table without a grid their ends.
        quantities: (k₁, ..., k_p, ...) by name, NaN where the cell could not be solved.
        ok: (k₁, ..., k_p), where it could.
        held_out: The same at points between those of the grid, if there are any.
        units: In the user's words.
        cell: Fingerprint of the cell.
        meta: JSON-like facts: versions, seconds a point.
        kept: Quantities that are looked up by other means than multilinear interpolation.
        samples: Of a table without a grid, what was computed.

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
    kept: Mapping[str, Kept] = field(default_factory=dict)
    samples: Scattered | None = None

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

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of all quantities."""
        return tuple(dict.fromkeys([*self.quantities, *self.kept]))

    def look_up(
        self,
        name: str,
        points: Array,  # (n, p)
    ) -> tuple[Array, BoolArray]:  # (n, ...), (n,)
        """Return a quantity at points, and where the table has it.

        Elsewhere, outside of the axes or beside an entry that could not be computed, it is NaN.

        Raises:
            InputError: The table lacks the quantity, or the points have the wrong shape.
        """
        if points.ndim != 2 or points.shape[1] != len(self.axes):
            raise InputError(
                f"points have shape {points.shape}; expected (n, {len(self.axes)}): "
                f"{', '.join(axis.name for axis in self.axes)}"
            )
        kept, known = self.way(name), self.known(points)
        if known.all():
            return kept.evaluate(points)[0], known
        found = np.full((len(points), *kept.shape), np.nan)
        found[known] = kept.evaluate(points[known])[0]
        return found, known

    def way(self, name: str) -> Kept:
        """Return how a quantity is looked up.

        Raises:
            InputError: The table lacks it.
        """
        if name in self.kept:
            return self.kept[name]
        if name not in self.quantities:
            raise InputError(
                f"the table holds no {name!r}; expected one of {', '.join(self.names)}, or "
                "compute it with: quantities of [precompute]"
            )
        if name not in self._multilinear:
            entries = self.entries(name).reshape(*self.shape, -1)
            kept = Kept(Gridded(self.axes, entries, 1), "plain", self.trailing(name))
            self._multilinear[name] = kept
        return self._multilinear[name]

    @cached_property
    def _multilinear(self) -> dict[str, Kept]:
        return {}

    def smoothed(self) -> Tabulation:
        """Return the table with cubic splines in place of multilinear interpolation.

        Of a stiffness it is the Cholesky factor that they go through: it stays definite.

        Raises:
            InputError: An entry could not be computed, or a stiffness is not definite.
        """
        kept = dict(self.kept)
        for name in self.quantities:
            if name not in kept:
                kept[name] = self.splined(name)
        return replace(self, kept=kept)

    def splined(self, name: str) -> Kept:
        """Return a quantity as cubic splines through its entries.

        Raises:
            InputError: An entry could not be computed, or a stiffness is not definite.
        """
        if not self.ok.all():
            raise InputError(
                f"{int((~self.ok).sum())} entries of the table could not be computed; expected a "
                "table without: narrow its axes"
            )
        numbers, form = written(name, self.computed(name)[1], self.kinematics, mean=False)
        entries = numbers.reshape(*self.shape, numbers.shape[1])
        table = Gridded.through(self.axes, entries, DEGREES["spline"])
        return Kept(table, form, self.trailing(name))

    def entries(
        self,
        name: str,
    ) -> Array:  # (N, c)
        """Return a quantity as one row an entry; zero where it could not be computed."""
        array = self.quantities[name]
        rows = array.reshape(self.ok.size, math.prod(self.trailing(name)))
        return np.where(self.ok.reshape(-1, 1), rows, 0.0)

    def computed(self, name: str) -> tuple[Array, Array]:  # (N, p), (N, ...)
        """Return the points where the cell was solved, and a quantity there: grid or samples."""
        if self.samples is not None:
            held = self.samples
            return held.points[held.ok], held.quantities[name][held.ok]
        rows = self.quantities[name].reshape(self.ok.size, *self.trailing(name))
        solved = self.ok.reshape(-1)
        return grid(self.axes)[solved], rows[solved]

    def trailing(self, name: str) -> tuple[int, ...]:
        """Return the shape of one entry of a quantity."""
        if name in self.kept:
            return self.kept[name].shape
        if name in self.quantities:
            return tuple(self.quantities[name].shape[len(self.axes) :])
        assert self.samples is not None
        return tuple(self.samples.quantities[name].shape[1:])

    def inside(
        self,
        points: Array,  # (n, p)
    ) -> BoolArray:  # (n,)
        """Return which points lie on all axes, but for rounding."""
        found: BoolArray = np.ones(len(points), dtype=np.bool_)
        for k, axis in enumerate(self.axes):
            found &= axis.inside(points[:, k])
        return found

    def known(
        self,
        points: Array,  # (n, p)
    ) -> BoolArray:  # (n,)
        """Return which points are inside and take nothing from an entry that failed.

        Of scattered samples: whose nearest one did not fail.
        """
        found = self.inside(points)
        if self._lost is not None and found.any():
            found[found] = self._lost.evaluate(points[found])[0][:, 0] == 0.0
        if self._nearest is not None and found.any():
            assert self.samples is not None
            rows = self._nearest.query(scaled(self.axes, points[found])[0])[1]
            found[found] = self.samples.ok[rows]
        return found

    @cached_property
    def _nearest(self) -> Any:
        """Tree of the samples; None where there are none, or none of them failed."""
        if self.samples is None or self.samples.ok.all():
            return None
        from scipy.spatial import cKDTree

        return cKDTree(scaled(self.axes, self.samples.points)[0])

    @cached_property
    def _lost(self) -> Gridded | None:
        """Weight of failed entries in what is looked up; None where there are none."""
        if self.ok.all():
            return None
        return Gridded(self.axes, (~self.ok).astype(np.float64)[..., None], 1)

    @cached_property
    def errors(self) -> dict[str, tuple[float, float]]:
        """Return the mean and the largest error of look-ups at the held-out points, by name.

        It is |found - computed| / |computed|, of Frobenius norms; over strain, where stress and
        energy vanish at rest, relative to the root of the mean square of |computed|. Empty without
        such points.
        """
        found: dict[str, tuple[float, float]] = {}
        for name in self.names if self.held_out is not None else ():
            off = self.misfits(name)
            if len(off):
                found[name] = (float(off.mean()), float(off.max()))
        return found

    def misfits(self, name: str) -> Array:  # (N,)
        """Return the errors of :attr:`errors` point by point."""
        held = self.held_out
        assert held is not None
        guess, known = self.look_up(name, held.points)
        rows = known & held.ok
        return misfits(name, guess[rows], held.quantities[name][rows])


def misfits(
    name: str,
    found: Array,  # (N, ...)
    exact: Array,  # (N, ...)
) -> Array:  # (N,)
    """Return |found - exact| / |exact|, over strain relative to the root of the mean square."""
    flat = exact.reshape(len(exact), -1)
    size = np.linalg.norm(flat, axis=1)
    if name in OVER_STRAIN and len(size):
        size = np.full(len(size), np.sqrt((size**2).mean()))
    off = np.linalg.norm(found.reshape(flat.shape) - flat, axis=1)
    return np.asarray(off / np.where(size > 0, size, 1.0))


def written(
    name: str,
    entries: Array,  # (N, ...)
    kinematics: Kinematics,
    *,
    mean: bool,
) -> tuple[Array, Form]:  # (N, c)
    """Return entries as numbers, and the form that keeps what is to be kept of the quantity.

    Raises:
        InputError: A stiffness is not positive definite.
    """
    definite = name == STIFFNESS.get(kinematics.measure)
    form = form_of(entries, definite=definite, mean=mean)
    try:
        return encoded(form, entries), form
    except np.linalg.LinAlgError:
        raise InputError(
            f"an entry of {name} is not positive definite; expected definite ones, or multilinear "
            "interpolation"
        ) from None
