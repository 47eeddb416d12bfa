"""Settings of Materials: ``[material]`` and ``[regions.NAME]``, one table for each kind."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from fesurrogate.config.cell import RVESettings
from fesurrogate.config.file import check, check_kind
from fesurrogate.config.learning import LearningSettings
from fesurrogate.config.phase import (
    LAWS,
    J2PlasticitySettings,
    LinearSettings,
    NeoHookeanSettings,
    OgdenSettings,
    TransverselyIsotropicSettings,
    ViscoelasticSettings,
)
from fesurrogate.errors import InputError

KINDS = ("rve", "network", "table", *LAWS, "linearised_rve")
"""Values of ``kind`` besides the user's own ``module:factory``."""

SURROGATES = ("network", "table")
"""Those that ``guard`` guards."""


@dataclass(frozen=True, kw_only=True)
class NetworkSettings:
    """``[material.network]``: a trained model."""

    model: Path | None = None  # what `fesurrogate train` writes if None
    device: str = "cpu"  # of torch: "cuda" takes the GPUs of the node, "auto" where there are any
    servers: int | None = None  # ranks of a node that evaluate; one per GPU, or all, if None

    def __post_init__(self) -> None:
        held = self.servers is None or self.servers >= 1
        check("servers", self.servers, held, "a whole number of ranks of a node, 1 or more")


@dataclass(frozen=True, kw_only=True)
class TableSettings:
    """``[material.table]``: quantities that ``fesurrogate precompute`` has computed."""

    file: Path | None = None  # what `fesurrogate precompute` writes if None
    units: str = ""  # that the table must have; any if empty
    interpolation: Literal["linear", "spline"] = "linear"  # of the entries of a grid


@dataclass(frozen=True, kw_only=True)
class GuardSettings:
    """``[material.guard]``: where a surrogate is trusted, and what becomes of the other points."""

    reference: str = "rve"  # the kind that answers where it is not
    tolerance: float = 0.01  # stress error, relative to the root mean square of the training data
    policy: Literal["fallback", "cutback", "warn", "error"] = "fallback"
    measures: tuple[Literal["expected", "deviation", "novelty"], ...] | None = None  # the first
    audit: int = 0  # points at the end of a run at which the reference is solved as well
    certify: bool = False  # whether a run ends with the reference's answer at the last load
    max_increments: int = 100  # of a path that the reference can be led along, with history

    def __post_init__(self) -> None:
        check_kind(self.reference, KINDS, "reference")
        if self.reference in SURROGATES:
            raise InputError(f"reference is {self.reference!r}; expected an exact Material: 'rve'")
        check("tolerance", self.tolerance, 0 < self.tolerance < math.inf, "a number > 0")
        check("audit", self.audit, self.audit == 0 or self.audit >= 8, "0, or at least 8 points")
        check("max_increments", self.max_increments, self.max_increments >= 1, "at least 1")

    @property
    def answering(self) -> dict[str, Any]:
        """What answers depend on: all but what is done once they are there."""
        return asdict(replace(self, audit=0, certify=False))


@dataclass(frozen=True, kw_only=True)
class MaterialSettings:
    """``[material]`` or ``[regions.NAME]``: one ``kind``, and a table for each kind there is.

    Tables of kinds that are not chosen are validated and otherwise ignored, so that changing
    ``kind`` needs no other change.
    """

    kind: str
    rve: RVESettings | None = None
    network: NetworkSettings | None = None
    table: TableSettings | None = None
    neo_hookean: NeoHookeanSettings | None = None
    ogden: OgdenSettings | None = None
    linear: LinearSettings | None = None
    transversely_isotropic: TransverselyIsotropicSettings | None = None
    viscoelastic: ViscoelasticSettings | None = None
    j2_plasticity: J2PlasticitySettings | None = None
    factory: dict[str, Any] | None = None  # handed to the user's factory as it is
    parameters: dict[str, float | str] | None = None  # a number, or a formula of x
    rotated: bool = False  # by the parameters that say the orientation
    guard: GuardSettings | None = None  # of kind "network" or "table"
    learning: LearningSettings | None = None  # of a guarded "network": it is fitted in the run
    balanced: bool = True  # points of an RVE go to the ranks that have time
    tangent: str | None = None  # kind whose tangent Newton takes for kind "rve"; None: its own

    def __post_init__(self) -> None:
        check_kind(self.kind, KINDS)
        if self.tangent is not None:
            check_kind(self.tangent, KINDS, "tangent")
            cheap = self.tangent != "rve"
            check("tangent", self.tangent, cheap, "a kind that is cheaper than the cell")

    @property
    def guarded(self) -> bool:
        """Whether a guard stands before the chosen kind."""
        return self.guard is not None and self.kind in SURROGATES

    @property
    def learns(self) -> bool:
        """Whether the chosen kind is fitted while the run goes on."""
        return self.learning is not None and self.kind == "network"

    @property
    def section(self) -> str:
        """Name of the sub-table that the chosen kind reads."""
        if ":" in self.kind:
            return "factory"
        return "rve" if self.kind == "linearised_rve" else self.kind
