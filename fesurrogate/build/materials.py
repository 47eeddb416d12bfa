"""``[material]`` tables as Materials, each with the fingerprint of what it is made of."""

from __future__ import annotations

import hashlib
import importlib
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from fesurrogate.build.ranks import first_rank_first
from fesurrogate.config import MaterialSettings, RVESettings, Settings, read_config
from fesurrogate.errors import InputError
from fesurrogate.kinematics import Kinematics
from fesurrogate.material import Material

MEASURES = {"neo_hookean": "finite", "linear_elastic": "small", "conductor": "gradient"}
"""The measure that each kind of phase is an energy of."""


@dataclass(frozen=True)
class IdentifiedMaterial:
    """A Material and where it comes from.

    Attributes:
        material: The Material.
        kind: The ``kind`` of its table.
        fingerprint: Hash (16 hex digits) of all that its answers depend on.
    """

    material: Material
    kind: str
    fingerprint: str


@dataclass(frozen=True)
class Context:
    """What the tables of a Material mean something in."""

    kinematics: Kinematics
    model: Path  # where kind "network" looks where nothing is said
    folder: Path | None = None  # of the TOML, where a user's own module is looked for first
    allow_code: bool = False
    micro_options: Mapping[str, Any] | None = None


def load_material(
    source: str | Path | Settings,
    comm: Any = None,
    *,
    kind: str | None = None,
    allow_code: bool = False,
) -> Material:
    """Return the Material of a TOML's ``[material]``, for scripts. Collective.

    Args:
        source: Path of the TOML, or its settings.
        comm: An mpi4py communicator; None works alone.
        kind: Taken in place of the table's ``kind``.
        allow_code: Whether ``kind = "module:factory"`` may import the user's module.

    Raises:
        InputError: On all ranks, with the same message: the TOML, or what it names, is unusable.
    """
    settings = source if isinstance(source, Settings) else read_config(source)
    if settings.material is None:
        raise InputError("there is no [material] table")
    table = settings.material if kind is None else replace(settings.material, kind=kind)
    return identify_material(table, settings, comm, allow_code=allow_code).material


def build_material(
    table: MaterialSettings,
    kinematics: Kinematics,
    comm: Any = None,
    *,
    allow_code: bool = False,
) -> Material:
    """Return the Material of one table. Collective; raises as :func:`load_material`."""
    settings = Settings(kinematics=kinematics, material=table)
    return identify_material(table, settings, comm, allow_code=allow_code).material


