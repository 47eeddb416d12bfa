"""J2 (von Mises) plasticity with isotropic hardening at small strain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, final

import numpy as np
from numpy.typing import NDArray

from fesurrogate.errors import InputError
from fesurrogate.kinematics import SYMMETRIC_PAIRS, Array, Kinematics
from fesurrogate.laws.constants import NOT_NEGATIVE, POISSON, POSITIVE, Constants
from fesurrogate.laws.hardening import Hardening
from fesurrogate.laws.isotropic import elastic_moduli
from fesurrogate.material import Material, Response, masked

YIELD_TOLERANCE = 1e-12  # of the yield stress: a point held on the surface stays elastic
TRACE = np.array([1.0, 1.0, 1.0, 0.0, 0.0, 0.0])  # Mandel components of the identity tensor
DEVIATOR = np.eye(6) - np.outer(TRACE, TRACE) / 3.0
RANGES = {
    "young": POSITIVE,
    "poisson": POISSON,
    "yield_stress": POSITIVE,
    "hardening": NOT_NEGATIVE,
    "saturation": NOT_NEGATIVE,
    "rate": NOT_NEGATIVE,
}


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
        parameters: Names of the constants that are parameters of the points instead. A point
            whose parameters are out of range fails.

    Raises:
        InputError: A constant is out of range, or a parameter is none of them.

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
        parameters: Sequence[str] = (),
    ) -> None:
        values = {
            "young": young,
            "poisson": poisson,
            "yield_stress": yield_stress,
            "hardening": hardening,
            "saturation": saturation,
            "rate": rate,
        }
        self._constants = Constants("J2Plasticity", values, RANGES, parameters=parameters)
        self.parameter_names = self._constants.names
        self.parameter_ranges = self._constants.parameter_ranges
        if saturation > 0.0 and rate == 0.0:
            raise InputError(
                f"J2Plasticity: rate is {rate!r} with saturation = {saturation!r}; expected a "
                "rate > 0, or leave saturation out"
            )
        self.kinematics = Kinematics(gdim)
        solid = SYMMETRIC_PAIRS[3]
        self._columns = [solid.index(pair) for pair in SYMMETRIC_PAIRS[gdim]]
        block = np.ix_(self._columns, self._columns)
        self._volumetric = np.outer(TRACE, TRACE)[block]
        self._deviatoric = DEVIATOR[block]

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
        constants, ok = self._constants.at(parameters)
        young, poisson = constants.pop("young"), constants.pop("poisson")
        shear, bulk, by_young, by_poisson = elastic_moduli(young, poisson)
        slopes = {"young": by_young, "poisson": by_poisson}
        law = Hardening(**constants)
        ok &= (law.saturation == 0.0) | (law.rate > 0.0)
        with np.errstate(over="ignore", invalid="ignore"):
            elastic = -state[:, :6]  # (n, 6), a copy
            elastic[:, self._columns] += strain
            volume = elastic[:, :3].sum(axis=1)
            direction = elastic - volume[:, None] / 3.0 * TRACE
            deviator = 2.0 * shear[:, None] * direction
            trial = np.sqrt(1.5 * np.einsum("ni,ni->n", deviator, deviator))
            flow_stress = law.flow_stress(state[:, 6])
            excess = trial - flow_stress
            ok &= np.isfinite(excess) & np.isfinite(volume)
            rows = np.flatnonzero(ok & (excess > YIELD_TOLERANCE * flow_stress))
            increment, converged = law.rows(rows).increment(
                excess[rows], state[rows, 6], 3.0 * shear[rows]
            )
            if not converged.all():
                ok[rows[~converged]] = False
                rows, increment = rows[converged], increment[converged]

            end = state.copy()
            end[rows, 6] += increment
            flowing, accumulated = law.rows(rows), end[rows, 6]
            slope, triple = flowing.slope(accumulated), 3.0 * shear[rows]
            normal = 1.5 * deviator[rows] / trial[rows, None]  # d α̇ -> ε̇ᵖ
            shrink = flowing.flow_stress(accumulated) / trial[rows]  # θ, without cancellation
            deviator[rows] *= shrink[:, None]
            end[rows, :6] += increment[:, None] * normal
            stress = deviator + (bulk * volume)[:, None] * TRACE
            moduli = None
            if tangent:
                reduced = 2.0 * shear
                reduced[rows] *= shrink
                moduli = bulk[:, None, None] * self._volumetric
                moduli += reduced[:, None, None] * self._deviatoric
                moduli[rows] -= self._softening(normal, triple, slope, increment / trial[rows])
            derivative = None
            if sensitivity:
                by_shear, by_flow = self._derivatives(direction, rows, slope, triple, increment)
                parts = {
                    name: by_constant[:, None] * by_flow
                    for name, by_constant in law.derivatives(end[:, 6]).items()
                }
                for name, (shear_slope, bulk_slope) in slopes.items():
                    parts[name] = shear_slope[:, None] * by_shear
                    parts[name] += (bulk_slope * volume)[:, None] * TRACE
                columns = {name: part[:, self._columns] for name, part in parts.items()}
                derivative = self._constants.columns(columns, (n, size))
            energy = (
                0.5 * bulk * volume**2
                + np.einsum("ni,ni->n", deviator, deviator) / (4.0 * shear)
                + law.stored_energy(end[:, 6])
            )
        report = {
            "energy": energy,
            "dissipation": law.yield_stress * end[:, 6],
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
            derivative,
            report,
        )
        return masked(response, ok)

    def _softening(
        self,
        normal: Array,  # (n, 6), d εᵖ / d α = √(3/2) n of Box 3.2
        triple: Array,  # (n,), 3μ
        slope: Array,  # (n,), of the flow stress by α at the end
        ratio: Array,  # (n,), Δα / trial stress
    ) -> Array:  # (n, m, m)
        """Return 2μ θ̄ n⊗n (Box 3.2, step 5)."""
        along = normal[:, self._columns]
        factor = 4.0 / 9.0 * triple * (triple / (triple + slope) - triple * ratio)
        softening: Array = (factor[:, None] * along)[:, :, None] * along[:, None, :]
        return softening

    @staticmethod
    def _derivatives(
        direction: Array,  # (n, 6), deviator of ε - εᵖ at the last accepted increment
        rows: NDArray[np.intp],  # of the points that flow
        slope: Array,  # (rows,), of the flow stress by α at the end
        triple: Array,  # (rows,), 3μ
        increment: Array,  # (rows,), Δα
    ) -> tuple[Array, Array]:  # (n, 6) each
        """Return the derivatives of the stress by μ, and by the flow stress at fixed α.

        At fixed strain and state the stress of a point that flows keeps its direction, and
        2μ ê - 3μ Δα = flow stress(α + Δα) with ê = √(3/2) |direction| says how its size changes.
        """
        by_shear = 2.0 * direction
        by_flow = np.zeros_like(direction)
        length = np.sqrt(1.5 * np.einsum("ni,ni->n", direction[rows], direction[rows]))  # ê
        unit = direction[rows] / length[:, None]
        share = slope / (triple + slope)  # of what is added to the trial stress
        by_shear[rows] = (share * (2.0 * length - 3.0 * increment))[:, None] * unit
        by_flow[rows] = (1.0 - share)[:, None] * unit
        return by_shear, by_flow
