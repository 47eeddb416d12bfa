"""Pictures of cells in 2D and 3D: one panel for each field, or the phases in colours.

A plane cell is drawn whole, a solid one by the faces of its surface, seen from above the corner of
the largest coordinates. All functions draw serial meshes, on the rank that calls them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from dolfinx.mesh import Mesh
from matplotlib.colors import Normalize, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from fesurrogate.fem.figures import new_figure, save_figure
from fesurrogate.fem.plane import draw_plane, gather_plane
from fesurrogate.fem.surface import SOLID_AXES, draw_surface, gather_surface, seen_range
from fesurrogate.kinematics import Array

PHASE_COLOURS = ("#d8dee6", "#2f5d8a", "#d9822b", "#5a9367", "#8e6bb0", "#b5484b")


def plot_phases(
    path: str | Path,
    mesh: Mesh,
    phase_cells: Mapping[str, NDArray[np.int32]],
    *,
    fractions: Mapping[str, float],
    title: str = "",
) -> None:
    """Draw the phases of a cell in colours, with their volume fractions.

    Args:
        path: Of the PNG file.
        mesh: Serial mesh, plane or solid.
        phase_cells: Cells of each phase.
        fractions: Of each phase; one without cells (a void) is named in the legend.
        title: Of the picture.
    """
    names = sorted(phase_cells, reverse=True)  # "matrix" is pale, "fibre" is dark
    count = sum(len(rows) for rows in phase_cells.values())
    colours, handles = np.zeros((count, 3)), []
    for name in (*names, *sorted(set(fractions) - set(names))):
        colour = "#ffffff"
        if name in phase_cells:
            colour = PHASE_COLOURS[names.index(name) % len(PHASE_COLOURS)]
            colours[phase_cells[name]] = to_rgb(colour)
        text = f"{name} ({100 * fractions[name]:.1f} %)"
        handles.append(Patch(facecolor=colour, edgecolor="#666666", label=text))
    figure = new_figure(5.0, 5.4)
    axes = _axes(figure, mesh, 1)[0]
    _draw(axes, mesh, colours)
    axes.set_title(title)
    figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False)
    save_figure(figure, path)


def plot_fields(
    path: str | Path,
    mesh: Mesh,
    fields: Mapping[str, Array],  # each (cells,)
    *,
    label: str,
    title: str = "",
) -> None:
    """Draw one panel a field, each with a colour bar of its own.

    Args:
        path: Of the PNG file.
        mesh: Serial mesh, plane or solid.
        fields: One value for each cell, by title.
        label: Of the colour bars.
        title: Of the picture.
    """
    columns = min(3, len(fields))
    rows = math.ceil(len(fields) / columns)
    figure = new_figure(3.9 * columns, 3.5 * rows + 0.4)
    for axes, (name, values) in zip(_axes(figure, mesh, len(fields)), fields.items(), strict=True):
        norm = Normalize(0.0, float(values.max()))
        drawn = _draw(axes, mesh, values, norm=norm)
        axes.set_title(name)
        figure.colorbar(drawn, ax=axes, label=label, shrink=0.8)
    figure.suptitle(title)
    save_figure(figure, path)


def _axes(figure: Figure, mesh: Mesh, count: int) -> list[Any]:
    """Return equal axes without frames."""
    columns = min(3, count)
    shape = (math.ceil(count / columns), columns)
    solid = SOLID_AXES if mesh.geometry.dim == 3 else {}
    axes = list(figure.subplots(*shape, squeeze=False, subplot_kw=solid).ravel())
    for one in axes:
        one.set_axis_off()
    return axes[:count]


def _draw(
    axes: Any,
    mesh: Mesh,
    values: Array,  # (cells,), or colours (cells, 3)
    *,
    norm: Normalize | None = None,
) -> Any:
    """Draw a cell; return what a colour bar needs."""
    if mesh.geometry.dim == 3:
        surface = gather_surface(mesh, values)
        assert surface is not None
        seen = seen_range(surface) if norm else None
        return draw_surface(axes, surface, seen and Normalize(0.0, seen.vmax))
    cells = gather_plane(mesh, values)
    assert cells is not None
    axes.set_aspect("equal")
    return draw_plane(axes, cells, norm)