def identify_material(
    table: MaterialSettings,
    settings: Settings,
    comm: Any = None,
    *,
    where: str = "material",
    allow_code: bool = False,
) -> IdentifiedMaterial:
    """Return the Material of one table of the settings with its fingerprint. Collective.

    Args:
        table: ``[material]``, or the table of a region.
        settings: The whole.
        comm: An mpi4py communicator; None works alone.
        where: Name of the table, for messages.
        allow_code: Whether a user's module may be imported.

    Raises:
        InputError: On all ranks, with the same message.
    """
    context = Context(
        settings.kinematics,
        settings.model,
        settings.source.parent if settings.source else None,
        allow_code,
        settings.solver.micro,
    )
    chosen = getattr(table, table.table)
    if chosen is None and table.kind != "network" and ":" not in table.kind:
        raise InputError(
            f"{where}: kind is {table.kind!r}, but there is no table [{where}.{table.table}]; "
            "add it"
        )
    make = MAKERS.get(table.kind, _from_factory)

    def build() -> tuple[Material, Any]:
        with naming(f"{where}.{table.table}"):
            return make(table, context)

    material, ingredients = first_rank_first(comm, build)
    description = json.dumps([table.kind, repr(settings.kinematics), ingredients], sort_keys=True)
    return IdentifiedMaterial(
        material, table.kind, hashlib.sha256(description.encode()).hexdigest()[:16]
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


# -- one function a kind: the Material, and what it is made of (JSON) ------------------------


def _rve(table: MaterialSettings, context: Context) -> tuple[Material, Any]:
    assert table.rve is not None
    material = _solved_cell(table.rve, context)
    return material, material.fingerprint


def _linearised_rve(table: MaterialSettings, context: Context) -> tuple[Material, Any]:
    from fesurrogate.laws import Linear

    assert table.rve is not None
    cell, rest = _solved_cell(table.rve, context), context.kinematics.rest
    response = cell.evaluate(rest[None])
    assert response.ok.all() and response.tangent is not None
    return Linear(context.kinematics, response.tangent[0]), cell.fingerprint


def _solved_cell(table: RVESettings, context: Context) -> Any:
    from fesurrogate.micro import (
        Phase,
        RVEMaterial,
        conductor,
        linear_elastic,
        neo_hookean,
        read_cell,
    )

    makers: dict[str, Callable[..., Phase]] = {
        "neo_hookean": neo_hookean,
        "linear_elastic": linear_elastic,
        "conductor": conductor,
    }
    phases = {}
    for name, phase in table.phases.items():
        measure = MEASURES[phase.kind]
        with naming(f"phases.{name}"):
            if measure != context.kinematics.measure:
                raise InputError(
                    f"kind {phase.kind!r} is an energy of measure {measure!r}, but "
                    f"kinematics.measure is {context.kinematics.measure!r}"
                )
            phases[name] = makers[phase.kind](**phase.constants)
    cell = read_cell(table.mesh)
    with petsc_options("micro_", context.micro_options or {}):
        return RVEMaterial(
            cell,
            phases,
            context.kinematics,
            degree=table.degree,
            boundary=table.boundary,
            rtol=table.rtol,
        )


def _network(table: MaterialSettings, context: Context) -> tuple[Material, Any]:
    from fesurrogate.surrogate import load_network_material

    path = (table.network.model if table.network else None) or context.model
    if not path.is_file():
        raise InputError(
            f"there is no model {path}; make it with: fesurrogate generate CONFIG, then "
            "fesurrogate train CONFIG"
        )
    material = load_network_material(path, context.kinematics)
    return material, hashlib.sha256(path.read_bytes()).hexdigest()


def _neo_hookean(table: MaterialSettings, context: Context) -> tuple[Material, Any]:
    from fesurrogate.laws import NeoHookean

    assert table.neo_hookean is not None
    if context.kinematics.measure != "finite":
        raise InputError(
            f"needs kinematics.measure 'finite', not {context.kinematics.measure!r}; take kind "
            "'linear', or change the measure"
        )
    constants = asdict(table.neo_hookean)
    return NeoHookean(context.kinematics.gdim, **constants), constants


def _linear(table: MaterialSettings, context: Context) -> tuple[Material, Any]:
    from fesurrogate.laws import Linear, isotropic_stiffness

    assert table.linear is not None
    constants, kinematics = asdict(table.linear), context.kinematics
    conductivity = table.linear.conductivity
    if (kinematics.measure == "gradient") != (conductivity is not None):
        needed = "conductivity" if kinematics.measure == "gradient" else "young and poisson"
        raise InputError(f"kinematics.measure {kinematics.measure!r} needs {needed}")
    if conductivity is None:
        assert table.linear.young is not None and table.linear.poisson is not None
        stiffness = isotropic_stiffness(
            kinematics, young=table.linear.young, poisson=table.linear.poisson
        )
    elif conductivity > 0:
        stiffness = conductivity * np.eye(kinematics.gdim)
    else:
        raise InputError(f"conductivity is {conductivity}; expected a number > 0")
    return Linear(kinematics, stiffness), constants


def _from_factory(table: MaterialSettings, context: Context) -> tuple[Material, Any]:
    if not context.allow_code:
        raise InputError(
            f"kind is {table.kind!r}, which runs code of yours; allow it with --allow-code"
        )
    module, _, name = table.kind.partition(":")
    folders = [str(folder) for folder in (context.folder, Path.cwd()) if folder is not None]
    before = list(sys.path)
    sys.path[:0] = folders
    try:
        factory = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise InputError(
            f"kind is {table.kind!r}: {error}; looked for {module}.py in {', '.join(folders)} and "
            "among the installed packages"
        ) from error
    finally:
        sys.path[:] = before
    constants = table.factory or {}
    material = factory(context.kinematics, constants)
    if not isinstance(material, Material):
        raise InputError(f"{table.kind} returned {type(material).__name__}; expected a Material")
    if material.kinematics != context.kinematics:
        raise InputError(
            f"{table.kind} returned a Material under {material.kinematics}; expected "
            f"{context.kinematics}"
        )
    return material, constants


MAKERS: dict[str, Callable[[MaterialSettings, Context], tuple[Material, Any]]] = {
    "rve": _rve,
    "network": _network,
    "neo_hookean": _neo_hookean,
    "linear": _linear,
    "linearised_rve": _linearised_rve,
}


@contextmanager
def petsc_options(prefix: str, options: Mapping[str, Any]) -> Iterator[None]:
    """Put options into PETSc's database for a while, except those that the user has typed."""
    from petsc4py import PETSc

    database: Any = PETSc.Options()  # type: ignore[attr-defined]
    ours = {prefix + key: value for key, value in options.items()}
    ours = {key: value for key, value in ours.items() if not database.hasName(key)}
    for key, value in ours.items():
        database[key] = value
    try:
        yield
    finally:
        for key in ours:
            database.delValue(key)
