"""Settings of data: ``[generate]``."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from fesurrogate.config.file import SEEDS, check, check_kind
from fesurrogate.config.material import KINDS
from fesurrogate.errors import InputError


@dataclass(frozen=True, kw_only=True)
class ActiveSettings:
    """``[generate.active]``: what ``generate --active MODEL`` adds to a dataset, and until when."""

    batch: int = 16  # points that are added at a time
    candidates: int = 4096  # among which they are chosen
    recorded: Path | None = None  # dataset whose points are the candidates; the envelope if None
    error: float | None = None  # of the stress, at a batch: train and add until it is reached
    most_samples: int | None = None  # in all: train and add until then

    def __post_init__(self) -> None:
        check("batch", self.batch, self.batch >= 1, "at least 1")
        enough = self.candidates >= self.batch
        check("candidates", self.candidates, enough, f"at least batch, {self.batch}")
        if self.error is not None:
            check("error", self.error, 0 < self.error < math.inf, "a number > 0: 0.01 is 1 %")
            bounded = self.most_samples is not None
            check("most_samples", self.most_samples, bounded, "a number with error, as it may fail")
        if self.most_samples is not None:
            check("most_samples", self.most_samples, self.most_samples >= 1, "at least 1")


@dataclass(frozen=True, kw_only=True)
class GenerateSettings:
    """``[generate]``: which strain paths are sampled, and from which kind of Material."""

    source: str = "rve"
    samples: int = 256
    stretch: float | tuple[tuple[float, float], ...] = 0.2  # of U - I, of the strain or gradient
    sequence: Literal["sobol", "latin_hypercube"] = "sobol"
    path: Literal["point", "proportional", "random_walk", "recorded"] = "point"
    increments: int = 1
    unload: bool = False  # proportional
    turns: int = 6  # random_walk
    smooth: bool = False  # random_walk
    recorded: Path | None = None  # dataset whose strain paths are taken
    parameters: dict[str, tuple[float, float]] = field(default_factory=dict)
    dt: float | tuple[float, float] | None = None
    reports: tuple[str, ...] | None = None
    units: str = ""
    seed: int = 0
    tangents: bool = True
    fields: bool = False  # whether fluctuations of the cell are stored, and its guess is learned
    active: ActiveSettings = ActiveSettings()

    def __post_init__(self) -> None:
        check_kind(self.source, KINDS, "source")
        check("samples", self.samples, self.samples >= 1, "at least 1")
        if isinstance(self.stretch, int | float):
            check("stretch", self.stretch, self.stretch > 0, "a number > 0")
        check("increments", self.increments, self.increments >= 1, "at least 1")
        check("turns", self.turns, self.turns >= 1, "at least 1")
        check("seed", self.seed, 0 <= self.seed < 2**63, SEEDS)
        if self.path in ("point", "recorded") and self.increments != 1:
            raise InputError(
                f"increments is {self.increments}; expected 1 with path = {self.path!r}: give "
                "path = 'proportional' or 'random_walk'"
            )
        if (self.path == "recorded") != (self.recorded is not None):
            raise InputError("path = 'recorded' and recorded = 'DATASET' need each other")
        for name, (low, high) in self.parameters.items():
            held = math.isfinite(low) and math.isfinite(high) and low <= high
            check(f"parameters.{name}", [low, high], held, "[low, high] with low <= high")
        if self.dt is not None:
            low, high = self.dt if isinstance(self.dt, tuple) else (self.dt, self.dt)
            check("dt", self.dt, 0 < low <= high < math.inf, "a number > 0, or [low, high] of such")


@dataclass(frozen=True, kw_only=True)
class CalibrationSettings:
    """``[calibration]``: points that training never sees, by which trust is calibrated.

    They are paths like those of ``[generate]``, from the same source, in an envelope that is wider.
    """

    samples: int = 160
    stretch: float | tuple[tuple[float, float], ...] | None = None  # 1.6 that of [generate] if None
    seed: int = 1000

    def __post_init__(self) -> None:
        check("samples", self.samples, self.samples >= 1, "at least 1")
        if isinstance(self.stretch, int | float):
            check("stretch", self.stretch, self.stretch > 0, "a number > 0")
        check("seed", self.seed, 0 <= self.seed < 2**63, SEEDS)
