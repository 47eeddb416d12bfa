"""``kind = "module:factory"``: code of the user's, imported only where it is allowed."""

from __future__ import annotations

import hashlib
import importlib
import sys
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fesurrogate.build.context import Context
from fesurrogate.errors import InputError
from fesurrogate.material import Material


@dataclass(frozen=True)
class Made:
    """What a user's factory returned, and the hash of the source it came from."""

    value: Any
    source: str


def from_factory(kind: str, constants: Mapping[str, Any], context: Context) -> Made:
    """Return what ``factory(kinematics, constants)`` of a module returns.

    The module is looked for beside the TOML, in the current folder, and among installed packages.

    Raises:
        InputError: Code is not allowed, or there is no such module or factory.
    """
    code = function_of(kind, context)
    try:
        made = code.value(context.kinematics, dict(constants))
    except InputError:
        raise
    except Exception as error:
        raise InputError(
            f"kind is {kind!r}: {kind.partition(':')[2]} raised {type(error).__name__}: "
            f"{_first_line(error)}, at {_place(error)}; mend it, or what it is given: "
            f"{dict(constants)}"
        ) from error
    return Made(made, code.source)


def function_of(kind: str, context: Context) -> Made:
    """Return the function of a user's module that ``module:function`` names.

    Raises:
        InputError: Code is not allowed, or there is no such module or function.
    """
    if not context.allow_code:
        raise InputError(f"kind is {kind!r}, which runs code of yours; allow it with --allow-code")
    module, _, name = kind.partition(":")
    places = [str(folder) for folder in (context.folder, Path.cwd()) if folder is not None]
    folders = list(dict.fromkeys(places))
    before = list(sys.path)
    sys.path[:0] = folders
    try:
        code = importlib.import_module(module)
    except (Exception, SystemExit) as error:
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        if missing and f"{module}.".startswith(f"{missing}."):
            raise InputError(
                f"kind is {kind!r}: {error}; looked for {module}.py in "
                f"{', '.join(folders)} and among the installed packages"
            ) from error
        raise InputError(
            f"kind is {kind!r}: importing {module} raised {type(error).__name__}: "
            f"{_first_line(error)}, at {_place(error)}; mend the module"
        ) from error
    finally:
        sys.path[:] = before
    factory = getattr(code, name, None)
    if not callable(factory):
        raise InputError(
            f"kind is {kind!r}: there is no function {name} in {code.__file__}; it has "
            f"{', '.join(key for key in vars(code) if not key.startswith('_')) or 'no names'}"
        )
    source = Path(code.__file__).read_bytes() if code.__file__ else b""
    return Made(factory, hashlib.sha256(source).hexdigest())


def check_kinematics(material: Material, kind: str, context: Context) -> None:
    """Refuse a Material under other kinematics."""
    if material.kinematics != context.kinematics:
        raise InputError(
            f"{kind} returned a Material under {material.kinematics}; expected {context.kinematics}"
        )


def _first_line(error: BaseException) -> str:
    return (str(getattr(error, "msg", None) or error).splitlines() or [""])[0]


def _place(error: BaseException) -> str:
    """Return file and line that an error of a user's module is about."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}, line {error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [frame for frame in frames if "importlib" not in frame.filename][1:] or frames
    return f"{theirs[0].filename}, line {theirs[0].lineno}"
