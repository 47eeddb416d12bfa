"""Which strains a Material can answer at all; the rest fail as data, never as exceptions."""

from __future__ import annotations

import numpy as np

from fesurrogate.kinematics import Array, Kinematics
from fesurrogate.material import BoolArray


def admissible(
    kinematics: Kinematics,
    strain: Array,  # (n, m)
) -> BoolArray:  # (n,)
    """Return where the strain is finite and, at finite strain, det F > 0."""
    ok = np.isfinite(strain).all(axis=1)
    if kinematics.measure == "finite":
        with np.errstate(invalid="ignore", over="ignore"):
            jacobian = determinant(strain, kinematics.gdim)
        ok &= np.isfinite(jacobian) & (jacobian > 0.0)
    return ok


def determinant(
    gradient: Array,  # (n, d * d), row-major
    gdim: int,
) -> Array:  # (n,)
    """Return the determinants of a batch of second-order tensors given as rows."""
    if gdim == 2:
        a, b, c, d = gradient.T
        return a * d - b * c
    a, b, c, d, e, f, g, h, i = gradient.T
    return a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)
