"""Linear viscoelasticity at small strain: a spring beside Maxwell branches (a Prony series)."""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, expm1, factorial
from typing import Literal, final

import numpy as np

from fesurrogate.errors import InputError
from fesurrogate.kinematics import SYMMETRIC_PAIRS, Array, BoolArray, Kinematics
from fesurrogate.material import Material, Response, masked

TERMS = 20  # of the series below dt = relaxation time: the first one left out is below 1e-17


@final
class Viscoelastic(Material):
    """Isotropic generalised Maxwell solid; in 2D plane strain.

    σ = (κ tr ε + Σ p_j) 1 + 2μ dev ε + Σ s_i

    ṡ_i + s_i / τ_i = 2 G_i dev ε̇,  ṗ_j + p_j / τ_j = K_j tr ε̇

    so that after a step of strain the shear modulus relaxes as μ + Σ G_i exp(-t / τ_i), and the
    bulk modulus likewise. In an increment the strain rate is constant, and the branches are
    integrated exactly:

    s_i -> exp(-x) s_i + 2 G_i φ dev Δε,  φ = (1 - exp(-x)) / x,  x = dt / τ_i

    which is stable for any dt and of second order for a rate that varies. A state row holds the
    strain of the last accepted increment, the components of s_i branch by branch (in 2D those in
    the plane), each p_j, and what was dissipated. The report holds

    - ``energy``: free energy of all springs, per volume;
    - ``dissipation``: what the dashpots have dissipated since the virgin state, per volume;
    - ``out_of_plane_stress``: σ_zz (2D only).

    Source: R. L. Taylor, K. S. Pister and G. L. Goudreau, Int. J. Numer. Methods Eng. 2 (1970)
    45-59; J. C. Simo and T. J. R. Hughes, Computational Inelasticity, Springer 1998, chapter 10.

    Args:
        gdim: Space dimension.
        shear_modulus: μ > 0 of the relaxed solid, in units of stress.
        bulk_modulus: κ > 0 of the relaxed solid, in units of stress.
        shear_branches: (G_i, τ_i) for each branch, modulus > 0 and relaxation time > 0.
        bulk_branches: (K_j, τ_j) likewise.

    Raises:
        InputError: A constant is out of range, or, by :meth:`evaluate`, dt is negative or not
            finite.
    """

    def __init__(
        self,
        gdim: Literal[2, 3],
        *,
        shear_modulus: float,
        bulk_modulus: float,
        shear_branches: Sequence[Sequence[float]] = (),
        bulk_branches: Sequence[Sequence[float]] = (),
    ) -> None:
        moduli = {"shear_modulus": shear_modulus, "bulk_modulus": bulk_modulus}
        for name, value in moduli.items():
            if not (np.isfinite(value) and value > 0.0):
                raise InputError(f"Viscoelastic: {name} is {value!r}; expected a finite number > 0")
        self.kinematics = Kinematics(gdim)
        self.shear_modulus, self.bulk_modulus = float(shear_modulus), float(bulk_modulus)
        self.shear_branches = _checked("shear_branches", shear_branches)
        self.bulk_branches = _checked("bulk_branches", bulk_branches)
        size = self.kinematics.size
        self.num_state = size * (1 + len(self.shear_branches)) + len(self.bulk_branches) + 1
        solid = SYMMETRIC_PAIRS[3]
        columns = [solid.index(pair) for pair in SYMMETRIC_PAIRS[gdim]]
        self._trace = np.array([1.0, 1.0, 1.0, 0.0, 0.0, 0.0])[columns]  # (m,)
        self._deviator = np.eye(size) - np.outer(self._trace, self._trace) / 3.0  # (m, m)
        self._square = np.eye(size)  # (m, m), s : s = s · square s for the deviator s
        if gdim == 2:
            self._square += np.outer(self._trace, self._trace)  # s_zz = -(s_xx + s_yy)

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
        """Answer one exact update of each branch."""
        if not (np.isfinite(dt) and dt >= 0.0):
            raise InputError(f"Viscoelastic: dt is {dt!r}; expected a finite number >= 0")
        n, size = strain.shape
        ok: BoolArray = np.asarray(np.isfinite(strain).all(axis=1), dtype=np.bool_)
        ok &= np.isfinite(state).all(axis=1)
        safe, start = (np.where(ok[:, None], rows, 0.0) for rows in (strain, state))
        end = state.copy()
        end[ok, :size] = strain[ok]
        shear, bulk = self.shear_modulus, self.bulk_modulus  # of this increment, in the end
        deviator, volume = safe @ self._deviator, safe @ self._trace  # (n, m), (n,)
        change = safe - start[:, :size]
        flow, swell = change @ self._deviator, change @ self._trace
        stress, pressure = 2.0 * shear * deviator, bulk * volume
        energy = shear * self._norm(deviator, deviator) + 0.5 * bulk * volume**2
        lost = start[:, -1].copy()
        column = size
        for modulus, time in self.shear_branches:
            branch = slice(column, column + size)
            column += size
            old, drive = start[:, branch], 2.0 * modulus * flow
            decay, gain, weights = _increment(dt / time)
            new = decay * old + gain * drive
            stress += new
            shear += gain * modulus
            energy += self._norm(new, new) / (4.0 * modulus)
            products = (self._norm(old, old), self._norm(old, drive), self._norm(drive, drive))
            lost += _weighted(weights, products) / (2.0 * modulus)
            end[ok, branch] = new[ok]
        for modulus, time in self.bulk_branches:
            before, load = start[:, column], modulus * swell
            decay, gain, weights = _increment(dt / time)
            after = decay * before + gain * load
            pressure = pressure + after
            bulk += gain * modulus
            energy += after**2 / (2.0 * modulus)
            lost += _weighted(weights, (before**2, before * load, load**2)) / modulus
            end[ok, column] = after[ok]
            column += 1
        end[ok, -1] = lost[ok]
        report = {"energy": energy, "dissipation": lost}
        if size == 3:
            report["out_of_plane_stress"] = pressure - stress @ self._trace
        for values in report.values():
            values[~ok] = np.nan
        moduli = None
        if tangent:
            matrix = bulk * np.outer(self._trace, self._trace) + 2.0 * shear * self._deviator
            moduli = np.broadcast_to(matrix, (n, size, size)).copy()
        response = Response(
            stress + pressure[:, None] * self._trace,
            moduli,
            end,
            hint.copy(),
            np.ones(n, dtype=bool),
            np.zeros((n, size, 0)) if sensitivity else None,
            report,
        )
        return masked(response, ok)

    def _norm(
        self,
        left: Array,  # (n, m), deviators
        right: Array,  # (n, m)
    ) -> Array:  # (n,)
        """Return left : right, with the component out of the plane in 2D."""
        product: Array = np.einsum("ni,ni->n", left @ self._square, right)
        return product


