"""What the ranks of a test share: a folder, and how far two runs of a problem agree on them."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from mpi4py import MPI

BITWISE = MPI.COMM_WORLD.size == 1
"""With more ranks the answers agree to round-off: PETSc adds up what comes in any order."""


def assert_same(a: np.ndarray, b: np.ndarray, rtol: float = 1e-10) -> None:
    """Assert that arrays are the same: bit by bit on one rank, to rtol of the largest on more."""
    if BITWISE:
        np.testing.assert_array_equal(a, b)
    else:
        size = float(np.abs(b).max(initial=0.0))
        np.testing.assert_allclose(a, b, rtol=0.0, atol=rtol * size)


@contextmanager
def shared_folder() -> Iterator[Path]:
    """Give a new folder that all ranks share, and remove it once all have left it. Collective."""
    comm = MPI.COMM_WORLD
    path = Path(comm.bcast(tempfile.mkdtemp() if comm.rank == 0 else None))
    yield path
    comm.Barrier()
    if comm.rank == 0:
        shutil.rmtree(path)
