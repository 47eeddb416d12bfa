"""Compressible Ogden elasticity at finite strain, in principal stretches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, final

import numpy as np

from fesurrogate.errors import InputError
from fesurrogate.kinematics import Array, Kinematics, determinant
from fesurrogate.laws.constants import POSITIVE, Constants, Range
from fesurrogate.material import Material, Response, masked

TRELOAR_RUBBER = ((0.63, 1.3), (0.0012, 5.0), (-0.01, -2.0))
"""(μ_p, α_p) in MPa of the vulcanised rubber of Treloar (1944), up to stretches of about 7.

R. W. Ogden, Proc. R. Soc. Lond. A 326 (1972) 565-584, gives μ = 6.3, 0.012 and -0.1 kg/cm²; here
as 1 kg/cm² = 0.1 MPa, as is usual (it is 0.0980665 MPa). Initial shear modulus 0.4225 MPa.
"""

FINITE = Range("a finite number", -np.inf)


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
        parameters: Names of constants that are parameters of the points instead: of
            ``bulk_modulus``, ``modulus_1`` and ``exponent_1`` of the first term, and so on. A
            point whose constants are out of range fails.

    Raises:
        InputError: A constant is out of range, or a parameter is none of them.
    """

    def __init__(
        self,
        gdim: Literal[2, 3],
        *,
        terms: Sequence[Sequence[float]],
        bulk_modulus: float,
        parameters: Sequence[str] = (),
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
        moduli, exponents = pairs.T  # (P,) each
        if not np.isfinite(pairs).all() or not exponents.all():
            raise InputError(
                f"Ogden: terms are {terms!r}; expected finite numbers, exponents not 0"
            )
        self.shear_modulus = 0.5 * float(moduli @ exponents)
        if not self.shear_modulus > 0.0:
            raise InputError(
                f"Ogden: terms are {terms!r}, with the initial shear modulus "
                f"{self.shear_modulus!r}, half the sum of their products; expected it > 0"
            )
        values, ranges = {"bulk_modulus": bulk_modulus}, {"bulk_modulus": POSITIVE}
        for k in range(1, len(pairs) + 1):
            values |= {f"modulus_{k}": moduli[k - 1], f"exponent_{k}": exponents[k - 1]}
            ranges |= {f"modulus_{k}": FINITE, f"exponent_{k}": FINITE}
        self._terms = range(1, len(pairs) + 1)
        self._constants = Constants("Ogden", values, ranges, parameters=parameters)
        self.parameter_names = self._constants.names
        self.parameter_ranges = self._constants.parameter_ranges
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
        """Answer the closed form; rows with det F <= 0 fail, and those that overflow."""
        n, size = strain.shape
        gdim = self.kinematics.gdim
        constants, ok = self._constants.at(parameters)
        bulk = constants["bulk_modulus"]
        moduli, exponents = (
            np.stack([constants[f"{name}_{k}"] for k in self._terms], axis=1)
            for name in ("modulus", "exponent")
        )  # (n, P) each
        ok &= self.kinematics.admissible(strain)
        ok &= (exponents != 0.0).all(axis=1) & (np.einsum("np,np->n", moduli, exponents) > 0.0)
        safe = np.where(ok[:, None], strain, self.kinematics.rest)
        left, values, right = np.linalg.svd(safe.reshape(n, gdim, gdim))  # U, λ, Vᵀ
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            stretch = np.ones((n, 3))
            stretch[:, :gdim] = values
            jacobian = determinant(safe, gdim)
            isochoric = stretch / np.cbrt(jacobian)[:, None]  # (n, 3), λ̄
            powers = isochoric[:, None] ** exponents[:, :, None]  # (n, P, 3), λ̄^α
            mean = powers.mean(axis=2)  # (n, P)
            energy = 3.0 * np.einsum("np,np->n", mean - 1.0, moduli / exponents)
            energy += 0.5 * bulk * (jacobian - 1.0) ** 2
            swelling = jacobian * (jacobian - 1.0)
            kirchhoff = np.einsum("np,npi->ni", moduli, powers - mean[:, :, None])
            kirchhoff += (bulk * swelling)[:, None]  # τ_i = λ_i ∂W/∂λ_i
            principal = kirchhoff / stretch  # (n, 3), ∂W/∂λ
            # the matrix of a diagonal: (n, m, m), acts on components in the axes U and V
            axes = np.einsum("nia,nbJ->niJab", left, right).reshape(n, size, size)
            # of principal values: (n, m, d)
            tensor = np.einsum("nkaa->nka", axes.reshape(n, size, gdim, gdim))
            stress = np.einsum("nka,na->nk", tensor, principal[:, :gdim])
            ok &= np.isfinite(stress).all(axis=1) & np.isfinite(energy)
            tangents, derivative = None, None
            if tangent:
                at = _Point(stretch, jacobian, powers, moduli, exponents, bulk)
                diagonal = _second_derivative(at, kirchhoff)
                inner = _on_axes(at, principal, diagonal, gdim)
                tangents = axes @ inner @ axes.swapaxes(1, 2)
                ok &= np.isfinite(tangents).all(axis=(1, 2))
            if sensitivity:
                grown = moduli[:, :, None] * powers * np.log(isochoric)[:, None]
                slopes = {"bulk_modulus": np.broadcast_to(swelling[:, None], (n, 3))}
                for k in self._terms:
                    part, growth = powers[:, k - 1], grown[:, k - 1]  # (n, 3)
                    slopes[f"modulus_{k}"] = part - part.mean(axis=1, keepdims=True)
                    slopes[f"exponent_{k}"] = growth - growth.mean(axis=1, keepdims=True)
                parts = {
                    name: np.einsum("nka,na->nk", tensor, (slope / stretch)[:, :gdim])
                    for name, slope in slopes.items()
                }
                derivative = self._constants.columns(parts, (n, size))
        report = {"energy": np.where(ok, energy, np.nan)}
        if gdim == 2:
            report["out_of_plane_stress"] = np.where(ok, principal[:, 2], np.nan)
        response = Response(
            stress,
            tangents,
            state.copy(),
            hint.copy(),
            np.ones(n, dtype=bool),
            derivative,
            report,
        )
        return masked(response, ok)


@dataclass(frozen=True)
class _Point:
    """Stretches of the points and their constants."""

    stretch: Array  # (n, 3)
    jacobian: Array  # (n,)
    powers: Array  # (n, P, 3), λ̄^α
    moduli: Array  # (n, P)
    exponents: Array  # (n, P)
    bulk_modulus: Array  # (n,)


def _second_derivative(
    at: _Point,
    kirchhoff: Array,  # (n, 3)
) -> Array:  # (n, 3, 3)
    """Return ∂²W/∂λ_i∂λ_j = (∂τ_i/∂ln λ_j - δ_ij τ_i) / (λ_i λ_j)."""
    weighted = np.einsum("np,npi->ni", at.moduli * at.exponents, at.powers)
    slope = weighted.mean(axis=1)[:, None, None] / 3.0
    slope = slope - (weighted[:, :, None] + weighted[:, None, :]) / 3.0
    slope += (at.bulk_modulus * at.jacobian * (2.0 * at.jacobian - 1.0))[:, None, None]
    slope += np.eye(3) * (weighted - kirchhoff)[:, None, :]
    return slope / (at.stretch[:, :, None] * at.stretch[:, None, :])


def _on_axes(
    at: _Point,
    principal: Array,  # (n, 3), ∂W/∂λ
    diagonal: Array,  # (n, 3, 3), ∂²W/∂λ∂λ
    gdim: int,
) -> Array:  # (n, m, m)
    """Return ∂P/∂F on the axes U and V.

    Diagonal components by ∂²W/∂λ∂λ; off it the symmetric part of Uᵀ dF V by
    (∂_i W - ∂_j W) / (λ_i - λ_j), the skew part by (∂_i W + ∂_j W) / (λ_i + λ_j).

    Source: as the derivative of an isotropic function, R. W. Ogden, Non-linear Elastic
    Deformations, Dover 1997, chapter 6.
    """
    n, stretch = len(principal), at.stretch
    matrix = np.zeros((n, gdim, gdim, gdim, gdim))
    for i in range(gdim):
        for j in range(gdim):
            matrix[:, i, i, j, j] = diagonal[:, i, j]
            if i < j:
                symmetric = _quotient(at, (i, j))
                skew = (principal[:, i] + principal[:, j]) / (stretch[:, i] + stretch[:, j])
                matrix[:, i, j, i, j] = matrix[:, j, i, j, i] = 0.5 * (symmetric + skew)
                matrix[:, i, j, j, i] = matrix[:, j, i, i, j] = 0.5 * (symmetric - skew)
    return matrix.reshape(n, gdim**2, gdim**2)


def _quotient(
    at: _Point,
    pair: tuple[int, int],
) -> Array:  # (n,)
    """Return (∂_i W - ∂_j W) / (λ_i - λ_j), also where λ_i = λ_j.

    ∂_i W = Σ μ J^(-α/3) λ_i^β + g / λ_i with β = α - 1 and a g common to all i; with
    δ = ln(λ_i / λ_j),

    (λ_i^β - λ_j^β) / (λ_i - λ_j) = (λ_i λ_j)^((β-1)/2) sinh(β δ/2) / sinh(δ/2).
    """
    first, second = at.stretch[:, pair[0]], at.stretch[:, pair[1]]
    half = 0.5 * np.log(first / second)  # δ/2
    beta = at.exponents - 1.0  # (n, P)
    ratio = beta * _sinhc(half[:, None] * beta) / _sinhc(half)[:, None]
    joint = np.sqrt(at.powers[:, :, pair[0]] * at.powers[:, :, pair[1]])  # (λ̄_i λ̄_j)^(α/2)
    common = at.bulk_modulus * at.jacobian * (at.jacobian - 1.0)
    common -= np.einsum("np,np->n", at.powers.mean(axis=2), at.moduli)  # g
    quotient: Array = np.einsum("np,np->n", joint * ratio, at.moduli) - common
    return quotient / (first * second)


def _sinhc(x: Array) -> Array:
    """Return sinh(x) / x, 1 at 0."""
    safe = np.where(x == 0.0, 1.0, x)
    return np.where(x == 0.0, 1.0, np.sinh(safe) / safe)
