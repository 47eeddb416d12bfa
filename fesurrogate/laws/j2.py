"""J2 (von Mises) plasticity with isotropic hardening at small strain."""

from __future__ import annotations

from typing import Literal, final

import numpy as np

from fesurrogate.errors import InputError
from fesurrogate.kinematics import SYMMETRIC_PAIRS, Array, BoolArray, Kinematics
from fesurrogate.material import Material, Response, masked

YIELD_TOLERANCE = 1e-12  # of the yield stress: a point held on the surface stays elastic
NEWTON_TOLERANCE = 1e-14  # of the excess of the trial stress; round-off is about 1e-15
NEWTON_STEPS = 50
TRACE = np.array([1.0, 1.0, 1.0, 0.0, 0.0, 0.0])  # Mandel components of the identity tensor


@final
class J2Plasticity(Material):
    """Von Mises plasticity with linear and Voce isotropic hardening; in 2D plane strain.

    σ = κ tr(ε) 1 + 2μ dev(ε - εᵖ)

    √(3/2) |dev σ| <= yield_stress + hardening α + saturation (1 - exp(-rate α))

    with the associated flow rule, α̇ = √(2/3) |ε̇ᵖ|. One backward Euler step an increment (radial
    return) and its algorithmic tangent; ``dt`` has no influence.

    A state row holds the Mandel components ``[xx, yy, zz, √2 yz, √2 xz, √2 xy]`` of the plastic
    strain, also in 2D, and the accumulated plastic strain α. The report holds

    - ``energy``: elastic plus stored by hardening, per volume;
    - ``dissipation``: yield_stress α, dissipated since the virgin state, per volume;
    - ``plastic_strain``: α;
    - ``out_of_plane_stress``: σ_zz (2D only).

    Source: J. C. Simo and T. J. R. Hughes, Computational Inelasticity, Springer 1998, Box 3.2,
    there with ‖dev σ‖ and Δγ = √(3/2) Δα.

    Args:
        gdim: Space dimension.
        young: Young's modulus, > 0, in units of stress.
        poisson: Poisson's ratio, in (-1, 0.5).
        yield_stress: Initial yield stress in uniaxial tension, > 0, in units of stress.
        hardening: Linear hardening modulus dσ/dα, >= 0, in units of stress.
        saturation: What Voce hardening adds to the yield stress in the end, >= 0, in units of
            stress.
        rate: Exponent of Voce hardening, >= 0 and without unit; > 0 where saturation is.

    Raises:
        InputError: A constant is out of range.

    Note:
        Softening is refused: without a length scale its answers depend on the mesh.
    """

    num_state = 7

    def __init__(
        self,
        gdim: Literal[2, 3],
        *,
        young: float,
        poisson: float,
        yield_stress: float,
        hardening: float = 0.0,
        saturation: float = 0.0,
        rate: float = 0.0,
    ) -> None:
        for name, value in {"young": young, "yield_stress": yield_stress}.items():
            if not (np.isfinite(value) and value > 0.0):
                raise InputError(f"J2Plasticity: {name} is {value!r}; expected a finite number > 0")
        if not -1.0 < poisson < 0.5:
            raise InputError(
                f"J2Plasticity: poisson is {poisson!r}; expected a number in (-1, 0.5)"
            )
        voce = {"hardening": hardening, "saturation": saturation, "rate": rate}
        for name, value in voce.items():
            if not (np.isfinite(value) and value >= 0.0):
                raise InputError(
                    f"J2Plasticity: {name} is {value!r}; expected a finite number >= 0"
                )
        if saturation > 0.0 and rate == 0.0:
            raise InputError(
                f"J2Plasticity: rate is {rate!r} with saturation = {saturation!r}; expected a "
                "rate > 0, or leave saturation out"
            )
        self.kinematics = Kinematics(gdim)
        self.young, self.poisson = float(young), float(poisson)
        self.yield_stress, self.hardening = float(yield_stress), float(hardening)
        self.saturation, self.rate = float(saturation), float(rate)
        self._shear = self.young / (2.0 * (1.0 + self.poisson))
        self._bulk = self.young / (3.0 * (1.0 - 2.0 * self.poisson))
        solid = SYMMETRIC_PAIRS[3]
        self._columns = [solid.index(pair) for pair in SYMMETRIC_PAIRS[gdim]]
        block = np.ix_(self._columns, self._columns)
        self._volumetric = self._bulk * np.outer(TRACE, TRACE)[block]
        self._deviatoric = 2.0 * self._shear * (np.eye(6) - np.outer(TRACE, TRACE) / 3.0)[block]

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
        """Answer the radial return; rows whose strain or state is not finite or overflows fail."""
        n, size = strain.shape
        with np.errstate(over="ignore", invalid="ignore"):
            elastic = -state[:, :6]  # (n, 6), a copy
            elastic[:, self._columns] += strain
            volume = elastic[:, :3].sum(axis=1)
            deviator = 2.0 * self._shear * (elastic - volume[:, None] / 3.0 * TRACE)
            trial = np.sqrt(1.5 * np.einsum("ni,ni->n", deviator, deviator))
            flow_stress = self.flow_stress(state[:, 6])
            excess = trial - flow_stress
            ok = np.isfinite(excess) & np.isfinite(volume)
            rows = np.flatnonzero(ok & (excess > YIELD_TOLERANCE * flow_stress))
            increment, converged = self._increment(excess[rows], state[rows, 6])
            if not converged.all():
                ok[rows[~converged]] = False
                rows, increment = rows[converged], increment[converged]

            moduli = None
            if tangent:
                moduli = np.empty((n, size, size))
                moduli[:] = self._volumetric + self._deviatoric
            end = state.copy()
            if rows.size:
                accumulated = state[rows, 6] + increment
                normal = 1.5 * deviator[rows] / trial[rows, None]  # d α̇ -> ε̇ᵖ
                shrink = self.flow_stress(accumulated) / trial[rows]  # θ, without cancellation
                deviator[rows] *= shrink[:, None]
                end[rows, :6] += increment[:, None] * normal
                end[rows, 6] = accumulated
                if moduli is not None:
                    moduli[rows] = self._tangent(
                        normal[:, self._columns], shrink, increment / trial[rows], accumulated
                    )
            stress = deviator + (self._bulk * volume)[:, None] * TRACE
            energy = (
                0.5 * self._bulk * volume**2
                + np.einsum("ni,ni->n", deviator, deviator) / (4.0 * self._shear)
                + self.stored_energy(end[:, 6])
            )
        report = {
            "energy": energy,
            "dissipation": self.yield_stress * end[:, 6],
            "plastic_strain": end[:, 6].copy(),
        }
        if size == 3:
            report["out_of_plane_stress"] = stress[:, 2].copy()
        for values in report.values():
            values[~ok] = np.nan
        response = Response(
            stress[:, self._columns],
            moduli,
            end,
            hint.copy(),
            np.ones(n, dtype=bool),
            np.zeros((n, size, 0)) if sensitivity else None,
            report,
        )
        return masked(response, ok)

    def flow_stress(
        self,
        accumulated: Array,  # (n,), α
    ) -> Array:  # (n,)
        """Return yield_stress + hardening α + saturation (1 - exp(-rate α))."""
        stress = self.yield_stress + self.hardening * accumulated
        if self.saturation:
            stress -= self.saturation * np.expm1(-self.rate * accumulated)
        return stress

    def stored_energy(
        self,
        accumulated: Array,  # (n,), α
    ) -> Array:  # (n,)
        """Return the energy per volume stored by hardening, ∫ (flow stress - yield_stress) dα."""
        energy = 0.5 * self.hardening * accumulated**2
        if self.saturation:
            remaining = np.expm1(-self.rate * accumulated) / self.rate
            energy += self.saturation * (accumulated + remaining)
        return energy

    def _increment(
        self,
        excess: Array,  # (n,), trial stress - flow stress, > 0
        accumulated: Array,  # (n,), α at the last accepted increment
    ) -> tuple[Array, BoolArray]:  # (n,) each
        """Return Δα and whether Newton found it.

        f(Δα) = excess - (3μ + hardening) Δα - r (1 - exp(-rate Δα)),
        r = saturation exp(-rate α)

        falls and is convex: from the left of the root Newton rises to it and cannot pass it. The
        safeguard is the start, the root of the bound from below with all of r spent. It saves the
        many steps that the steep part would cost where saturation · rate far exceeds 3μ.
        """
        slope = 3.0 * self._shear + self.hardening
        converged: BoolArray = np.zeros(len(excess), dtype=np.bool_)
        root = np.asarray(excess / slope, dtype=np.float64)
        if not self.saturation:
            converged[:] = True
            return root, converged
        reserve = self.saturation * np.exp(-self.rate * accumulated)
        root = np.asarray(np.clip(excess - reserve, 0.0, None) / slope, dtype=np.float64)
        left = np.arange(len(excess))  # points that still iterate: each one on its own
        for _ in range(NEWTON_STEPS):
            point, gain = root[left], reserve[left]
            decay = np.expm1(-self.rate * point)
            value = excess[left] - slope * point + gain * decay
            more = np.abs(value) > NEWTON_TOLERANCE * excess[left]
            converged[left[~more]] = True
            if not more.any():
                break
            step = value / (slope + self.rate * gain * (1.0 + decay))
            left = left[more]
            root[left] += step[more]
        return root, converged

    def _tangent(
        self,
        normal: Array,  # (n, m), d εᵖ / d α = √(3/2) n of Box 3.2
        shrink: Array,  # (n,), θ
        ratio: Array,  # (n,), Δα / trial stress
        accumulated: Array,  # (n,), α at the end
    ) -> Array:  # (n, m, m)
        """Return κ 1⊗1 + 2μ θ (I - ⅓ 1⊗1) - 2μ θ̄ n⊗n (Box 3.2, step 5)."""
        triple = 3.0 * self._shear
        slope = self.hardening + self.saturation * self.rate * np.exp(-self.rate * accumulated)
        factor = 4.0 / 3.0 * self._shear * (triple / (triple + slope) - triple * ratio)
        scaled = factor[:, None] * normal
        moduli = shrink[:, None, None] * self._deviatoric + self._volumetric
        moduli -= scaled[:, :, None] * normal[:, None, :]
        return moduli
