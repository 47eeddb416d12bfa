"""``[material]`` tables as Materials, each with the fingerprint of what it is made of."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fesurrogate.build import laws
from fesurrogate.build.cells import micro_options, solved_cell
from fesurrogate.build.context import Context, context_of, naming
from fesurrogate.build.factory import check_kinematics, from_factory
from fesurrogate.build.family import cell_numbers, family_of, fingerprint_of
from fesurrogate.build.guess import guessed
from fesurrogate.build.ranks import first_rank_first, threads_per_rank, together
from fesurrogate.build.serving import Serving, serving_of
from fesurrogate.config import Settings, read_config
from fesurrogate.config.cell import RVESettings
from fesurrogate.config.material import MaterialSettings, TableSettings
from fesurrogate.errors import InputError
from fesurrogate.laws.rotated import NAMES as ROTATION_NAMES
from fesurrogate.laws.rotated import Rotated
from fesurrogate.material import Material

logger = logging.getLogger(__name__)

SELF_EXPLAINING = ("network", "table")
"""Kinds whose table may be left out."""


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


def load_material(
    source: str | Path | Settings,
    comm: Any = None,
    *,
    kind: str | None = None,
    allow_code: bool = False,
    gather: bool = False,
) -> Material:
    """Return the Material of a TOML's ``[material]``, for scripts. Collective.

    Args:
        source: Path of the TOML, or its settings.
        comm: An mpi4py communicator; None works alone.
        kind: Taken in place of the table's ``kind``.
        allow_code: Whether ``kind = "module:factory"`` may import the user's module.
        gather: Whether some ranks may evaluate a network for others: all then evaluate together.

    Raises:
        InputError: On all ranks, with the same message: the TOML, or what it names, is unusable.
    """
    settings = source if isinstance(source, Settings) else read_config(source)
    if settings.material is None:
        raise InputError("there is no [material] table")
    table = settings.material if kind is None else replace(settings.material, kind=kind)
    found = identify_material(table, settings, comm, allow_code=allow_code, gather=gather)
    return found.material


def identify_material(
    table: MaterialSettings,
    settings: Settings,
    comm: Any = None,
    *,
    where: str = "material",
    ranges: bool = False,
    allow_code: bool = False,
    gather: bool = False,
) -> IdentifiedMaterial:
    """Return the Material of one table of the settings with its fingerprint. Collective.

    Args:
        table: ``[material]``, or the table of a region.
        settings: The whole.
        comm: An mpi4py communicator; None works alone.
        where: Name of the table, for messages.
        ranges: Whether the parameters are those of ``[generate.parameters]``, for messages.
        allow_code: Whether a user's module may be imported.
        gather: Whether some ranks may evaluate a network for others: all then evaluate together.

    Raises:
        InputError: On all ranks, with the same message.
    """
    serving = Serving()
    if table.kind == "network" and not table.learns:
        serving = serving_of(table.network, comm, gather=gather)
    turned = ROTATION_NAMES[settings.kinematics.gdim] if table.rotated else ()
    context = replace(
        context_of(settings, allow_code=allow_code, threads=threads_per_rank(comm)),
        parameters=tuple(name for name in table.parameters or () if name not in turned),
        device=serving.device,
    )
    chosen = getattr(table, table.section)
    if chosen is None and table.kind not in SELF_EXPLAINING and ":" not in table.kind:
        raise InputError(
            f"{where}: kind is {table.kind!r}, but there is no table [{where}.{table.section}]; "
            "add it"
        )
    make = MAKERS.get(table.kind, _from_factory)
    if table.learns:
        from fesurrogate.build.learning import check_learning, untaught_of

        together(comm, lambda: check_learning(table, where))
        make = untaught_of

    def build() -> tuple[Material | None, Any]:
        with naming(f"{where}.{table.section}"):
            return make(table, context)

    made, ingredients = first_rank_first(comm, build)
    if serving.gathered:
        from fesurrogate.combine import Gathered

        made = Gathered(made, comm)
    assert made is not None
    material = made
    if table.guarded:
        from fesurrogate.build.guard import guarded, reference_table

        assert table.guard is not None
        exact = identify_material(
            reference_table(table, turned, material.parameter_names), settings, comm,
            where=where, allow_code=allow_code,
        )  # fmt: skip
        everyone = comm if gather else None
        if table.learns:
            from fesurrogate.build.learning import learning

            material, start = learning(
                table, settings, exact, where=where, threads=context.threads, comm=everyone
            )
            ingredients = [ingredients, start]
        else:
            model = model_of(table, context) if table.kind == "network" else None
            material = guarded(
                material, exact.material, table.guard, model,
                increments=len(settings.steps.end_times), where=where, comm=everyone,
            )  # fmt: skip
        ingredients = [ingredients, exact.fingerprint, table.guard.answering]

    def finished() -> Material:
        turned = Rotated(material) if table.rotated else material
        with naming("generate.parameters" if ranges else f"{where}.parameters"):
            _check_parameters(turned, table, "[low, high]" if ranges else 'NUMBER or "FORMULA"')
        return turned

    material = together(comm, finished)
    setting = [table.kind, repr(settings.kinematics), material.parameter_names]
    description = json.dumps([*setting, ingredients], sort_keys=True)
    return IdentifiedMaterial(
        material, table.kind, hashlib.sha256(description.encode()).hexdigest()[:16]
    )


def _check_parameters(material: Material, table: MaterialSettings, value: str) -> None:
    given, needed = set(table.parameters or ()), set(material.parameter_names)
    if given != needed:
        lines = ", ".join(f'"{name}" = {value}' for name in material.parameter_names)
        raise InputError(
            f"{', '.join(sorted(given)) or 'none'} given; kind {table.kind!r} needs "
            f"{', '.join(material.parameter_names) or 'none'}: write {lines or 'nothing'}"
        )


# -- one function a kind: the Material (None: another rank has it), and what it is made of (JSON)


def _rve(table: MaterialSettings, context: Context) -> tuple[Material, Any]:
    assert table.rve is not None
    if cell_numbers(table.rve, context.parameters):
        if table.rve.initial_guess != "previous":
            raise InputError(
                f"initial_guess is {table.rve.initial_guess!r}; expected 'previous' where every "
                "point has a cell of its own"
            )
        material, sources = family_of(table.rve, context)
    else:
        material, sources = solved_cell(table.rve, context)
        material = guessed(material, table.rve, context)
    return material, [material.fingerprint, micro_options(context), sources]


def _linearised_rve(table: MaterialSettings, context: Context) -> tuple[Material, Any]:
    from fesurrogate.laws import Linear

    assert table.rve is not None
    cell, sources = solved_cell(table.rve, replace(context, parameters=()))
    rest = context.kinematics.rest
    response = cell.evaluate(rest[None])
    assert response.ok.all() and response.tangent is not None
    return Linear(context.kinematics, response.tangent[0]), [
        cell.fingerprint,
        micro_options(context),
        sources,
    ]


def model_of(table: MaterialSettings, context: Context) -> Path:
    """Return the model file of kind "network".

    Raises:
        InputError: There is none.
    """
    given = table.network.model if table.network else None
    places = context.models if given is None else (given,)
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        raise InputError(
            f"there is no model {' nor '.join(map(str, places))}; make it with: "
            "fesurrogate generate CONFIG, then fesurrogate train CONFIG"
        )
    return path


def _network(table: MaterialSettings, context: Context) -> tuple[Material | None, Any]:
    path = model_of(table, context)
    content = hashlib.sha256(path.read_bytes()).hexdigest()
    if context.device is None:
        return None, content
    import torch

    from fesurrogate.surrogate import load_network_material

    threads = min(context.threads, torch.get_num_threads())
    material = load_network_material(
        path, context.kinematics, device=context.device, threads=threads
    )
    if table.rve is not None:
        _compare_cells(path, table.rve, material)
    return material, content


def _compare_cells(path: Path, table: RVESettings, material: Material) -> None:
    """Warn of a model whose data another cell gave, where both are known."""
    from fesurrogate.surrogate import load_model

    made = load_model(path)[1].get("material")
    given = made.get("cell") if isinstance(made, Mapping) else None
    try:
        cell = fingerprint_of(table, material.kinematics, material.parameter_names)
    except OSError:  # files that only the cell needs
        return
    if given not in (None, cell):
        logger.warning(
            "model %s was trained on answers of another cell than [material.rve] describes: run "
            "generate and train again, or leave [material.rve] out", path,
        )  # fmt: skip


def _table(table: MaterialSettings, context: Context) -> tuple[Material, Any]:
    from fesurrogate.hierarchical import Table, check_cell, read_tabulation
    from fesurrogate.hierarchical.strains import PREFIX

    given = table.table or TableSettings()
    path = given.file or context.table
    assert path is not None
    found = read_tabulation(path, context.kinematics, units=given.units)
    if table.rve is not None:
        names = [axis.name for axis in found.axes if not axis.name.startswith(PREFIX)]
        check_cell(found, fingerprint_of(table.rve, context.kinematics, names), path)
    smooth = given.interpolation == "spline"
    content = [hashlib.sha256(path.read_bytes()).hexdigest(), given.interpolation]
    return Table(found.smoothed() if smooth else found), content


def _from_factory(table: MaterialSettings, context: Context) -> tuple[Material, Any]:
    constants = table.factory or {}
    made = from_factory(table.kind, constants, context)
    if not isinstance(made.value, Material):
        raise InputError(f"{table.kind} returned {type(made.value).__name__}; expected a Material")
    check_kinematics(made.value, table.kind, context)
    return made.value, [constants, made.source]


MAKERS: dict[str, Callable[[MaterialSettings, Context], tuple[Material | None, Any]]] = {
    "rve": _rve,
    "network": _network,
    "table": _table,
    "linearised_rve": _linearised_rve,
    **dict.fromkeys(laws.LAWS, laws.law),
}
