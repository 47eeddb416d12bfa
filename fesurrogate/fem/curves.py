"""Curves as PNG files: load over displacement, stress over strain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from mpi4py import MPI

from fesurrogate.fem.figures import new_figure, save_figure
from fesurrogate.fem.output import run_on_root
from fesurrogate.kinematics import Array

_LINES = (  # the first is wide and pale, so that what coincides with it still shows
    {"color": "#9db7d1", "linewidth": 5.0, "solid_capstyle": "round"},
    {"color": "#c0392b", "linewidth": 1.4, "marker": "o", "markersize": 5, "mfc": "white"},
    {"color": "#4d4d4d", "linewidth": 1.2, "linestyle": "--"},
    {"color": "#2e7d32", "linewidth": 1.2, "linestyle": "-.", "marker": "s", "markersize": 4},
)


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
        figure, axes = _new_axes()
        for k, (name, (displacement, load)) in enumerate(curves.items()):
            axes.plot(displacement, load, label=name, **_LINES[k % len(_LINES)])
        axes.set(xlabel=xlabel, ylabel=ylabel, title=title)
        if curves:
            axes.legend(frameon=False)
        save_figure(figure, path)

    run_on_root(comm, draw)


def plot_path(
    path: str | Path,
    strain: Array,  # (T, m), from rest
    stress: Array,  # (T, m)
    *,
    names: tuple[Sequence[str], Sequence[str]],
    title: str = "",
) -> None:
    """Draw the components of the stress over the component of strain that moves most.

    Components that stay below a thousandth of the largest are left out. Begins at rest.

    Args:
        path: Of the PNG file.
        strain: From rest.
        stress: Of each strain.
        names: Of the components of strain and of stress.
        title: Of the picture.
    """
    strain, stress = (np.vstack([np.zeros((1, a.shape[1])), a]) for a in (strain, stress))
    along = int(np.ptp(strain, axis=0).argmax())
    figure, axes = _new_axes()
    largest = np.abs(stress).max()
    for k, name in enumerate(names[1]):
        if np.abs(stress[:, k]).max() > 1e-3 * largest:
            axes.plot(strain[:, along], stress[:, k], marker="o", markersize=3, label=name)
    axes.set(xlabel=names[0][along], ylabel="mean stress", title=title)
    axes.legend(frameon=False)
    save_figure(figure, path)


def _new_axes() -> tuple[Figure, Any]:
    """Return an empty figure and its axes, with a pale grid below the curves."""
    figure = new_figure(5.6, 4.2)
    axes = figure.add_subplot()
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_axisbelow(True)
    return figure, axes
