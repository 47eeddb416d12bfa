"""Facts and arrays in one compressed file: without pickle, with a checksum, read whole."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fesurrogate.errors import InputError
from fesurrogate.whole_file import write_whole

LARGEST = 2**31
"""Bytes of arrays that are read at most: those of a hostile file need not fit its own size."""


def write_arrays(path: Path, facts: Mapping[str, Any], arrays: Mapping[str, NDArray]) -> None:
    """Write a file, first under a temporary name, so that no half file ever counts.

    Args:
        path: The file.
        facts: As JSON can say them, ``format`` among them; the checksum is added.
        arrays: Numbers by name, in an order that matters to the checksum.
    """
    kept = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    memory = io.BytesIO()
    head = np.array(json.dumps({**facts, "checksum": checksum(facts, kept)}))
    np.savez_compressed(memory, head=head, **kept)  # type: ignore[arg-type]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, memory.getbuffer())


def read_arrays(
    path: Path, names: Sequence[str], *, form: int, what: str, make: str
) -> tuple[dict[str, Any], dict[str, NDArray]]:
    """Return the facts, but ``format`` and the checksum, and the arrays of a file that is whole.

    Args:
        path: The file.
        names: Of the arrays, in the order in which they were written.
        form: The ``format`` that its facts must say.
        what: The file holds, for messages.
        make: How it is made, for messages.

    Raises:
        InputError: It is missing, damaged, or says another format.
    """
    if not path.is_file():
        raise InputError(f"there is no {what} {path}; {make}")
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > LARGEST:
                raise ValueError(f"more than {LARGEST} bytes")
        with np.load(path, allow_pickle=False) as file:
            facts: dict[str, Any] = json.loads(str(file["head"]))
            found = facts["format"]
            arrays = {name: file[name] for name in names} if found == form else {}
        whole = facts.pop("checksum") == checksum(facts, arrays)
    except Exception as error:  # whatever a hostile file makes the readers raise
        raise damaged(path, error, what=what, make=make) from error
    if found != form:
        raise InputError(f"{path} has format {found!r}, but this version reads {form}; {make}")
    if not whole:
        raise InputError(f"{path} is damaged or edited (checksum differs); {make}")
    del facts["format"]
    return facts, arrays


def damaged(path: Path, error: Exception, *, what: str, make: str) -> InputError:
    """Return what is said of a file that made a reader raise."""
    said = (str(error).splitlines() or [type(error).__name__])[0]
    return InputError(f"{path} is no {what}, or is damaged ({said}); {make}")


def checksum(facts: Mapping[str, Any], arrays: Mapping[str, NDArray]) -> str:
    """Return a hash of facts and arrays."""
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for name, array in arrays.items():
        digest.update(f"{name}{array.dtype.str}{array.shape}".encode() + array.tobytes())
    return digest.hexdigest()
