"""Linear elasticity with fibres along a direction, whose constants may be given a point."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import numpy as np
from numpy.typing import ArrayLike

from fesurrogate.errors import InputError
from fesurrogate.kinematics import SYMMETRIC_PAIRS, Array, BoolArray, Kinematics
from fesurrogate.laws.constants import POSITIVE, Constants, Range
from fesurrogate.laws.linear import Linear
from fesurrogate.laws.rotation import component_rotation
from fesurrogate.material import Material, Response, masked

RANGES = {
    "young_along": POSITIVE,
    "young_across": POSITIVE,
    "shear_along": POSITIVE,
    "poisson_along": Range("a finite number", -np.inf),
    "poisson_across": Range("a number in (-1, 1)", -1.0, 1.0),
}


@final
class TransverselyIsotropic(Material):
    """Stress = C ε of a solid with fibres along 1 and no preference across; in 2D plane strain.

    The compliance has 1/E1, 1/E2 = 1/E3, -ν12/E1 = -ν13/E1, -ν23/E2, 1/G12 = 1/G13 and
    1/G23 = 2 (1 + ν23)/E2, with axis 1 turned into the direction. At finite strain this is the law
    linearised about the identity, with ε the symmetric part of F - I; it is not objective. With
    constants that are the same everywhere it is ``Linear`` of the attribute ``stiffness``.

    Source: R. M. Jones, Mechanics of Composite Materials, 2nd ed., Taylor & Francis 1999,
    section 2.3; the five moduli of its inverse: R. Hill, J. Mech. Phys. Solids 12 (1964) 199-212.

    Args:
        kinematics: The strain measure; small or finite.
        young_along: E1 > 0, in units of stress.
        young_across: E2 = E3 > 0, in units of stress.
        shear_along: G12 = G13 > 0, in units of stress.
        poisson_along: ν12 = ν13, strain across per strain along under stress along;
            ν12² < (1 - ν23) E1 / (2 E2).
        poisson_across: ν23, in (-1, 1).
        direction: Of the fibres, (d,), of any length > 0; in 2D also (3,), in the plane or
            along z.
        parameters: Names of the constants, but for the direction, that are parameters of the
            points instead; ``Rotated`` turns the direction. A point whose parameters are out of
            range fails.

    Raises:
        InputError: A constant is out of range, the solid would not be stable, the direction has
            no use, a parameter is no constant, or the measure is a gradient.
    """

    def __init__(
        self,
        kinematics: Kinematics,
        *,
        young_along: float,
        young_across: float,
        shear_along: float,
        poisson_along: float,
        poisson_across: float,
        direction: ArrayLike,
        parameters: Sequence[str] = (),
    ) -> None:
        values = {
            "young_along": young_along,
            "young_across": young_across,
            "shear_along": shear_along,
            "poisson_along": poisson_along,
            "poisson_across": poisson_across,
        }
        law = "TransverselyIsotropic"
        self._constants = Constants(law, values, RANGES, parameters=parameters)
        limit = np.sqrt(0.5 * (1.0 - poisson_across) * young_along / young_across)
        if not abs(poisson_along) < limit:
            raise InputError(
                f"{law}: poisson_along is {poisson_along!r}; expected less than {limit:.6g} in "
                "size, which is the root of (1 - poisson_across) young_along / (2 young_across): "
                "beyond it the stiffness is not positive definite"
            )
        if kinematics.measure == "gradient":
            raise InputError(
                f"{law}: {kinematics} is given; expected measure 'small' or 'finite', give Linear "
                "the conductivity matrix instead"
            )
        self.parameter_names = self._constants.names
        self.parameter_ranges = self._constants.parameter_ranges
        self.kinematics = kinematics
        self._parts = _parts(kinematics, _fibre_axis(direction, kinematics))
        one = {name: np.array([value]) for name, value in self._constants.values.items()}
        self.stiffness = np.tensordot(hill_moduli(**one)[0][0], self._parts, axes=1)  # (m, m)
        self._plain = Linear(kinematics, self.stiffness)

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
        """Answer the closed form; energy is ½ (strain - rest) · stress."""
        if not self.parameter_names:
            return self._plain.respond(
                strain, state, dt, parameters=parameters, hint=hint,
                tangent=tangent, sensitivity=sensitivity,
            )  # fmt: skip
        n, size = strain.shape
        constants, ok = self._constants.at(parameters)
        ok &= self.kinematics.admissible(strain) & stable(**constants)
        for name, value in self._constants.values.items():
            constants[name] = np.where(ok, constants[name], value)
        moduli, slopes = hill_moduli(**constants)
        offset = np.where(ok[:, None], strain - self.kinematics.rest, 0.0)
        shares = np.tensordot(offset, self._parts, axes=(1, 2))  # (n, 5, m)
        stress = np.einsum("nh,nhi->ni", moduli, shares)
        derivative = None
        if sensitivity:
            parts = {name: np.einsum("nh,nhi->ni", slope, shares) for name, slope in slopes.items()}
            derivative = self._constants.columns(parts, (n, size))
        energy = 0.5 * np.einsum("ni,ni->n", offset, stress)
        response = Response(
            stress,
            np.asarray(np.tensordot(moduli, self._parts, axes=1)) if tangent else None,
            state.copy(),
            hint.copy(),
            np.ones(n, dtype=bool),
            derivative,
            {"energy": np.where(ok, energy, np.nan)},
        )
        return masked(response, ok)


def stable(
    young_along: Array,  # (n,)
    young_across: Array,  # (n,)
    shear_along: Array,  # (n,)
    poisson_along: Array,  # (n,)
    poisson_across: Array,  # (n,)
) -> BoolArray:  # (n,)
    """Return where the stiffness of constants that are in range is positive definite."""
    bound = 0.5 * (1.0 - poisson_across) * young_along / young_across
    return np.asarray(poisson_along**2 < bound, dtype=np.bool_)


def hill_moduli(
    young_along: Array,  # (n,)
    young_across: Array,  # (n,)
    shear_along: Array,  # (n,)
    poisson_along: Array,  # (n,)
    poisson_across: Array,  # (n,)
) -> tuple[Array, dict[str, Array]]:  # (n, 5), and (n, 5) for each constant
    """Return Hill's moduli n, l, k, m and p, and their derivatives by the constants.

    n = C11, l = C12, k = (C22 + C23)/2, m = G23 and p = G12 are, with
    D = 1 - ν23 - 2 ν12² E2/E1,

    n = (1 - ν23) E1 / D,  l = ν12 E2 / D,  k = E2 / (2 D),  m = E2 / (2 (1 + ν23)).
    """
    ratio = young_across / young_along
    zero = np.zeros_like(young_along)
    half = 0.5 + zero
    inverse = 1.0 / (1.0 - poisson_across - 2.0 * poisson_along**2 * ratio)  # 1/D
    tops = ((1.0 - poisson_across) * young_along, poisson_along * young_across, 0.5 * young_across)
    twist: Array = np.asarray(0.5 / (1.0 + poisson_across))

    def divided(of_tops: list[Array], of_inverse: Array) -> list[Array]:
        """Return the derivatives of n, l and k from those of their numerators and of 1/D."""
        return [a * inverse + top * of_inverse for a, top in zip(of_tops, tops, strict=True)]

    square = inverse * inverse
    by_along: Array = -2.0 * poisson_along**2 * ratio / young_along * square  # ∂(1/D)/∂E1
    by_across: Array = 2.0 * poisson_along**2 / young_along * square
    by_poisson: Array = 4.0 * poisson_along * ratio * square
    columns: dict[str, list[Array]] = {
        "young_along": [*divided([1.0 - poisson_across, zero, zero], by_along), zero, zero],
        "young_across": [*divided([zero, poisson_along, half], by_across), twist, zero],
        "shear_along": [zero, zero, zero, zero, 2.0 * half],
        "poisson_along": [*divided([zero, young_across, zero], by_poisson), zero, zero],
        "poisson_across": [
            *divided([-young_along, zero, zero], square),
            -2.0 * twist * twist * young_across,
            zero,
        ],
    }
    moduli = [*(top * inverse for top in tops), twist * young_across, shear_along]
    slopes = {name: np.stack(parts, axis=1) for name, parts in columns.items()}
    return np.stack(moduli, axis=1), slopes


def _parts(
    kinematics: Kinematics,
    axis: Array,  # (3,), of the fibres
) -> Array:  # (5, m, m)
    """Return the matrices that Hill's moduli n, l, k, m and p multiply in the stiffness."""
    along, across = np.eye(6)[0], np.array([0.0, 1.0, 1.0, 0.0, 0.0, 0.0])
    between = np.array([0.0, 1.0, -1.0, 0.0, 0.0, 0.0])
    solid = np.array(
        [
            np.outer(along, along),
            np.outer(along, across) + np.outer(across, along),
            np.outer(across, across),
            np.outer(between, between) + np.diag([0.0, 0.0, 0.0, 2.0, 0.0, 0.0]),
            np.diag([0.0, 0.0, 0.0, 0.0, 2.0, 2.0]),
        ]
    )
    # any rotation that takes e1 into the axis serves; a sign in it turns no stiffness
    axes = np.linalg.qr(np.column_stack([axis, np.eye(3)]))[0]
    to_axes = component_rotation(Kinematics(3), axes[None])[0]
    small = Kinematics(kinematics.gdim)
    columns = [SYMMETRIC_PAIRS[3].index(pair) for pair in SYMMETRIC_PAIRS[small.gdim]]
    to_axes = to_axes[:, columns]  # (6, m) of the small strain
    if kinematics.measure == "finite":
        parts = kinematics.unpack(np.eye(kinematics.size))  # (d*d, d, d), of F
        to_axes = to_axes @ small.pack(parts).T
    turned: Array = to_axes.T @ solid @ to_axes
    return turned


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
