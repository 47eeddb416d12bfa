"""Phases of a cell: stored-energy densities in UFL, with constants that need no recompilation.

A constant may also be a parameter of the cell, with a value a point: see
:class:`fesurrogate.micro.rve.RVEMaterial`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import ufl

from fesurrogate.errors import InputError


@dataclass(frozen=True)
class Phase:
    """A hyperelastic (or linear) phase.

    Attributes:
        energy: Energy density as a UFL expression, called as ``energy(strain, **constants)``.
            ``strain`` is the tensor of the measure: F at finite strain, the symmetric ε at small
            strain, the gradient g. In 2D it is (2, 2): plane strain is the energy's business; in
            a prismatic cell it is (3, 3).
        constants: Values by name; each reaches the energy as a DOLFINx ``Constant``.
        check: Called as ``check(**constants)``; raises InputError where a value is out of range.

    Raises:
        InputError: A constant is out of range, or the energy does not take them.
    """

    energy: Callable[..., Any]
    constants: Mapping[str, float] = field(default_factory=dict)
    check: Callable[..., None] = lambda **constants: None

    def __post_init__(self) -> None:
        form = inspect.signature(self.energy)
        try:
            form.bind(None, **self.constants)
        except TypeError as error:
            raise InputError(
                f"Phase: energy takes {form}, but it is called as energy(strain, **constants) with "
                f"the constants {', '.join(self.constants) or '(none)'} ({error}); give it these "
                "arguments"
            ) from error
        self.check(**self.constants)


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

    def check(*, shear_modulus: float, lame: float) -> None:
        _require_positive("shear_modulus", shear_modulus)
        if not 0 <= lame < np.inf:
            raise InputError(f"lame is {lame}; expected a number >= 0")

    def energy(F: Any, shear_modulus: Any, lame: Any) -> Any:
        J = ufl.det(F)
        trace = ufl.tr(F.T * F) + (3 - F.ufl_shape[0])
        return shear_modulus / 2 * (trace - 3 - 2 * ufl.ln(J)) + lame / 2 * ufl.ln(J) ** 2

    return Phase(energy, {"shear_modulus": shear_modulus, "lame": lame}, check)


def linear_elastic(*, young: float, poisson: float) -> Phase:
    """Return W = λ/2 (tr ε)² + μ ε : ε (small strain; plane strain in 2D).

    Args:
        young: Young's modulus > 0 (stress units).
        poisson: Poisson's ratio in (-1, 0.5).

    Raises:
        InputError: A constant is out of range.
    """

    def check(*, young: float, poisson: float) -> None:
        _require_positive("young", young)
        if not -1 < poisson < 0.5:
            raise InputError(f"poisson is {poisson}; expected a number between -1 and 0.5")

    def energy(strain: Any, young: Any, poisson: Any) -> Any:
        shear_modulus = young / (2 * (1 + poisson))
        lame = young * poisson / ((1 + poisson) * (1 - 2 * poisson))
        return lame / 2 * ufl.tr(strain) ** 2 + shear_modulus * ufl.inner(strain, strain)

    return Phase(energy, {"young": young, "poisson": poisson}, check)


def conductor(*, conductivity: float) -> Phase:
    """Return W = k/2 |g|², whose derivative by the gradient g is k g.

    Args:
        conductivity: k > 0.

    Raises:
        InputError: The conductivity is not positive.
    """

    def check(*, conductivity: float) -> None:
        _require_positive("conductivity", conductivity)

    def energy(g: Any, conductivity: Any) -> Any:
        return conductivity / 2 * ufl.inner(g, g)

    return Phase(energy, {"conductivity": conductivity}, check)


def _require_positive(name: str, value: float) -> None:
    if not 0 < value < np.inf:
        raise InputError(f"{name} is {value}; expected a number > 0")
