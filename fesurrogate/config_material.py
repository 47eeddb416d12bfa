"""Settings of Materials: ``[material]`` and ``[regions.NAME]``, one table for each kind."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from fesurrogate.config_file import nearest
from fesurrogate.errors import InputError

KINDS = ("rve", "network", "neo_hookean", "linear", "j2_plasticity", "linearised_rve")
"""Values of ``kind`` besides the user's own ``module:factory``."""

PHASE_CONSTANTS = {
    "neo_hookean": ("shear_modulus", "lame"),
    "linear_elastic": ("young", "poisson"),
    "conductor": ("conductivity",),
    "j2_plasticity": ("young", "poisson", "yield_stress"),
}
"""Constants that each kind of phase needs."""

PHASE_OPTIONS = {"j2_plasticity": ("hardening", "saturation", "rate")}
"""Constants that a kind of phase takes besides."""

LARGEST_DEGREE = 8
DEGREES = f"a whole number from 1 to {LARGEST_DEGREE}"


def check(name: str, value: object, holds: bool, expected: str) -> None:
    """Refuse a value that does not hold, with its name and what is expected."""
    if not holds:
        raise InputError(f"{name} is {value}; expected {expected}")


@dataclass(frozen=True, kw_only=True)
class PhaseSettings:
    """``[material.rve.phases.NAME]``: the law of one phase of the cell."""

    kind: Literal["neo_hookean", "linear_elastic", "conductor", "j2_plasticity"]
    shear_modulus: float | None = None
    lame: float | None = None
    young: float | None = None
    poisson: float | None = None
    conductivity: float | None = None
    yield_stress: float | None = None
    hardening: float | None = None
    saturation: float | None = None
    rate: float | None = None

    def __post_init__(self) -> None:
        given = set(self.constants)
        needed, options = PHASE_CONSTANTS[self.kind], PHASE_OPTIONS.get(self.kind, ())
        if not set(needed) <= given <= {*needed, *options}:
            besides = f", and {', '.join(options)} where wanted" if options else ""
            raise InputError(
                f"kind {self.kind!r} takes {' and '.join(needed)}{besides}; "
                f"given: {', '.join(sorted(given)) or 'none'}"
            )

    @property
    def constants(self) -> dict[str, float]:
        """The constants that were given, by name."""
        names = [f.name for f in fields(self) if f.name != "kind"]
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}


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
class J2PlasticitySettings:
    """``[material.j2_plasticity]``: the closed-form law, linear and Voce hardening."""

    young: float
    poisson: float
    yield_stress: float
    hardening: float = 0.0
    saturation: float = 0.0
    rate: float = 0.0


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
    j2_plasticity: J2PlasticitySettings | None = None
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
