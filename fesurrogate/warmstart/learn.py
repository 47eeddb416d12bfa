"""Solving a cell at some strains, and learning its guess from the answers."""

from __future__ import annotations

import numpy as np

from fesurrogate.kinematics import Array
from fesurrogate.micro.rve import RVEMaterial
from fesurrogate.warmstart.fit import fit_modes
from fesurrogate.warmstart.increments import Sensitivity
from fesurrogate.warmstart.modes import FluctuationModes


def learn_modes(
    rve: RVEMaterial,
    strain: Array,  # (N, m)
    *,
    parameters: Array | None = None,  # (N, p)
) -> FluctuationModes:
    """Return the guess that is learned from fluctuations at strains, and their derivatives there.

    Give it to :meth:`RVEMaterial.beginning_with`. Strains that cannot be solved are left out.

    Args:
        rve: The cell, without history: each strain is applied at once to a virgin cell.
        strain: What later strains lie among; rest is added.
        parameters: Of the cell there, where it has any.

    Raises:
        InputError: There are too few, or they do not fill all directions.
    """
    solver = rve.beginning_with(Sensitivity(rve.kinematics))
    solved = solver.evaluate(strain, parameters=parameters)
    ok, unknowns, m = solved.ok, rve.num_unknowns, rve.kinematics.size
    q, _, columns = np.split(solved.hint[ok], [unknowns, unknowns + m], axis=1)
    return fit_modes(
        rve.kinematics, strain[ok], q,
        parameters=None if parameters is None else parameters[ok],
        relaxations=columns.reshape(-1, unknowns, m),
    )  # fmt: skip
