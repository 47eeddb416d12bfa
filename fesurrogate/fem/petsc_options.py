"""Options of a PETSc solver: the command line wins over what the code sets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from petsc4py import PETSc

from fesurrogate.errors import InputError


def set_from_options(snes: PETSc.SNES, options: Mapping[str, Any] | None = None) -> None:
    """Let a SNES take its options, and ours where the command line has none; leave none behind.

    Args:
        snes: The solver, with its prefix.
        options: Values by name without prefix.

    Raises:
        InputError: PETSc refuses one, as a type it does not have or a word for a number.
    """
    prefix = snes.getOptionsPrefix() or ""
    with petsc_options(prefix, options or {}):
        try:
            snes.setFromOptions()
        except PETSc.Error as error:
            reason = str(error).strip().splitlines()[-1].partition("] ")[2] or str(error)
            raise InputError(
                f"PETSc refuses an option with the prefix {prefix!r}: {reason}; correct it on the "
                "command line or in [solver]"
            ) from None


@contextmanager
def petsc_options(prefix: str, options: Mapping[str, Any]) -> Iterator[None]:
    """Put options into PETSc's database for a while, except those that are there.

    What a solver makes only when it solves, as a factorisation with options of its package, looks
    for them then: they must be there once more.

    Args:
        prefix: Of the solver.
        options: Values by name without prefix.
    """
    database = PETSc.Options()
    ours = [prefix + key for key in options if not database.hasName(prefix + key)]
    for key in ours:
        database[key] = options[key.removeprefix(prefix)]
    try:
        yield
    finally:
        for key in ours:
            database.delValue(key)
