"""Settings of the cell: ``[material.rve]``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fesurrogate.config_file import check
from fesurrogate.config_phase import PhaseSettings

LARGEST_DEGREE = 8
DEGREES = f"a whole number from 1 to {LARGEST_DEGREE}"


@dataclass(frozen=True, kw_only=True)
class RVESettings:
    """``[material.rve]``: a cell that is solved at every point."""

    mesh: Path
    phases: dict[str, PhaseSettings]
    degree: int = 2
    boundary: Literal["periodic", "linear", "traction"] = "periodic"
    rtol: float = 1e-8

    def __post_init__(self) -> None:
        check("degree", self.degree, 1 <= self.degree <= LARGEST_DEGREE, DEGREES)
        check("rtol", self.rtol, 0 < self.rtol < 1, "a number in (0, 1)")
