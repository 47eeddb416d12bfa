"""Pictures of fields on deformed meshes, as PNG files.

All functions are collective: values are gathered and rank 0 draws. Of a solid only the surface is
drawn, by :func:`plot_deformed`; to look inside, open what :mod:`fesurrogate.fem.output` writes in
ParaView.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from dolfinx import fem
from dolfinx.mesh import Mesh
from matplotlib.colors import Normalize
from matplotlib.ticker import FuncFormatter, MaxNLocator

from fesurrogate.errors import InputError
from fesurrogate.fem.figures import label_axes, new_figure, save_figure, wrapped
from fesurrogate.fem.output import run_on_root
from fesurrogate.fem.plane import PlaneCells, aspect_of, draw_plane, gather_plane
from fesurrogate.fem.surface import SOLID_AXES, Surface, draw_surface, gather_surface, seen_range
from fesurrogate.kinematics import Array


@dataclass(frozen=True)
class Panel:
    """One field of a comparison: title, mesh, displacement, and one value for each owned cell."""

    title: str
    mesh: Mesh
    displacement: fem.Function | None
    values: Array | fem.Function  # (owned cells,)


def plot_deformed(
    path: str | Path,
    mesh: Mesh,
    values: Array | fem.Function,  # (owned cells,)
    *,
    displacement: fem.Function | None = None,
    title: str = "",
    label: str = "",
    length_unit: str = "mm",
) -> None:
    """Draw the deformed mesh, coloured by one value a cell, over its undeformed outline (grey).

    Of a solid its surface, with the colour scale of what is seen of it.

    Args:
        path: of the PNG file.
        mesh: plane or solid.
        values: one value for each owned cell, or a piecewise constant Function.
        displacement: drawn in true scale.
        title: of the picture.
        label: of the colour bar, with the unit.
        length_unit: of the axes; those of a solid have no numbers.

    Raises:
        InputError: the mesh has cells that are not drawn, or there is another number of values.
        OSError: the file cannot be written; on all ranks.
    """
    if mesh.geometry.dim == 3:
        surface = gather_surface(mesh, values, displacement=displacement)
        draw_solid = partial(_draw_solid, path, surface, title=title, label=label)
        run_on_root(mesh.comm, draw_solid)
        return
    cells = gather_plane(mesh, values, displacement=displacement)

    def draw() -> None:
        assert cells is not None
        figure = new_figure(aspect_of([cells]) * 4.2 + 1.7, 5.0)
        axes = figure.add_subplot()
        drawn = draw_plane(axes, cells, Normalize(cells.values.min(), cells.values.max()))
        label_axes(axes, wrapped(title, figure.get_figwidth() - 1.7), length_unit)
        figure.colorbar(drawn, ax=axes, label=label, shrink=0.85)
        save_figure(figure, path)

    run_on_root(mesh.comm, draw)


def _draw_solid(path: str | Path, surface: Surface | None, *, title: str, label: str) -> None:
    """Draw a surface with its colour bar into a file."""
    assert surface is not None
    figure = new_figure(6.0, 5.0)
    axes = figure.add_subplot(**SOLID_AXES)
    drawn = draw_surface(axes, surface, seen_range(surface))
    axes.set_title(wrapped(title, 4.3))
    figure.colorbar(drawn, ax=axes, label=label, shrink=0.85)
    save_figure(figure, path)


def plot_comparison(
    path: str | Path,
    panels: Sequence[Panel],
    *,
    label: str = "",
    difference: str | None = None,
    length_unit: str = "mm",
) -> None:
    """Draw fields side by side with one colour scale, and how the last departs from the first.

    Args:
        path: of the PNG file.
        panels: the fields, each on its own plane mesh; the meshes are alike, cell for cell.
        label: of the colour bars, with the unit.
        difference: title of a further panel that shows the last field minus the first on the
            first's deformed mesh, with a colour scale of its own; None for no such panel.
        length_unit: of the axes.

    Raises:
        InputError: there is no panel, a mesh is not plane, or there is another number of values
            or, on another panel's mesh, of cells.
        OSError: the file cannot be written; on all ranks.
    """
    if not panels:
        raise InputError("no panels to compare; expected at least one")
    counts = {p.mesh.topology.index_map(p.mesh.topology.dim).size_global for p in panels}
    if len(counts) > 1:
        raise InputError(f"the panels' meshes have {sorted(counts)} cells; expected equal meshes")
    fields = [gather_plane(p.mesh, p.values, displacement=p.displacement) for p in panels]

    def draw() -> None:
        cells = [field for field in fields if field is not None]
        count = len(cells) + (difference is not None)
        figure = new_figure(0.7 + count * max(2.6, 0.5 + 3.4 * aspect_of(cells)), 5.0)
        axes = figure.subplots(1, count, sharex=True, sharey=True, squeeze=False)[0]
        values = np.concatenate([field.values for field in cells])
        norm = Normalize(values.min(), values.max())
        for axis, panel, field in zip(axes, panels, cells, strict=False):
            drawn = draw_plane(axis, field, norm)
            label_axes(axis, panel.title, length_unit)
        figure.colorbar(
            drawn,
            ax=list(axes[: len(cells)]),
            label=label,
            location="bottom",
            shrink=0.8,
            aspect=30,
        )
        if difference is not None:
            change = cells[-1].values - cells[0].values
            bound = max(float(np.abs(change).max()), np.finfo(float).tiny)
            apart = PlaneCells(cells[0].polygons, change, cells[0].outline)
            drawn = draw_plane(axes[-1], apart, Normalize(-bound, bound), colours="RdBu_r")
            label_axes(axes[-1], difference, length_unit)
            bar = figure.colorbar(drawn, ax=axes[-1], label=label, location="bottom", shrink=0.9)
            bar.locator = MaxNLocator(4, symmetric=True)
            bar.formatter = FuncFormatter(lambda value, _: f"{value:.2g}")
        for axis in axes[1:]:
            axis.set_ylabel("")
        save_figure(figure, path)

    run_on_root(panels[0].mesh.comm, draw)
