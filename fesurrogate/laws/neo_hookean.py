"""Compressible neo-Hookean elasticity at finite strain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, final

import numpy as np

from fesurrogate.errors import InputError
from fesurrogate.kinematics import Array, Kinematics, determinant
from fesurrogate.laws.constants import NOT_NEGATIVE, POSITIVE, Constants
from fesurrogate.material import Material, Response, masked

RANGES = {"shear_modulus": POSITIVE, "bulk_modulus": POSITIVE, "lame": NOT_NEGATIVE}


@final
class NeoHookean(Material):
    """Compressible neo-Hookean solid; in 2D plane strain, F33 = 1.

    W = μ/2 (I1 - 3 - 2 ln J) + λ/2 (ln J)²

    P = μ (F - F⁻ᵀ) + λ ln J F⁻ᵀ

    Source: J. Bonet and R. D. Wood, Nonlinear Continuum Mechanics for Finite Element Analysis,
    2nd ed., Cambridge University Press 2008, eq. 6.27.

    Args:
        gdim: Space dimension.
        shear_modulus: μ > 0.
        bulk_modulus: κ = λ + 2μ/3 of the undeformed solid, > 2μ/3; give this or ``lame``.
        lame: λ >= 0; give this or ``bulk_modulus``.
        parameters: Names of the moduli given that are parameters of the points instead. A point
            whose parameters are out of range fails.

    Raises:
        InputError: A modulus is missing, given twice or out of range, or a parameter is none of
            those given.
    """

    def __init__(
        self,
        gdim: Literal[2, 3],
        *,
        shear_modulus: float,
        bulk_modulus: float | None = None,
        lame: float | None = None,
        parameters: Sequence[str] = (),
    ) -> None:
        if (bulk_modulus is None) == (lame is None):
            raise InputError("NeoHookean: give exactly one of bulk_modulus and lame")
        given = {"shear_modulus": shear_modulus, "bulk_modulus": bulk_modulus, "lame": lame}
        values = {name: value for name, value in given.items() if value is not None}
        self._constants = Constants("NeoHookean", values, RANGES, parameters=parameters)
        self.parameter_names = self._constants.names
        self.parameter_ranges = self._constants.parameter_ranges
        if bulk_modulus is not None and not bulk_modulus >= 2.0 * shear_modulus / 3.0:
            raise InputError(
                f"NeoHookean: bulk_modulus is {bulk_modulus!r}; expected at least "
                f"2/3 shear_modulus = {2.0 * shear_modulus / 3.0!r}"
            )
        self.kinematics = Kinematics(gdim, "finite")

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
        """Answer the closed form; rows with det F <= 0 fail."""
        n, size = strain.shape
        gdim = self.kinematics.gdim
        constants, ok = self._constants.at(parameters)
        mu, by_bulk = constants["shear_modulus"], "bulk_modulus" in constants
        lame = constants["bulk_modulus"] - 2.0 * mu / 3.0 if by_bulk else constants["lame"]
        ok &= self.kinematics.admissible(strain) & (lame >= 0.0)
        safe = np.where(ok[:, None], strain, self.kinematics.rest)
        gradient = safe.reshape(n, gdim, gdim)
        jacobian = determinant(safe, gdim)
        log_jacobian = np.log(jacobian)
        inverse = cofactor(gradient) / jacobian[:, None, None]  # (n, d, d), F⁻ᵀ
        pressure = (lame * log_jacobian - mu)[:, None, None]
        stress = mu[:, None, None] * gradient + pressure * inverse
        invariant = np.einsum("ni,ni->n", safe, safe) - gdim  # I1 - 3
        energy = 0.5 * mu * (invariant - 2.0 * log_jacobian) + 0.5 * lame * log_jacobian**2
        derivative = None
        if sensitivity:
            by_lame = (log_jacobian[:, None, None] * inverse).reshape(n, size)
            by_shear = (gradient - inverse).reshape(n, size)
            if by_bulk:
                by_shear -= 2.0 / 3.0 * by_lame
            parts = {"shear_modulus": by_shear, "lame": by_lame, "bulk_modulus": by_lame}
            derivative = self._constants.columns(parts, (n, size))
        response = Response(
            stress.reshape(n, size),
            self._tangent(inverse, pressure, mu, lame) if tangent else None,
            state.copy(),
            hint.copy(),
            np.ones(n, dtype=bool),
            derivative,
            {"energy": np.where(ok, energy, np.nan)},
        )
        return masked(response, ok)

    def _tangent(
        self,
        inverse: Array,  # (n, d, d), F⁻ᵀ
        pressure: Array,  # (n, 1, 1), λ ln J - μ
        mu: Array,  # (n,)
        lame: Array,  # (n,)
    ) -> Array:  # (n, m, m)
        """Return μ δ_ik δ_JL + λ F⁻ᵀ_iJ F⁻ᵀ_kL - (λ ln J - μ) F⁻ᵀ_kJ F⁻ᵀ_iL."""
        n, size = len(inverse), self.kinematics.size
        flat = inverse.reshape(n, size)
        direct = flat[:, :, None] * (lame[:, None] * flat)[:, None, :]
        crossed = np.einsum("nkJ,niL->niJkL", inverse, pressure * inverse).reshape(n, size, size)
        return direct - crossed + mu[:, None, None] * np.eye(size)


def cofactor(
    tensor: Array,  # (n, d, d)
) -> Array:  # (n, d, d)
    """Return J F⁻ᵀ, which needs no division."""
    if tensor.shape[1] == 2:
        a, b, c, d = tensor.reshape(-1, 4).T
        return np.stack([d, -c, -b, a], axis=1).reshape(-1, 2, 2)
    rows = [np.cross(tensor[:, (i + 1) % 3], tensor[:, (i + 2) % 3]) for i in range(3)]
    return np.stack(rows, axis=1)
