"""Linear viscoelasticity at small strain: a spring beside Maxwell branches (a Prony series)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, final

import numpy as np

from fesurrogate.errors import InputError
from fesurrogate.kinematics import SYMMETRIC_PAIRS, Array, Kinematics
from fesurrogate.laws.constants import POSITIVE, Constants
from fesurrogate.laws.maxwell import dissipation_weights, relaxation
from fesurrogate.material import Material, Response, masked


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
        parameters: Names of constants that are parameters of the points instead: of
            ``shear_modulus`` and ``bulk_modulus``, ``shear_modulus_1`` and ``shear_time_1`` of the
            first shear branch, ``bulk_modulus_1`` and ``bulk_time_1`` of the first bulk branch,
            and so on. A point whose parameters are out of range fails.

    Raises:
        InputError: A constant is out of range, a parameter is none of them, or, by
            :meth:`evaluate`, dt is negative or not finite.

    Note:
        The sensitivity is that of the stress at the end of an increment from a given state.
    """

    def __init__(
        self,
        gdim: Literal[2, 3],
        *,
        shear_modulus: float,
        bulk_modulus: float,
        shear_branches: Sequence[Sequence[float]] = (),
        bulk_branches: Sequence[Sequence[float]] = (),
        parameters: Sequence[str] = (),
    ) -> None:
        values = {"shear_modulus": shear_modulus, "bulk_modulus": bulk_modulus}
        self._counts = {"shear": len(shear_branches), "bulk": len(bulk_branches)}
        for part, branches in (("shear", shear_branches), ("bulk", bulk_branches)):
            for k, (modulus, time) in enumerate(_checked(f"{part}_branches", branches), start=1):
                values |= {f"{part}_modulus_{k}": modulus, f"{part}_time_{k}": time}
        ranges = dict.fromkeys(values, POSITIVE)
        self._constants = Constants("Viscoelastic", values, ranges, parameters=parameters)
        self.parameter_names = self._constants.names
        self.parameter_ranges = self._constants.parameter_ranges
        self.kinematics = Kinematics(gdim)
        size = self.kinematics.size
        self.num_state = size * (1 + self._counts["shear"]) + self._counts["bulk"] + 1
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
        constants, ok = self._constants.at(parameters)
        ok &= np.isfinite(strain).all(axis=1) & np.isfinite(state).all(axis=1)
        safe, start = (np.where(ok[:, None], rows, 0.0) for rows in (strain, state))
        end = state.copy()
        end[ok, :size] = strain[ok]
        shear, bulk = constants["shear_modulus"].copy(), constants["bulk_modulus"].copy()
        deviator, volume = safe @ self._deviator, safe @ self._trace  # (n, m), (n,)
        change = safe - start[:, :size]
        flow, swell = change @ self._deviator, change @ self._trace
        stress, pressure = 2.0 * shear[:, None] * deviator, bulk * volume
        slopes = {"shear_modulus": 2.0 * deviator, "bulk_modulus": volume[:, None] * self._trace}
        energy = shear * self._norm(deviator, deviator) + 0.5 * bulk * volume**2
        lost = start[:, -1].copy()
        column = size
        for k in range(1, self._counts["shear"] + 1):
            modulus = constants[f"shear_modulus_{k}"]
            time = self._time(f"shear_time_{k}", constants)
            branch = slice(column, column + size)
            column += size
            old, drive = start[:, branch], 2.0 * modulus[:, None] * flow
            x: Array = np.asarray(dt / time)
            decay, gain, lag = relaxation(x)
            new = decay[:, None] * old + gain[:, None] * drive
            stress += new
            shear += gain * modulus
            energy += self._norm(new, new) / (4.0 * modulus)
            products = (self._norm(old, old), self._norm(old, drive), self._norm(drive, drive))
            lost += _weighted(dissipation_weights(x), products) / (2.0 * modulus)
            end[ok, branch] = new[ok]
            if sensitivity:
                slopes[f"shear_modulus_{k}"] = 2.0 * gain[:, None] * flow
                relaxed = (x * decay)[:, None] * old + lag[:, None] * drive
                slopes[f"shear_time_{k}"] = relaxed / time[:, None]
        for k in range(1, self._counts["bulk"] + 1):
            modulus = constants[f"bulk_modulus_{k}"]
            time = self._time(f"bulk_time_{k}", constants)
            before, load = start[:, column], modulus * swell
            x = np.asarray(dt / time)
            decay, gain, lag = relaxation(x)
            after = decay * before + gain * load
            pressure = pressure + after
            bulk += gain * modulus
            energy += after**2 / (2.0 * modulus)
            products = (before**2, before * load, load**2)
            lost += _weighted(dissipation_weights(x), products) / modulus
            end[ok, column] = after[ok]
            column += 1
            if sensitivity:
                slopes[f"bulk_modulus_{k}"] = (gain * swell)[:, None] * self._trace
                eased = (x * decay * before + lag * load) / time
                slopes[f"bulk_time_{k}"] = eased[:, None] * self._trace
        end[ok, -1] = lost[ok]
        report = {"energy": energy, "dissipation": lost}
        if size == 3:
            report["out_of_plane_stress"] = pressure - stress @ self._trace
        for values in report.values():
            values[~ok] = np.nan
        moduli = None
        if tangent:
            moduli = bulk[:, None, None] * np.outer(self._trace, self._trace)
            moduli += 2.0 * shear[:, None, None] * self._deviator
        response = Response(
            stress + pressure[:, None] * self._trace,
            moduli,
            end,
            hint.copy(),
            np.ones(n, dtype=bool),
            self._constants.columns(slopes, (n, size)) if sensitivity else None,
            report,
        )
        return masked(response, ok)

    def _time(self, name: str, constants: Mapping[str, Array]) -> Array:  # (n,) or (1,)
        """Return a relaxation time; one that is the same at all points once, to work less."""
        return constants[name] if name in self.parameter_names else constants[name][:1]

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


def _weighted(
    weights: tuple[Array, Array, Array],  # (n,) each
    products: tuple[Array, Array, Array],  # (n,) each
) -> Array:  # (n,)
    """Return A s_0 : s_0 + 2 B s_0 : d + C d : d, which rounding must not make negative."""
    a, b, c = weights
    total: Array = np.maximum(a * products[0] + 2.0 * b * products[1] + c * products[2], 0.0)
    return total
