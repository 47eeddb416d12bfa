"""Settings of the cell: ``[material.rve]``, and ``[material.rve.cell]`` where it is made."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from fesurrogate.config.file import check
from fesurrogate.config.phase import PhaseSettings
from fesurrogate.errors import InputError

LARGEST_DEGREE = 8
DEGREES = f"a whole number from 1 to {LARGEST_DEGREE}"

ROUND = ("resolution", "geometry_degree")
CELL_KEYS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "laminate": (("fractions",), ("gdim", "resolution")),
    "square": (("volume_fraction",), ROUND),
    "hexagonal": (("volume_fraction",), ("cell", *ROUND)),
    "placed_fibres": (("volume_fraction", "centres"), ROUND),
    "random_fibres": (("volume_fraction", "count", "seed"), ("gap", *ROUND)),
    "random_spheres": (("volume_fraction", "count", "seed"), ("gap", *ROUND)),
    "hole": (("volume_fraction",), ("gdim", *ROUND)),
    "lattice": (("volume_fraction",), ("gdim", "resolution")),
    "crack": (("crack_length",), ("height", "resolution")),
    "image": (("file", "labels"), ("spacing", "coarsen")),
}
"""Keys that each kind of cell needs, and those that it takes besides."""

CELL_PHASES = {
    "square": ("matrix", "fibre"),
    "hexagonal": ("matrix", "fibre"),
    "placed_fibres": ("matrix", "fibre"),
    "random_fibres": ("matrix", "fibre"),
    "random_spheres": ("matrix", "inclusion"),
    "hole": ("matrix", "void"),
    "lattice": ("matrix", "void"),
    "crack": ("matrix",),
}
"""Phases of the kinds of cell that name them; in a laminate and in an image the user does."""

ALWAYS_VOID = ("hole", "lattice")
"""Kinds of cell whose phase ``void`` need not be listed."""


@dataclass(frozen=True, kw_only=True)
class CellSettings:
    """``[material.rve.cell]``: a cell that is made, by one of the functions of the microscale."""

    kind: Literal[
        "laminate",
        "square",
        "hexagonal",
        "placed_fibres",
        "random_fibres",
        "random_spheres",
        "hole",
        "lattice",
        "crack",
        "image",
    ]
    volume_fraction: float | None = None
    centres: tuple[tuple[float, float], ...] | None = None
    count: int | None = None
    seed: int | None = None
    gap: float | None = None
    cell: Literal["rectangle", "rhombus"] | None = None
    gdim: Literal[2, 3] | None = None  # that of the kinematics if None
    resolution: int | None = None
    geometry_degree: Literal[1, 2] | None = None
    fractions: dict[str, float] | None = None
    crack_length: float | None = None
    height: float | None = None
    file: Path | None = None
    labels: dict[str, int | tuple[int, ...]] | None = None
    spacing: float | tuple[float, ...] | None = None
    coarsen: int | None = None

    def __post_init__(self) -> None:
        needed, options = CELL_KEYS[self.kind]
        given = set(self.arguments)
        if not set(needed) <= given <= {*needed, *options}:
            raise InputError(
                f"kind {self.kind!r} needs {' and '.join(needed)}, and takes {', '.join(options)}; "
                f"given: {', '.join(sorted(given)) or 'none'}"
            )
        _in_range("volume_fraction", self.volume_fraction, 0, 1)
        _in_range("gap", self.gap, 0, 1)
        _in_range("crack_length", self.crack_length, 0, 1)
        _in_range("height", self.height, 0, math.inf)
        for name, least in (("count", 1), ("seed", 0), ("resolution", 2), ("coarsen", 1)):
            number = getattr(self, name)
            expected = f"a whole number >= {least}"
            check(name, number, number is None or number >= least, expected)
        parts = self.fractions
        if parts is not None:
            shares = list(parts.values())
            sound = min(shares, default=0) > 0 and math.isclose(sum(shares), 1, rel_tol=1e-12)
            check("fractions", parts, sound, "numbers > 0 of sum 1")
        if self.labels is not None:
            check("labels", self.labels, len(self.labels) > 1, "at least two phases")

    @property
    def arguments(self) -> dict[str, Any]:
        """What was given besides the kind."""
        names = [f.name for f in fields(self) if f.name != "kind"]
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}

    @property
    def phase_names(self) -> tuple[str, ...]:
        """Names of the cell's phases, void included."""
        chosen = self.fractions or self.labels
        return tuple(chosen) if chosen is not None else CELL_PHASES[self.kind]


@dataclass(frozen=True, kw_only=True)
class RVESettings:
    """``[material.rve]``: a cell that is solved at every point."""

    mesh: Path | None = None
    cell: CellSettings | None = None
    lattice: tuple[tuple[float, ...], ...] | None = None  # of a mesh; found if None
    phases: dict[str, PhaseSettings]
    degree: int = 2
    boundary: Literal["periodic", "linear", "traction"] = "periodic"
    rtol: float = 1e-8
    initial_guess: Literal["previous", "zero", "sensitivity", "learned", "field_network"] = (
        "previous"
    )
    guess: Path | None = None  # file of the last two; what `generate` or `train` writes if None

    def __post_init__(self) -> None:
        if (self.mesh is None) == (self.cell is None):
            raise InputError(
                "give either mesh, a file, or the table cell with its kind, such as "
                "cell = { kind = 'square', volume_fraction = 0.6 }"
            )
        if self.lattice is not None and self.mesh is None:
            raise InputError("lattice: only for a mesh; a cell that is made has its own")
        check("degree", self.degree, 1 <= self.degree <= LARGEST_DEGREE, DEGREES)
        check("rtol", self.rtol, 0 < self.rtol < 1, "a number in (0, 1)")
        voids = [name for name, phase in self.phases.items() if phase.kind == "void"]
        if len(voids) > 1:
            raise InputError(
                f"phases {' and '.join(voids)} are of kind 'void'; expected at most one"
            )
        if self.cell is not None:
            _check_phases(self.cell, set(self.phases), self.void)

    @property
    def void(self) -> str | None:
        """Name of the phase of kind ``void``, if there is one."""
        return next((name for name, p in self.phases.items() if p.kind == "void"), None)


def _check_phases(cell: CellSettings, listed: set[str], void: str | None) -> None:
    """Refuse phases that are not the cell's."""
    names = set(cell.phase_names)
    implied = {"void"} if cell.kind in ALWAYS_VOID else set()
    if not names - implied <= listed <= names:
        raise InputError(
            f"phases are {', '.join(sorted(listed)) or 'none'}, but a cell of kind {cell.kind!r} "
            f"has {', '.join(cell.phase_names)}; give each a table [material.rve.phases.NAME]"
        )
    if cell.kind in ALWAYS_VOID and listed == names and void != "void":
        raise InputError(
            f"phase 'void' of a cell of kind {cell.kind!r} has a law; expected kind = 'void'. Take "
            "kind 'square' or 'random_spheres' for inclusions with one"
        )
    if void is not None and cell.kind not in (*ALWAYS_VOID, "image"):
        raise InputError(
            f"phase {void!r} is of kind 'void', but a cell of kind {cell.kind!r} has none; take "
            "kind 'hole', 'lattice' or 'image', or a mesh"
        )


def _in_range(name: str, number: float | None, lower: float, upper: float) -> None:
    holds = number is None or lower < number < upper
    check(name, number, holds, f"a number in ({lower}, {upper})")
