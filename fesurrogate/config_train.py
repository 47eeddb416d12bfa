"""``[train]``: which model is fitted, and how. A model with keys of its own has a sub-table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fesurrogate.config_file import check

SEEDS = "a whole number from 0 to 2**63 - 1"
Model = Literal["energy"]
"""The models that ``[train] model`` names; ``fesurrogate.train.fit`` has a function for each."""


@dataclass(frozen=True, kw_only=True)
class TrainSettings:
    """``[train]``: the model and how it is fitted."""

    model: Model = "energy"
    ensemble: int = 1  # members, which differ in the seed of their weights
    hidden: tuple[int, ...] = (32, 32)
    validation: float = 0.2  # fraction of the samples held out
    iterations: int = 400  # L-BFGS iterations
    tangent_weight: float = 1.0  # weight of the tangent's loss beside the stress's
    seed: int = 0

    def __post_init__(self) -> None:
        widths = bool(self.hidden) and min(self.hidden) >= 1
        check("ensemble", self.ensemble, self.ensemble == 1, "1: ensembles are not there yet")
        check("hidden", list(self.hidden), widths, "at least one width, each at least 1")
        check("validation", self.validation, 0 < self.validation < 1, "a fraction in (0, 1)")
        check("iterations", self.iterations, self.iterations >= 1, "at least 1")
        check("tangent_weight", self.tangent_weight, self.tangent_weight >= 0, "a number >= 0")
        check("seed", self.seed, 0 <= self.seed < 2**63, SEEDS)
