"""Pictures of meshes and fields, and load-displacement curves, as PNG files.

All functions are collective: values are gathered and rank 0 draws. Of a solid only the surface is
drawn, by :func:`plot_deformed`; to look inside, open what :mod:`fesurrogate.fem.output` writes in
ParaView.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from dolfinx import fem
from dolfinx.mesh import Mesh
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator
from mpi4py import MPI

from fesurrogate.errors import InputError
from fesurrogate.fem.compat import geometry_dofmap
from fesurrogate.fem.mesh import TaggedMesh
from fesurrogate.fem.output import run_on_root
from fesurrogate.fem.surface import SOLID_AXES, Surface, draw_surface, gather_surface, seen_range
from fesurrogate.fem.values import nodal_values, owned_cell_values
from fesurrogate.kinematics import Array

_CORNERS = {"triangle": [0, 1, 2], "quadrilateral": [0, 1, 3, 2]}  # counter-clockwise
_PHASE_COLOURS = ("#d8dee6", "#2f5d8a", "#d9822b", "#5a9367", "#8e6bb0", "#b5484b")
_LINES = (  # the first is wide and pale, so that what coincides with it still shows
    {"color": "#9db7d1", "linewidth": 5.0, "solid_capstyle": "round"},
    {"color": "#c0392b", "linewidth": 1.4, "marker": "o", "markersize": 5, "mfc": "white"},
    {"color": "#4d4d4d", "linewidth": 1.2, "linestyle": "--"},
    {"color": "#2e7d32", "linewidth": 1.2, "linestyle": "-.", "marker": "s", "markersize": 4},
)


@dataclass(frozen=True)
class PlaneCells:
    """All cells of a plane mesh as polygons, in the order of the mesh's input."""

    polygons: Array  # (cells, corners, 2)
    values: Array  # (cells,)
    outline: Array  # (edges, 2, 2): the boundary of the undeformed mesh


@dataclass(frozen=True)
class Panel:
    """One field of a comparison: title, mesh, displacement, and one value for each owned cell."""

    title: str
    mesh: Mesh
    displacement: fem.Function | None
    values: Array | fem.Function  # (owned cells,)


def gather_mesh_values(
    mesh: Mesh,
    values: Array | fem.Function | None = None,  # (owned cells,)
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
    if value.ndim != 1:
        raise InputError(f"values have shape {value.shape}; expected one number for each cell")
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
    cells = gather_mesh_values(mesh, values, displacement=displacement)

    def draw() -> None:
        assert cells is not None
        figure = new_figure(aspect_of([cells]) * 4.2 + 1.7, 5.0)
        axes = figure.add_subplot()
        drawn = draw_cells(axes, cells, Normalize(cells.values.min(), cells.values.max()))
        label_axes(axes, _wrapped(title, figure.get_figwidth() - 1.7), length_unit)
        figure.colorbar(drawn, ax=axes, label=label, shrink=0.85)
        save_figure(figure, path)

    run_on_root(mesh.comm, draw)


def _draw_solid(path: str | Path, surface: Surface | None, *, title: str, label: str) -> None:
    """Draw a surface with its colour bar into a file."""
    assert surface is not None
    figure = new_figure(6.0, 5.0)
    axes = figure.add_subplot(**SOLID_AXES)
    drawn = draw_surface(axes, surface, seen_range(surface))
    axes.set_title(_wrapped(title, 4.3))
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
    fields = [gather_mesh_values(p.mesh, p.values, displacement=p.displacement) for p in panels]

    def draw() -> None:
        cells = [field for field in fields if field is not None]
        count = len(cells) + (difference is not None)
        figure = new_figure(0.7 + count * max(2.6, 0.5 + 3.4 * aspect_of(cells)), 5.0)
        axes = figure.subplots(1, count, sharex=True, sharey=True, squeeze=False)[0]
        values = np.concatenate([field.values for field in cells])
        norm = Normalize(values.min(), values.max())
        for axis, panel, field in zip(axes, panels, cells, strict=False):
            drawn = draw_cells(axis, field, norm)
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
            drawn = draw_cells(axes[-1], apart, Normalize(-bound, bound), colours="RdBu_r")
            label_axes(axes[-1], difference, length_unit)
            bar = figure.colorbar(drawn, ax=axes[-1], label=label, location="bottom", shrink=0.9)
            bar.locator = MaxNLocator(4, symmetric=True)
            bar.formatter = FuncFormatter(lambda value, _: f"{value:.2g}")
        for axis in axes[1:]:
            axis.set_ylabel("")
        save_figure(figure, path)

    run_on_root(panels[0].mesh.comm, draw)


def plot_cell(
    path: str | Path, cell: TaggedMesh, *, title: str = "", length_unit: str = ""
) -> None:
    """Draw the mesh of a cell (RVE), its phases in colours, with their area fractions.

    Raises:
        InputError: the mesh is not plane.
        OSError: the file cannot be written; on all ranks.
    """
    names = cell.group_names(2)
    owned = cell.mesh.topology.index_map(2).size_local
    phase = np.full(owned, -1.0)
    # The last of the sorted names first: "matrix" is pale, "fibre" is dark.
    for k, name in enumerate(reversed(names)):
        phase[cell.cells(name)] = k
    cells = gather_mesh_values(cell.mesh, phase)

    def draw() -> None:
        assert cells is not None
        figure = new_figure(0.9 + 3.9 * aspect_of([cells]), 5.1)
        axes = figure.add_subplot()
        x, y = cells.polygons[..., 0], cells.polygons[..., 1]
        area = 0.5 * np.abs((x * np.roll(y, -1, 1) - y * np.roll(x, -1, 1)).sum(axis=1))
        handles = []
        for k, name in enumerate(reversed(names)):
            here = cells.values == k
            colour = _PHASE_COLOURS[k % len(_PHASE_COLOURS)]
            axes.add_collection(
                PolyCollection(
                    cells.polygons[here], facecolor=colour, edgecolor="white", linewidth=0.35
                )
            )
            text = f"{name} ({100 * area[here].sum() / area.sum():.1f} %)"
            handles.append(Patch(facecolor=colour, edgecolor="#666666", label=text))
        axes.add_collection(LineCollection(cells.outline, colors="#444444", linewidths=0.8))
        axes.autoscale_view()
        axes.margins(0.02)
        label_axes(axes, title, length_unit)
        figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False)
        save_figure(figure, path)

    run_on_root(cell.mesh.comm, draw)


