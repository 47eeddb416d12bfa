"""Phases of a cell: stored-energy densities in UFL, with constants that need no recompilation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import ufl

from fesurrogate.errors import InputError


@dataclass(frozen=True)
class Phase:
    """A hyperelastic (or linear) phase.

    Attributes:
        energy: Energy density as a UFL expression, called as ``energy(strain, **constants)``.
            ``strain`` is the tensor of the measure: F at finite strain, the symmetric ε at small
            strain, the gradient g. In 2D it is (2, 2): plane strain is the energy's business.
        constants: Values by name; each reaches the energy as a DOLFINx ``Constant``.
    """

    energy: Callable[..., Any]
    constants: Mapping[str, float] = field(default_factory=dict)


def neo_hookean(*, shear_modulus: float, lame: float) -> Phase:
    """Return W = μ/2 (I₁ - 3 - 2 ln J) + λ/2 (ln J)², plane strain in 2D.

    Source: Bonet and Wood, Nonlinear Continuum Mechanics for Finite Element Analysis (2008),
    eq. 6.27.

    Args:
        shear_modulus: μ > 0 at rest (stress units).
        lame: λ ≥ 0, first Lamé constant at rest (stress units).

    Raises:
        InputError: A constant is out of range.
    """
    _require_positive("shear_modulus", shear_modulus)
    if not lame >= 0:
        raise InputError(f"lame is {lame}; expected a number >= 0")

    def energy(F: Any, mu: Any, lam: Any) -> Any:
        J = ufl.det(F)
        trace = ufl.tr(F.T * F) + (3 - F.ufl_shape[0])
        return mu / 2 * (trace - 3 - 2 * ufl.ln(J)) + lam / 2 * ufl.ln(J) ** 2

    return Phase(energy, {"mu": shear_modulus, "lam": lame})


def linear_elastic(*, young: float, poisson: float) -> Phase:
    """Return W = λ/2 (tr ε)² + μ ε : ε (small strain; plane strain in 2D).

    Args:
        young: Young's modulus > 0 (stress units).
        poisson: Poisson's ratio in (-1, 0.5).

    Raises:
        InputError: A constant is out of range.
    """
    _require_positive("young", young)
    if not -1 < poisson < 0.5:
        raise InputError(f"poisson is {poisson}; expected a number between -1 and 0.5")
    mu = young / (2 * (1 + poisson))
    lam = young * poisson / ((1 + poisson) * (1 - 2 * poisson))

    def energy(strain: Any, mu: Any, lam: Any) -> Any:
        return lam / 2 * ufl.tr(strain) ** 2 + mu * ufl.inner(strain, strain)

    return Phase(energy, {"mu": mu, "lam": lam})


def conductor(*, conductivity: float) -> Phase:
    """Return W = k/2 |g|², whose derivative by the gradient g is k g.

    Args:
        conductivity: k > 0.

    Raises:
        InputError: The conductivity is not positive.
    """
    _require_positive("conductivity", conductivity)
    return Phase(lambda g, k: k / 2 * ufl.inner(g, g), {"k": conductivity})


def _require_positive(name: str, value: float) -> None:
    if not value > 0:
        raise InputError(f"{name} is {value}; expected a number > 0")
