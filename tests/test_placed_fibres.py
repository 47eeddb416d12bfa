"""Fibres about given centres: the family of the cell of Cook's membrane over the fraction."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fesurrogate import Kinematics
from fesurrogate.build.cell_makers import make_cell_of
from fesurrogate.config.cell import CellSettings, RVESettings
from fesurrogate.config.phase import PhaseSettings
from fesurrogate.errors import InputError
from fesurrogate.micro import Cell, RVEMaterial, linear_elastic, placed_fibres, read_cell

FIBRE_RVE = Path(__file__).parents[1] / "meshes" / "fibre_rve.msh"
CENTRES = (
    (0.0142, 0.5412), (0.4182, 0.2880), (0.9839, 0.0009),
    (0.6769, 0.6941), (0.3113, 0.6292), (0.7133, 0.4217),
)  # fmt: skip
"""Of meshes/fibre_rve.py, moved together to where fractions from 0.1 to 0.3 graze no edge."""


def stiffness(cell: Cell) -> Any:  # (3, 3)
    phases = {
        "matrix": linear_elastic(young=1.0, poisson=0.3),
        "fibre": linear_elastic(young=10.0, poisson=0.3),
    }
    rve = RVEMaterial(cell, phases, Kinematics(2), degree=2)
    return rve.evaluate(np.zeros((1, 3))).tangent[0]


def test_the_cell_of_cooks_membrane_is_one_of_the_family() -> None:
    """Moved as a whole, the periodic medium is the same: the stiffness is, but for the mesh."""
    ours, theirs = placed_fibres(0.2, CENTRES, resolution=18), read_cell(FIBRE_RVE)
    assert ours.volume_fractions()["fibre"] == pytest.approx(0.2, abs=1e-8)
    exact = stiffness(theirs)
    assert np.linalg.norm(stiffness(ours) - exact) < 2e-3 * np.linalg.norm(exact)


def test_cells_of_near_fractions_answer_alike() -> None:
    """Curved cells: what meshes differ by is far below what the fraction changes."""
    low, middle, high = (
        stiffness(placed_fibres(f, CENTRES, resolution=12, degree=2)) for f in (0.19, 0.2, 0.21)
    )
    change, bend = np.linalg.norm(high - low), np.linalg.norm(high - 2 * middle + low)
    assert bend < 0.05 * change


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(InputError, match="at most 0.342, where the round inclusions nearly touch"):
        placed_fibres(0.35, CENTRES)
    with pytest.raises(InputError, match=r"shape \(2,\); expected \(count, 2\)"):
        placed_fibres(0.1, (0.5, 0.5))


def test_settings_make_it() -> None:
    cell = CellSettings(
        kind="placed_fibres", volume_fraction=0.1, centres=((0.5, 0.5),), resolution=6
    )
    phase = PhaseSettings(kind="linear_elastic", young=1.0, poisson=0.3)
    table = RVESettings(cell=cell, phases={"matrix": phase, "fibre": phase})
    made = make_cell_of(table, Kinematics(2))
    assert made.volume_fractions()["fibre"] == pytest.approx(0.1, abs=1e-8)