def plot_load_displacement(
    path: str | Path,
    curves: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    comm: MPI.Intracomm,
    *,
    xlabel: str = "displacement [mm]",
    ylabel: str = "force [N/mm]",
    title: str = "",
) -> None:
    """Draw curves of load over displacement; the first is drawn wide, the others on top.

    Args:
        path: of the PNG file.
        curves: name -> displacements and loads; those of rank 0 are drawn.
        comm: the communicator.
        xlabel: of the displacement, with its unit.
        ylabel: of the load, with its unit.
        title: of the picture.

    Raises:
        OSError: the file cannot be written; on all ranks.
    """

    def draw() -> None:
        figure = new_figure(5.6, 4.2)
        axes = figure.add_subplot()
        for k, (name, (displacement, load)) in enumerate(curves.items()):
            axes.plot(displacement, load, label=name, **_LINES[k % len(_LINES)])
        axes.set(xlabel=xlabel, ylabel=ylabel, title=title)
        axes.grid(color="#dddddd", linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_axisbelow(True)
        if curves:
            axes.legend(frameon=False)
        save_figure(figure, path)

    run_on_root(comm, draw)


def _outline(polygons: Array, numbers: np.ndarray) -> Array:  # (edges, 2, 2)
    """Return the edges that belong to one polygon only."""
    edges = np.stack([polygons, np.roll(polygons, -1, axis=1)], axis=2).reshape(-1, 2, 2)
    ends = np.stack([numbers, np.roll(numbers, -1, axis=1)], axis=2).reshape(-1, 2)
    _, first, count = np.unique(
        np.sort(ends, axis=1), axis=0, return_index=True, return_counts=True
    )
    return edges[first[count == 1]]


def aspect_of(fields: Sequence[PlaneCells]) -> float:
    """Return width over height of what is drawn, within reason."""
    points = [a.reshape(-1, 2) for field in fields for a in (field.polygons, field.outline)]
    width, height = np.ptp(np.concatenate(points), axis=0)
    return float(np.clip(width / height, 0.4, 3.0))


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of a size in inches."""
    figure = Figure(figsize=(width, height), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.08, h_pad=0.08)
    return figure


def draw_cells(axes: Any, cells: PlaneCells, norm: Normalize, *, colours: str = "viridis") -> Any:
    """Add coloured cells and the undeformed outline to axes; return the mappable."""
    lines = {"edgecolor": "face", "linewidth": 0.2}  # no hairlines of background between cells
    if len(cells.values) <= 2000:
        lines = {"edgecolor": (1, 1, 1, 0.35), "linewidth": 0.25}
    drawn = PolyCollection(cells.polygons, array=cells.values, cmap=colours, norm=norm, **lines)
    axes.add_collection(
        LineCollection(cells.outline, colors="#777777", linewidths=0.8, capstyle="round")
    )
    axes.add_collection(drawn)
    axes.autoscale_view()
    return drawn


def label_axes(axes: Any, title: str, length_unit: str) -> None:
    """Give axes a title, labels with units and one scale."""
    unit = f" [{length_unit}]" if length_unit else ""
    axes.set(xlabel=f"$x${unit}", ylabel=f"$y${unit}", title=title)
    axes.set_aspect("equal")
    axes.spines[["top", "right"]].set_visible(False)


def _wrapped(title: str, width: float) -> str:
    """Return a title in lines that fit over axes of a width in inches, at 12 points."""
    return textwrap.fill(title, max(14, int(width / 0.095)))


def save_figure(figure: Figure, path: str | Path) -> None:
    """Write a figure; make its folder."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=180)
