"""``[material.rve]`` as a cell with phases: an RVEMaterial."""

from __future__ import annotations

from typing import Any

from fesurrogate.build.cell_makers import make_cell_of
from fesurrogate.build.context import Context, naming, petsc_options
from fesurrogate.build.laws import make_phase
from fesurrogate.config_cell import RVESettings


def solved_cell(table: RVESettings, context: Context) -> Any:
    """Return the RVEMaterial of the table."""
    from fesurrogate.micro import RVEMaterial

    phases = {}
    for name, phase in table.phases.items():
        if phase.kind == "void":
            continue
        own = [k.removeprefix(f"{name}.") for k in context.parameters if k.startswith(f"{name}.")]
        with naming(f"phases.{name}"):
            phases[name] = make_phase(phase, context.kinematics, parameters=own)
    cell = make_cell_of(table, context.kinematics)
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


def micro_options(context: Context) -> dict[str, str]:
    """Return the PETSc options of the cell, of the TOML and typed: its answers depend on them."""
    from petsc4py import PETSc

    typed = PETSc.Options("micro_").getAll()  # type: ignore[attr-defined]
    return {key: str(value) for key, value in {**(context.micro_options or {}), **typed}.items()}
