"""Settings of laws: of a phase of the cell, and of a law that is a Material by itself."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal

from fesurrogate.errors import InputError

PHASE_CONSTANTS = {
    "neo_hookean": ("shear_modulus", "lame"),
    "linear_elastic": ("young", "poisson"),
    "conductor": ("conductivity",),
    "j2_plasticity": ("young", "poisson", "yield_stress"),
    "void": (),
}
"""Constants that each kind of phase needs."""

PHASE_OPTIONS = {"j2_plasticity": ("hardening", "saturation", "rate")}
"""Constants that a kind of phase takes besides."""


@dataclass(frozen=True, kw_only=True)
class PhaseSettings:
    """``[material.rve.phases.NAME]``: the law of one phase of the cell."""

    kind: Literal["neo_hookean", "linear_elastic", "conductor", "j2_plasticity", "void"]
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
                f"kind {self.kind!r} takes {' and '.join(needed) or 'no constants'}{besides}; "
                f"given: {', '.join(sorted(given)) or 'none'}"
            )

    @property
    def constants(self) -> dict[str, float]:
        """The constants that were given, by name."""
        names = [f.name for f in fields(self) if f.name != "kind"]
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}


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
