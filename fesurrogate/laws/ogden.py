"""Compressible Ogden elasticity at finite strain, in principal stretches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, final

import numpy as np

from fesurrogate.errors import InputError
from fesurrogate.kinematics import Array, Kinematics, determinant
from fesurrogate.material import Material, Response, masked

TRELOAR_RUBBER = ((0.63, 1.3), (0.0012, 5.0), (-0.01, -2.0))
"""(μ_p, α_p) in MPa of the vulcanised rubber of Treloar (1944), up to stretches of about 7.

R. W. Ogden, Proc. R. Soc. Lond. A 326 (1972) 565-584, gives μ = 6.3, 0.012 and -0.1 kg/cm²; here
as 1 kg/cm² = 0.1 MPa, as is usual (it is 0.0980665 MPa). Initial shear modulus 0.4225 MPa.
"""


@final
class Ogden(Material):
    """Compressible Ogden solid; in 2D plane strain, λ3 = 1.

    W = Σ_p μ_p/α_p (λ̄1^α_p + λ̄2^α_p + λ̄3^α_p - 3) + κ/2 (J - 1)²,  λ̄ = J^(-1/3) λ

    With the singular values λ of F = U diag(λ) Vᵀ the stress is P = U diag(∂W/∂λ) Vᵀ. Its
    derivative holds quotients of differences of ∂W/∂λ, which are evaluated without cancellation:
    equal stretches are points like any other.

    The report holds the ``energy`` W and in 2D ``out_of_plane_stress``, P_zz.

    Source: R. W. Ogden, Proc. R. Soc. Lond. A 326 (1972) 565-584; in stretches free of volume
    change J. C. Simo and R. L. Taylor, Comput. Methods Appl. Mech. Eng. 85 (1991) 273-310.

    Args:
        gdim: Space dimension.
        terms: (μ_p, α_p) for each term, μ_p in units of stress, α_p any number but 0; the initial
            shear modulus ½ Σ μ_p α_p must be > 0. :data:`TRELOAR_RUBBER` is a published choice.
        bulk_modulus: κ > 0, in units of stress.

    Raises:
        InputError: A constant is out of range.
    """

    def __init__(
        self,
        gdim: Literal[2, 3],
        *,
        terms: Sequence[Sequence[float]],
        bulk_modulus: float,
    ) -> None:
        try:
            pairs = np.array(terms, dtype=np.float64)  # (P, 2)
        except (TypeError, ValueError):  # ragged
            pairs = np.zeros((0, 0))
        if pairs.ndim != 2 or pairs.shape[1] != 2:
            raise InputError(
                f"Ogden: terms are {terms!r}; expected one or more pairs of a modulus and an "
                "exponent, for example [[0.63, 1.3], [0.0012, 5.0]]"
            )
        self._moduli, self._exponents = pairs.T.copy()  # (P,) each
        if not np.isfinite(self._moduli).all() or not (
            np.isfinite(self._exponents).all() and self._exponents.all()
        ):
            raise InputError(
                f"Ogden: terms are {terms!r}; expected finite numbers, exponents not 0"
            )
        self.shear_modulus = 0.5 * float(self._moduli @ self._exponents)
        if not self.shear_modulus > 0.0:
            raise InputError(
                f"Ogden: terms are {terms!r}, with the initial shear modulus "
                f"{self.shear_modulus!r}, half the sum of their products; expected it > 0"
            )
        if not (np.isfinite(bulk_modulus) and bulk_modulus > 0.0):
            raise InputError(
                f"Ogden: bulk_modulus is {bulk_modulus!r}; expected a finite number > 0"
            )
        self.kinematics = Kinematics(gdim, "finite")
        self.bulk_modulus = float(bulk_modulus)

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
        """Answer the closed form; rows with det F <= 0 fail, and those that overflow."""
        n, size = strain.shape
        gdim = self.kinematics.gdim
        ok = self.kinematics.admissible(strain)
        safe = np.where(ok[:, None], strain, self.kinematics.rest)
        left, values, right = np.linalg.svd(safe.reshape(n, gdim, gdim))  # U, λ, Vᵀ
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            stretch = np.ones((n, 3))
            stretch[:, :gdim] = values
            jacobian = determinant(safe, gdim)
            # each term's λ̄^α, (n, P, 3)
            powers = (stretch / np.cbrt(jacobian)[:, None])[:, None] ** self._exponents[:, None]
            mean = powers.mean(axis=2)  # (n, P)
            energy = 3.0 * (mean - 1.0) @ (self._moduli / self._exponents)
            energy += 0.5 * self.bulk_modulus * (jacobian - 1.0) ** 2
            spherical = self.bulk_modulus * jacobian * (jacobian - 1.0)
            kirchhoff = np.einsum("p,npi->ni", self._moduli, powers - mean[:, :, None])
            kirchhoff += spherical[:, None]  # τ_i = λ_i ∂W/∂λ_i
            principal = kirchhoff / stretch  # (n, 3), ∂W/∂λ
            # the matrix of a diagonal: (n, m, m), acts on components in the axes U and V
            axes = np.einsum("nia,nbJ->niJab", left, right).reshape(n, size, size)
            stress = np.einsum(
                "nkaa,na->nk", axes.reshape(n, size, gdim, gdim), principal[:, :gdim]
            )
            ok &= np.isfinite(stress).all(axis=1) & np.isfinite(energy)
            moduli = None
            if tangent:
                diagonal = self._second_derivative(stretch, jacobian, powers, kirchhoff)
                inner = self._on_axes(stretch, jacobian, powers, principal, diagonal)
                moduli = axes @ inner @ axes.swapaxes(1, 2)
                ok &= np.isfinite(moduli).all(axis=(1, 2))
        report = {"energy": np.where(ok, energy, np.nan)}
        if gdim == 2:
            report["out_of_plane_stress"] = np.where(ok, principal[:, 2], np.nan)
        response = Response(
            stress,
            moduli,
            state.copy(),
            hint.copy(),
            np.ones(n, dtype=bool),
            np.zeros((n, size, 0)) if sensitivity else None,
            report,
        )
        return masked(response, ok)

    def _second_derivative(
        self,
        stretch: Array,  # (n, 3)
        jacobian: Array,  # (n,)
        powers: Array,  # (n, P, 3)
        kirchhoff: Array,  # (n, 3)
    ) -> Array:  # (n, 3, 3)
        """Return ∂²W/∂λ_i∂λ_j = (∂τ_i/∂ln λ_j - δ_ij τ_i) / (λ_i λ_j)."""
        weighted = np.einsum("p,npi->ni", self._moduli * self._exponents, powers)
        slope = weighted.mean(axis=1)[:, None, None] / 3.0
        slope = slope - (weighted[:, :, None] + weighted[:, None, :]) / 3.0
        slope += (self.bulk_modulus * jacobian * (2.0 * jacobian - 1.0))[:, None, None]
        slope += np.eye(3) * (weighted - kirchhoff)[:, None, :]
        return slope / (stretch[:, :, None] * stretch[:, None, :])

    def _on_axes(
        self,
        stretch: Array,  # (n, 3)
        jacobian: Array,  # (n,)
        powers: Array,  # (n, P, 3)
        principal: Array,  # (n, 3), ∂W/∂λ
        diagonal: Array,  # (n, 3, 3), ∂²W/∂λ∂λ
    ) -> Array:  # (n, m, m)
        """Return ∂P/∂F on the axes U and V.

        Diagonal components by ∂²W/∂λ∂λ; off it the symmetric part of Uᵀ dF V by
        (∂_i W - ∂_j W) / (λ_i - λ_j), the skew part by (∂_i W + ∂_j W) / (λ_i + λ_j).

        Source: as the derivative of an isotropic function, R. W. Ogden, Non-linear Elastic
        Deformations, Dover 1997, chapter 6.
        """
        n, gdim = len(stretch), self.kinematics.gdim
        matrix = np.zeros((n, gdim, gdim, gdim, gdim))
        for i in range(gdim):
            for j in range(gdim):
                matrix[:, i, i, j, j] = diagonal[:, i, j]
                if i < j:
                    symmetric = self._quotient(stretch, jacobian, powers, (i, j))
                    skew = (principal[:, i] + principal[:, j]) / (stretch[:, i] + stretch[:, j])
                    matrix[:, i, j, i, j] = matrix[:, j, i, j, i] = 0.5 * (symmetric + skew)
                    matrix[:, i, j, j, i] = matrix[:, j, i, i, j] = 0.5 * (symmetric - skew)
        return matrix.reshape(n, gdim**2, gdim**2)

    def _quotient(
        self,
        stretch: Array,  # (n, 3)
        jacobian: Array,  # (n,)
        powers: Array,  # (n, P, 3)
        pair: tuple[int, int],
    ) -> Array:  # (n,)
        """Return (∂_i W - ∂_j W) / (λ_i - λ_j), also where λ_i = λ_j.

        ∂_i W = Σ μ J^(-α/3) λ_i^β + g / λ_i with β = α - 1 and a g common to all i; with
        δ = ln(λ_i / λ_j),

        (λ_i^β - λ_j^β) / (λ_i - λ_j) = (λ_i λ_j)^((β-1)/2) sinh(β δ/2) / sinh(δ/2).
        """
        first, second = stretch[:, pair[0]], stretch[:, pair[1]]
        product = first * second
        half = 0.5 * np.log(first / second)  # δ/2
        beta = self._exponents - 1.0
        ratio = beta * _sinhc(half[:, None] * beta) / _sinhc(half)[:, None]  # (n, P)
        joint = np.sqrt(powers[:, :, pair[0]] * powers[:, :, pair[1]])  # (λ̄_i λ̄_j)^(α/2)
        common = self.bulk_modulus * jacobian * (jacobian - 1.0)
        common -= powers.mean(axis=2) @ self._moduli  # g
        quotient: Array = ((joint * ratio) @ self._moduli - common) / product
        return quotient


def _sinhc(x: Array) -> Array:
    """Return sinh(x) / x, 1 at 0."""
    safe = np.where(x == 0.0, 1.0, x)
    return np.where(x == 0.0, 1.0, np.sinh(safe) / safe)
