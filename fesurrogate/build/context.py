"""What the tables of a Material mean something in, and how their mistakes are named."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fesurrogate.config import Settings
from fesurrogate.errors import InputError
from fesurrogate.kinematics import Kinematics


@dataclass(frozen=True)
class Context:
    """What the tables of a Material mean something in."""

    kinematics: Kinematics
    models: Sequence[Path]  # where kind "network" looks where nothing is said
    folder: Path | None = None  # of the TOML, where a user's own module is looked for first
    allow_code: bool = False
    micro_options: Mapping[str, Any] | None = None
    threads: int = 1  # a rank
    device: str | None = "cpu"  # of a network; None where another rank evaluates it
    parameters: tuple[str, ...] = ()  # of the Material, that are given a point
    table: Path | None = None  # where kind "table" looks where nothing is said
    guess: Path | None = None  # where a learned initial guess is looked for where nothing is said
    field_network: Path | None = None  # the same of a field network


def context_of(settings: Settings, *, allow_code: bool = False, threads: int = 1) -> Context:
    """Return the context that settings give."""
    return Context(
        settings.kinematics,
        settings.models,
        settings.source.parent if settings.source else None,
        allow_code,
        settings.solver.micro,
        threads,
        table=settings.table,
        guess=settings.learned_guess,
        field_network=settings.field_network,
    )


class _NamedError(InputError):
    """An InputError that knows the place in the TOML it is about."""

    def __init__(self, where: str, text: str) -> None:
        super().__init__(f"{where}: {text}")
        self.where, self.text = where, text


@contextmanager
def naming(where: str) -> Iterator[None]:
    """Put the place in the TOML before the message of any InputError."""
    try:
        yield
    except _NamedError as error:
        raise _NamedError(f"{where}.{error.where}", error.text) from None
    except InputError as error:
        raise _NamedError(where, str(error)) from error
