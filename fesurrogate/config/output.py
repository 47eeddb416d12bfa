"""Settings of what is written: ``[output]`` and ``[output.micro]``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fesurrogate.config.file import check
from fesurrogate.errors import InputError


@dataclass(frozen=True, kw_only=True)
class MicroOutputSettings:
    """``[output.micro]``: macro points whose cells are written with all their fields."""

    points: tuple[tuple[float, ...], ...] = ()  # each: the quadrature point nearest to it
    most_loaded: int = 0  # so many points of the largest stress, chosen anew in each increment

    def __post_init__(self) -> None:
        check("most_loaded", self.most_loaded, self.most_loaded >= 0, "a whole number >= 0")
        if not self.points and not self.most_loaded:
            raise InputError("give points, such as [[0.5, 0.5]], or most_loaded, a number, or both")


@dataclass(frozen=True, kw_only=True)
class OutputSettings:
    """``[output]``: what is written, and where."""

    folder: Path | None = None  # output/NAME-OF-THE-TOML under the current folder if None
    fields: bool = True
    pictures: bool = True
    paths: bool = False  # what the points went through, for `[generate] recorded`
    checkpoint: int = 1  # accepted increments from one to the next; 0: when the run is stopped
    checkpoint_minutes: float = 0.0  # that pass at least between two
    micro: MicroOutputSettings | None = None

    def __post_init__(self) -> None:
        check("checkpoint", self.checkpoint, self.checkpoint >= 0, "a whole number >= 0")
        minutes = self.checkpoint_minutes
        check("checkpoint_minutes", minutes, minutes >= 0, "a number >= 0")