def _checked(
    name: str,
    branches: Sequence[Sequence[float]],
) -> tuple[tuple[float, float], ...]:
    """Return branches as pairs of numbers, or refuse them."""
    pairs = []
    for number, branch in enumerate(branches):
        values = np.array(branch, dtype=np.float64)
        if values.shape != (2,) or not (np.isfinite(values).all() and (values > 0.0).all()):
            raise InputError(
                f"Viscoelastic: {name}[{number}] is {branch!r}; expected a modulus and a "
                "relaxation time, both finite and > 0"
            )
        pairs.append((float(values[0]), float(values[1])))
    return tuple(pairs)


def _increment(
    x: float,  # dt / relaxation time
) -> tuple[float, float, tuple[float, float, float]]:
    """Return exp(-x), φ, and the weights of the dissipation of an increment.

    On the way the stress of a branch is s(t) = E s_0 + (1 - E) d / x with E = exp(-t/τ) and the
    drive d = 2 G Δe. The weights of s_0 : s_0, 2 s_0 : d and d : d in ∫ s : s dt / τ are

    A = (1 - exp(-2x)) / 2,  B = (1 - exp(-x))² / (2x),
    C = (x - 2 (1 - exp(-x)) + (1 - exp(-2x)) / 2) / x²

    with C from its series where the terms cancel.
    """
    if x == 0.0:
        return 1.0, 1.0, (0.0, 0.0, 0.0)
    rise = -expm1(-x)
    if x < 1.0:
        third = sum(
            (-x) ** (k - 2) * (2.0 - 2.0 ** (k - 1)) / factorial(k) for k in range(3, 3 + TERMS)
        )
    else:
        third = (x - 2.0 * rise - 0.5 * expm1(-2.0 * x)) / x**2
    return exp(-x), rise / x, (-0.5 * expm1(-2.0 * x), 0.5 * rise**2 / x, third)


def _weighted(
    weights: tuple[float, float, float],
    products: tuple[Array, Array, Array],  # (n,) each
) -> Array:  # (n,)
    """Return A s_0 : s_0 + 2 B s_0 : d + C d : d, which rounding must not make negative."""
    a, b, c = weights
    total: Array = np.maximum(a * products[0] + 2.0 * b * products[1] + c * products[2], 0.0)
    return total
