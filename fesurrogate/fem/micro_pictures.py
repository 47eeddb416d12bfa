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
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PolyCollection
from matplotlib.colors import Normalize
from matplotlib.lines import Line2D
from matplotlib.transforms import ScaledTranslation
from mpl_toolkits.mplot3d import proj3d

from fesurrogate.fem.figures import label_axes, new_figure, save_figure
from fesurrogate.fem.output import run_on_root
from fesurrogate.fem.pictures import Panel
from fesurrogate.fem.plane import PlaneCells, aspect_of, draw_plane, gather_plane
from fesurrogate.fem.surface import (
    NOTHING,
    SOLID_AXES,
    draw_surface,
    gather_surface,
    known_range,
    seen_range,
)
from fesurrogate.kinematics import Array

VISIBLE = 0.15  # of the size of the cell: the largest displacement that is drawn
COLOURS = ("#2f5d8a", "#d9822b", "#5a9367")  # of curves
BESIDE = ((18, 18), (-18, 18), (18, -18), (-18, -18))  # where a number is written, in points


@dataclass(frozen=True)
class MicroView:
    """The cell at a macro point, as it is drawn.

    Attributes:
        name: Of the point.
        point: (d,), where it is in the undeformed body.
        moved: (d,), where it is in the deformed body.
        mesh: Serial mesh of the cell, plane or solid.
        displacement: Of the cell; None of a scalar field.
        fields: One value for each element (e,), by label; NaN is drawn grey.
        magnify: Whether a displacement too small to be seen is drawn larger.
    """

    name: str
    point: Sequence[float]
    moved: Sequence[float]
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

    A field has one colour scale in all cells. Of a solid, body or cell, the surface is drawn, and
    the scale is that of what is seen of it; points inside shine through. Collective.

    Args:
        path: Of the PNG file.
        macro: Plane or solid; its title labels its colour bar.
        views: Cells with the same fields; those of rank 0 are drawn, and nothing if it has none.
        title: Of the picture.
        curves: Drawn under the macro field.

    Raises:
        InputError: A mesh has cells that are not drawn.
        OSError: The file cannot be written; on all ranks.
    """
    solid = macro.mesh.geometry.dim == 3
    gather = gather_surface if solid else gather_plane
    body: Any = gather(macro.mesh, macro.values, displacement=macro.displacement)

    def draw() -> None:
        if not views:
            return
        labels = list(views[0].fields)
        rows, columns = len(views), len(labels)
        height = max(3.0 * rows + 0.9, 7.8 if curves else 4.6)
        width = 4.6 if solid else float(np.clip(4.2 * aspect_of([body]), 3.4, 6.0))
        figure = new_figure(width + 1.2 + 3.0 * columns, height)
        figure.suptitle(title)
        left, right = figure.subfigures(1, 2, width_ratios=[width + 1.2, 3.0 * columns])
        count = 2 if curves else 1
        upper = left.add_subplot(count, 1, 1, **(SOLID_AXES if solid else {}))
        if solid:
            drawn = draw_surface(upper, body, seen_range(body))
            left.colorbar(drawn, ax=upper, label=macro.title, location="bottom", shrink=0.7)
        else:
            norm = Normalize(np.nanmin(body.values), np.nanmax(body.values))
            drawn = draw_plane(upper, body, norm)
            label_axes(upper, "", "")
            below = upper.transAxes + ScaledTranslation(0, -0.75, figure.dpi_scale_trans)
            beneath = upper.inset_axes((0.1, 0, 0.8, 0.03), transform=below)
            left.colorbar(drawn, cax=beneath, label=macro.title, orientation="horizontal")
        _mark(upper, [v.point if macro.displacement is None else v.moved for v in views])
        if curves is not None:
            lower = left.add_subplot(count, 1, 2)
            for (name, (x, y)), colour in zip(curves.lines.items(), COLOURS, strict=False):
                lower.plot(x, y, color=colour, marker="o", markersize=3, label=name)
            lower.set(xlabel=curves.labels[0], ylabel=curves.labels[1])
            lower.grid(color="#dddddd", linewidth=0.6)
            lower.spines[["top", "right"]].set_visible(False)
            lower.legend(frameon=False)
        _draw_cells(right, views, labels)
        save_figure(figure, path)

    run_on_root(macro.mesh.comm, draw)


def magnification(view: MicroView) -> float:
    """Return by which the displacement of a cell is multiplied to be seen: 1, 2, 5, 10, ..."""
    if view.displacement is None or not view.magnify:
        return 1.0
    size, d = view.displacement.function_space.dofmap.index_map_bs, view.mesh.geometry.dim
    moved = view.displacement.x.array.reshape(-1, size)[:, :d]
    largest = float(np.abs(moved - moved.mean(axis=0)).max())
    factor = VISIBLE * float(np.ptp(view.mesh.geometry.x[:, :d], axis=0).max()) / largest
    if not 1.0 < factor < math.inf:
        return 1.0
    power = 10.0 ** math.floor(math.log10(factor))
    return power * max(step for step in (1, 2, 5) if step * power <= factor)


def _mark(axes: Any, points: Sequence[Sequence[float]]) -> None:
    """Number the points; the numbers of points that coincide are joined."""
    places: dict[tuple[float, ...], list[int]] = {}
    for k, point in enumerate(points, start=1):
        places.setdefault(tuple(point), []).append(k)
    for (place, numbers), beside in zip(places.items(), cycle(BESIDE), strict=False):
        here = place
        if len(place) == 3:
            here = proj3d.proj_transform(*place, axes.get_proj())[:2]
        dot = Line2D(
            [here[0]], [here[1]], marker="o", markersize=5, color="white",
            markeredgecolor="#b5484b", zorder=4,
        )  # fmt: skip
        axes.add_line(dot)
        axes.annotate(
            ", ".join(map(str, numbers)),
            here,
            xytext=beside,
            textcoords="offset points",
            ha="center",
            va="center",
            color="#b5484b",
            fontweight="bold",
            arrowprops={"arrowstyle": "-", "color": "#b5484b", "shrinkA": 0, "shrinkB": 3},
            bbox={"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "none"},
            zorder=5,
        )


def _draw_cells(figure: Any, views: Sequence[MicroView], labels: Sequence[str]) -> None:
    """Draw a row for each cell and a column for each field."""
    scales, count = [magnification(view) for view in views], len(labels)
    for column, label in enumerate(labels):
        gathered = []
        for view, scale in zip(views, scales, strict=True):
            gather = gather_surface if view.mesh.geometry.dim == 3 else gather_plane
            cells: Any = gather(
                view.mesh, view.fields[label], displacement=view.displacement, scale=scale
            )
            gathered.append(cells)
        norm, row_axes = _visible_range(views, gathered), []
        for row, (view, cells) in enumerate(zip(views, gathered, strict=True)):
            solid = view.mesh.geometry.dim == 3
            place = len(views), count, row * count + column + 1
            here = figure.add_subplot(*place, **(SOLID_AXES if solid else {}))
            row_axes.append(here)
            if solid:
                draw_surface(here, cells, norm)
            else:
                _draw_plane(here, cells, norm)
            if column == 0:
                text = "" if scales[row] == 1.0 else f", displacement × {scales[row]:g}"
                if len(view.point) == 3:  # the mark does not tell how deep it lies
                    text = f" at ({', '.join(f'{x:.3g}' for x in view.point)}){text}"
                here.set_title(f"{row + 1}: {view.name}{text}", loc="left", fontsize=10)
        if norm is None:
            row_axes[-1].set_title(f"{label}: nowhere in sight", y=-0.1, fontsize=10)
        else:
            bar = ScalarMappable(norm, "viridis")
            figure.colorbar(bar, ax=row_axes, label=label, location="bottom", shrink=0.85)


def _visible_range(views: Sequence[MicroView], gathered: Sequence[Any]) -> Normalize | None:
    """Return the colour scale of what is seen of all cells; None if nothing in sight is known."""
    ranges = [
        seen_range(cells) if view.mesh.geometry.dim == 3 else known_range(cells.values)
        for view, cells in zip(views, gathered, strict=True)
    ]
    ends = [end for one in ranges if one is not None for end in (one.vmin, one.vmax)]
    return Normalize(min(ends), max(ends)) if ends else None


def _draw_plane(axes: Any, cells: PlaneCells, norm: Normalize | None) -> None:
    """Draw a plane cell; elements whose value is NaN are grey."""
    known = np.isfinite(cells.values)
    axes.add_collection(
        PolyCollection(cells.polygons[~known], facecolor=NOTHING, edgecolor=NOTHING)
    )
    seen = PlaneCells(cells.polygons[known], cells.values[known], cells.outline)
    draw_plane(axes, seen, norm or Normalize())
    axes.set_aspect("equal")
    axes.set_axis_off()
