"""From a TOML file to validated settings; every mistake becomes one message that names its key."""

from __future__ import annotations

import difflib
import json
import math
import os
import tomllib
import types
from collections.abc import Iterable, Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from fesurrogate.errors import InputError, MissingPackageError

T = TypeVar("T")
SEEDS = "a whole number from 0 to 2**63 - 1"
TOO_DEEP = "tables or arrays are nested too deeply; docs/config.md shows the tables there are"


def read_table(path: Path, kind: type[T]) -> T:
    """Read a TOML file as an instance of a dataclass of dataclasses.

    Raises:
        InputError: The file is missing or no TOML, or keys are unknown, missing or unusable.
        MissingPackageError: pydantic is not installed.
    """
    try:
        import pydantic
    except ImportError as error:
        raise MissingPackageError(
            "reading a configuration needs pydantic; install it with: pip install pydantic"
        ) from error
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}; give the path of a TOML") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is no TOML: {error}") from None
    except RecursionError:
        raise InputError(f"{path}: {TOO_DEEP}") from None
    try:
        mistakes = list(_mistakes(kind, table, ()))
        if not mistakes:
            prepared = _with_absolute_paths(kind, table, path.resolve().parent)
            text = json.dumps(prepared, default=str)  # strict JSON takes lists for tuples, no "1"
            return pydantic.TypeAdapter(kind).validate_json(text, strict=True)
    except pydantic.ValidationError as error:
        mistakes = list(_explained(error.errors(include_url=False), prepared))
    except RecursionError:
        mistakes = [TOO_DEEP]
    raise InputError("\n".join(f"{path}: {mistake}" for mistake in mistakes))


def _mistakes(kind: Any, value: Any, where: tuple) -> Iterator[str]:
    """Give what pydantic would not say well: unknown keys with their neighbours, and nan."""
    if isinstance(value, float) and not math.isfinite(value):
        yield f"{dotted(where)} is {value}; expected a finite number"
    hints = _hints(kind)
    if hints is not None and isinstance(value, dict):
        for key in set(value) - set(hints):
            yield (
                f"unknown key {dotted((*where, key))!r}{nearest(key, hints)}; known here: "
                f"{', '.join(sorted(hints))}"
            )
    for key, inner, part in _parts(kind, value):
        yield from _mistakes(inner, part, (*where, key))


def _with_absolute_paths(kind: Any, value: Any, folder: Path) -> Any:
    kind = _required(kind)
    if kind is Path and isinstance(value, str):
        return os.path.normpath(folder / value)
    parts = {key: _with_absolute_paths(t, part, folder) for key, t, part in _parts(kind, value)}
    if isinstance(value, dict):
        return {**value, **parts}
    return list(parts.values()) if parts else value


def _parts(kind: Any, value: Any) -> Iterator[tuple[str | int, Any, Any]]:
    """Give key, type and value of everything a table or an array holds."""
    kind = _required(kind)
    hints, arguments = _hints(kind), get_args(kind)
    if isinstance(value, dict):
        values = Any if get_origin(kind) is not dict else arguments[1]
        for key, part in value.items():
            yield key, (hints or {}).get(key, values), part
    elif isinstance(value, list):
        items = arguments[0] if get_origin(kind) is tuple else Any
        for key, part in enumerate(value):
            yield key, items, part


def _hints(kind: Any) -> dict[str, Any] | None:
    kind = _required(kind)
    if not (isinstance(kind, type) and is_dataclass(kind)):
        return None
    hints = get_type_hints(kind)
    return {f.name: hints[f.name] for f in fields(kind) if f.metadata.get("key", True)}


def _required(kind: Any) -> Any:
    """Return X of X | None."""
    if get_origin(kind) in (Union, types.UnionType):
        others = [item for item in get_args(kind) if item is not type(None)]
        return others[0] if len(others) == 1 else kind
    return kind


def _explained(errors: list[Any], table: dict) -> Iterator[str]:
    """Give one line a key; pydantic reports a union once for each of its members."""
    found: dict[tuple, list[str]] = {}
    given: dict[tuple, str] = {}
    for error in errors:
        where: tuple = ()
        value: Any = table
        for key in error["loc"]:
            try:
                value = value[key]
            except (KeyError, IndexError, TypeError):
                if error["type"] in ("missing", "missing_argument"):
                    where, value = (*where, key), None
                break
            where = (*where, key)
        given[where] = "" if isinstance(value, dict | None) else f" is {json.dumps(value)}"
        found.setdefault(where, []).append(_said(error))
    for where, texts in found.items():
        text = " or ".join(dict.fromkeys(texts)).replace(" or expected ", " or ")
        yield f"{dotted(where)}{given[where]}: {text}"


def _said(error: Any) -> str:
    if error["type"] in ("missing", "missing_argument"):
        return "missing, but required"
    text = str(error["msg"]).removeprefix("Value error, ")
    return text.replace("Input should be", "expected").replace("dictionary", "table")


def check(name: str, value: object, holds: bool, expected: str) -> None:
    """Refuse a value that does not hold, with its name and what is expected."""
    if not holds:
        raise InputError(f"{name} is {value}; expected {expected}")


def check_kind(kind: str, known: Iterable[str], key: str = "kind") -> None:
    """Refuse a kind that is neither known nor ``module:factory``; key is what names it."""
    module, colon, factory = kind.partition(":")
    if kind not in known and not (module and colon and factory.isidentifier()):
        raise InputError(
            f"{key} is {kind!r}; expected one of {', '.join(known)}, or module:factory for a law "
            f"of your own{nearest(kind, known)}"
        )


def dotted(where: tuple) -> str:
    """Return a location as the TOML would say it: ``traction[0].value``."""
    text = ""
    for key in where:
        text += f"[{key}]" if isinstance(key, int) else f".{key}" if text else str(key)
    return text or "the file"


def nearest(word: str, known: Iterable[str]) -> str:
    """Return " (did you mean ...?)" where a known word is close, else nothing."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""
