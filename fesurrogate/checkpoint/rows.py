"""Rows of a distributed mesh's cells to and from one file, whatever the number of ranks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from mpi4py import MPI
from numpy.typing import NDArray

from fesurrogate.checkpoint.archive import BLOCK, Archive, ArchiveWriter
from fesurrogate.checkpoint.store import Store
from fesurrogate.errors import InputError


def write_file(
    store: Store,
    rows: Sequence[tuple[str, NDArray]],
    facts: Mapping[str, Any],
    comm: MPI.Intracomm,
    *,
    whole: Mapping[str, NDArray] | None = None,
) -> Path:
    """Write the next file of a store. Collective.

    Args:
        store: Where.
        rows: Arrays of each rank, by names that are alike on all.
        facts: What JSON can say.
        comm: The ranks.
        whole: Arrays that are alike on all ranks.

    Returns:
        The file.

    Raises:
        OSError: It cannot be written; on all ranks. Those before are as they were.
    """
    path: Path | None = None
    failure: Exception | None = None
    with ExitStack() as stack:
        sink: ArchiveWriter | None = None
        try:
            sink = stack.enter_context(store.writer()) if comm.rank == 0 else None
        except OSError as error:
            failure = error
        for name, array in rows:
            try:
                write_rows(sink, name, array, comm)
            except Exception as error:
                sink, failure = None, failure or error  # the others still send
        try:
            if sink is not None:
                for name, array in (whole or {}).items():
                    sink.add(name, array.shape, array.dtype, iter([array]))
                path = sink.finish(facts, store.pattern())
        except Exception as error:
            failure = failure or error
    reason = getattr(failure, "strerror", None) or str(failure)
    text, path = comm.bcast((failure and f"cannot write {store.folder}: {reason}", path), root=0)
    if text is not None:
        raise OSError(text) from failure
    assert path is not None
    return path


def write_rows(
    sink: ArchiveWriter | None,
    name: str,
    rows: NDArray,  # (c, ...)
    comm: MPI.Intracomm,
) -> None:
    """Add the rows of all ranks, those of rank 0 first. Collective.

    Args:
        sink: On rank 0; None there too, after a failure, takes the rows and drops them.
        name: Of the array.
        rows: Of this rank; of the same shape but for their number on all ranks.
        comm: The ranks.

    Raises:
        OSError: On rank 0, once all rows have come: the others may go on.
    """
    rows = np.ascontiguousarray(rows)
    counts = comm.allgather(len(rows))
    width = rows.itemsize * math.prod(rows.shape[1:])
    step = max(1, BLOCK // max(1, width))
    if comm.rank > 0:
        for first in range(0, len(rows), step):
            comm.Send([rows[first : first + step].view(np.uint8).ravel(), MPI.BYTE], dest=0)
        return

    def blocks() -> Iterator[NDArray]:
        for first in range(0, len(rows), step):
            yield rows[first : first + step]
        for rank in range(1, comm.size):
            for first in range(0, counts[rank], step):
                size = min(step, counts[rank] - first)
                block = np.empty((size, *rows.shape[1:]), dtype=rows.dtype)
                comm.Recv([block.view(np.uint8).ravel(), MPI.BYTE], source=rank)
                yield block

    come = blocks()
    try:
        if sink is not None:
            sink.add(name, (sum(counts), *rows.shape[1:]), rows.dtype, come)
    finally:
        for _ in come:  # the others wait until their rows are taken
            pass


def read_rows(
    source: Archive | None,
    name: str,
    positions: NDArray[np.int64],  # (c,)
    shape: tuple[int, ...],
    comm: MPI.Intracomm,
) -> NDArray:  # (c, *shape)
    """Return some rows of an array that rank 0 reads. Collective.

    Args:
        source: On rank 0.
        name: Of the array.
        positions: Of this rank's rows in it.
        shape: Of a row, as expected.
        comm: The ranks.

    Raises:
        InputError: On all ranks: the file lacks the array, it has another shape, or it is damaged.
    """
    answer = np.empty((len(positions), *shape))
    first = 0
    for block in shared_blocks(source, name, shape, comm):
        mine = np.flatnonzero((positions >= first) & (positions < first + len(block)))
        answer[mine] = block[positions[mine] - first]
        first += len(block)
    return answer


def shared_blocks(
    source: Archive | None, name: str, shape: tuple[int, ...], comm: MPI.Intracomm
) -> Iterator[NDArray]:
    """Give the blocks of an array to all ranks. Collective; raises as :func:`read_rows`."""
    come = _checked(source, name, shape) if comm.rank == 0 else iter(())
    while True:
        item: Any = None
        if comm.rank == 0:
            try:
                item = next(come, None)
            except Exception as error:  # of a damaged file, and of a hostile one
                item = f"{error}"
        item = comm.bcast(item, root=0)
        if item is None:
            return
        if isinstance(item, str):
            raise InputError(item)
        yield item


def _checked(source: Archive | None, name: str, shape: tuple[int, ...]) -> Iterator[NDArray]:
    assert source is not None
    there = source.arrays.get(name)
    if there is None or there[0][1:] != shape or not there[0]:
        found = "none" if there is None else str(there[0])
        raise InputError(f"{source.path}: array {name} is {found}; expected rows of shape {shape}")
    try:
        yield from source.blocks(name)
    except Exception as error:
        raise InputError(f"{source.path}: array {name} cannot be read ({error})") from error
