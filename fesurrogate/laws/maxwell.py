"""An increment of a Maxwell branch in closed form, for the generalised Maxwell solid.

On the way through an increment of constant strain rate the stress of a branch is
s(t) = E s_0 + (1 - E) d / x, with E = exp(-t/τ), x = dt / τ and the drive d = 2 G Δe.
"""

from __future__ import annotations

from math import factorial

import numpy as np

from fesurrogate.kinematics import Array

SMALL = 0.25  # where series take over from differences that cancel
TERMS = 12  # of a series: the first one left out is below 1e-15 of the sum


def relaxation(
    x: Array,  # (n,), dt / relaxation time
) -> tuple[Array, Array, Array]:  # (n,) each
    """Return E = exp(-x), φ = (1 - E) / x, and φ - E = -x dφ/dx, which vanishes with x.

    The stress at the end is E s_0 + φ d; by the relaxation time its derivative is
    (x E s_0 + (φ - E) d) / τ.
    """
    decay, safe = np.exp(-x), np.where(x > 0.0, x, 1.0)
    gain = np.where(x > 0.0, -np.expm1(-x) / safe, 1.0)
    lag = _series([(-1.0) ** (k + 1) * k / factorial(k + 1) for k in range(TERMS)], x)
    return decay, gain, np.where(x < SMALL, lag, gain - decay)


def dissipation_weights(
    x: Array,  # (n,), dt / relaxation time
) -> tuple[Array, Array, Array]:  # (n,) each
    """Return the weights of s_0 : s_0, 2 s_0 : d and d : d in ∫ s : s dt / τ of the increment.

    A = (1 - exp(-2x)) / 2,  B = (1 - exp(-x))² / (2x),
    C = (x - 2 (1 - exp(-x)) + (1 - exp(-2x)) / 2) / x²

    with C from its series where the terms cancel.
    """
    rise, twice = -np.expm1(-x), -0.5 * np.expm1(-2.0 * x)
    safe = np.where(x < SMALL, 1.0, x)
    powers = [(2.0 - 2.0 ** (k - 1)) * (-1.0) ** k / factorial(k) for k in range(2, 3 + TERMS)]
    third = np.where(x < SMALL, _series(powers, x), (safe - 2.0 * rise + twice) / safe**2)
    return twice, 0.5 * rise * relaxation(x)[1], third


def _series(
    coefficients: list[float],
    x: Array,  # (n,)
) -> Array:  # (n,)
    """Return Σ c_k x^k by Horner's rule; nothing of use above SMALL."""
    small = np.minimum(x, SMALL)
    total = np.full_like(x, coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        total *= small
        total += coefficient
    return total
