"""How an error on one rank reaches all, so that none waits for one that left."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

from fesurrogate.errors import InputError

T = TypeVar("T")


def threads_per_rank(comm: Any) -> int:
    """Return how many threads a rank may use, so that ranks × threads do not exceed the cores.

    Collective.

    Args:
        comm: An mpi4py communicator; None works alone.
    """
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    if comm is None:
        return cores
    from mpi4py import MPI

    node = comm.Split_type(MPI.COMM_TYPE_SHARED)
    ranks = node.size
    node.Free()
    return max(1, cores // ranks)


def together(comm: Any, action: Callable[[], T]) -> T:
    """Return what an action gives on this rank, or raise on all ranks what it raised on one.

    Collective. The action itself may be collective only where it raises on all ranks or on none.

    Args:
        comm: An mpi4py communicator; None works alone.
        action: What to do.

    Raises:
        InputError: With the same message on all ranks.
        OSError: A file of another rank cannot be read or written; with its number.
        RuntimeError: Anything else that was raised on another rank; the rank itself raises the
            original.
    """
    result, error = _attempt(action)
    _agree(comm, error)
    return result  # type: ignore[return-value]


def first_rank_first(comm: Any, build: Callable[[], T]) -> T:
    """Return what ``build`` gives, called on rank 0 before it is called on the others.

    With a cold cache, ranks that compile the same form on their own collide; the first fills the
    cache for the others. Collective, but ``build`` must not communicate over ``comm``.

    Raises:
        InputError: With the same message on all ranks.
        RuntimeError: As :func:`together`.
    """
    rank = 0 if comm is None else comm.rank
    result, error = _attempt(build) if rank == 0 else (None, None)
    _agree(comm, error)
    if rank > 0:
        result, error = _attempt(build)
    _agree(comm, error)
    return result  # type: ignore[return-value]


def _attempt(action: Callable[[], T]) -> tuple[T | None, Exception | None]:
    try:
        return action(), None
    except Exception as error:
        return None, error


def _agree(comm: Any, error: Exception | None) -> None:
    bad_input = isinstance(error, InputError)
    note = None
    if error is not None:
        number = error.errno if isinstance(error, OSError) else None
        note = bad_input, number, str(error) if bad_input or number else repr(error)
    notes = [note] if comm is None else comm.allgather(note)
    if error is not None and (not bad_input or len(notes) == 1):
        raise error
    for rank, (said_bad_input, number, message) in (
        (r, n) for r, n in enumerate(notes) if n is not None
    ):
        if said_bad_input:
            raise InputError(message)
        if number:
            raise OSError(number, f"rank {rank} raised {message}")
        raise RuntimeError(f"rank {rank} raised {message}")
