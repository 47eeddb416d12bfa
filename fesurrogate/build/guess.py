"""Initial guesses of settings; the learned one is made from the fields of a dataset."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fesurrogate.build.context import Context
from fesurrogate.build.places import check_files
from fesurrogate.build.ranks import together
from fesurrogate.config import Settings
from fesurrogate.config.cell import RVESettings
from fesurrogate.data.farm import FLUCTUATION, SLOPES
from fesurrogate.errors import InputError

if TYPE_CHECKING:
    from fesurrogate.build.dataset import EnsuredDataset
    from fesurrogate.fem.stepping import Predictor
    from fesurrogate.micro import RVEMaterial

COMPARED = 64  # of so many points of a run one is solved without its guess too: what that saves
ORDERS = {"linear": 1, "quadratic": 2}


def predictor_of(settings: Settings) -> Predictor | None:
    """Return the guess that ``[macro] initial_guess`` names; None begins from the accepted u."""
    from fesurrogate.warmstart import Extrapolation

    order = ORDERS.get(settings.macro.initial_guess)
    return None if order is None else Extrapolation(order)


def guessed(material: RVEMaterial, table: RVESettings, context: Context) -> RVEMaterial:
    """Return the cell with the guess that ``[material.rve] initial_guess`` names.

    Args:
        material: The cell.
        table: Its settings.
        context: Knows the files of learned guesses, where the table names none.

    Raises:
        InputError: There is no such file, or it is of another cell.
    """
    from fesurrogate.warmstart import Sensitivity, Zero
    from fesurrogate.warmstart.file import load_modes

    if table.initial_guess == "zero":
        return material.beginning_with(Zero())
    if table.initial_guess == "sensitivity":
        return material.beginning_with(Sensitivity(material.kinematics), compared=COMPARED)
    if table.initial_guess == "learned":
        path = _file(table, context.guess)
        known = load_modes(path, material.fingerprint)
        return material.beginning_with(known, compared=COMPARED)
    if table.initial_guess == "field_network":
        from fesurrogate.build.field_guess import field_guess

        path = _file(table, context.field_network)
        network = field_guess(material, table, path, context)
        return material.beginning_with(network, compared=COMPARED)
    return material


def _file(table: RVESettings, learned: Path | None) -> Path:
    path = table.guess or learned
    if path is None:
        raise InputError(f"initial_guess is {table.initial_guess!r}; give its file as guess")
    return path


def ensure_guess(settings: Settings, made: EnsuredDataset, comm: Any = None) -> Path:
    """Learn the guess from a dataset with fields, and write it. Collective.

    It learns from derivatives, too, where the dataset has tangents.

    Raises:
        InputError: On all ranks: there are too few fields, or it cannot be written.
    """

    def work() -> None:
        from fesurrogate.warmstart import fit_modes
        from fesurrogate.warmstart.file import save_modes

        if comm is not None and comm.rank > 0:
            return
        data = made.dataset
        ok = data.ok  # (N, T)
        assert data.parameters is not None
        each = np.repeat(data.parameters[:, None], data.increments, axis=1)  # (N, T, p)
        slopes = data.reports.get(SLOPES)
        guess = fit_modes(
            data.kinematics, data.strain[ok],
            data.reports[FLUCTUATION][ok].astype(np.float64), parameters=each[ok],
            sketches=None if slopes is None else slopes[ok].astype(np.float64),
        )  # fmt: skip
        check_files([settings.learned_guess])
        save_modes(settings.learned_guess, guess, data.meta["cell"])

    together(comm, work)
    return settings.learned_guess
