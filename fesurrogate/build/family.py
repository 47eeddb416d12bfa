"""``[material.rve]`` as a family of cells, whose numbers are parameters, too."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from fesurrogate.build.cell_makers import make_cell_of
from fesurrogate.build.cells import fill_cell, phases_of
from fesurrogate.build.context import Context
from fesurrogate.build.in_space import in_space
from fesurrogate.config.cell import RVESettings
from fesurrogate.errors import InputError
from fesurrogate.kinematics import Array, Kinematics

NUMBERS = ("volume_fraction", "gap", "crack_length")
"""Keys of ``[material.rve.cell]`` that may be parameters, beside ``fractions.PHASE``."""
FRACTIONS = "fractions."
DECISIVE = ("cell", "phases", "lattice", "degree", "boundary")
"""Keys of ``[material.rve]`` that answers depend on, beyond tolerances; of files what they hold."""


def cell_numbers(table: RVESettings, names: Sequence[str]) -> dict[str, float]:
    """Return those of the names that are numbers of the cell's maker, with the table's values."""
    cell = table.cell
    if cell is None:
        return {}
    known: dict[str, float | None] = {name: getattr(cell, name) for name in NUMBERS}
    for phase, share in (cell.fractions or {}).items():
        known[FRACTIONS + phase] = share
    return {name: float(value) for name in names if (value := known.get(name)) is not None}


def with_numbers(table: RVESettings, numbers: Mapping[str, float]) -> RVESettings:
    """Return the table with other numbers of the cell.

    The fractions of a laminate that are not given share what is left as they do in the table.

    Raises:
        InputError: There is no such cell.
    """
    assert table.cell is not None
    values: dict[str, Any] = {k: v for k, v in numbers.items() if not k.startswith(FRACTIONS)}
    given = {k.removeprefix(FRACTIONS): v for k, v in numbers.items() if k.startswith(FRACTIONS)}
    if given:
        assert table.cell.fractions is not None
        rest = {k: v for k, v in table.cell.fractions.items() if k not in given}
        left = 1.0 - sum(given.values())
        if not rest or not left > 0.0:
            raise InputError(
                f"fractions are {given}; expected numbers that leave something for another phase"
            )
        shares = {k: v * left / sum(rest.values()) for k, v in rest.items()} | given
        values["fractions"] = {k: shares[k] for k in table.cell.fractions}
    return replace(table, cell=replace(table.cell, **values))


def family_of(
    table: RVESettings,
    context: Context,
    *,
    quantities: Mapping[str, Any] | None = None,
    expansion: Mapping[str, float] | None = None,
    directions: Array | None = None,  # (k, m)
    probe: Mapping[str, float] | None = None,
) -> tuple[Any, dict[str, str]]:
    """Return the CellFamily of the table, and the source of each phase that is code of the user's.

    Args:
        table: ``[material.rve]``.
        context: Its ``parameters`` are those of the family, numbers of the cell among them.
        quantities: What the family reports beside its response, by name.
        expansion: Thermal expansion of each phase.
        directions: Strains of norm 1, for quantities by direction.
        probe: Values of the parameters, in their order, of a cell that shows the shapes of the
            quantities.

    Raises:
        InputError: The cell cannot be made, or a parameter is none of it.
    """
    from fesurrogate.hierarchical.family import CellFamily

    names = context.parameters
    numbers = cell_numbers(table, names)
    numbers = {name: (probe or {}).get(name, value) for name, value in numbers.items()}
    own = replace(context, parameters=tuple(name for name in names if name not in numbers))
    _, sources = phases_of(table, own)

    def make(values: tuple[float, ...], kinematics: Kinematics) -> Any:
        changed = with_numbers(table, dict(zip(numbers, values, strict=True))) if values else table
        cell = make_cell_of(changed, context.kinematics)
        view = own
        if kinematics != context.kinematics:
            changed, view = in_space(changed, own)
        return fill_cell(cell, phases_of(changed, view)[0], changed, view)

    family = CellFamily(
        make,
        numbers,
        context.kinematics,
        order=names,
        quantities=quantities,
        expansion=expansion,
        directions=directions,
        probe=list((probe or {}).values()),
        fingerprint=fingerprint_of(table, context.kinematics, names),
    )
    return family, sources


def fingerprint_of(table: RVESettings, kinematics: Kinematics, names: Sequence[str]) -> str:
    """Return a hash (16 hex digits) of a cell, but for the values of its parameters."""
    content = {key: asdict(table)[key] for key in DECISIVE}
    cell, phases = content["cell"] or {}, content["phases"]
    for name in names:
        place, _, key = name.rpartition(".")
        if not place:
            cell.pop(name, None)
        elif place + "." == FRACTIONS and cell.get("fractions"):
            cell["fractions"].pop(key, None)
            left = sum(cell["fractions"].values())
            cell["fractions"] = {k: round(v / left, 12) for k, v in cell["fractions"].items()}
        elif place in phases:
            phases[place].pop(key, None)
    files = [table.mesh, table.cell.file if table.cell else None]
    cell.pop("file", None)
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in files if path]
    described = [content, digests, repr(kinematics), sorted(names)]
    text = json.dumps(described, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
