"""Settings of ``fesurrogate homogenize``: ``[homogenize]``."""

from __future__ import annotations

from dataclasses import dataclass

from fesurrogate.config.file import check


@dataclass(frozen=True, kw_only=True)
class HomogenizeSettings:
    """``[homogenize]``: how the error of the mesh is estimated, and a path to follow."""

    refinements: int = 1  # how often the mesh is refined; 0: no estimate of its error
    path: tuple[tuple[float, ...], ...] = ()  # strains at the ends of increments, m numbers each
    dt: float = 1.0  # length of each increment

    def __post_init__(self) -> None:
        refinements = self.refinements
        check("refinements", refinements, 0 <= refinements <= 4, "a whole number from 0 to 4")
        check("dt", self.dt, self.dt > 0, "a number > 0")
