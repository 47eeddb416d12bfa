"""Strain measures as UFL expressions: the macro scale's side of :class:`Kinematics`."""

from __future__ import annotations

from typing import Any

import numpy as np
import ufl

from fesurrogate.kinematics import SYMMETRIC_PAIRS, Kinematics


def pack(kinematics: Kinematics, tensor: Any) -> Any:
    """Return the components (m,) of a UFL tensor (d, d), or of a gradient (d,), as a UFL vector."""
    d = kinematics.gdim
    if kinematics.measure == "gradient":
        return tensor
    if kinematics.measure == "finite":
        return ufl.as_vector([tensor[i, j] for i in range(d) for j in range(d)])
    return ufl.as_vector(
        [
            tensor[i, j] if i == j else (tensor[i, j] + tensor[j, i]) / np.sqrt(2.0)
            for i, j in SYMMETRIC_PAIRS[d]
        ]
    )


def strain_of(u: Any, kinematics: Kinematics) -> Any:
    """Return the strain (m,) of a displacement, or the gradient of a scalar field, in UFL."""
    gradient = ufl.grad(u)
    if kinematics.measure == "finite":
        gradient = ufl.Identity(kinematics.gdim) + gradient
    return pack(kinematics, gradient)


def variation(
    strain: Any,
    unknown: Any,
    direction: Any,
) -> Any:
    """Return the Gateaux derivative of a strain expression, its derivatives worked out."""
    derivative = ufl.derivative(strain, unknown, direction)
    return ufl.algorithms.apply_derivatives.apply_derivatives(
        ufl.algorithms.apply_algebra_lowering.apply_algebra_lowering(derivative)
    )
