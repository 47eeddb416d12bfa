"""Settings as plain, frozen data. Reading a TOML into them validates every key (pydantic).

The dataclasses need only the standard library, so that ``fesurrogate.train`` can use them where
nothing but NumPy and torch is installed; :func:`read_config` needs pydantic. Every key is
documented in docs/config.md. A class here is a table there; what is required has no default.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from fesurrogate.config_file import nearest, read_table
from fesurrogate.errors import InputError
from fesurrogate.kinematics import Kinematics

KINDS = ("rve", "network", "neo_hookean", "linear", "linearised_rve")
"""Values of ``kind`` besides the user's own ``module:factory``."""

PHASE_CONSTANTS = {
    "neo_hookean": ("shear_modulus", "lame"),
    "linear_elastic": ("young", "poisson"),
    "conductor": ("conductivity",),
}
"""Constants of each kind of phase."""

Schedule = tuple[tuple[float, float], ...]
"""(time, factor) pairs; linear in between, constant outside."""


@dataclass(frozen=True, kw_only=True)
class PhaseSettings:
    """``[material.rve.phases.NAME]``: the law of one phase of the cell."""

    kind: Literal["neo_hookean", "linear_elastic", "conductor"]
    shear_modulus: float | None = None
    lame: float | None = None
    young: float | None = None
    poisson: float | None = None
    conductivity: float | None = None

    def __post_init__(self) -> None:
        every = [name for names in PHASE_CONSTANTS.values() for name in names]
        given = {name for name in every if getattr(self, name) is not None}
        needed = PHASE_CONSTANTS[self.kind]
        if given != set(needed):
            raise InputError(
                f"kind {self.kind!r} takes {' and '.join(needed)}; "
                f"given: {', '.join(sorted(given)) or 'none'}"
            )

    @property
    def constants(self) -> dict[str, float]:
        """The constants of this kind by name."""
        return {name: getattr(self, name) for name in PHASE_CONSTANTS[self.kind]}


@dataclass(frozen=True, kw_only=True)
class RVESettings:
    """``[material.rve]``: a cell that is solved at every point."""

    mesh: Path
    phases: dict[str, PhaseSettings]
    degree: int = 2
    boundary: Literal["periodic", "linear", "traction"] = "periodic"
    rtol: float = 1e-8


@dataclass(frozen=True, kw_only=True)
class NetworkSettings:
    """``[material.network]``: a trained model."""

    model: Path | None = None  # what `fesurrogate train` writes if None


@dataclass(frozen=True, kw_only=True)
class NeoHookeanSettings:
    """``[material.neo_hookean]``: the closed-form law."""

    shear_modulus: float
    lame: float


@dataclass(frozen=True, kw_only=True)
class LinearSettings:
    """``[material.linear]``: isotropic elasticity, or conduction under a gradient."""

    young: float | None = None
    poisson: float | None = None
    conductivity: float | None = None

    def __post_init__(self) -> None:
        elastic = self.young is not None and self.poisson is not None
        neither = self.young is None and self.poisson is None
        if not (elastic and self.conductivity is None) and not (
            neither and self.conductivity is not None
        ):
            raise InputError("expected young and poisson, or conductivity alone")


@dataclass(frozen=True, kw_only=True)
class MaterialSettings:
    """``[material]`` or ``[regions.NAME]``: one ``kind``, and a table for each kind there is.

    Tables of kinds that are not chosen are validated and otherwise ignored, so that changing
    ``kind`` needs no other change.
    """

    kind: str
    rve: RVESettings | None = None
    network: NetworkSettings | None = None
    neo_hookean: NeoHookeanSettings | None = None
    linear: LinearSettings | None = None
    factory: dict[str, Any] | None = None  # handed to the user's factory as it is

    def __post_init__(self) -> None:
        module, colon, factory = self.kind.partition(":")
        if self.kind not in KINDS and not (module and colon and factory.isidentifier()):
            raise InputError(
                f"kind is {self.kind!r}; expected one of {', '.join(KINDS)}, or module:factory for "
                f"a law of your own{nearest(self.kind, KINDS)}"
            )

    @property
    def table(self) -> str:
        """Name of the sub-table that the chosen kind reads."""
        if ":" in self.kind:
            return "factory"
        return "rve" if self.kind == "linearised_rve" else self.kind


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
    quadrature_degree: int = 2

    def __post_init__(self) -> None:
        if self.degree < 1 or self.quadrature_degree < 0:
            raise InputError(
                f"degree is {self.degree}, quadrature_degree is {self.quadrature_degree}; "
                "expected degree >= 1 and quadrature_degree >= 0"
            )


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
        if not (self.increments is None or self.increments >= 1):
            raise InputError(f"increments is {self.increments}; expected at least 1")
        times = self.end_times
        if not times or any(a >= b for a, b in zip((0.0, *times), times, strict=False)):
            raise InputError(f"times end at {list(times)}; expected increasing numbers > 0")
        if self.max_cuts < 0:
            raise InputError(f"max_cuts is {self.max_cuts}; expected 0 or more")

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
class OutputSettings:
    """``[output]``: what is written, and where."""

    folder: Path | None = None  # output/NAME-OF-THE-TOML under the current folder if None
    fields: bool = True
    pictures: bool = True


@dataclass(frozen=True, kw_only=True)
class GenerateSettings:
    """``[generate]``: which strains are sampled, and from which kind of Material."""

    source: Literal["rve", "neo_hookean", "linear"] = "rve"
    samples: int = 256
    stretch: float = 0.2  # components of U - I (finite) or strain (small) lie within ±stretch
    seed: int = 0
    tangents: bool = True


@dataclass(frozen=True, kw_only=True)
class TrainSettings:
    """``[train]``: the network and how it is fitted."""

    hidden: tuple[int, ...] = (32, 32)
    validation: float = 0.2  # fraction of the samples held out
    iterations: int = 400  # L-BFGS iterations
    tangent_weight: float = 1.0  # weight of the tangent's loss beside the stress's
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Settings:
    """A whole TOML; paths are absolute.

    Attributes:
        source: The TOML itself, where there is one; no key.
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
    train: TrainSettings = TrainSettings()
    source: Path | None = field(default=None, metadata={"key": False})

    @property
    def folder(self) -> Path:
        """The output folder: as the TOML says, else ``output/NAME`` under the current one."""
        if self.output.folder is not None:
            return self.output.folder
        return Path.cwd() / "output" / (self.source.stem if self.source else "run")

    @property
    def dataset(self) -> Path:
        """Where ``generate`` writes its dataset and ``train`` reads it."""
        return self.folder / "dataset.h5"

    @property
    def model(self) -> Path:
        """Where ``train`` writes its model, and where ``kind = "network"`` looks by default."""
        return self.folder / "model.safetensors"


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


def _check_schedule(schedule: Schedule | None) -> None:
    times = [time for time, _ in schedule or ()]
    if schedule is not None and (
        not times or any(a >= b for a, b in zip(times, times[1:], strict=False))
    ):
        raise InputError(f"schedule has times {times}; expected [time, factor] with rising times")
