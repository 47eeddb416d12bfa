"""``[material.rve]`` as a cell with phases: an RVEMaterial."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fesurrogate.build.cell_makers import make_cell_of
from fesurrogate.build.context import Context, naming
from fesurrogate.build.factory import check_kinematics, from_factory
from fesurrogate.build.laws import make_phase
from fesurrogate.config.cell import RVESettings
from fesurrogate.config.phase import PhaseSettings
from fesurrogate.errors import InputError
from fesurrogate.laws.rotated import NAMES as ROTATION_NAMES
from fesurrogate.laws.rotated import Rotated
from fesurrogate.material import Material


def solved_cell(table: RVESettings, context: Context) -> tuple[Any, dict[str, str]]:
    """Return the RVEMaterial of the table, and the source of each phase that is code of the user's.

    Raises:
        InputError: The cell or a phase cannot be made, or they do not fit.
    """
    phases, sources = phases_of(table, context)
    return fill_cell(make_cell_of(table, context.kinematics), phases, table, context), sources


def fill_cell(cell: Any, phases: Mapping[str, Any], table: RVESettings, context: Context) -> Any:
    """Return the RVEMaterial of a cell whose phases are given."""
    from fesurrogate.fem.petsc_options import petsc_options
    from fesurrogate.micro import RVEMaterial

    with petsc_options("micro_", context.micro_options or {}):
        return RVEMaterial(
            cell,
            phases,
            context.kinematics,
            parameters=context.parameters,
            degree=table.degree,
            boundary=table.boundary,
            rtol=table.rtol,
        )


def phases_of(table: RVESettings, context: Context) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the law of each phase that is no void, and the source of those of the user's."""
    phases, sources = {}, {}
    for name, settings in table.phases.items():
        if settings.kind == "void":
            continue
        own = [k.removeprefix(f"{name}.") for k in context.parameters if k.startswith(f"{name}.")]
        with naming(f"phases.{name}"):
            if ":" in settings.kind:
                made = from_factory(settings.kind, settings.factory or {}, context)
                phase, sources[name] = made.value, made.source
            else:
                turned = ROTATION_NAMES[context.kinematics.gdim] if settings.rotated else ()
                varying = [constant for constant in own if constant not in turned]
                phase = make_phase(settings, context.kinematics, parameters=varying)
            phases[name] = _checked(phase, settings, context)
    return phases, sources


def _checked(phase: Any, settings: PhaseSettings, context: Context) -> Any:
    """Return a phase in its orientation, after a check of what a factory returned."""
    from fesurrogate.micro import Phase

    if not isinstance(phase, Phase | Material):
        raise InputError(
            f"{settings.kind} returned {type(phase).__name__}; expected a Phase (an energy in UFL) "
            "or a Material"
        )
    if isinstance(phase, Material):
        check_kinematics(phase, settings.kind, context)
    if settings.orientation is None and not settings.rotated:
        return phase
    if isinstance(phase, Phase):
        raise InputError(
            f"an orientation is for a law that is a Material; kind {settings.kind!r} is an energy: "
            "isotropic, or turned by itself"
        )
    return Rotated(phase, settings.orientation)


def micro_options(context: Context) -> dict[str, str]:
    """Return the PETSc options of the cell, of the TOML and typed: its answers depend on them."""
    from petsc4py import PETSc

    typed = PETSc.Options("micro_").getAll()  # type: ignore[attr-defined]
    return {key: str(value) for key, value in {**(context.micro_options or {}), **typed}.items()}
