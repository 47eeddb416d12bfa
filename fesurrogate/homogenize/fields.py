"""The stress field of a cell under each unit strain."""

from __future__ import annotations

from typing import Any

import numpy as np
import ufl
from dolfinx import fem

from fesurrogate.errors import ConvergenceError
from fesurrogate.fem.values import cell_average
from fesurrogate.homogenize.views import View
from fesurrogate.kinematics import SYMMETRIC_PAIRS, Array, Kinematics
from fesurrogate.material import Material
from fesurrogate.micro.strain import strain_tensor

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


def unit_stress_fields(view: View) -> dict[str, Array]:  # each (cells,)
    """Return the norm of the stress, averaged over each element, under each unit strain.

    The response is that of the virgin cell at rest.

    Raises:
        ConvergenceError: The cell cannot be solved.
    """
    rve, problem = view.rve, view.rve.problem
    norm = cell_average(rve.cell.mesh, _stress_norms(view))
    fields: dict[str, Array] = {}
    for label, direction in unit_strains(view.kinematics).items():
        strain = view.kinematics.rest + AMPLITUDE * direction
        response = rve.evaluate(strain[None], tangent=False)
        if not response.ok[0]:
            raise ConvergenceError(f"the cell cannot be solved under a strain of {AMPLITUDE}")
        problem.start_increment(rve.initial_state(1)[0], 1.0)
        problem.assemble(strain, response.hint[0])
        fields[label] = np.asarray(norm() / AMPLITUDE, dtype=np.float64)
    return fields


def _stress_norms(view: View) -> list[tuple[Any, ufl.Measure]]:
    """Return the norm of the stress in each phase, in UFL, with its measure."""
    assembly, terms = view.rve.problem.assembly, []
    mesh = view.rve.cell.mesh
    for name, dx in view.rve.cell.measures(2).items():
        phase = view.phases[name]
        if isinstance(phase, Material):
            field = assembly.fields[name]
            stress: Any = field.stress
            dx = field.dx
        else:
            strain = ufl.variable(strain_tensor(assembly.u, view.kinematics))
            values = {key: fem.Constant(mesh, v) for key, v in phase.constants.items()}
            stress = ufl.diff(phase.energy(strain, **values), strain)
        terms.append((ufl.sqrt(ufl.inner(stress, stress)), dx))
    return terms
