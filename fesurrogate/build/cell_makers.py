"""The cell of ``[material.rve]``: read from a mesh, or made as ``[material.rve.cell]`` says.

What makes cells is deterministic, so that every rank makes its own and all are equal.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fesurrogate.build.context import naming
from fesurrogate.config.cell import CellSettings, RVESettings
from fesurrogate.kinematics import Kinematics


def make_cell_of(table: RVESettings, kinematics: Kinematics) -> Any:
    """Return the Cell of the table. Not collective: every rank makes its own.

    Raises:
        InputError: The mesh or the image is unusable, or arguments cannot be met.
        MissingPackageError: gmsh or Pillow is needed and not installed.
    """
    from fesurrogate.micro import read_cell

    if table.cell is not None:
        with naming("cell"):
            return _made(table.cell, kinematics.gdim, table.void)
    assert table.mesh is not None
    return read_cell(table.mesh, lattice=table.lattice, void=table.void)


def _made(settings: CellSettings, gdim: int, void: str | None) -> Any:
    from fesurrogate import micro

    arguments = settings.arguments
    if "geometry_degree" in arguments:
        arguments["degree"] = arguments.pop("geometry_degree")
    if settings.kind == "image":
        return micro.image_cell(
            arguments.pop("file"), phases=arguments.pop("labels"), void=void, **arguments
        )
    makers: dict[str, Callable[..., Any]] = {
        "laminate": micro.laminate_cell,
        "square": micro.square_packing,
        "hexagonal": micro.hexagonal_packing,
        "placed_fibres": micro.placed_fibres,
        "random_fibres": micro.random_fibres,
        "random_spheres": micro.random_spheres,
        "hole": micro.hole,
        "lattice": micro.strut_lattice,
        "crack": micro.cracked_cell,
    }
    if settings.kind in ("laminate", "hole", "lattice"):
        arguments.setdefault("gdim", gdim)
    return makers[settings.kind](**arguments)
