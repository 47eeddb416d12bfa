"""Plane meshes as coloured polygons, over the outline of what is not deformed.

Cells are gathered from all ranks, so that what is drawn does not depend on their number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from dolfinx import fem
from dolfinx.mesh import Mesh
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.colors import Normalize

from fesurrogate.errors import InputError
from fesurrogate.fem.compat import geometry_dofmap
from fesurrogate.fem.values import nodal_values, owned_cell_values
from fesurrogate.kinematics import Array

_CORNERS = {"triangle": [0, 1, 2], "quadrilateral": [0, 1, 3, 2]}  # counter-clockwise


@dataclass(frozen=True)
class PlaneCells:
    """All cells of a plane mesh as polygons, in the order of the mesh's input."""

    polygons: Array  # (cells, corners, 2)
    values: Array  # (cells,), or colours (cells, 3)
    outline: Array  # (edges, 2, 2): the boundary of the undeformed mesh


def gather_plane(
    mesh: Mesh,
    values: Array | fem.Function | None = None,  # (owned cells,), or colours (owned cells, 3)
    *,
    displacement: fem.Function | None = None,
    scale: float = 1.0,
) -> PlaneCells | None:
    """Gather the deformed cells and one value a cell on rank 0; None elsewhere. Collective.

    Args:
        mesh: a plane mesh.
        values: one value for each owned cell, or a piecewise constant Function; zeros if None.
        displacement: moves the corners of the cells.
        scale: by which the displacement is magnified.

    Raises:
        InputError: the mesh is not plane, or there is another number of values.
    """
    name = mesh.topology.cell_name()
    if name not in _CORNERS or mesh.geometry.dim != 2:
        raise InputError(
            f"a mesh of {name} cells in {mesh.geometry.dim}D cannot be drawn; expected a plane "
            "mesh. Open the .xdmf file in ParaView"
        )
    owned = mesh.topology.index_map(2).size_local
    nodes = geometry_dofmap(mesh)[:owned][:, _CORNERS[name]]
    x = mesh.geometry.x[:, :2]
    moved = x  # of a prism's section what lies in the plane
    if displacement is not None:
        moved = x + scale * nodal_values(mesh, displacement)[:, :2]
    value = np.zeros(owned) if values is None else owned_cell_values(mesh, values)
    if value.ndim != 1 and value.shape[1:] != (3,):
        raise InputError(
            f"values have shape {value.shape}; expected one number, or a colour, for each cell"
        )
    numbers = mesh.geometry.index_map().local_to_global(nodes.ravel()).reshape(nodes.shape)
    local = (
        mesh.topology.original_cell_index[:owned],
        moved[nodes],
        value,
        x[nodes],
        numbers,
    )
    parts = mesh.comm.gather(local, root=0)
    if parts is None:
        return None
    index, polygons, value, rest, numbers = (
        np.concatenate(arrays) for arrays in zip(*parts, strict=True)
    )
    order = np.argsort(index)
    return PlaneCells(polygons[order], value[order], _outline(rest, numbers))


def draw_plane(
    axes: Any, cells: PlaneCells, norm: Normalize | None = None, *, colours: str = "viridis"
) -> Any:
    """Add coloured cells and the undeformed outline to axes; return the mappable.

    Args:
        axes: Of Matplotlib.
        cells: With values, or with colours.
        norm: Of the values; that of the cells if None.
        colours: Of the values, by name.
    """
    style: dict[str, Any] = {"edgecolor": "face", "linewidth": 0.2}  # no hairlines between cells
    if len(cells.values) <= 2000:
        style = {"edgecolor": (1, 1, 1, 0.35), "linewidth": 0.25}
    if cells.values.ndim == 1:
        style |= {"array": cells.values, "cmap": colours, "norm": norm}
    else:
        style |= {"facecolor": cells.values}
    drawn = PolyCollection(cells.polygons, **style)
    axes.add_collection(
        LineCollection(cells.outline, colors="#777777", linewidths=0.8, capstyle="round")
    )
    axes.add_collection(drawn)
    axes.autoscale_view()
    return drawn


def aspect_of(fields: Sequence[PlaneCells]) -> float:
    """Return width over height of what is drawn, within reason."""
    points = [a.reshape(-1, 2) for field in fields for a in (field.polygons, field.outline)]
    width, height = np.ptp(np.concatenate(points), axis=0)
    return float(np.clip(width / height, 0.4, 3.0))


def _outline(polygons: Array, numbers: np.ndarray) -> Array:  # (edges, 2, 2)
    """Return the edges that belong to one polygon only."""
    edges = np.stack([polygons, np.roll(polygons, -1, axis=1)], axis=2).reshape(-1, 2, 2)
    ends = np.stack([numbers, np.roll(numbers, -1, axis=1)], axis=2).reshape(-1, 2)
    _, first, count = np.unique(
        np.sort(ends, axis=1), axis=0, return_index=True, return_counts=True
    )
    return edges[first[count == 1]]
