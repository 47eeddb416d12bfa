"""What is raised on one rank inside a Material that communicates is raised on all."""

from __future__ import annotations

from collections.abc import Callable

from mpi4py import MPI

from fesurrogate.errors import MaterialError
from fesurrogate.material import Response


def answered_by_all(comm: MPI.Intracomm, evaluate: Callable[[], Response]) -> Response:
    """Return a rank's own answer, once every rank has one. Collective.

    Args:
        comm: The ranks that would wait for each other.
        evaluate: Must not communicate over ``comm``.

    Raises:
        MaterialError: On all ranks, with what was raised on some.
    """
    response: Response | None = None
    error: Exception | None = None
    try:
        response = evaluate()
    except Exception as raised:
        error = raised
    text = "" if error is None else f"{type(error).__name__}: {error}".splitlines()[0].strip()
    said: list[str] = list(dict.fromkeys(filter(None, comm.allgather(text))))
    if said or response is None:
        raise MaterialError("; ".join(said)) from error
    return response
