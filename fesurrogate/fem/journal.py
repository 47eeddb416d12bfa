"""HDF5 files that grow while they may be killed: an addition is there as a whole or not at all.

HDF5 changes what is in a file when something is added, and a process that dies meanwhile leaves a
file that nothing can read. Here h5py writes to memory; what is new goes to the end of the file,
where it does not count yet; then the old content of the few pages that change is written to a
journal beside it, the pages are changed, and the journal is removed. :func:`recover` undoes what
was begun.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, final

from fesurrogate.whole_file import write_whole

PAGE = 4096


@contextmanager
def appended(path: Path) -> Iterator[Any]:
    """Give an HDF5 file to add to; what was added is in it once the block has ended well.

    Raises:
        OSError: It cannot be read or written; it is as it was.
    """
    import h5py

    recover(path)
    with open(path, "r+b") as base:
        overlay = _Overlay(base)
        with h5py.File(overlay, "r+") as file:
            yield file
        _commit(path, base, overlay)


def create(path: Path, arrays: dict[str, Any]) -> None:
    """Write a new HDF5 file in place of what is there."""
    import h5py

    memory = io.BytesIO()
    with h5py.File(memory, "w") as file:
        for name, array in arrays.items():
            file[name] = array
    _journal(path).unlink(missing_ok=True)
    with memory.getbuffer() as content:
        write_whole(path, content)


def recover(path: Path) -> None:
    """Undo an addition that was killed."""
    journal = _journal(path)
    if not journal.is_file():
        return
    content = journal.read_bytes()
    head, _, pages = content.partition(b"\n")
    facts = json.loads(head)
    with open(path, "r+b") as file:
        for k, offset in enumerate(facts["pages"]):
            file.seek(offset)
            file.write(pages[k * PAGE : (k + 1) * PAGE])
        file.truncate(facts["size"])
        _sync(file)
    journal.unlink()


def _journal(path: Path) -> Path:
    return path.with_name(f".{path.name}.journal")


def _commit(path: Path, base: IO[bytes], overlay: _Overlay) -> None:
    changed = [offset for offset in sorted(overlay.pages) if offset < overlay.begin]
    old = b"".join(overlay.original(offset).ljust(PAGE, b"\0") for offset in changed)
    try:
        for offset, page in sorted(overlay.pages.items()):
            if offset >= overlay.begin:
                base.seek(offset)
                base.write(page)
        _sync(base)
    except OSError:
        os.truncate(path, overlay.begin)  # the disk is full
        raise
    head = json.dumps({"size": overlay.begin, "pages": changed}).encode() + b"\n"
    write_whole(_journal(path), head + old)
    for offset in changed:
        base.seek(offset)
        base.write(overlay.pages[offset])
    base.truncate(overlay.size)
    _sync(base)
    _journal(path).unlink()


def _sync(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())


@final
class _Overlay(io.RawIOBase):
    """A file whose changes are kept in memory, page by page."""

    def __init__(self, base: IO[bytes]) -> None:
        self._base = base
        self.begin = self.size = os.fstat(base.fileno()).st_size
        self.pages: dict[int, bytearray] = {}
        self._position = 0

    def original(self, offset: int) -> bytes:
        """Return a page as it is in the file."""
        return os.pread(self._base.fileno(), PAGE, offset) if offset < self.begin else b""

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._position = offset + {0: 0, 1: self._position, 2: self.size}[whence]
        return self._position

    def truncate(self, size: int | None = None) -> int:
        self.size = self._position if size is None else size
        return self.size

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        wanted = max(0, min(len(view), self.size - self._position))
        done = 0
        while done < wanted:
            page, start = divmod(self._position, PAGE)
            part = min(PAGE - start, wanted - done)
            content = self.pages.get(page * PAGE) or self.original(page * PAGE)
            view[done : done + part] = bytes(content[start : start + part]).ljust(part, b"\0")
            done, self._position = done + part, self._position + part
        return wanted

    def write(self, content: Any) -> int:
        view = memoryview(content).cast("B")
        done = 0
        while done < len(view):
            page, start = divmod(self._position, PAGE)
            part = min(PAGE - start, len(view) - done)
            held = self.pages.get(page * PAGE)
            if held is None:
                held = bytearray(self.original(page * PAGE).ljust(PAGE, b"\0"))
                self.pages[page * PAGE] = held
            held[start : start + part] = view[done : done + part]
            done, self._position = done + part, self._position + part
        self.size = max(self.size, self._position)
        return len(view)
