"""The results of ``homogenize`` as tables for the screen."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from fesurrogate.kinematics import Array

WIDTH = 96

NAMES = {
    ("small", "plane"): "plane strain",
    ("finite", "plane"): "plane strain, at rest",
    ("gradient", "plane"): "conduction in the plane",
    ("small", "solid"): "solid",
    ("finite", "solid"): "solid, at rest",
    ("gradient", "solid"): "conduction",
}


def as_text(
    results: Mapping[str, Any],
) -> str:
    """Return tables of what results.json holds."""
    console = Console(file=io.StringIO(), width=WIDTH, color_system=None, emoji=False)
    if results["title"]:
        console.print(results["title"], markup=False, highlight=False)
    shares = [f"{name} {share:.6g}" for name, share in results["volume_fractions"].items()]
    console.print("volume fractions: " + ", ".join(shares), highlight=False)
    for view in results["engineering"]:
        name = NAMES[results["measure"], view]
        if view == "solid" and results["gdim"] == 2:
            strain = "" if results["measure"] == "gradient" else ", in generalised plane strain"
            name += f" (prism of this section{strain})"
        console.print()
        _view(console, name, view, results)
    path = results["path"]
    if path is not None:
        console.print()
        _path(console, path)
    console.print()
    methods = {error["method"] for error in results["discretisation"].values()}
    for method in sorted(methods):
        console.print(f"error of the mesh: {method}", highlight=False, markup=False)
    for note in results["notes"]:
        console.print(f"note: {note}", highlight=False, markup=False)
    assert isinstance(console.file, io.StringIO)
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines())


def _view(console: Console, name: str, view: str, results: Mapping[str, Any]) -> None:
    def say(text: str) -> None:
        console.print(text, highlight=False, markup=False)

    mandel = "conductivity" if results["measure"] == "gradient" else "stiffness (Mandel)"
    say(f"{name}: {mandel}")
    console.print(_matrix(np.asarray(results["stiffness"][view])))
    error = results["discretisation"][view]
    last = error["meshes"][-1]
    size = f"of {last['elements']} elements, {last['unknowns']} unknowns"
    about = "not estimated" if error["error"] is None else f"about {error['error']:.1e} of it"
    if error["observed"]:
        about += f", order {error['order']:.2f}"
    say(f"error of the mesh {size}: {about}")
    engineering = results["engineering"][view]
    if isinstance(engineering, str):
        say(f"engineering constants: {engineering}")
    elif "orthotropic" in engineering:
        say("engineering constants")
        console.print(_constants(engineering["orthotropic"]))
        fit = engineering["transversely_isotropic"]
        say(f"nearest transversely isotropic solid, about axis {fit['axis']}")
        console.print(_constants(fit))
    else:
        say("engineering constants")
        console.print(_constants(engineering))
    if results["anisotropy"][view]:
        say("anisotropy")
        console.print(_constants(results["anisotropy"][view]))
    bounds = results["bounds"][view]
    say("bounds")
    console.print(_bounds(bounds["moduli"]))
    if view == "plane" and results["measure"] != "gradient":
        return  # they are those of the solid
    departure = f"{bounds['departure']:.2g}"
    say(f"Hashin-Shtrikman: {bounds['note']}; the cell's distance from it: {departure}")


def _matrix(matrix: Array) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 1))
    noise = 1e-9 * np.abs(matrix).max()
    for row in matrix:
        table.add_row(*(f"{0.0 if abs(value) < noise else value:.6g}" for value in row))
    return table


def _constants(constants: Mapping[str, float | None]) -> Table:
    """Return names and values in three pairs of columns."""
    table = Table(box=None, show_header=False, padding=(0, 1))
    items = [(name, value) for name, value in constants.items() if name != "axis"]
    noise = 1e-12 * max((abs(value) for _, value in items if value is not None), default=0.0)
    for first in range(0, len(items), 3):
        cells = []
        for name, value in items[first : first + 3]:
            cells += [name, "0" if value is not None and abs(value) < noise else _figure(value)]
        table.add_row(*cells)
    return table


def _bounds(moduli: Mapping[str, Mapping[str, float | None]]) -> Table:
    table = Table(box=None, padding=(0, 1), header_style="")
    columns = ("reuss", "hs_lower", "cell", "hs_upper", "voigt")
    for heading in ("", "Reuss", "HS lower", "cell", "HS upper", "Voigt"):
        table.add_column(heading, justify="right" if heading else "left")
    for name, row in moduli.items():
        table.add_row(name, *(_figure(row[column]) for column in columns))
    return table


def _path(console: Console, path: Mapping[str, Any]) -> None:
    console.print("mean stress along the path, on the mesh that was given", highlight=False)
    table = Table(box=None, padding=(0, 1), header_style="")
    for heading in ("increment", "stress", "energy"):
        table.add_column(heading, justify="left" if heading == "stress" else "right")
    energy = path["report"].get("energy")
    for k, stress in enumerate(np.asarray(path["stress"])):
        noise = 1e-9 * np.abs(stress).max()
        row = ", ".join(f"{0.0 if abs(s) < noise else s:.5g}" for s in stress)
        table.add_row(str(k + 1), row, "" if energy is None else _figure(energy[k]))
    console.print(table)


def _figure(value: float | None) -> str:
    if value is None or not np.isfinite(value):
        return "-"
    return f"{value:.6g}"
