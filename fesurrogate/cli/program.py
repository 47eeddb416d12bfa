"""One call of the program: PETSc's options, the command, its messages and its exit code."""

from __future__ import annotations

import errno
import re
import sys
import time
import traceback
from collections.abc import Sequence
from typing import Any, NoReturn

import click

from fesurrogate.cli.common import BAD_INPUT, INTERRUPTED, STOPPED, app
from fesurrogate.errors import InputError

UNWRITABLE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES}
ROOM = "make room, or name another --output, and give the command again"
FORWARDED = 0.5
"""Seconds until mpirun has read what was printed: what it has not when a rank aborts is lost."""

PETSC_OPTION = re.compile(r"-[A-Za-z_][A-Za-z0-9_]+")


def split_petsc_options(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return (ours, PETSc's): PETSc's are one dash and a word, with the value that follows.

    A word after such an option is its value unless it begins with a dash (a number may) or ends in
    ``.toml``: a flag such as ``-macro_snes_monitor`` may stand before the configuration.
    """
    ours, petsc = [], []
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        if not PETSC_OPTION.fullmatch(word):
            ours.append(word)
            continue
        petsc.append(word)
        if rest and not rest[0].endswith(".toml") and (rest[0][:1] != "-" or _number(rest[0])):
            petsc.append(rest.pop(0))
    return ours, petsc


def _number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a command and exit with its code."""
    ours, petsc = split_petsc_options(sys.argv[1:] if arguments is None else arguments)
    comm = _world(["fesurrogate", *petsc])
    first = comm is None or comm.rank == 0
    try:
        code, text = _dispatch(ours, comm)
    except InputError as error:
        code, text = BAD_INPUT, f"error: {error}"
    except (Exception, KeyboardInterrupt) as error:
        if _interrupted(error):
            _leave(comm, INTERRUPTED, "interrupted")
        if isinstance(error, OSError) and error.errno in UNWRITABLE:
            _leave(comm, STOPPED, f"stopped: {error}; {ROOM}")
        traceback.print_exc()
        sys.stderr.flush()
        _end_all(comm, 1)
    if first and text:
        print(text, file=sys.stderr if code else sys.stdout, flush=True)
    if comm is not None:
        comm.Barrier()  # the message is out before mpirun learns of the exit code
    sys.exit(code)


def _interrupted(error: BaseException | None) -> bool:
    """Return whether the error is, or was caused by, a Ctrl-C; PETSc wraps it in errors."""
    while error is not None:
        if isinstance(error, KeyboardInterrupt | click.Abort):
            return True
        error = error.__cause__ or error.__context__
    return False


def _leave(comm: Any, code: int, said: str) -> NoReturn:
    """End all ranks: the others may wait for this one, or know nothing of what happened here."""
    if comm is not None and comm.rank > 0:
        time.sleep(2 * FORWARDED)  # where it happened to all, rank 0 says so and ends the others
    print(said, file=sys.stderr, flush=True)
    _end_all(comm, code)


def _end_all(comm: Any, code: int) -> NoReturn:
    """End this rank, and with it all others."""
    if comm is not None and comm.size > 1:
        time.sleep(FORWARDED)
        comm.Abort(code)
    sys.exit(code)


def _world(petsc: list[str]) -> Any:
    """Return the communicator, with PETSc initialised; None where there is no MPI."""
    try:
        import petsc4py
        from mpi4py import MPI
    except ImportError:
        return None
    petsc4py.init(petsc)
    return MPI.COMM_WORLD


def _dispatch(arguments: list[str], comm: Any) -> tuple[int, str]:
    """Parse and run; return the exit code and what rank 0 says last."""
    try:
        result = app(arguments, prog_name="fesurrogate", standalone_mode=False, obj=comm)
    except click.UsageError as error:
        usage = f"{error.ctx.get_usage()}\n" if error.ctx else ""
        return BAD_INPUT, f"{usage}error: {error.format_message()}"
    except click.ClickException as error:
        return BAD_INPUT, f"error: {error.format_message()}"
    return result if isinstance(result, tuple) else (int(result or 0), "")
