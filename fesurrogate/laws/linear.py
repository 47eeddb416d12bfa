"""Stress linear in strain, for every measure: elasticity, a linearised law, Fourier's law."""

from __future__ import annotations

from typing import final

import numpy as np

from fesurrogate.errors import InputError
from fesurrogate.kinematics import Array, Kinematics
from fesurrogate.material import Material, Response, masked


@final
class Linear(Material):
    """Stress = stiffness · (strain - rest).

    At finite strain this is the law linearised about the identity, P = A : (F - I); it is not
    objective. For a gradient the stiffness is the conductivity with the sign of the flux.

    Args:
        kinematics: The strain measure.
        stiffness: (m, m), in Mandel components at small strain, d P / d F at finite strain.

    Raises:
        InputError: The stiffness has the wrong shape or is not finite.
    """

    def __init__(
        self,
        kinematics: Kinematics,
        stiffness: Array,  # (m, m)
    ) -> None:
        matrix = np.array(stiffness, dtype=np.float64)
        size = kinematics.size
        if matrix.shape != (size, size):
            raise InputError(
                f"Linear: stiffness has shape {matrix.shape}; expected ({size}, {size}) "
                f"for {kinematics}"
            )
        if not np.isfinite(matrix).all():
            raise InputError("Linear: stiffness holds entries that are not finite")
        self.kinematics = kinematics
        self.stiffness = matrix

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
        """Answer one matrix product a batch; energy is ½ (strain - rest) · stress."""
        n, size = strain.shape
        ok = self.kinematics.admissible(strain)
        offset = np.where(ok[:, None], strain - self.kinematics.rest, 0.0)
        stress = offset @ self.stiffness.T
        energy = np.where(ok, 0.5 * np.einsum("ni,ni->n", offset, stress), np.nan)
        response = Response(
            stress,
            np.broadcast_to(self.stiffness, (n, size, size)).copy() if tangent else None,
            state.copy(),
            hint.copy(),
            np.ones(n, dtype=bool),
            np.zeros((n, size, 0)) if sensitivity else None,
            {"energy": energy},
        )
        return masked(response, ok)


def isotropic_stiffness(
    kinematics: Kinematics,
    *,
    young: float,
    poisson: float,
) -> Array:  # (m, m)
    """Return the isotropic stiffness of plane strain (2D) or of the solid (3D).

    C_ijkl = λ δ_ij δ_kl + μ (δ_ik δ_jl + δ_il δ_jk), as Mandel matrix at small strain and as
    d P / d F at F = I at finite strain.

    Args:
        kinematics: The strain measure; small or finite.
        young: Young's modulus, > 0.
        poisson: Poisson's ratio, in (-1, 0.5).

    Raises:
        InputError: A constant is out of range, or the measure is a gradient.
    """
    if not (np.isfinite(young) and young > 0.0):
        raise InputError(f"young is {young!r}; expected a finite number > 0")
    if not -1.0 < poisson < 0.5:
        raise InputError(f"poisson is {poisson!r}; expected a number in (-1, 0.5)")
    if kinematics.measure == "gradient":
        raise InputError(
            "isotropic_stiffness has no meaning for a gradient; give Linear the conductivity "
            "matrix instead, for example 2.0 * numpy.eye(gdim)"
        )
    lame = young * poisson / ((1.0 + poisson) * (1.0 - 2.0 * poisson))
    shear = young / (2.0 * (1.0 + poisson))
    volumetric, symmetric = isotropic_parts(kinematics)
    return lame * volumetric + 2.0 * shear * symmetric


def isotropic_parts(
    kinematics: Kinematics,  # small or finite
) -> tuple[Array, Array]:  # (m, m) each
    """Return δ_ij δ_kl and ½ (δ_ik δ_jl + δ_il δ_jk) as matrices of the components."""
    identity = np.eye(kinematics.gdim)
    trace = kinematics.pack(identity[None])[0]
    if kinematics.measure == "small":
        return np.outer(trace, trace), np.eye(kinematics.size)
    symmetric = 0.5 * (
        np.einsum("ik,jl->ijkl", identity, identity) + np.einsum("il,jk->ijkl", identity, identity)
    )
    return np.outer(trace, trace), symmetric.reshape(kinematics.size, kinematics.size)
