"""Stress linear in strain, for every measure: elasticity, a linearised law, Fourier's law."""

from __future__ import annotations

from typing import final

import numpy as np
from numpy.typing import ArrayLike

from fesurrogate.errors import InputError
from fesurrogate.kinematics import SYMMETRIC_PAIRS, Array, Kinematics
from fesurrogate.laws.rotation import component_rotation
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


def transversely_isotropic_stiffness(
    kinematics: Kinematics,
    *,
    young_along: float,
    young_across: float,
    shear_along: float,
    poisson_along: float,
    poisson_across: float,
    direction: ArrayLike,
) -> Array:  # (m, m)
    """Return the stiffness of a solid with fibres along 1 and no preference across them.

    The inverse of the compliance with 1/E1, 1/E2 = 1/E3, -ν12/E1 = -ν13/E1, -ν23/E2, 1/G12 =
    1/G13 and 1/G23 = 2 (1 + ν23)/E2, with axis 1 turned into the direction. In 2D plane strain.

    Source: R. M. Jones, Mechanics of Composite Materials, 2nd ed., Taylor & Francis 1999,
    section 2.3.

    Args:
        kinematics: The strain measure; small, or finite for d P / d F at F = I.
        young_along: E1 > 0, in units of stress.
        young_across: E2 = E3 > 0, in units of stress.
        shear_along: G12 = G13 > 0, in units of stress.
        poisson_along: ν12 = ν13, strain across per strain along under stress along;
            ν12² < (1 - ν23) E1 / (2 E2).
        poisson_across: ν23, in (-1, 1).
        direction: Of the fibres, (d,), of any length > 0; in 2D also (3,), in the plane or
            along z.

    Raises:
        InputError: A constant is out of range, the solid would not be stable, the direction has
            no use, or the measure is a gradient.
    """
    moduli = {
        "young_along": young_along,
        "young_across": young_across,
        "shear_along": shear_along,
    }
    for name, value in moduli.items():
        if not (np.isfinite(value) and value > 0.0):
            raise InputError(f"{name} is {value!r}; expected a finite number > 0")
    if not -1.0 < poisson_across < 1.0:
        raise InputError(f"poisson_across is {poisson_across!r}; expected a number in (-1, 1)")
    limit = np.sqrt(0.5 * (1.0 - poisson_across) * young_along / young_across)
    if not abs(poisson_along) < limit:
        raise InputError(
            f"poisson_along is {poisson_along!r}; expected less than {limit:.6g} in size, which is "
            "the root of (1 - poisson_across) young_along / (2 young_across): beyond it the "
            "stiffness is not positive definite"
        )
    if kinematics.measure == "gradient":
        raise InputError(
            "transversely_isotropic_stiffness has no meaning for a gradient; give Linear the "
            "conductivity matrix instead"
        )
    axis = _fibre_axis(direction, kinematics)
    normal = np.diag([1.0 / young_along, 1.0 / young_across, 1.0 / young_across])
    normal[0, 1:] = normal[1:, 0] = -poisson_along / young_along
    normal[1, 2] = normal[2, 1] = -poisson_across / young_across
    shear_across = young_across / (2.0 * (1.0 + poisson_across))
    stiffness = np.diag(2.0 * np.array([0, 0, 0, shear_across, shear_along, shear_along]))
    stiffness[:3, :3] = np.linalg.inv(normal)
    # any rotation that takes e1 into the axis serves; a sign in it turns no stiffness
    axes = np.linalg.qr(np.column_stack([axis, np.eye(3)]))[0]
    to_axes = component_rotation(Kinematics(3), axes[None])[0]
    stiffness = to_axes.T @ stiffness @ to_axes
    small = Kinematics(kinematics.gdim)
    columns = [SYMMETRIC_PAIRS[3].index(pair) for pair in SYMMETRIC_PAIRS[small.gdim]]
    stiffness = stiffness[np.ix_(columns, columns)]
    if kinematics.measure == "small":
        return stiffness
    parts = kinematics.unpack(np.eye(kinematics.size))  # (d*d, d, d), of F
    mandel = small.pack(parts)  # (d*d, m) of the symmetric parts
    product: Array = mandel @ stiffness @ mandel.T
    return product


def _fibre_axis(direction: ArrayLike, kinematics: Kinematics) -> Array:  # (3,)
    """Return the unit vector of the fibres, or refuse it."""
    given = np.array(direction, dtype=np.float64)
    shapes = [(3,), (2,)] if kinematics.gdim == 2 else [(3,)]
    length = np.linalg.norm(given)
    if given.shape not in shapes or not (np.isfinite(length) and length > 0.0):
        wanted = "2 (or 3)" if kinematics.gdim == 2 else "3"
        raise InputError(
            f"direction is {direction!r}; expected {wanted} finite numbers, not all zero, for "
            f"{kinematics}"
        )
    axis = np.zeros(3)
    axis[: len(given)] = given / length
    if kinematics.gdim == 2 and axis[2] != 0.0 and axis[:2].any():
        raise InputError(
            f"direction is {direction!r}; expected one in the plane or along z: under plane "
            "strain an inclined one would need shear out of the plane"
        )
    return axis
