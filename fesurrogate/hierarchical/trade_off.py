"""Size against error of every representation of a table: printed, and drawn."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from fesurrogate.hierarchical.compress import (
    SMALLEST,
    computed_names,
    efficient,
    file_size,
    series_of,
    uncompressed,
)
from fesurrogate.hierarchical.series import Candidate
from fesurrogate.hierarchical.tabulation import Tabulation

SHOWN = 0.2
"""Largest error that is worth a line."""


def compared(source: str | os.PathLike[str], picture: Path | None = None) -> list[str]:
    """Return the lines of the trade-off of every quantity of a table, and draw it.

    Of each representation those sizes are shown that no smaller one beats. Errors are the largest
    at held-out points (at entries, where the table has none), as
    :func:`~.tabulation.misfits` measures them.

    Args:
        source: A table.
        picture: A PNG that is written; None writes none.

    Raises:
        InputError: The table cannot be read, or was compressed before.
    """
    table = uncompressed(source)
    lines, drawn = [], {}
    for name in computed_names(table):
        curves = curves_of(table, name)
        drawn[name] = curves
        lines.append(f"{name}: {table.computed(name)[1].size} numbers in the table")
        lines.append(f"{'numbers':>9} {'file/byte':>10} {'largest':>9} {'rms':>9}  representation")
        for series in curves.values():
            for one in series:
                size = file_size(table, one, name)
                lines.append(
                    f"{one.numbers:9d} {size:10d} {one.held_out:9.2e} {one.mean_square:9.2e}  "
                    f"{one.name}: {one.detail}"
                )
    if picture is not None:
        _draw(drawn, picture)
        lines.append(f"drew {picture}")
    return lines


def curves_of(table: Tabulation, name: str) -> dict[str, list[Candidate]]:
    """Return the efficient sizes of each representation of a quantity."""
    found = {}
    for label, series in series_of(table, name, SMALLEST, slow=True).items():
        found[label] = [one for one in efficient(list(series)) if one.held_out <= SHOWN]
    return {label: series for label, series in found.items() if series}


def _draw(drawn: Mapping[str, Mapping[str, Sequence[Candidate]]], picture: Path) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.2 * len(drawn), 4.0), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, len(drawn), squeeze=False)[0]
    for place, (name, curves) in zip(axes, drawn.items(), strict=True):
        for label, series in curves.items():
            sizes = [one.numbers for one in series]
            errors = [100 * one.held_out for one in series]
            place.loglog(sizes, errors, marker="o", markersize=3, label=label.replace("_", " "))
        place.set(title=name, xlabel="numbers stored", ylabel="largest error held out / %")
        place.grid(visible=True, which="both", linewidth=0.3)
        place.legend(fontsize=8, loc="upper right")
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, dpi=150)
