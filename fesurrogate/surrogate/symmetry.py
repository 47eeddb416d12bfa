"""Invariants of the strain under a material symmetry, as polynomials of its components.

An energy that is a function of them has the symmetry for any weights. They are invariants of the
Green-Lagrange strain E = ½ (C - I) at finite strain, which keep their digits near rest where those
of C would not, of the small strain, or of a gradient. Axes that are not those of the coordinates
are had with ``Rotated``; the direction of a transversely isotropic material is an argument.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import permutations
from typing import Literal, get_args

from fesurrogate.errors import InputError
from fesurrogate.kinematics import SYMMETRIC_PAIRS, Kinematics
from fesurrogate.surrogate.polynomial import Polynomial, total

Symmetry = Literal["none", "isotropic", "transversely_isotropic", "cubic"]
Tensor2 = list[list[Polynomial]]


def invariants(
    kinematics: Kinematics,
    symmetry: Symmetry,
    direction: Sequence[float] | None = None,  # (d,)
) -> list[Polynomial]:
    """Return invariants that generate all others of the group; none for symmetry ``none``.

    Args:
        kinematics: The strain measure.
        symmetry: ``isotropic``, ``transversely_isotropic`` about a direction, or ``cubic`` about
            the coordinate axes (in 2D that of the square).
        direction: Of transverse isotropy, of any length; in the plane in 2D.

    Raises:
        InputError: An unknown symmetry, or a direction that is missing, not wanted or zero.

    Source: G. F. Smith and R. S. Rivlin, Trans. Amer. Math. Soc. 88 (1958) 175-193; A. J. M.
    Spencer in Continuum Physics I (1971) 239-353.
    """
    along = checked_direction(kinematics, symmetry, direction)
    if symmetry == "none":
        return []
    if kinematics.measure == "gradient":
        return _of_vector(kinematics.gdim, symmetry, along)
    strain = tensor_of_components(kinematics.gdim)
    if symmetry == "cubic":
        return _cubic(strain)
    found = [trace(strain), trace(product(strain, strain))]
    if kinematics.gdim == 3:
        found.append(trace(product(strain, product(strain, strain))))
    if symmetry == "transversely_isotropic":
        found.append(projected(strain, along))
        if kinematics.gdim == 3:  # in 2D E² follows from E, tr E and tr E²
            found.append(projected(product(strain, strain), along))
    return found


def checked_direction(
    kinematics: Kinematics,
    symmetry: Symmetry,
    direction: Sequence[float] | None,
) -> list[float]:
    """Return the unit direction, empty where the symmetry has none."""
    if symmetry not in get_args(Symmetry):
        known = ", ".join(map(repr, get_args(Symmetry)))
        raise InputError(f"symmetry is {symmetry!r}; expected one of {known}")
    if (direction is not None) != (symmetry == "transversely_isotropic"):
        raise InputError(
            f"direction is {direction} with symmetry {symmetry!r}; expected one with "
            "'transversely_isotropic' and with no other"
        )
    if direction is None:
        return []
    length = math.hypot(*direction)
    if len(direction) != kinematics.gdim or not (math.isfinite(length) and length > 0.0):
        raise InputError(
            f"direction is {list(direction)}; expected {kinematics.gdim} numbers that are not all 0"
        )
    return [x / length for x in direction]


def tensor_of_components(gdim: int) -> Tensor2:
    """Return the symmetric tensor whose Mandel components are the variables."""
    pairs = SYMMETRIC_PAIRS[gdim]
    place = {pair: k for k, pair in enumerate(pairs)}
    return [
        [
            Polynomial.variable(
                place[min(i, j), max(i, j)], len(pairs), 1.0 if i == j else math.sqrt(0.5)
            )
            for j in range(gdim)
        ]
        for i in range(gdim)
    ]


def product(left: Tensor2, right: Tensor2) -> Tensor2:
    """Return the product of two tensors."""
    r = range(len(left))
    return [[total([left[i][k] * right[k][j] for k in r]) for j in r] for i in r]


def trace(tensor: Tensor2) -> Polynomial:
    """Return the trace."""
    return total([row[i] for i, row in enumerate(tensor)])


def projected(tensor: Tensor2, a: Sequence[float]) -> Polynomial:
    """Return a · T a."""
    return total([x * y * tensor[i][j] for i, x in enumerate(a) for j, y in enumerate(a)])


def _cubic(strain: Tensor2) -> list[Polynomial]:
    """Return the invariants under permutations of the axes and changes of their sense."""
    if len(strain) == 2:
        a, b, off = strain[0][0], strain[1][1], strain[0][1]
        return [a + b, a * b, off * off]
    normal = [strain[i][i] for i in range(3)]
    shear = [strain[1][2], strain[0][2], strain[0][1]]  # normal to each axis
    square = [s * s for s in shear]
    cyclic = [(0, 1, 2), (1, 2, 0), (2, 0, 1)]
    return [
        total(normal),
        total(square),
        total([normal[i] * normal[j] for i, j, _ in cyclic]),
        normal[0] * normal[1] * normal[2],
        shear[0] * shear[1] * shear[2],
        total([normal[i] * square[i] for i in range(3)]),
        total([square[i] * square[j] for i, j, _ in cyclic]),
        total([normal[i] * normal[j] * square[k] for i, j, k in cyclic]),
        total([normal[i] * square[j] * square[k] for i, j, k in cyclic]),
    ]


def _of_vector(gdim: int, symmetry: Symmetry, along: Sequence[float]) -> list[Polynomial]:
    """Return the invariants of a vector that are even: a flux turns round with its gradient."""
    g = [Polynomial.variable(k, gdim) for k in range(gdim)]
    square = [x * x for x in g]
    found = [total(square)]
    if symmetry == "transversely_isotropic":
        part = total([a * x for a, x in zip(along, g, strict=True)])
        return [*found, part * part]
    if symmetry == "cubic":
        pairs = [(i, j) for i, j in permutations(range(gdim), 2) if i < j]
        found.append(total([square[i] * square[j] for i, j in pairs]))
        if gdim == 3:
            found.append(square[0] * square[1] * square[2])
    return found
