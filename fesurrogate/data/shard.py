"""One HDF5 file of a dataset: some of its paths, written whole or not at all.

A shard is named by the dataset it belongs to and by the hash of its own bytes, so that what was
cut short, changed or copied from elsewhere is known before anything in it is read.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fesurrogate.errors import InputError, MissingPackageError
from fesurrogate.whole_file import write_whole

SUFFIX = ".h5"
REPORTS = "reports"
UNREADABLE = (
    OSError, KeyError, RuntimeError, TypeError, ValueError, AttributeError, OverflowError,
    MemoryError,
)  # fmt: skip
"""What h5py raises on a file that is none, whatever its bytes."""
INFLATION = 1100
"""Bytes that one compressed byte may stand for: more than deflate (1032) can."""


@dataclass(frozen=True)
class Shard:
    """Rows of a dataset.

    Attributes:
        paths: (k,), numbers of the paths.
        arrays: Each (k, ...), by the name it has in a Dataset.
        reports: Each (k, T, ...), by name.
        seconds: Time spent on computing them.
    """

    paths: NDArray[np.int64]
    arrays: Mapping[str, NDArray]
    reports: Mapping[str, NDArray] = field(default_factory=dict)
    seconds: float = 0.0


def write_shard(folder: Path, dataset: str, shard: Shard) -> tuple[str, str]:
    """Write a shard under its final name in one move, and see it to the disk.

    Args:
        folder: Of the dataset.
        dataset: Its uid.
        shard: What to write. Reports of more than a number a point are compressed (deflate).

    Returns:
        Name of the file, and its sha256.

    Raises:
        MissingPackageError: h5py is not installed.
        OSError: The file cannot be written.
    """
    memory = io.BytesIO()
    with h5py().File(memory, "w") as file:
        file.attrs["dataset"] = dataset
        file.attrs["seconds"] = shard.seconds
        file.create_dataset("paths", data=shard.paths)
        for name, array in shard.arrays.items():
            file.create_dataset(name, data=array)
        group = file.create_group(REPORTS)
        for name, array in shard.reports.items():
            packed: dict[str, Any] = {"compression": "gzip", "shuffle": True}
            group.create_dataset(name, data=array, **(packed if array[0].ndim > 1 else {}))
    content = memory.getbuffer()
    digest = hashlib.sha256(content).hexdigest()
    name = f"{dataset}-{digest[:16]}{SUFFIX}"
    write_whole(folder / name, content)
    return name, digest


def read_shard(path: Path, dataset: str) -> tuple[Shard, str]:
    """Read a shard and check that it is whole and belongs to the dataset.

    Returns:
        The shard, and its sha256.

    Raises:
        InputError: It is damaged, hostile, or of another dataset.
        MissingPackageError: h5py is not installed.
    """
    library = h5py()
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    digest = hashlib.sha256(content).hexdigest()
    if path.stem != f"{dataset}-{digest[:16]}":
        raise InputError(f"{path} is damaged, or was cut short: its checksum is not its name")
    try:
        with library.File(io.BytesIO(content), "r") as file:
            if file.attrs["dataset"] != dataset:
                raise ValueError("it is of another dataset")
            names = [name for name in file if name not in ("paths", REPORTS)]
            limit = INFLATION * len(content)
            shard = Shard(
                _array(library, file, "paths", limit).astype(np.int64),
                {name: _array(library, file, name, limit) for name in names},
                {name: _array(library, file[REPORTS], name, limit) for name in file[REPORTS]},
                float(file.attrs["seconds"]),
            )
    except UNREADABLE as error:
        raise InputError(f"{path} cannot be read ({error})") from error
    return shard, digest


def _array(library: Any, group: Any, name: str, limit: int) -> NDArray:
    """Return an array of numbers that lies in the file itself."""
    if not isinstance(group.get(name, getlink=True), library.HardLink):
        raise ValueError(f"{name} is a link")
    node = group[name]
    if not isinstance(node, library.Dataset) or node.dtype.kind not in "biuf":
        raise ValueError(f"{name} is no array of numbers")
    if node.external or node.is_virtual or node.nbytes > limit:
        raise ValueError(f"{name} is not in the file")
    return node[()]


def h5py() -> Any:
    """Return the package h5py.

    Raises:
        MissingPackageError: It is not installed.
    """
    try:
        import h5py as library
    except ImportError as error:
        raise MissingPackageError(
            "reading and writing datasets needs h5py; install it with: "
            "pip install fesurrogate[train]"
        ) from error
    return library
