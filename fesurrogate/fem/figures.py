"""Figures as PNG files: their sizes, axes and titles look alike everywhere."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of a size in inches."""
    figure = Figure(figsize=(width, height), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.08, h_pad=0.08)
    return figure


def label_axes(axes: Any, title: str, length_unit: str) -> None:
    """Give axes a title, labels with units and one scale."""
    unit = f" [{length_unit}]" if length_unit else ""
    axes.set(xlabel=f"$x${unit}", ylabel=f"$y${unit}", title=title)
    axes.set_aspect("equal")
    axes.spines[["top", "right"]].set_visible(False)


def wrapped(title: str, width: float) -> str:
    """Return a title in lines that fit over axes of a width in inches, at 12 points."""
    return textwrap.fill(title, max(14, int(width / 0.095)))


def save_figure(figure: Figure, path: str | Path) -> None:
    """Write a figure; make its folder."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=180)
