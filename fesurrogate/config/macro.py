"""Settings of the macro problem: mesh, discretisation, loads, times, what is recorded, solver."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from fesurrogate.config.cell import DEGREES, LARGEST_DEGREE
from fesurrogate.config.file import check, check_kind
from fesurrogate.config.material import KINDS
from fesurrogate.errors import InputError

MOST_INCREMENTS = 10**6
MOST_CUTS = 50  # beyond, a step is lost in the rounding of the time
Schedule = tuple[tuple[float, float], ...]
"""(time, factor) pairs; linear in between, constant outside."""


@dataclass(frozen=True, kw_only=True)
class MeshSettings:
    """``[mesh]``: a file, or a generator with its arguments."""

    file: Path | None = None
    generator: Literal["rectangle", "box", "cook_membrane"] | None = None
    cells: tuple[int, ...] | None = None
    lower: tuple[float, ...] | None = None
    upper: tuple[float, ...] | None = None
    cell: Literal["triangle", "quadrilateral", "tetrahedron", "hexahedron"] | None = None

    def __post_init__(self) -> None:
        if (self.file is None) == (self.generator is None):
            raise InputError("give either file or generator")
        if self.file is not None and self.arguments:
            raise InputError(f"{', '.join(self.arguments)}: only for a generator, not for a file")
        if self.generator is not None and self.cells is None:
            raise InputError(f"generator {self.generator!r} needs cells, such as cells = [10, 10]")
        extra = [name for name in self.arguments if name != "cells"]
        if self.generator == "cook_membrane" and extra:
            raise InputError(f"{', '.join(extra)}: cook_membrane takes cells alone")

    @property
    def arguments(self) -> dict[str, Any]:
        """What was given for the generator."""
        names = ("cells", "lower", "upper", "cell")
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}


@dataclass(frozen=True, kw_only=True)
class MacroSettings:
    """``[macro]``: discretisation of the macro scale."""

    degree: int = 2  # of the Lagrange element of the unknown
    quadrature_degree: int | None = None  # what integrates a linear law exactly if None
    initial_guess: Literal["previous", "linear", "quadratic", "dynamic_modes", "surrogate"] = (
        "previous"
    )
    surrogate: str = "network"  # the kind that answers for cells where a surrogate guesses

    def __post_init__(self) -> None:
        check("degree", self.degree, 1 <= self.degree <= LARGEST_DEGREE, DEGREES)
        order = self.quadrature_degree
        holds = order is None or 0 <= order <= 30
        check("quadrature_degree", order, holds, "a whole number from 0 to 30")
        check_kind(self.surrogate, KINDS, "surrogate")
        cheap = self.surrogate != "rve"
        check("surrogate", self.surrogate, cheap, "a kind that is cheaper than the cell")


@dataclass(frozen=True, kw_only=True)
class DirichletSettings:
    """``[[dirichlet]]``: prescribed displacement (or scalar) on a boundary."""

    boundary: str
    value: float | tuple[float, ...] = 0.0
    component: Literal[0, 1, 2, "x", "y", "z"] | None = None
    schedule: Schedule | None = None

    def __post_init__(self) -> None:
        _check_schedule(self.schedule)


@dataclass(frozen=True, kw_only=True)
class TractionSettings:
    """``[[traction]]``: dead load, force per reference area (2D: length; gradient: flux)."""

    boundary: str
    value: float | tuple[float, ...]
    schedule: Schedule | None = None

    def __post_init__(self) -> None:
        _check_schedule(self.schedule)


@dataclass(frozen=True, kw_only=True)
class BodySettings:
    """``[body]``: dead load per reference volume (2D: area)."""

    force: float | tuple[float, ...]
    schedule: Schedule | None = None

    def __post_init__(self) -> None:
        _check_schedule(self.schedule)


@dataclass(frozen=True, kw_only=True)
class StepSettings:
    """``[steps]``: times at which increments end, and how far a failed one may be cut."""

    increments: int | None = None
    end: float | None = None
    times: tuple[float, ...] | None = None
    max_cuts: int = 8

    def __post_init__(self) -> None:
        if self.times is not None and (self.increments, self.end) != (None, None):
            raise InputError("give either times, or increments and end")
        if not (self.increments is None or 1 <= self.increments <= MOST_INCREMENTS):
            expected = f"at least 1, at most {MOST_INCREMENTS}"
            raise InputError(f"increments is {self.increments}; expected {expected}")
        if self.end is not None and not self.end > 0:
            raise InputError(f"end is {self.end}; expected a time > 0")
        times = self.end_times
        if not times or any(a >= b for a, b in zip((0.0, *times), times, strict=False)):
            raise InputError(f"times end at {list(times)}; expected increasing numbers > 0")
        if not 0 <= self.max_cuts <= MOST_CUTS:
            raise InputError(f"max_cuts is {self.max_cuts}; expected 0 to {MOST_CUTS}")

    @property
    def end_times(self) -> tuple[float, ...]:
        """The time at the end of each increment."""
        if self.times is not None:
            return self.times
        count, end = self.increments or 1, 1.0 if self.end is None else self.end
        return tuple(end * (k + 1) / count for k in range(count))

    def factor(self, schedule: Schedule | None, time: float) -> float:
        """Return the load factor at a time: from the schedule, else a ramp to 1 at the end."""
        if schedule is None:
            return time / self.end_times[-1]
        k = bisect_right([t for t, _ in schedule], time)
        if k == 0 or k == len(schedule):
            return schedule[min(k, len(schedule) - 1)][1]
        (t0, f0), (t1, f1) = schedule[k - 1], schedule[k]
        return f0 + (f1 - f0) * (time - t0) / (t1 - t0)


@dataclass(frozen=True, kw_only=True)
class ProbeSettings:
    """``[[probe]]``: a point whose displacement is recorded."""

    name: str
    point: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class ReactionSettings:
    """``[[reaction]]``: a boundary whose total reaction is recorded."""

    boundary: str
    name: str | None = None  # the boundary's if None


@dataclass(frozen=True, kw_only=True)
class SolverSettings:
    """``[solver.macro]`` and ``[solver.micro]``: PETSc options without their prefix."""

    macro: dict[str, str | int | float | bool] = field(default_factory=dict)
    micro: dict[str, str | int | float | bool] = field(default_factory=dict)


def _check_schedule(schedule: Schedule | None) -> None:
    times = [time for time, _ in schedule or ()]
    if schedule is not None and (
        not times or any(a >= b for a, b in zip(times, times[1:], strict=False))
    ):
        raise InputError(f"schedule has times {times}; expected [time, factor] with rising times")
