"""Settings of ``fesurrogate precompute``: ``[precompute]``."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from fesurrogate.config.file import SEEDS, check
from fesurrogate.errors import InputError


@dataclass(frozen=True, kw_only=True)
class AxisSettings:
    """``[precompute.axes.NAME]``: values of a parameter, listed or spread evenly, or its ends."""

    values: tuple[float, ...] | None = None
    low: float | None = None
    high: float | None = None
    points: int | None = None
    unit: str = ""

    def __post_init__(self) -> None:
        spread = (self.low, self.high, self.points)
        ends = self.low is not None and self.high is not None
        if (self.values is None) != ends or (self.values is not None and spread != (None,) * 3):
            raise InputError("expected either values = [...], or low, high and points")
        check("points", self.points, self.points is None or self.points >= 2, "2 or more")
        values = self.grid
        finite = all(math.isfinite(value) for value in values)
        rises = all(a < b for a, b in zip(values, values[1:], strict=False))
        expected = "at least two numbers that rise"
        check("values", list(values), len(values) >= 2 and finite and rises, expected)

    @property
    def grid(self) -> tuple[float, ...]:
        """The values, rising; the ends where their number is not said."""
        if self.values is not None:
            return self.values
        assert self.low is not None and self.high is not None
        length, last = self.high - self.low, (self.points or 2) - 1
        return (*(self.low + length * k / last for k in range(last)), self.high)


@dataclass(frozen=True, kw_only=True)
class PrecomputeSettings:
    """``[precompute]``: which quantities of the cell are tabulated, over which axes."""

    axes: dict[str, AxisSettings] = field(default_factory=dict)
    quantities: tuple[str, ...] | None = None  # the stiffness, or the conductivity, if None
    expansion: dict[str, float] = field(default_factory=dict)  # of each phase
    directions: tuple[tuple[float, ...], ...] | int | None = None  # the unit strains if None
    sampling: Literal["grid", "sobol", "sparse_grid"] = "grid"  # where the axes are sampled
    samples: int | None = None  # of a Sobol sequence
    level: int | None = None  # of a sparse grid
    retrieval: Literal["radial_basis", "polynomial"] = "radial_basis"  # between samples of no grid
    held_out: int = 8  # points between those of the grid, by which interpolation is judged
    seed: int = 0
    units: str = ""

    def __post_init__(self) -> None:
        count = self.directions
        expected = "a whole number, 1 or more, or a list of strains"
        check("directions", count, not isinstance(count, int) or count >= 1, expected)
        self._check_sampling()
        check("held_out", self.held_out, self.held_out >= 0, "a whole number, 0 or more")
        check("seed", self.seed, 0 <= self.seed < 2**63, SEEDS)

    def _check_sampling(self) -> None:
        """Refuse numbers of another sampling than the one that is chosen."""
        needed = {"sobol": "samples", "sparse_grid": "level"}.get(self.sampling)
        for name, least in (("samples", 2), ("level", 1)):
            number = getattr(self, name)
            sound = number is not None and number >= least if name == needed else number is None
            expected = f"a whole number >= {least}" if name == needed else "none"
            check(name, number, sound, f"{expected} with sampling {self.sampling!r}")
        fitted = self.sampling != "grid" and self.retrieval == "polynomial"
        expected = "1 or more with retrieval 'polynomial', whose degree they choose"
        check("held_out", self.held_out, not fitted or self.held_out >= 1, expected)
        bare = [k for k, axis in self.axes.items() if axis.values is None and axis.points is None]
        if bare and self.sampling == "grid":
            raise InputError(f"axes.{bare[0]}: expected points, the number of values, of a grid")
