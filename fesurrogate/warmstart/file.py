"""The file of a learned guess: its arrays, and the cell it belongs to."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fesurrogate.arrays_file import damaged, read_arrays, write_arrays
from fesurrogate.errors import InputError
from fesurrogate.kinematics import Kinematics
from fesurrogate.warmstart.modes import FluctuationModes

FORMAT = 2
ARRAYS = ("degrees", "coefficients", "modes", "centre", "scale")
WHAT = "learned guess"
MAKE = "make it with [generate] fields = true, then: fesurrogate generate CONFIG"


def save_modes(path: Path, guess: FluctuationModes, cell: str) -> None:
    """Write a guess; modes in single precision, as a guess needs no more.

    Args:
        path: The file.
        guess: What was learned.
        cell: Fingerprint of the RVEMaterial whose fluctuations it was learned from.
    """
    kinematics = guess.kinematics
    facts = {
        "format": FORMAT,
        "cell": cell,
        "gdim": kinematics.gdim,
        "measure": kinematics.measure,
    }
    arrays = {name: getattr(guess, name) for name in ARRAYS}
    write_arrays(path, facts, {**arrays, "modes": guess.modes.astype(np.float32)})


def load_modes(path: Path, cell: str) -> FluctuationModes:
    """Return the guess of a file.

    Args:
        path: The file.
        cell: Fingerprint of the RVEMaterial that is to be guessed.

    Raises:
        InputError: There is no such file, it is damaged, or of another cell.
    """
    facts, arrays = read_arrays(path, ARRAYS, form=FORMAT, what=WHAT, make=MAKE)
    if facts.get("cell") != cell:
        raise InputError(
            f"{path} was learned from another cell ({facts.get('cell')}) than this one ({cell}); "
            f"{MAKE}"
        )
    try:
        kinematics = Kinematics(facts["gdim"], facts["measure"])
        degrees = arrays.pop("degrees").astype(np.int64)
        wide = {name: array.astype(np.float64) for name, array in arrays.items()}
        return FluctuationModes(kinematics, degrees, wide.pop("coefficients"), **wide)
    except Exception as error:  # whatever a hostile file makes of it
        raise damaged(path, error, what=WHAT, make=MAKE) from error
