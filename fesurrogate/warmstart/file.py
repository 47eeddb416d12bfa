"""The file of a learned guess: arrays without pickle, a checksum, and the cell it belongs to."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fesurrogate.errors import InputError
from fesurrogate.kinematics import Kinematics
from fesurrogate.warmstart.modes import FluctuationModes

FORMAT = 2
LARGEST = 2**31
"""Bytes of arrays that are read at most: those of a hostile file need not fit its own size."""
ARRAYS = ("degrees", "coefficients", "modes", "centre", "scale")


def save_modes(path: Path, guess: FluctuationModes, cell: str) -> None:
    """Write a guess; modes in single precision, as a guess needs no more.

    Args:
        path: The file.
        guess: What was learned.
        cell: Fingerprint of the RVEMaterial whose fluctuations it was learned from.
    """
    kinematics = guess.kinematics
    head: dict[str, Any] = {
        "format": FORMAT,
        "cell": cell,
        "gdim": kinematics.gdim,
        "measure": kinematics.measure,
    }
    arrays: dict[str, NDArray] = {
        "degrees": guess.degrees,
        "coefficients": guess.coefficients,
        "modes": guess.modes.astype(np.float32),
        "centre": guess.centre,
        "scale": guess.scale,
    }
    memory = io.BytesIO()
    text = json.dumps({**head, "checksum": _checksum(head, arrays)})
    np.savez_compressed(memory, head=np.array(text), **arrays)  # type: ignore[arg-type]
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_bytes(memory.getvalue())
    temporary.replace(path)


def load_modes(path: Path, cell: str) -> FluctuationModes:
    """Return the guess of a file.

    Args:
        path: The file.
        cell: Fingerprint of the RVEMaterial that is to be guessed.

    Raises:
        InputError: There is no such file, it is damaged, or of another cell.
    """
    if not path.is_file():
        raise InputError(
            f"there is no learned guess {path}; make it with [generate] fields = true, then: "
            "fesurrogate generate CONFIG, then fesurrogate train CONFIG"
        )
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > LARGEST:
                raise ValueError(f"more than {LARGEST} bytes")
        with np.load(path, allow_pickle=False) as file:
            head: dict[str, Any] = json.loads(str(file["head"]))
            if head["format"] != FORMAT:
                raise InputError(
                    f"{path} has format {head['format']}, but this version reads {FORMAT}; train "
                    "the guess again"
                )
            arrays = {name: file[name] for name in ARRAYS}
        checksum = head.pop("checksum")
        if checksum != _checksum(head, arrays):
            raise ValueError("its checksum is not that it says")
        kinematics = Kinematics(head["gdim"], head["measure"])
        if head["cell"] != cell:
            raise InputError(
                f"{path} was learned from another cell ({head['cell']}) than this one ({cell}); "
                "generate and train again"
            )
        degrees = arrays.pop("degrees").astype(np.int64)
        wide = {name: array.astype(np.float64) for name, array in arrays.items()}
        return FluctuationModes(kinematics, degrees, wide.pop("coefficients"), **wide)
    except InputError:
        raise
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} is no learned guess, or is damaged ({error})") from error


def _checksum(head: Mapping[str, Any], arrays: Mapping[str, NDArray]) -> str:
    digest = hashlib.sha256(json.dumps(head, sort_keys=True).encode())
    for name in ARRAYS:
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name}{array.dtype.str}{array.shape}".encode() + array.tobytes())
    return digest.hexdigest()
