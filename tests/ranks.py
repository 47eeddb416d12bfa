"""How far two runs of the same problem agree on the ranks of a test."""

from __future__ import annotations

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
