"""Settings as plain, frozen data. Reading a TOML into them validates every key (pydantic).

The dataclasses need only the standard library, so that ``fesurrogate.train`` can use them where
nothing but NumPy and torch is installed; :func:`read_config` needs pydantic. Every key is
documented in docs/config.md. A class here is a table there; what is required has no default.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

from fesurrogate.config.cell import DEGREES, LARGEST_DEGREE
from fesurrogate.config.data import CalibrationSettings, GenerateSettings
from fesurrogate.config.file import check, check_kind, read_table
from fesurrogate.config.homogenize import HomogenizeSettings
from fesurrogate.config.material import KINDS, GuardSettings, MaterialSettings
from fesurrogate.config.output import OutputSettings
from fesurrogate.config.precompute import PrecomputeSettings
from fesurrogate.config.train import TrainSettings
from fesurrogate.errors import InputError
from fesurrogate.kinematics import Kinematics

MOST_INCREMENTS = 10**6
MOST_CUTS = 50  # beyond, a step is lost in the rounding of the time
REST = "material"  # name of the table of all cells that no region claims
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


@dataclass(frozen=True, kw_only=True)
class Settings:
    """A whole TOML; paths are absolute.

    Attributes:
        source: The TOML itself, where there is one; no key.
        run_output: ``--output`` of ``run``, in place of the folder of the kind; no key.
    """

    kinematics: Kinematics
    title: str = ""
    material: MaterialSettings | None = None
    regions: dict[str, MaterialSettings] = field(default_factory=dict)
    mesh: MeshSettings | None = None
    macro: MacroSettings = MacroSettings()
    dirichlet: tuple[DirichletSettings, ...] = ()
    traction: tuple[TractionSettings, ...] = ()
    body: BodySettings | None = None
    steps: StepSettings = StepSettings()
    probe: tuple[ProbeSettings, ...] = ()
    reaction: tuple[ReactionSettings, ...] = ()
    solver: SolverSettings = SolverSettings()
    output: OutputSettings = OutputSettings()
    generate: GenerateSettings = GenerateSettings()
    calibration: CalibrationSettings | None = None
    homogenize: HomogenizeSettings = HomogenizeSettings()
    precompute: PrecomputeSettings = PrecomputeSettings()
    train: TrainSettings = TrainSettings()
    source: Path | None = field(default=None, metadata={"key": False})
    run_output: Path | None = field(default=None, metadata={"key": False})

    @property
    def tables(self) -> dict[str, MaterialSettings]:
        """Those of the regions, completed, and ``[material]`` as :data:`REST`, by name.

        What a region leaves out it takes from ``[material]``.
        """
        rest = {} if self.material is None else {REST: self.material}
        return {k: _completed(table, self.material) for k, table in self.regions.items()} | rest

    def with_tables(self, change: Callable[[MaterialSettings], MaterialSettings]) -> Settings:
        """Return the settings with another table in place of each of :attr:`tables`."""
        base = self.material
        regions = {k: change(_completed(table, base)) for k, table in self.regions.items()}
        return replace(self, material=None if base is None else change(base), regions=regions)

    @property
    def guards(self) -> tuple[GuardSettings, ...]:
        """Those of all tables whose kind has one; a region without takes that of ``[material]``."""
        return tuple(table.guard for table in self.tables.values() if table.guard and table.guarded)

    @property
    def folder(self) -> Path:
        """The output folder: as the TOML says, else ``output/NAME`` under the current one."""
        if self.output.folder is not None:
            return self.output.folder
        return Path.cwd() / "output" / (self.source.stem if self.source else "run")

    @property
    def run_folder(self) -> Path:
        """Where ``run`` writes: its ``--output``, else a folder named by the kind of Material.

        Runs that differ by the one word ``kind`` keep their results side by side.
        """
        if self.run_output is not None:
            return self.run_output
        kind = "regions" if self.material is None else self.material.kind
        return self.folder / kind.replace(":", ".")

    @property
    def dataset(self) -> Path:
        """Where ``generate`` writes its dataset and ``train`` reads it."""
        return self.folder / "dataset"

    @property
    def model(self) -> Path:
        """Where ``train`` writes its model."""
        return self.folder / "model.safetensors"

    @property
    def table(self) -> Path:
        """Where ``precompute`` writes its table, and ``kind = "table"`` looks by default."""
        return self.folder / "table.h5"

    @property
    def learned_guess(self) -> Path:
        """Where ``generate`` with ``fields`` writes the learned guess of the cell."""
        return self.folder / "guess.npz"

    @property
    def cell_image(self) -> Path:
        """Where ``generate`` writes what a field network is told of the cell."""
        return self.folder / "cell_image.npz"

    @property
    def field_network(self) -> Path:
        """Where ``train`` writes the field network that guesses the cell."""
        return self.folder / "field_network.safetensors"

    @property
    def models(self) -> tuple[Path, ...]:
        """Where ``kind = "network"`` looks by default; the first that exists is taken.

        The first is that of ``train --output`` with the folder that ``run --output`` names.
        """
        if self.run_output is None:
            return (self.model,)
        return (self.run_output / self.model.name, self.model)


def read_config(path: str | Path) -> Settings:
    """Read a TOML and validate it; nothing but the TOML itself is opened.

    Relative paths in it are relative to its folder.

    Raises:
        InputError: The file is missing or no TOML, or keys are unknown, missing or unusable; one
            message names them all.
        MissingPackageError: pydantic is not installed.
    """
    settings = read_table(Path(path), Settings)
    return replace(settings, source=Path(path).resolve())


def _completed(table: MaterialSettings, base: MaterialSettings | None) -> MaterialSettings:
    """Return a region's table, with the sub-tables it leaves out taken from ``[material]``."""
    if base is None:
        return table
    left_out = [item.name for item in fields(table) if getattr(table, item.name) is None]
    return replace(table, **{name: getattr(base, name) for name in left_out})


def _check_schedule(schedule: Schedule | None) -> None:
    times = [time for time, _ in schedule or ()]
    if schedule is not None and (
        not times or any(a >= b for a, b in zip(times, times[1:], strict=False))
    ):
        raise InputError(f"schedule has times {times}; expected [time, factor] with rising times")
