"""Cells of rectangles or boxes in rows and columns, each of one phase."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fesurrogate.errors import InputError
from fesurrogate.kinematics import Array
from fesurrogate.micro.cells.cell import Cell, cell_from_arrays


def grid_cell(
    phase: NDArray[np.integer],  # (nx, ny) or (nx, ny, nz)
    lines: Sequence[Array],  # d arrays: (nx + 1,), (ny + 1,) ...
    names: Sequence[str],
    *,
    void: str | None = None,
    source: str = "the cell",
) -> Cell:
    """Return a cell with one quadrilateral or hexahedron for each entry of an array.

    Args:
        phase: Place in ``names`` of the phase of each.
        lines: Coordinates of the grid's lines along each axis, rising.
        names: Of the phases.
        void: Name of the phase that is left out of the mesh.
        source: What the messages call the cell.

    Raises:
        InputError: What is no void falls apart; see :func:`fesurrogate.micro.make_cell`.
    """
    d = phase.ndim
    node = np.arange(math.prod(n + 1 for n in phase.shape)).reshape([n + 1 for n in phase.shape])
    points = np.stack(np.meshgrid(*lines, indexing="ij"), axis=-1).reshape(-1, d)
    corners = []
    for backwards in itertools.product((0, 1), repeat=d):  # DOLFINx's order: x changes first
        window = [slice(k, k + n) for k, n in zip(backwards[::-1], phase.shape, strict=True)]
        corners.append(node[tuple(window)].ravel())
    flat = phase.ravel()
    return cell_from_arrays(
        "quadrilateral" if d == 2 else "hexahedron",
        points,
        np.stack(corners, axis=1),
        phases={name: np.flatnonzero(flat == k) for k, name in enumerate(names)},
        lattice=np.diag([line[-1] - line[0] for line in lines]),
        void=void,
        source=source,
    )


def strut_lattice(volume_fraction: float, *, gdim: int = 2, resolution: int = 16) -> Cell:
    """Return a unit square (cube) with straight struts along the axes that cross in its middle.

    The struts are the phase ``matrix``, of square cross section in 3D; the rest is ``void``.

    Args:
        volume_fraction: Of the struts: 2t - t² (2D) or 3t² - 2t³ (3D) at thickness t.
        gdim: 2 or 3.
        resolution: Elements along each edge, about; at least two across a strut.

    Raises:
        InputError: An argument is out of range.
    """
    if gdim not in (2, 3):
        raise InputError(f"gdim is {gdim}; expected 2 or 3")
    if not 0 < volume_fraction < 1:
        raise InputError(f"volume_fraction is {volume_fraction:g}; expected a number in (0, 1)")
    if resolution < 2:
        raise InputError(f"resolution is {resolution}; expected at least 2 elements along an edge")
    if gdim == 2:
        thickness = 1 - math.sqrt(1 - volume_fraction)
    else:
        thickness = 0.5 - math.sin(math.asin(1 - 2 * volume_fraction) / 3)
    outer = max(1, round((1 - thickness) / 2 * resolution))
    inner = max(2, round(thickness * resolution))
    ends = np.array([0.0, (1 - thickness) / 2, (1 + thickness) / 2, 1.0])
    line = np.interp(np.arange(2 * outer + inner + 1), np.cumsum([0, outer, inner, outer]), ends)
    within = np.repeat([0, 1, 0], [outer, inner, outer])
    inside = sum(np.meshgrid(*[within] * gdim, indexing="ij"))  # of how many of the d slabs
    solid = inside >= gdim - 1
    return grid_cell(
        np.where(solid, 0, 1), [line] * gdim, ["matrix", "void"], void="void", source="the lattice"
    )
