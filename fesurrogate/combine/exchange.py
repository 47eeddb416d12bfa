"""Rows of points to other ranks and answers back."""

from __future__ import annotations

from typing import Any, final

import numpy as np
from mpi4py import MPI
from numpy.typing import NDArray

LARGEST = 2**30  # bytes of a message: below what a count of MPI holds


@final
class Exchange:
    """A plan of which points are answered where. Collective.

    Args:
        comm: The communicator.
        destination: (n,), rank that answers each of this rank's points.

    Attributes:
        wire_bytes: Bytes that this rank has sent to others so far.
    """

    def __init__(
        self,
        comm: MPI.Intracomm,
        destination: NDArray[np.integer],  # (n,)
    ) -> None:
        self.comm = comm
        self._order = np.argsort(destination, kind="stable")
        self._counts = np.bincount(destination, minlength=comm.size).astype(np.int64)
        self._received = np.empty_like(self._counts)
        comm.Alltoall(self._counts, self._received)
        self.wire_bytes = 0

    def send(
        self,
        rows: NDArray,  # (n, ...), of this rank's points
    ) -> NDArray:  # (k, ...), of the points this rank answers, those of rank 0 first
        """Return the rows of the points that this rank answers."""
        return self._moved(rows[self._order], self._counts, self._received)

    def give_back(
        self,
        rows: NDArray,  # (k, ...)
    ) -> NDArray:  # (n, ...)
        """Return the rows of this rank's own points, in their order."""
        sorted_rows = self._moved(rows, self._received, self._counts)
        back = np.empty_like(sorted_rows)
        back[self._order] = sorted_rows
        return back

    def _moved(self, rows: NDArray, given: NDArray, taken: NDArray) -> NDArray:
        width = int(rows.dtype.itemsize * np.prod(rows.shape[1:], dtype=np.int64))
        answer = np.empty((int(taken.sum()), *rows.shape[1:]), dtype=rows.dtype)
        source, target = np.ascontiguousarray(rows), answer.view()
        mine = self.comm.rank
        requests: list[Any] = []
        starts, ends = np.cumsum(given) - given, np.cumsum(taken) - taken
        most = max(1, LARGEST // max(1, width))  # rows of a message
        for other in range(self.comm.size):
            if other == mine:
                kept = slice(ends[mine], ends[mine] + taken[mine])
                target[kept] = source[starts[mine] : starts[mine] + given[mine]]
                continue
            for first in range(0, int(taken[other]), most):
                last = min(first + most, int(taken[other]))
                part = target[ends[other] + first : ends[other] + last]
                requests.append(self.comm.Irecv(part.view(np.uint8).reshape(-1), other))
            for first in range(0, int(given[other]), most):
                last = min(first + most, int(given[other]))
                part = source[starts[other] + first : starts[other] + last]
                requests.append(self.comm.Isend(part.view(np.uint8).reshape(-1), other))
                self.wire_bytes += part.nbytes
        MPI.Request.Waitall(requests)
        return answer
