"""What ``homogenize`` draws, and under which names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fesurrogate.fem.cell_pictures import plot_fields, plot_phases
from fesurrogate.fem.curves import plot_path
from fesurrogate.homogenize.fields import unit_stress_fields
from fesurrogate.homogenize.views import View
from fesurrogate.kinematics import SYMMETRIC_PAIRS, Kinematics

PICTURES = ("cell.png", "unit_strains.png", "path.png")
"""Pictures that may be written."""


def draw_cell(folder: Path, view: View, fractions: Mapping[str, float], *, title: str = "") -> None:
    """Write the cell with its phases, and its stress field under each unit strain."""
    cell = view.rve.cell
    plot_phases(folder / "cell.png", cell.mesh, cell.phase_cells, fractions=fractions, title=title)
    label, fields = unit_stress_fields(view)
    plot_fields(folder / "unit_strains.png", cell.mesh, fields, label=label, title=title)


def draw_path(
    folder: Path, path: Mapping[str, Any], kinematics: Kinematics, *, title: str = ""
) -> None:
    """Write the stress over the strain of a path."""
    strain = np.asarray(path["strain"]) - kinematics.rest
    stress, d = np.asarray(path["stress"]), kinematics.gdim
    if kinematics.measure == "finite":
        pairs = [(i + 1, j + 1) for i in range(d) for j in range(d)]
        names = [f"$F_{{{i}{j}}} - {int(i == j)}$" for i, j in pairs]
        labels = [f"$P_{{{i}{j}}}$" for i, j in pairs]
    elif kinematics.measure == "small":
        scale = [1.0 if i == j else np.sqrt(2.0) for i, j in SYMMETRIC_PAIRS[d]]
        strain, stress = strain / scale, stress / scale
        numbers = [f"{i + 1}{j + 1}" for i, j in SYMMETRIC_PAIRS[d]]
        names = [rf"$\varepsilon_{{{k}}}$" for k in numbers]
        labels = [rf"$\sigma_{{{k}}}$" for k in numbers]
    else:
        names = [f"$g_{i + 1}$" for i in range(d)]
        labels = [f"$q_{i + 1}$" for i in range(d)]
    plot_path(folder / "path.png", strain, stress, names=(names, labels), title=title)
