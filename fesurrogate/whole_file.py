"""Files that are there as a whole or not at all: written under a hidden name, then renamed."""

from __future__ import annotations

import os
import uuid
from pathlib import Path


def write_whole(path: Path, content: bytes | memoryview) -> None:
    """Write a file under a hidden temporary name, see it to the disk, and rename it.

    Raises:
        OSError: The file cannot be written; what was there before is as it was.
    """
    temporary = hidden_file(path.parent)
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    keep_names(path.parent)


def hidden_file(folder: Path) -> Path:
    """Return a name that no file of a folder has, to write under."""
    return folder / f".{uuid.uuid4().hex}.tmp"


def remove_half_written(folder: Path) -> None:
    """Remove what killed programs left under hidden names, where no other is at work."""
    for path in folder.glob(".*.tmp"):
        path.unlink(missing_ok=True)


def keep_names(folder: Path) -> None:
    """See the names of the files of a folder to the disk."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
