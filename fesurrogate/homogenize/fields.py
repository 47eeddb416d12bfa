"""The stress field of a cell under each unit strain."""

from __future__ import annotations

import numpy as np

from fesurrogate.errors import ConvergenceError
from fesurrogate.homogenize.views import View
from fesurrogate.kinematics import SYMMETRIC_PAIRS, Array, Kinematics

AMPLITUDE = 1e-6
"""Of the strain that is applied; the stress is divided by it, so that phases answer linearly."""


def unit_strains(kinematics: Kinematics) -> dict[str, Array]:  # each (m,)
    """Return the directions of unit strain by label: ε11, 2ε12 (unit shear ε12 = ½), or g1."""
    d = kinematics.gdim
    if kinematics.measure == "gradient":
        return {f"$g_{{{i + 1}}} = 1$": np.eye(d)[i] for i in range(d)}
    directions = {}
    for i, j in SYMMETRIC_PAIRS[d]:
        tensor = np.zeros((1, d, d))
        tensor[0, i, j] = tensor[0, j, i] = 1.0 if i == j else 0.5
        label = rf"\varepsilon_{{{i + 1}{j + 1}}} = 1$"
        directions[f"${label}" if i == j else f"$2{label}"] = kinematics.pack(tensor)[0]
    return directions


def unit_stress_fields(view: View) -> tuple[str, dict[str, Array]]:
    """Return what is drawn, and its mean over each element (e,) under each unit strain.

    It is the von Mises stress where all components are known, else the Frobenius norm. The
    response is that of the virgin cell at rest.

    Raises:
        ConvergenceError: The cell cannot be solved.
    """
    rve, name = view.rve, "von Mises stress"
    fields: dict[str, Array] = {}
    for label, direction in unit_strains(view.kinematics).items():
        strain = view.kinematics.rest + AMPLITUDE * direction
        found = rve.localise(strain, rve.initial_state(1)[0])
        if not found.ok:
            raise ConvergenceError(f"the cell cannot be solved under a strain of {AMPLITUDE}")
        values = found.von_mises
        if values is None:
            flux = view.kinematics.measure == "gradient"
            name, values = f"norm of the {'flux' if flux else 'stress'}", found.stress_norm
        fields[label] = np.asarray(values / AMPLITUDE, dtype=np.float64)
    return name, fields
