"""Laminates: layers, the cells whose answers are known in closed form."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from dolfinx import mesh
from mpi4py import MPI

from fesurrogate.errors import InputError
from fesurrogate.micro.cells.cell import Cell, make_cell


def laminate_cell(
    gdim: int,
    fractions: Mapping[str, float],
    *,
    resolution: int = 8,
) -> Cell:
    """Return a unit cell of layers normal to x, meshed with simplices aligned with the layers.

    Args:
        gdim: 2 or 3.
        fractions: Volume fraction of each layer by phase name, in order along x; one entry gives
            a homogeneous cell.
        resolution: Elements along each edge, at least one in each layer.

    Raises:
        InputError: The fractions are not positive or do not add up to 1.
    """
    widths = np.array(list(fractions.values()), dtype=float)
    if not (widths > 0).all() or abs(widths.sum() - 1) > 1e-12:
        raise InputError(f"fractions are {dict(fractions)}; expected positive numbers of sum 1")
    corners = np.concatenate([[0.0], np.cumsum(widths)])
    counts = np.maximum(1, np.round(widths * resolution).astype(int))
    size = [int(counts.sum()), *[resolution] * (gdim - 1)]
    if gdim == 2:
        unit = mesh.create_unit_square(MPI.COMM_SELF, *size)
    else:
        unit = mesh.create_unit_cube(MPI.COMM_SELF, *size)
    planes = np.concatenate([[0], np.cumsum(counts)]) / counts.sum()
    unit.geometry.x[:, 0] = np.interp(unit.geometry.x[:, 0], planes, corners)
    cells = np.arange(unit.topology.index_map(gdim).size_local, dtype=np.int32)
    middle = mesh.compute_midpoints(unit, gdim, cells)[:, 0]
    layer = np.searchsorted(corners, middle) - 1
    return make_cell(unit, {name: cells[layer == k] for k, name in enumerate(fractions)})
