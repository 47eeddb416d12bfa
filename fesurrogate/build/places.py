"""Files that will be written, checked before hours are spent on what goes into them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path

from fesurrogate.errors import InputError

MEND = "name another folder with [output] folder or --output"


def check_files(paths: Iterable[Path]) -> None:
    """Check that files can be written, without making them or their folders. Not collective.

    Raises:
        InputError: One is a folder, or its folder is a file or cannot be written to.
    """
    for path in paths:
        try:
            _check_folder(path.parent)
            if path.is_dir():
                raise InputError(f"cannot write {path}: it is a folder; remove it, or {MEND}")
        except InputError:
            raise
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise InputError(f"cannot write {path}: {reason}; {MEND}") from error


def _check_folder(folder: Path) -> None:
    """Try the folder, or the nearest one above it that exists."""
    there = next(place for place in (folder, *folder.parents) if place.exists())
    if not there.is_dir():
        raise InputError(f"cannot write to {folder}: {there} is a file; {MEND}")
    with tempfile.TemporaryFile(dir=there):
        pass
