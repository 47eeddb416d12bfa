"""From a TOML to results.json, pictures and a table."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mpi4py import MPI

from fesurrogate.build.places import check_files
from fesurrogate.build.ranks import together
from fesurrogate.config import Settings
from fesurrogate.errors import ConvergenceError, InputError
from fesurrogate.fem.output import write_json
from fesurrogate.homogenize.effective import effective, refinements_of
from fesurrogate.homogenize.path import check_path, follow
from fesurrogate.homogenize.pictures import PICTURES, draw_cell, draw_path
from fesurrogate.homogenize.table import as_text
from fesurrogate.homogenize.views import tangent_at_rest, views_of
from fesurrogate.progress import progress_bar
from fesurrogate.results import versions

FORMAT = 1
"""Of results.json; raised when a key changes its meaning or goes."""


@dataclass(frozen=True)
class Homogenized:
    """What was found, alike on every rank.

    Attributes:
        results: What results.json holds (docs/config.md).
        text: The same as tables.
        message: Why it ended early; empty if it did not.
    """

    results: dict[str, Any]
    text: str
    message: str = ""


def homogenize(
    settings: Settings,
    comm: MPI.Intracomm,
    output: Path | None = None,
    *,
    allow_code: bool = False,
    progress: bool = False,
) -> Homogenized:
    """Find the effective properties of the cell of a TOML, and its response along a path.

    Collective. Rank 0 does all of it: cells are serial, and there is one.

    Args:
        settings: The TOML; of it [kinematics], [material] and [homogenize].
        comm: The communicator.
        output: Folder for results.json and pictures; none are written if None.
        allow_code: Whether a user's module may be imported.
        progress: Whether rank 0 shows a progress bar along the path.

    Raises:
        InputError: On all ranks, with the same message.
    """

    def work() -> Homogenized | None:
        if comm.rank > 0:
            return None
        try:
            return _homogenize(settings, output, allow_code, progress)
        except ConvergenceError as error:
            return Homogenized({}, "", str(error))

    found = comm.bcast(together(comm, work))
    assert isinstance(found, Homogenized)
    return found


def _homogenize(
    settings: Settings, output: Path | None, allow_code: bool, progress: bool
) -> Homogenized:
    begin = time.perf_counter()
    wanted = settings.homogenize
    _check(settings)
    if output is not None:
        check_files(output / name for name in ("results.json", *PICTURES))
    views, notes = views_of(settings, allow_code=allow_code)
    rve = views[0].rve
    fractions = rve.cell.volume_fractions()
    finer, left_out = refinements_of(views[-1], wanted.refinements)
    notes += [left_out] if left_out else []
    found = {view.name: effective(view, finer, fractions) for view in views}
    stiffness = {name: view.stiffness for name, view in found.items()}
    if settings.kinematics.measure == "finite":
        stiffness["finite"] = tangent_at_rest(rve)
    results: dict[str, Any] = {
        "format": FORMAT,
        "title": settings.title,
        "measure": settings.kinematics.measure,
        "gdim": settings.kinematics.gdim,
        "volume_fractions": fractions,
        "stiffness": stiffness,
        "engineering": {name: view.engineering for name, view in found.items()},
        "anisotropy": {name: view.anisotropy for name, view in found.items()},
        "bounds": {name: view.bounds for name, view in found.items()},
        "discretisation": {
            name: {**asdict(view.discretisation), "meshes": view.meshes}
            for name, view in found.items()
        },
        "path": None,
        "notes": notes,
    }
    message = ""
    if wanted.path:
        shown = progress and len(wanted.path) > 1
        with progress_bar("path", len(wanted.path), unit="increments", enabled=shown) as advance:
            response = follow(rve, wanted.path, wanted.dt, advance=advance)
        results["path"] = asdict(response)
        if response.failed is not None:
            message = (
                f"the cell could not be solved in increment {response.failed} of "
                f"{len(wanted.path)} of homogenize.path; results.json holds those before it. Give "
                "smaller increments, or a path that ends earlier"
            )
    drawn = output is not None and settings.output.pictures
    if drawn:
        assert output is not None
        draw_cell(output, views[-1], fractions, title=settings.title)
        if results["path"] is not None and len(results["path"]["stress"]):
            draw_path(output, results["path"], settings.kinematics, title=settings.title)
    results |= {
        "converged": not message,
        "message": message,
        "material": {"kind": "rve", "fingerprint": rve.fingerprint},
        "seconds": time.perf_counter() - begin,
        "versions": versions(),
    }
    if output is not None:
        write_json(output / "results.json", results, MPI.COMM_SELF)
    return Homogenized(results, as_text(results), message)


def _check(settings: Settings) -> None:
    """Refuse what has no cell, before anything is built."""
    table = settings.material
    needed = 'homogenize needs a cell: [material] with kind = "rve", and [material.rve]'
    if table is None:
        raise InputError(f"there is no [material] table; {needed}")
    if table.kind != "rve":
        raise InputError(f"material.kind is {table.kind!r}; {needed}")
    if table.rve is None:
        raise InputError(f"there is no [material.rve] table; {needed}")
    check_path(settings.homogenize.path, settings.kinematics)
