"""A cell with a crack: a slit, whose two faces have nodes of their own in one place."""

from __future__ import annotations

import numpy as np

from fesurrogate.errors import InputError
from fesurrogate.kinematics import Array
from fesurrogate.micro.cells.cell import Cell, cell_from_arrays

GRADING = 3
"""Power by which elements shrink towards a tip, where the stress is singular."""


def cracked_cell(crack_length: float, *, height: float = 2.0, resolution: int = 8) -> Cell:
    """Return a plane cell of width 1 with a straight crack along x in its middle, all ``matrix``.

    Repeated, cracks lie in rows, one tip before the other, and the rows a height apart: from a
    height of 2 on they feel nothing of each other. The mesh is one grid of quadrilaterals whatever
    the length, so that answers depend smoothly on it.

    Args:
        crack_length: Share of the width that is cracked, in (0, 1).
        height: Of the cell, in widths.
        resolution: Elements along half the crack, along half of what holds ahead of it, and along
            half the height.

    Raises:
        InputError: An argument is out of range.

    Note:
        Nothing keeps the faces from passing through each other where they are pressed.
    """
    if not 0 < crack_length < 1:
        raise InputError(f"crack_length is {crack_length:g}; expected a share in (0, 1)")
    if not height > 0:
        raise InputError(f"height is {height:g}; expected a number of widths > 0")
    if resolution < 2:
        raise InputError(f"resolution is {resolution}; expected at least 2 elements")
    ends = (0.0, (1 - crack_length) / 2, 0.5, (1 + crack_length) / 2, 1.0)
    towards = [_graded(ends[k], ends[k + 1], resolution, to_end=k % 2 == 0) for k in range(4)]
    x = np.concatenate([line[:-1] for line in towards] + [[1.0]])
    below = _graded(0.0, height / 2, resolution, to_end=True)
    above = _graded(height / 2, height, resolution, to_end=False)
    y = np.concatenate([below, above[1:]])
    node = np.arange(len(x) * len(y)).reshape(len(x), len(y))
    points = np.stack(np.meshgrid(x, y, indexing="ij"), axis=-1).reshape(-1, 2)
    cracked = node[resolution + 1 : 3 * resolution, resolution]  # between the tips
    upper = node.copy()
    upper[resolution + 1 : 3 * resolution, resolution] = len(points) + np.arange(len(cracked))
    points = np.concatenate([points, points[cracked]])
    parts = []
    for grid, rows in ((node, slice(None, resolution + 1)), (upper, slice(resolution, None))):
        part = grid[:, rows]
        corners = (part[:-1, :-1], part[1:, :-1], part[:-1, 1:], part[1:, 1:])
        parts.append(np.stack([corner.ravel() for corner in corners], axis=1))
    cells = np.concatenate(parts)
    return cell_from_arrays(
        "quadrilateral", points, cells, phases={"matrix": np.arange(len(cells))},
        lattice=np.diag([1.0, height]), source="the cracked cell",
    )  # fmt: skip


def _graded(start: float, end: float, count: int, *, to_end: bool) -> Array:  # (count + 1,)
    """Return a line of points that lie the closer the nearer to one end."""
    step = np.linspace(0.0, 1.0, count + 1)
    share = 1 - (1 - step) ** GRADING if to_end else step**GRADING
    line: Array = start + (end - start) * share
    line[-1] = end
    return line
