"""``[material] tangent``: Newton's tangent is that of a surrogate, the stress that of the cell."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from fesurrogate.build.context import naming
from fesurrogate.build.materials import identify_material
from fesurrogate.build.ranks import together
from fesurrogate.combine import SurrogateTangent
from fesurrogate.config import Settings
from fesurrogate.config.material import SURROGATES, MaterialSettings
from fesurrogate.errors import InputError
from fesurrogate.laws.rotated import NAMES, Rotated
from fesurrogate.material import Material
from fesurrogate.micro import RVEMaterial

FIRST_ORDER = 1e-2
"""Of the cell's tolerance: what is left of its residual enters a stress without tangent to first
order, and one with a tangent to second only."""


def with_surrogate_tangent(
    material: Material,
    cell: Material,
    table: MaterialSettings,
    settings: Settings,
    comm: Any = None,
    *,
    where: str,
    allow_code: bool = False,
) -> SurrogateTangent:
    """Return a Material of kind "rve" with the tangent that its table names. Collective.

    Args:
        material: What answers: the cell, which may be spread over the ranks.
        cell: The cell itself; from now on it is solved to a lower tolerance.
        table: Of the Material.
        settings: The whole.
        comm: An mpi4py communicator; None works alone.
        where: Name of the table, for messages.
        allow_code: Whether a user's module may be imported.

    Raises:
        InputError: On all ranks: the surrogate cannot be built, or cannot stand in for the cell.
    """
    assert table.tangent is not None
    given, names = table.parameters or {}, NAMES[settings.kinematics.gdim]
    if table.tangent not in SURROGATES and ":" not in table.tangent:  # a law has constants alone
        given = {name: value for name, value in given.items() if table.rotated and name in names}
    chosen = replace(table, kind=table.tangent, tangent=None, guard=None, parameters=given or None)
    surrogate = identify_material(
        chosen, settings, comm, where=where, allow_code=allow_code, gather=True
    )

    def made() -> SurrogateTangent:
        with naming(f"{where}.tangent"):
            inner = cell.material if isinstance(cell, Rotated) else cell
            if inner.num_state:
                raise InputError(
                    f"{table.tangent!r} is given for cells with history, whose every iteration has "
                    "a factorisation, tangent or not: leave it out"
                )
            if not isinstance(inner, RVEMaterial):
                raise InputError(
                    f"{table.tangent!r} is given where every point has a cell of its own; expected "
                    "one cell for all: leave it out"
                )
            assert table.rve is not None
            inner.problem.rtol = FIRST_ORDER * table.rve.rtol
            return SurrogateTangent(material, surrogate.material)

    return together(comm, made)
