"""Points that could not be solved: which, at what strain, and why."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from mpi4py import MPI
from numpy.typing import NDArray

from fesurrogate.kinematics import Array, BoolArray

SEARCHES = 64  # calls that raise, after which all points that are left count as raising


@dataclass(frozen=True)
class Failure:
    """What a Material was asked at k points of this rank that it could not solve.

    Attributes:
        rows: (k,), of the field's points.
        strain: (k, m).
        state: (k, s), the accepted one.
        hint: (k, h), that it was given.
        parameters: (k, p).
        dt: Length of the increment.
        error: The exception, in one line, where there was one.
        fatal: How many of them no smaller step can mend, as the Material reports.
        untrusted: How many of them have an answer that is not believed, as the Material reports.
    """

    rows: NDArray[np.int64]
    strain: Array
    state: Array
    hint: Array
    parameters: Array
    dt: float
    error: str = ""
    fatal: int = 0
    untrusted: int = 0


def raising_rows(
    evaluate: Callable[[NDArray[np.int64]], object],
    n: int,
) -> BoolArray:  # (n,)
    """Return which of n points make a Material raise, found by halving.

    Args:
        evaluate: Asks the Material for some of the points, by their numbers.
        n: Number of points, which together made it raise.
    """
    raises = np.zeros(n, dtype=bool)
    groups, spare = [np.arange(n)], SEARCHES
    while groups:
        rows = groups.pop()
        try:
            if spare:
                evaluate(rows)
                continue
        except Exception:
            spare -= 1
            if len(rows) > 1:
                groups += np.array_split(rows, 2)
                continue
        raises[rows] = True
    return raises


def first_line(error: BaseException) -> str:
    """Return an exception as one line."""
    return f"{type(error).__name__}: {error}".splitlines()[0].strip()


def said_of_failures(failures: list[Failure | None], comm: MPI.Intracomm) -> str:
    """Return how many points failed on all ranks, and the exceptions, in words. Collective."""
    mine = [found for found in failures if found is not None]
    numbers = np.array([sum(len(f.rows) for f in mine), sum(f.untrusted for f in mine)])
    count, doubted = comm.allreduce(numbers)
    found = comm.allgather([f.error for f in mine if f.error])
    errors = dict.fromkeys(text for texts in found for text in texts)
    if not count:
        return ""
    raised = f", where the Material raised {'; '.join(errors)}" if errors else ""
    unsolved = f"{count - doubted} points could not be solved{raised}"
    if not doubted:
        return unsolved
    untrusted = f"{doubted} points are not trusted by their guard"
    return untrusted if doubted == count else f"{untrusted}, {unsolved}"
