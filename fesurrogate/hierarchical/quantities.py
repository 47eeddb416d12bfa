"""Quantities of interest: functions of a solved cell that return an array of numbers.

A quantity of the user's is such a function, too, given as ``module:function``.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fesurrogate.errors import InputError
from fesurrogate.hierarchical.fracture import energy_release_rate
from fesurrogate.hierarchical.solved import AMPLITUDE, SolvedCell
from fesurrogate.hierarchical.yield_strain import yield_strain
from fesurrogate.kinematics import Array

Quantity = Callable[[SolvedCell], Array]


def stiffness(cell: SolvedCell) -> Array:  # (m, m)
    """Return the effective stiffness at rest, in Mandel components."""
    return cell.stiffness


def expansion(cell: SolvedCell) -> Array:  # (m,)
    """Return the effective thermal expansion: the strain that a unit of temperature frees.

    With σ_j the stress under the unit strain e_j and α the expansion of the phases, reciprocity
    gives the stress that holds the cell against a unit of temperature, and with it

    C α_eff = ⟨σ_j : α⟩.

    In plane strain the expansion along z is held: a homogeneous body expands by (1 + ν) α.

    Raises:
        InputError: A phase has no expansion.
        ConvergenceError: The cell cannot be solved.

    Source: Levin (1967), Mech. Solids 2, 58; Rosen and Hashin (1970), Int. J. Eng. Sci. 8, 157.
    """
    lacking = [name for name in cell.phases if name not in cell.expansion]
    if lacking:
        raise InputError(
            f"expansion of {', '.join(lacking)} is not given; expected one number a phase: "
            + ", ".join(f"{name} = 1e-5" for name in lacking)
        )
    held = np.zeros(len(cell.unit_fields))
    for name in cell.phases:
        rows = cell.rve.cell.phase_cells[name]
        weights = cell.element_volumes[rows]
        for j, fields in enumerate(cell.unit_fields):
            trace = fields.stress[rows, :3].sum(axis=1)
            held[j] += cell.expansion[name] * (weights @ trace) / AMPLITUDE
    return np.asarray(np.linalg.solve(cell.stiffness, held))


def stress_concentration(cell: SolvedCell) -> Array:  # (phases, m)
    """Return the largest von Mises stress in each phase under each unit strain.

    Of means over elements, so that it depends on the mesh where the stress is singular or steep.
    As von Mises' stress is a seminorm, the stress of phase r under a strain ε is nowhere more than
    Σ_j |ε_j| times entry (r, j). Rows are the phases in alphabetical order.

    Raises:
        ConvergenceError: The cell cannot be solved.
    """
    largest = np.empty((len(cell.phases), len(cell.unit_fields)))
    for j, fields in enumerate(cell.unit_fields):
        assert fields.von_mises is not None
        for r, name in enumerate(cell.phases):
            largest[r, j] = fields.von_mises[cell.rve.cell.phase_cells[name]].max() / AMPLITUDE
    return largest


QUANTITIES: dict[str, dict[str, Quantity]] = {
    "small": {
        "stiffness": stiffness,
        "expansion": expansion,
        "stress_concentration": stress_concentration,
        "yield_strain": yield_strain,
        "energy_release_rate": energy_release_rate,
    },
    "gradient": {"conductivity": stiffness},
}
"""By strain measure and name."""
