"""``[train]``: which model is fitted, and how. A model with keys of its own has a sub-table."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from fesurrogate.config.file import SEEDS, check

Model = Literal["energy", "polynomial", "stress", "gaussian_process", "recurrent", "physical"]
"""Models of a Material; ``fesurrogate.train.fit`` has a function for each."""
Suspicious = Literal["refuse", "drop", "downweight", "keep"]


@dataclass(frozen=True, kw_only=True)
class EnergySettings:
    """``[train.energy]``: what is known of the energy."""

    symmetry: Literal["none", "isotropic", "transversely_isotropic", "cubic"] = "none"
    direction: tuple[float, ...] | None = None  # (d,), axis of transverse isotropy
    exponentials: int = 0  # terms of fibres that stiffen without bound
    polyconvex: bool = False

    def __post_init__(self) -> None:
        alone = self.symmetry == "none" and self.exponentials == 0
        check("polyconvex", self.polyconvex, alone or not self.polyconvex, "it alone here")
        check("exponentials", self.exponentials, 0 <= self.exponentials <= 64, "0 to 64")
        wanted = self.symmetry == "transversely_isotropic"
        check(
            "direction", self.direction, (self.direction is not None) == wanted,
            f"{'d numbers' if wanted else 'none'} with symmetry {self.symmetry!r}",
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class PolynomialSettings:
    """``[train.polynomial]``: of the polynomial energy."""

    degree: int | None = None  # none: the one that is best on held-out paths

    def __post_init__(self) -> None:
        known = self.degree is None or self.degree >= 2
        check("degree", self.degree, known, "at least 2, or none to have it chosen")


@dataclass(frozen=True, kw_only=True)
class StressSettings:
    """``[train.stress]``: of the network of stresses."""

    symmetric: bool = False  # the tangent is the symmetric part of the derivative


@dataclass(frozen=True, kw_only=True)
class RecurrentSettings:
    """``[train.recurrent]``: of the recurrent network."""

    width: int = 48  # of the hidden state
    cell: Literal["minimal", "gated"] = "minimal"

    def __post_init__(self) -> None:
        check("width", self.width, self.width >= 1, "at least 1")


@dataclass(frozen=True, kw_only=True)
class PointPhaseSettings:
    """``[train.physical.phases.NAME]``: the law of a phase, and the points that stand for it."""

    young: float
    poisson: float
    yield_stress: float | None = None  # none: elastic
    hardening: float = 0.0
    saturation: float = 0.0
    rate: float = 0.0
    points: int = 16
    fraction: float = 0.5  # of the volume; where training starts


@dataclass(frozen=True, kw_only=True)
class PhysicalSettings:
    """``[train.physical]``: of the network of material points."""

    phases: dict[str, PointPhaseSettings] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class FieldNetworkSettings:
    """``[train.field_network]``: of the network that guesses the fluctuations of a cell."""

    grid: int = 24  # points along each edge of the cell
    width: int = 16  # channels of a layer
    waves: int = 6  # most waves along an edge in a layer
    layers: int = 3
    also: tuple[Path, ...] = ()  # output folders of other cells that are learned from, too

    def __post_init__(self) -> None:
        check("width", self.width, 1 <= self.width <= 512, "1 to 512")
        check("waves", self.waves, 1 <= self.waves <= 64, "1 to 64")
        check("layers", self.layers, 1 <= self.layers <= 16, "1 to 16")
        least = 2 * self.waves + 1
        check("grid", self.grid, least <= self.grid <= 512, f"{least} (2 waves + 1) to 512")


@dataclass(frozen=True, kw_only=True)
class TransferSettings:
    """``[train.transfer]``: the model of another cell from which training starts."""

    model: Path
    freeze: tuple[str, ...] = ()  # first words of the names of weights that are kept


@dataclass(frozen=True, kw_only=True)
class TrainSettings:
    """``[train]``: the model and how it is fitted."""

    model: Literal[Model, "field_network"] = "energy"
    energy: EnergySettings = EnergySettings()
    polynomial: PolynomialSettings = PolynomialSettings()
    stress: StressSettings = StressSettings()
    recurrent: RecurrentSettings = RecurrentSettings()
    physical: PhysicalSettings = PhysicalSettings()
    field_network: FieldNetworkSettings = FieldNetworkSettings()
    transfer: TransferSettings | None = None
    ensemble: int = 1  # members, which differ in the seed of their weights
    hidden: tuple[int, ...] = (32, 32)
    validation: float = 0.2  # fraction of the samples held out
    iterations: int = 400  # L-BFGS iterations; epochs of the recurrent and the field network
    tangent_weight: float = 1.0  # weight of the tangent's loss beside the stress's
    energy_weight: float = 0.0  # the same of the energy's, where the data hold energies
    device: str = "auto"  # of torch: "auto" takes a GPU if there is one
    suspicious: Suspicious = "refuse"  # what becomes of points that `inspect` finds fault with
    suspicious_weight: float = 0.1  # of their squared errors with "downweight", beside 1 of others
    seed: int = 0

    def __post_init__(self) -> None:
        widths = bool(self.hidden) and min(self.hidden) >= 1
        check("ensemble", self.ensemble, 1 <= self.ensemble <= 64, "1 to 64 members")
        phases = bool(self.physical.phases) == (self.model == "physical")
        check("physical", list(self.physical.phases), phases, "phases with model 'physical' alone")
        check("hidden", list(self.hidden), widths, "at least one width, each at least 1")
        check("validation", self.validation, 0 < self.validation < 1, "a fraction in (0, 1)")
        check("iterations", self.iterations, self.iterations >= 1, "at least 1")
        check("tangent_weight", self.tangent_weight, self.tangent_weight >= 0, "a number >= 0")
        check("energy_weight", self.energy_weight, self.energy_weight >= 0, "a number >= 0")
        weight = self.suspicious_weight
        check("suspicious_weight", weight, 0 < weight < 1, "a number between 0 and 1")
        check("seed", self.seed, 0 <= self.seed < 2**63, SEEDS)
