"""One picture of both scales: the macro field with marked points, and the cell at each of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
from dolfinx import fem
from dolfinx.mesh import Mesh
from matplotlib.collections import PolyCollection
from matplotlib.colors import Normalize
from matplotlib.transforms import ScaledTranslation

from fesurrogate.fem.output import run_on_root
from fesurrogate.fem.pictures import (
    Panel,
    PlaneCells,
    aspect_of,
    draw_cells,
    gather_mesh_values,
    label_axes,
    new_figure,
    save_figure,
)
from fesurrogate.kinematics import Array

VISIBLE = 0.15  # of the size of the cell: the largest displacement that is drawn
COLOURS = ("#2f5d8a", "#d9822b", "#5a9367")  # of curves
BESIDE = ((18, 18), (-18, 18), (18, -18), (-18, -18))  # where a number is written, in points
NOTHING = "#d5d5d5"  # of elements without a value


@dataclass(frozen=True)
class MicroView:
    """The cell at a macro point, as it is drawn.

    Attributes:
        name: Of the point.
        point: (d,), where it is in the undeformed body.
        mesh: Serial plane mesh of the cell.
        displacement: Of the cell; None of a scalar field.
        fields: One value for each element (e,), by label; NaN is drawn grey.
        magnify: Whether a displacement too small to be seen is drawn larger.
    """

    name: str
    point: Sequence[float]
    mesh: Mesh
    displacement: fem.Function | None
    fields: Mapping[str, Array]
    magnify: bool


@dataclass(frozen=True)
class Curves:
    """Curves drawn under the macro field: x and y by name, and the labels of the axes."""

    lines: Mapping[str, tuple[Sequence[float], Sequence[float]]]
    labels: tuple[str, str]


def plot_micro(
    path: str | Path,
    macro: Panel,
    views: Sequence[MicroView],
    *,
    title: str = "",
    curves: Curves | None = None,
) -> None:
    """Draw the deformed macro field with numbered points, and beside it the cell at each.

    A field has one colour scale in all cells. Collective.

    Args:
        path: Of the PNG file.
        macro: Plane; its title labels its colour bar.
        views: Cells with the same fields; those of rank 0 are drawn, and nothing if it has none.
        title: Of the picture.
        curves: Drawn under the macro field.

    Raises:
        InputError: A mesh is not plane.
        OSError: The file cannot be written; on all ranks.
    """
    body = gather_mesh_values(macro.mesh, macro.values, displacement=macro.displacement)

    def draw() -> None:
        assert body is not None
        if not views:
            return
        labels = list(views[0].fields)
        rows, columns = len(views), len(labels)
        height = max(3.0 * rows + 0.9, 7.8 if curves else 4.6)
        width = float(np.clip(4.2 * aspect_of([body]), 3.4, 6.0))
        figure = new_figure(width + 1.2 + 3.0 * columns, height)
        figure.suptitle(title)
        left, right = figure.subfigures(1, 2, width_ratios=[width + 1.2, 3.0 * columns])
        upper = left.subplots(2 if curves else 1, 1, squeeze=False)[:, 0]
        norm = Normalize(np.nanmin(body.values), np.nanmax(body.values))
        drawn = draw_cells(upper[0], body, norm)
        label_axes(upper[0], "", "")
        below = upper[0].transAxes + ScaledTranslation(0, -0.75, figure.dpi_scale_trans)
        beneath = upper[0].inset_axes((0.1, 0, 0.8, 0.03), transform=below)
        left.colorbar(drawn, cax=beneath, label=macro.title, orientation="horizontal")
        _mark(upper[0], views)
        if curves is not None:
            for (name, (x, y)), colour in zip(curves.lines.items(), COLOURS, strict=False):
                upper[1].plot(x, y, color=colour, marker="o", markersize=3, label=name)
            upper[1].set(xlabel=curves.labels[0], ylabel=curves.labels[1])
            upper[1].grid(color="#dddddd", linewidth=0.6)
            upper[1].spines[["top", "right"]].set_visible(False)
            upper[1].legend(frameon=False)
        _draw_cells(right, views, labels)
        save_figure(figure, path)

    run_on_root(macro.mesh.comm, draw)


def magnification(view: MicroView) -> float:
    """Return by which the displacement of a cell is multiplied to be seen: 1, 2, 5, 10, ..."""
    if view.displacement is None or not view.magnify:
        return 1.0
    size = view.displacement.function_space.dofmap.index_map_bs
    moved = view.displacement.x.array.reshape(-1, size)[:, :2]
    largest = float(np.abs(moved - moved.mean(axis=0)).max())
    factor = VISIBLE * float(np.ptp(view.mesh.geometry.x[:, :2], axis=0).max()) / largest
    if not 1.0 < factor < math.inf:
        return 1.0
    power = 10.0 ** math.floor(math.log10(factor))
    return power * max(step for step in (1, 2, 5) if step * power <= factor)


def _mark(axes: Any, views: Sequence[MicroView]) -> None:
    """Number the points; the numbers of points that coincide are joined."""
    places: dict[tuple[float, ...], list[int]] = {}
    for k, view in enumerate(views, start=1):
        places.setdefault(tuple(view.point), []).append(k)
    for ((x, y), numbers), beside in zip(places.items(), cycle(BESIDE), strict=False):
        axes.plot(x, y, marker="o", markersize=5, color="white", markeredgecolor="#b5484b")
        axes.annotate(
            ", ".join(map(str, numbers)),
            (x, y),
            xytext=beside,
            textcoords="offset points",
            ha="center",
            va="center",
            color="#b5484b",
            fontweight="bold",
            arrowprops={"arrowstyle": "-", "color": "#b5484b", "shrinkA": 0, "shrinkB": 3},
            bbox={"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "none"},
        )


def _draw_cells(figure: Any, views: Sequence[MicroView], labels: Sequence[str]) -> None:
    """Draw a row for each cell and a column for each field."""
    axes = figure.subplots(len(views), len(labels), squeeze=False)
    for column, label in enumerate(labels):
        every = np.concatenate([view.fields[label] for view in views])
        known = every[np.isfinite(every)]
        norm = Normalize(known.min(initial=np.inf), known.max(initial=-np.inf))
        for row, view in enumerate(views):
            scale = magnification(view)
            cells = gather_mesh_values(
                view.mesh, view.fields[label], displacement=view.displacement, scale=scale
            )
            assert cells is not None
            here = axes[row, column]
            known_cells = np.isfinite(cells.values)
            here.add_collection(
                PolyCollection(cells.polygons[~known_cells], facecolor=NOTHING, edgecolor=NOTHING)
            )
            seen = PlaneCells(cells.polygons[known_cells], cells.values[known_cells], cells.outline)
            drawn = draw_cells(here, seen, norm)
            here.set_aspect("equal")
            here.set_axis_off()
            if column == 0:
                text = "" if scale == 1.0 else f", displacement × {scale:g}"
                here.set_title(f"{row + 1}: {view.name}{text}", loc="left", fontsize=10)
        figure.colorbar(
            drawn, ax=list(axes[:, column]), label=label, location="bottom", shrink=0.85
        )
