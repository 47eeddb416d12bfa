"""Options of a PETSc solver: the command line wins over what the code sets."""

from __future__ import annotations

from collections.abc import Mapping
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
    prefix, database = snes.getOptionsPrefix() or "", PETSc.Options()
    ours = [key for key in options or {} if not database.hasName(prefix + key)]
    for key in ours:
        database[prefix + key] = options[key]  # type: ignore[index]
    try:
        snes.setFromOptions()
    except PETSc.Error as error:
        reason = str(error).strip().splitlines()[-1].partition("] ")[2] or str(error)
        raise InputError(
            f"PETSc refuses an option with the prefix {prefix!r}: {reason}; correct it on the "
            "command line or in [solver]"
        ) from None
    finally:
        for key in ours:
            database.delValue(prefix + key)
