"""A folder of checkpoints: the last ones of a run, numbered, each whole or not there."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import final

from fesurrogate.checkpoint.archive import Archive, ArchiveWriter, read_archive
from fesurrogate.data.lock import locked
from fesurrogate.errors import InputError
from fesurrogate.whole_file import remove_half_written

logger = logging.getLogger(__name__)
FILE = re.compile(r"(\d{8})-([0-9a-f]{16})\.npz")
KEPT = 2


@final
class Store:
    """The checkpoints of a folder; on one rank.

    Args:
        folder: Made when the first checkpoint is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other runs out until the block ends, and remove what a killed one left half-written.

        Raises:
            InputError: Another run is at work here.
        """
        with locked(self.folder):
            remove_half_written(self.folder)
            yield

    def paths(self) -> list[Path]:
        """Return the checkpoints there are, the newest first."""
        if not self.folder.is_dir():
            return []
        found = [path for path in self.folder.iterdir() if FILE.fullmatch(path.name)]
        return sorted(found, key=lambda path: path.name, reverse=True)

    def newest(self) -> Archive | None:
        """Open the newest checkpoint that is whole; None where there is none.

        Raises:
            InputError: There are some, and all are damaged.
        """
        paths, reasons = self.paths(), []
        for path in paths:
            match = FILE.fullmatch(path.name)
            assert match is not None
            try:
                return read_archive(path, digest=match[2])
            except InputError as error:
                reasons.append(str(error))
                logger.warning("%s; taking the one before", error)
        if paths:
            raise InputError(f"no checkpoint can be used: {'; '.join(reasons)}; run without it")
        return None

    def opened(self, number: int) -> Archive | None:
        """Open a file by its number; None where it is not there.

        Raises:
            InputError: It is damaged.
        """
        for path in self.paths():
            match = FILE.fullmatch(path.name)
            if match is not None and int(match[1]) == number:
                return read_archive(path, digest=match[2])
        return None

    def cut(self, count: int) -> None:
        """Remove all files behind the first ``count`` numbers, and what was half-written."""
        remove_half_written(self.folder)
        for path in self.paths():
            if int(path.name[:8]) > count:
                path.unlink(missing_ok=True)

    def writer(self) -> ArchiveWriter:
        """Begin a checkpoint."""
        self.folder.mkdir(parents=True, exist_ok=True)
        return ArchiveWriter(self.folder)

    def pattern(self) -> str:
        """Return the name of the next checkpoint, but for its checksum."""
        paths = self.paths()
        number = 1 + (int(paths[0].name[:8]) if paths else 0)
        return f"{number:08d}-{{digest}}.npz"

    def prune(self) -> None:
        """Remove all but the newest ones."""
        for path in self.paths()[KEPT:]:
            path.unlink(missing_ok=True)
