"""Rows of the points of fields that are kept beside a problem, or alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mpi4py import MPI
from numpy.typing import NDArray

from fesurrogate.checkpoint.archive import Archive
from fesurrogate.checkpoint.cells import by_cell, original_numbers, positions_of
from fesurrogate.checkpoint.rows import read_rows, write_file
from fesurrogate.checkpoint.store import Store
from fesurrogate.fem.field import MaterialField
from fesurrogate.kinematics import Array

PointRows = tuple[MaterialField, Array]
"""A field, and rows (n, k) of its points."""


def save_beside(
    store: Store, beside: Sequence[PointRows], facts: Mapping[str, Any], comm: MPI.Intracomm
) -> Path:
    """Write rows of points alone, which :func:`load_beside` gives back. Collective.

    Args:
        store: Where; what is there stays.
        beside: Fields, with rows of their points.
        facts: What JSON can say.
        comm: The ranks.

    Returns:
        The file.

    Raises:
        OSError: It cannot be written; on all ranks.
    """
    return write_file(store, rows_beside(beside), facts, comm)


def load_beside(
    source: Archive | None, beside: Sequence[PointRows], comm: MPI.Intracomm
) -> list[Array] | None:  # each (n, k)
    """Return the rows that were kept of the points of other fields. Collective.

    Args:
        source: On rank 0.
        beside: The fields, with rows of the width that is expected.
        comm: The ranks.

    Returns:
        None where the checkpoint has none, or others.

    Raises:
        InputError: On all ranks: the checkpoint is damaged or hostile.
    """
    arrays = comm.bcast(source.arrays if source is not None else None, root=0)
    expected = rows_beside(beside)
    if any(name not in arrays or arrays[name][0][1:] != rows.shape[1:] for name, rows in expected):
        return None
    found = []
    for k, (held, rows) in enumerate(beside):
        numbers = original_numbers(held.mesh)[held.cells]
        at = positions_of(source, f"beside/{k}/cells", numbers, comm)
        shape = by_cell(held, rows).shape[1:]
        read = read_rows(source, f"beside/{k}/rows", at, shape, comm)
        found.append(np.asarray(read.reshape(rows.shape), dtype=np.float64))
    return found


def rows_beside(beside: Sequence[PointRows]) -> list[tuple[str, NDArray]]:
    """Return what is kept of other fields, cell by cell, by name. Collective."""
    rows: list[tuple[str, NDArray]] = []
    for k, (held, kept) in enumerate(beside):
        rows.append((f"beside/{k}/cells", original_numbers(held.mesh)[held.cells]))
        rows.append((f"beside/{k}/rows", by_cell(held, kept)))
    return rows
