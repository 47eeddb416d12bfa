"""Isotropic linear elasticity, whose constants may be parameters of the points."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import numpy as np

from fesurrogate.errors import InputError
from fesurrogate.kinematics import Array, Kinematics
from fesurrogate.laws.constants import POISSON, POSITIVE, Constants
from fesurrogate.laws.linear import isotropic_parts
from fesurrogate.material import Material, Response, masked


@final
class IsotropicElastic(Material):
    """Stress = λ tr(ε) 1 + 2μ ε; in 2D plane strain.

    At finite strain this is the law linearised about the identity, with ε the symmetric part of
    F - I; it is not objective. With constants that are the same everywhere it is ``Linear`` of
    ``isotropic_stiffness``.

    Args:
        kinematics: The strain measure; small or finite.
        young: Young's modulus, > 0, in units of stress.
        poisson: Poisson's ratio, in (-1, 0.5).
        parameters: Names of the constants that are parameters of the points instead. A point
            whose parameters are out of range fails.

    Raises:
        InputError: A constant is out of range, a parameter is none of them, or the measure is a
            gradient.
    """

    def __init__(
        self,
        kinematics: Kinematics,
        *,
        young: float,
        poisson: float,
        parameters: Sequence[str] = (),
    ) -> None:
        if kinematics.measure == "gradient":
            raise InputError(
                f"IsotropicElastic: {kinematics} is given; expected measure 'small' or 'finite', "
                "take Conductor for conduction"
            )
        self._constants = Constants(
            "IsotropicElastic",
            {"young": young, "poisson": poisson},
            {"young": POSITIVE, "poisson": POISSON},
            parameters=parameters,
        )
        self.parameter_names = self._constants.names
        self.parameter_ranges = self._constants.parameter_ranges
        self.kinematics = kinematics
        self._volumetric, symmetric = isotropic_parts(kinematics)
        self._deviatoric = symmetric - self._volumetric / 3.0

    def respond(
        self,
        strain: Array,  # (n, m)
        state: Array,  # (n, s)
        dt: float,
        *,
        parameters: Array,  # (n, p)
        hint: Array,  # (n, h)
        tangent: bool,
        sensitivity: bool,
    ) -> Response:
        """Answer the closed form; energy is ½ (strain - rest) · stress."""
        n, size = strain.shape
        constants, ok = self._constants.at(parameters)
        shear, bulk, by_young, by_poisson = elastic_moduli(**constants)
        ok &= self.kinematics.admissible(strain)
        offset = np.where(ok[:, None], strain - self.kinematics.rest, 0.0)
        volumetric, deviator = offset @ self._volumetric, offset @ self._deviatoric
        stress = bulk[:, None] * volumetric + 2.0 * shear[:, None] * deviator
        moduli = None
        if tangent:
            moduli = bulk[:, None, None] * self._volumetric
            moduli += 2.0 * shear[:, None, None] * self._deviatoric
        derivative = None
        if sensitivity:
            slopes = {"young": by_young, "poisson": by_poisson}
            parts = {
                name: by_bulk[:, None] * volumetric + 2.0 * by_shear[:, None] * deviator
                for name, (by_shear, by_bulk) in slopes.items()
            }
            derivative = self._constants.columns(parts, (n, size))
        energy = 0.5 * np.einsum("ni,ni->n", offset, stress)
        response = Response(
            stress,
            moduli,
            state.copy(),
            hint.copy(),
            np.ones(n, dtype=bool),
            derivative,
            {"energy": np.where(ok, energy, np.nan)},
        )
        return masked(response, ok)


def elastic_moduli(
    young: Array,  # (n,)
    poisson: Array,  # (n,)
) -> tuple[Array, Array, tuple[Array, Array], tuple[Array, Array]]:  # (n,) each
    """Return μ and κ, their derivatives by Young's modulus, and those by Poisson's ratio."""
    one, two = 1.0 + poisson, 1.0 - 2.0 * poisson
    shear, bulk = young / (2.0 * one), young / (3.0 * two)
    return shear, bulk, (shear / young, bulk / young), (-shear / one, 2.0 * bulk / two)
