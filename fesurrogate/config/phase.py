"""Settings of laws: of a phase of the cell, and of a law that is a Material by itself.

A law is a dataclass here that names its constants, with its kind in ``LAWS``, ``PHASES`` or both.
What makes it stands under the same kind in ``fesurrogate/build/laws.py``, and a law that is a
Material by itself has a table in ``MaterialSettings``.
"""

from __future__ import annotations

from dataclasses import MISSING, dataclass, fields, make_dataclass
from typing import TYPE_CHECKING, Any, get_type_hints

from fesurrogate.config.file import check_kind
from fesurrogate.errors import InputError

Pairs = tuple[tuple[float, float], ...]


@dataclass(frozen=True, kw_only=True)
class NeoHookeanSettings:
    """``neo_hookean``: the closed-form law."""

    shear_modulus: float
    lame: float


@dataclass(frozen=True, kw_only=True)
class OgdenSettings:
    """``ogden``: pairs of a modulus and an exponent, and the volumetric part."""

    terms: Pairs
    bulk_modulus: float


@dataclass(frozen=True, kw_only=True)
class IsotropicSettings:
    """``linear_elastic``: isotropic."""

    young: float
    poisson: float


@dataclass(frozen=True, kw_only=True)
class TransverselyIsotropicSettings:
    """``transversely_isotropic``: linear, with fibres along a direction."""

    young_along: float
    young_across: float
    shear_along: float
    poisson_along: float
    poisson_across: float
    direction: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class ViscoelasticSettings:
    """``viscoelastic``: the relaxed solid, and branches of a modulus and a relaxation time."""

    shear_modulus: float
    bulk_modulus: float
    shear_branches: Pairs = ()
    bulk_branches: Pairs = ()


@dataclass(frozen=True, kw_only=True)
class J2PlasticitySettings:
    """``j2_plasticity``: linear and Voce hardening."""

    young: float
    poisson: float
    yield_stress: float
    hardening: float = 0.0
    saturation: float = 0.0
    rate: float = 0.0


@dataclass(frozen=True, kw_only=True)
class ConductorSettings:
    """``conductor``: isotropic."""

    conductivity: float


@dataclass(frozen=True, kw_only=True)
class VoidSettings:
    """``void``: nothing."""


@dataclass(frozen=True, kw_only=True)
class LinearSettings:
    """``linear``: isotropic elasticity, or conduction under a gradient."""

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


_BOTH = {
    "neo_hookean": NeoHookeanSettings,
    "ogden": OgdenSettings,
    "transversely_isotropic": TransverselyIsotropicSettings,
    "viscoelastic": ViscoelasticSettings,
    "j2_plasticity": J2PlasticitySettings,
}
LAWS: dict[str, type] = {**_BOTH, "linear": LinearSettings}
"""Constants of the laws that are Materials by themselves, by ``kind`` of ``[material]``."""

PHASES: dict[str, type] = {
    **_BOTH,
    "linear_elastic": IsotropicSettings,
    "conductor": ConductorSettings,
    "void": VoidSettings,
}
"""Constants of the laws of phases, by ``kind``."""


@dataclass(frozen=True, kw_only=True)
class _Phase:
    """``[material.rve.phases.NAME]``: the law of one phase of the cell."""

    kind: str
    factory: dict[str, Any] | None = None  # handed to the user's factory as it is
    orientation: float | tuple[float, ...] | None = None  # of the law's axes
    rotated: bool = False  # by parameters that say the orientation

    def __post_init__(self) -> None:
        check_kind(self.kind, PHASES)
        given = set(self.constants)
        if self.rotated and self.orientation is not None:
            raise InputError("give either an orientation, or rotated = true for one a point")
        if ":" in self.kind:
            if given:
                raise InputError(
                    f"kind {self.kind!r} takes its constants in a table, factory = {{ ... }}; "
                    f"given: {', '.join(sorted(given))}"
                )
            return
        known = fields(PHASES[self.kind])
        needed = [f.name for f in known if f.default is MISSING]
        options = [f.name for f in known if f.default is not MISSING]
        if not set(needed) <= given <= {*needed, *options}:
            besides = f", and {', '.join(options)} where wanted" if options else ""
            raise InputError(
                f"kind {self.kind!r} takes {' and '.join(needed) or 'no constants'}{besides}; "
                f"given: {', '.join(sorted(given)) or 'none'}"
            )

    @property
    def constants(self) -> dict[str, Any]:
        """The constants that were given, by name."""
        names = [f.name for f in fields(self) if f.name in _CONSTANTS]
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}


_CONSTANTS = {name: kind for law in PHASES.values() for name, kind in get_type_hints(law).items()}

if TYPE_CHECKING:
    PhaseSettings = _Phase
else:
    # one flat table for all laws: the constants of each, none of them needed by all
    PhaseSettings = make_dataclass(
        "PhaseSettings",
        [(name, kind | None, None) for name, kind in _CONSTANTS.items()],
        bases=(_Phase,),
        namespace={"__module__": __name__, "__doc__": _Phase.__doc__},
        frozen=True,
        kw_only=True,
    )
