"""J2 plasticity in torch, for material points inside a network: the law of fesurrogate.laws.

Points lie on the last axis. Plastic flow is traceless, so that the m Mandel components of the
plane (2D, plane strain) or of space tell all of a deviator: in the plane s_zz = -(s_xx + s_yy).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from fesurrogate.errors import InputError

YIELD_TOLERANCE = 5000.0  # units in the last place: a point held on the surface stays elastic
NEWTON_TOLERANCE = 50.0  # the same, of the trial stress
NEWTON_STEPS = 50


@dataclass(frozen=True)
class PlasticConstants:
    """Constants of one phase; flow stress = yield_stress + hardening α + saturation (1 - e^-rα).

    Attributes:
        young: Young's modulus, in units of stress.
        poisson: Poisson's ratio.
        yield_stress: Initial yield stress; None for a phase that stays elastic.
        hardening: Linear hardening modulus.
        saturation: What Voce hardening adds in the end.
        rate: Its exponent.

    Raises:
        InputError: A constant is out of range.
    """

    young: float
    poisson: float
    yield_stress: float | None = None
    hardening: float = 0.0
    saturation: float = 0.0
    rate: float = 0.0

    def __post_init__(self) -> None:
        finite = all(
            isinstance(value, int | float) and abs(value) < 1e300
            for value in vars(self).values()
            if value is not None
        )
        if not (
            finite
            and self.young > 0.0
            and -1.0 < self.poisson < 0.5
            and (self.yield_stress is None or self.yield_stress > 0.0)
            and min(self.hardening, self.saturation, self.rate) >= 0.0
            and (self.saturation == 0.0 or self.rate > 0.0)
        ):
            raise InputError(
                f"constants are {vars(self)}; expected young > 0, poisson in (-1, 0.5), "
                "yield_stress > 0 or none, the others >= 0 and a rate where there is saturation"
            )

    @property
    def shear(self) -> float:
        """Shear modulus μ."""
        return self.young / (2.0 * (1.0 + self.poisson))

    @property
    def bulk(self) -> float:
        """Bulk modulus κ."""
        return self.young / (3.0 * (1.0 - 2.0 * self.poisson))

    def flow_stress(self, accumulated: Tensor) -> Tensor:
        """Return the flow stress at α."""
        decay = torch.expm1(-self.rate * accumulated)
        return (self.yield_stress or 0.0) + self.hardening * accumulated - self.saturation * decay

    def slope(self, accumulated: Tensor) -> Tensor:
        """Return the derivative of the flow stress by α."""
        decay = torch.exp(-self.rate * accumulated)
        return self.hardening + self.saturation * self.rate * decay

    def stored_energy(self, accumulated: Tensor) -> Tensor:
        """Return the energy per volume that hardening stores."""
        linear = 0.5 * self.hardening * accumulated**2
        if self.saturation == 0.0:
            return linear
        remaining = torch.expm1(-self.rate * accumulated) / self.rate
        return linear + self.saturation * (accumulated + remaining)


@dataclass(frozen=True)
class Returned:
    """What the radial return of points gives.

    The tangent is κ 1⊗1 + 2μ shrink D - softening s⊗s, with D the deviatoric projector.

    Attributes:
        stress: (..., m, k).
        plastic: (..., m, k), plastic strain at the end.
        accumulated: (..., k), α at the end.
        shrink: (..., k), deviator over trial deviator.
        softening: (..., k).
        trial: (..., m, k), s, the trial deviator.
        energy: (..., k), elastic plus stored by hardening, per volume.
    """

    stress: Tensor
    plastic: Tensor
    accumulated: Tensor
    shrink: Tensor
    softening: Tensor
    trial: Tensor
    energy: Tensor


def radial_return(
    constants: PlasticConstants,
    strain: Tensor,  # (..., m, k)
    plastic: Tensor,  # (..., m, k)
    accumulated: Tensor,  # (..., k)
) -> Returned:
    """Return stress and internal variables at the end of one backward Euler step.

    Differentiable once by every argument: the root of Newton's method enters the graph by one
    more step of it (implicit function theorem).

    Source: J. C. Simo and T. J. R. Hughes, Computational Inelasticity, Springer 1998, Box 3.2.
    """
    normals = 3 if strain.shape[-2] == 6 else 2
    shear, bulk = constants.shear, constants.bulk
    volume = strain[..., :normals, :].sum(-2)
    third = torch.zeros_like(strain)
    third[..., :normals, :] = (volume / 3.0).unsqueeze(-2)
    trial = 2.0 * shear * (strain - third - plastic)  # (..., m, k)
    square = (trial * trial).sum(-2)
    if normals == 2:
        square = square + (trial[..., 0, :] + trial[..., 1, :]) ** 2
    flow = constants.flow_stress(accumulated)
    tolerance = YIELD_TOLERANCE * torch.finfo(strain.dtype).eps
    flows = 1.5 * square > ((1.0 + tolerance) * flow) ** 2
    size = torch.sqrt(torch.where(flows, 1.5 * square, flow.detach() ** 2))  # von Mises'
    excess = torch.where(flows, size - flow, 0.0)
    step = _increment(constants, excess, accumulated)
    end = accumulated + step
    over = torch.where(flows, 1.0 / size, 0.0)
    shrink = torch.where(flows, constants.flow_stress(end) / size, 1.0)
    stiffer = 3.0 * shear / (3.0 * shear + constants.slope(end)) - 3.0 * shear * step * over
    square = square * shrink**2  # of the deviator at the end
    energy = 0.5 * bulk * volume**2 + square / (4.0 * shear) + constants.stored_energy(end)
    return Returned(
        stress=shrink.unsqueeze(-2) * trial + 3.0 * bulk * third,
        plastic=plastic + (1.5 * step * over).unsqueeze(-2) * trial,
        accumulated=end,
        shrink=shrink,
        softening=3.0 * shear * stiffer * over * over,
        trial=trial,
        energy=energy,
    )


def _increment(
    constants: PlasticConstants,
    excess: Tensor,  # (..., k), trial stress above the flow stress, or 0
    accumulated: Tensor,  # (..., k)
) -> Tensor:  # (..., k)
    """Return Δα, as :meth:`fesurrogate.laws.hardening.Hardening.increment` finds it."""
    slope, rate = 3.0 * constants.shear + constants.hardening, constants.rate
    reserve = constants.saturation * torch.exp(-rate * accumulated)
    tolerance = NEWTON_TOLERANCE * torch.finfo(excess.dtype).eps
    with torch.no_grad():
        root = (excess - reserve).clamp_min(0.0) / slope
        for _ in range(NEWTON_STEPS):
            decay = torch.expm1(-rate * root)
            value = excess - slope * root + reserve * decay
            root = root + value / (slope + rate * reserve * (1.0 + decay))
            if bool((value.abs() <= tolerance * excess).all()):
                break
    decay = torch.expm1(-rate * root)
    value = excess - slope * root + reserve * decay
    return root + value / (slope + rate * reserve * (1.0 + decay)).detach()
