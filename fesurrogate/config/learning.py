"""``[material.learning]``: a guarded surrogate that learns while the run goes on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fesurrogate.config.file import check


@dataclass(frozen=True, kw_only=True)
class LearningSettings:
    """``[material.learning]``: how much is asked, and how much is learned."""

    start: Path | None = None  # a dataset to begin with: of another run, or generated
    first: int = 150  # samples of an increment, at most, as long as there is no model
    batch: int = 48  # the same afterwards, of points that fell back
    checks: int = 8  # points of an increment that the surrogate answered, and the reference again
    fresh: int = 8  # samples that fell back, or were wrong, after which the model is refined
    samples: int = 1000  # kept at most
    paths: int = 64  # with history, instead of all these: strain paths that are followed, at most

    def __post_init__(self) -> None:
        for name in ("first", "batch", "checks"):
            value = getattr(self, name)
            check(name, value, value >= 0, "a whole number >= 0")
        check("fresh", self.fresh, self.fresh >= 1, "at least 1")
        check("paths", self.paths, 12 <= self.paths, "at least 12, a third of which judge")
        check("samples", self.samples, 120 <= self.samples, "at least 120, a third of which judge")
