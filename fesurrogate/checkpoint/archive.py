"""Facts and arrays in one file: a zip of ``facts.json`` and ``NAME.npy``, as ``numpy.load`` reads.

Nothing in it is compressed or pickled. The reader is Python alone, allocates no more than the file
holds, and answers whatever it is given with arrays of numbers or an InputError.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import math
import os
import re
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any, final

import numpy as np
from numpy.typing import NDArray

from fesurrogate.errors import InputError
from fesurrogate.whole_file import hidden_file, keep_names

FACTS = "facts.json"
NAME = re.compile(r"[\w. ()+-]+(/[\w. ()+-]+)*")
KINDS = "biuf"
BLOCK = 2**26  # bytes that are read or sent at a time


@final
class ArchiveWriter:
    """Writes an archive array by array under a hidden name; :meth:`finish` gives it its own.

    Whatever leaves the block without :meth:`finish` leaves no file behind.

    Args:
        folder: Of the file.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._temporary = hidden_file(folder)
        self._file = open(self._temporary, "xb")
        self._stream = _Hashed(self._file)
        self._zip = zipfile.ZipFile(self._stream, "w")  # type: ignore[call-overload]

    def __enter__(self) -> ArchiveWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._zip.fp = None  # it would write its end when it is forgotten
        with contextlib.suppress(OSError):  # said before, where the disk is full
            self._file.close()
        self._temporary.unlink(missing_ok=True)

    def add(self, name: str, shape: tuple[int, ...], dtype: Any, blocks: Iterator[NDArray]) -> None:
        """Add an array that comes in blocks of its first axis.

        Raises:
            InputError: The name is no plain word, or the values are no numbers.
            OSError: The file cannot be written.
        """
        dtype = np.dtype(dtype)
        if not NAME.fullmatch(name) or dtype.kind not in KINDS:
            raise InputError(
                f"array {name!r} of type {dtype} cannot be kept; expected numbers under a name of "
                "letters, digits and _ . + - ( )"
            )
        header = {"descr": dtype.str, "fortran_order": False, "shape": shape}
        with self._zip.open(f"{name}.npy", "w", force_zip64=True) as member:
            np.lib.format.write_array_header_1_0(member, header)  # type: ignore[arg-type]
            for block in blocks:
                member.write(np.ascontiguousarray(block, dtype=dtype).tobytes())

    def finish(self, facts: Mapping[str, Any], pattern: str) -> Path:
        """Add the facts, see the file to the disk and rename it.

        Args:
            facts: What JSON can say.
            pattern: Name of the file, with ``{digest}`` for 16 digits of its sha256.

        Raises:
            OSError: The file cannot be written.
        """
        with self._zip.open(FACTS, "w", force_zip64=True) as member:
            member.write(json.dumps(facts).encode())
        self._zip.close()
        self._file.flush()
        os.fsync(self._file.fileno())
        path = self._folder / pattern.format(digest=self._stream.digest.hexdigest()[:16])
        os.replace(self._temporary, path)
        keep_names(self._folder)
        return path


@final
class Archive:
    """An archive that was opened; its arrays are read when they are asked for.

    Attributes:
        path: Of the file.
        facts: What it says beside the arrays.
        arrays: Shape and type of each array, by name.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.facts: dict[str, Any] = {}
        self.arrays: dict[str, tuple[tuple[int, ...], np.dtype]] = {}
        self._size = path.stat().st_size
        self._zip = zipfile.ZipFile(path)
        for item in self._zip.infolist():
            if item.compress_type != zipfile.ZIP_STORED or item.file_size > self._size:
                raise ValueError(f"{item.filename} is compressed")
            if item.filename == FACTS:
                self.facts = json.loads(self._zip.read(item))
            else:
                name = item.filename.removesuffix(".npy")
                with self._zip.open(item) as member:
                    shape, dtype = self._header(member)
                    if math.prod(shape) * dtype.itemsize != item.file_size - member.tell():
                        raise ValueError(f"{name} is not of the size that it says")
                if not NAME.fullmatch(name) or name in self.arrays:
                    raise ValueError(f"{name!r} is no name, or is there twice")
                self.arrays[name] = shape, dtype
        if not isinstance(self.facts, dict):
            raise ValueError(f"{FACTS} is no table")

    @staticmethod
    def _header(member: IO[bytes]) -> tuple[tuple[int, ...], np.dtype]:
        if np.lib.format.read_magic(member) != (1, 0):
            raise ValueError("another version of the NPY format")
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(member)
        if fortran or dtype.kind not in KINDS or any(size < 0 for size in shape):
            raise ValueError("no array of numbers in C order")
        return shape, dtype

    def blocks(self, name: str) -> Iterator[NDArray]:
        """Give an array in blocks of its first axis; what is damaged raises (zip's CRC)."""
        shape, dtype = self.arrays[name]
        width = math.prod(shape[1:]) * dtype.itemsize
        with self._zip.open(f"{name}.npy") as member:
            self._header(member)
            step = max(1, BLOCK // max(1, width))
            for first in range(0, shape[0], step):
                rows = min(step, shape[0] - first)
                content = member.read(rows * width)
                yield np.frombuffer(content, dtype=dtype).reshape(rows, *shape[1:])
            member.read(1)  # the end, where the checksum is compared

    def array(self, name: str) -> NDArray:
        """Return a whole array; raises as :meth:`blocks`."""
        shape, dtype = self.arrays[name]
        with self._zip.open(f"{name}.npy") as member:
            self._header(member)
            return np.frombuffer(member.read(), dtype=dtype).reshape(shape).copy()

    def close(self) -> None:
        """Close the file."""
        self._zip.close()


def read_archive(path: Path, *, digest: str | None = None) -> Archive:
    """Open an archive and check that it is whole.

    Args:
        path: The file.
        digest: First digits of its sha256, compared if given.

    Raises:
        InputError: It is missing, damaged or hostile.
    """
    try:
        if digest is not None:
            with open(path, "rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
            if not found.startswith(digest):
                raise ValueError("its checksum is not that of its name")
        return Archive(path)
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; expected a file that a run wrote") from None
    except Exception as error:  # whatever a hostile file makes the readers raise
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path} cannot be read ({reason}); it is damaged or cut short") from error


class _Hashed(io.RawIOBase):
    """A stream that cannot be wound back, hashed on its way."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self.digest = file, hashlib.sha256()

    def writable(self) -> bool:
        return True

    def write(self, content: Any) -> int:
        self.digest.update(content)
        return self._file.write(content)

    def flush(self) -> None:
        if not self._file.closed:
            self._file.flush()
