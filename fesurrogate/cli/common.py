"""What the commands share: the application, their arguments, their exit codes."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from fesurrogate.config import Settings, read_config
from fesurrogate.errors import InputError, MissingPackageError

CONVERGED, BAD_INPUT, NOT_CONVERGED, STOPPED, INTERRUPTED = 0, 2, 3, 4, 130
Config = Annotated[Path, typer.Argument(help="The TOML.", show_default=False)]
Output = Annotated[Path | None, typer.Option("--output", help="Output folder [default: FOLDER].")]
Data = Annotated[Path, typer.Argument(help="Folder of a dataset.", show_default=False)]
Points = Annotated[Path, typer.Argument(help="failed_points.npz of a run.", show_default=False)]
Beside = Annotated[
    Path | None,
    typer.Option("--output", help="Output folder [default: inspect beside the dataset]."),
]
Results = Annotated[
    Path | None, typer.Option("--output", help="Folder of results.json [default: FOLDER/KIND].")
]
HomogenizeOutput = Annotated[
    Path | None,
    typer.Option("--output", help="Folder of results.json [default: FOLDER/homogenize]."),
]
AllowCode = Annotated[
    bool, typer.Option("--allow-code", help='Allow kind = "module:factory" to run your code.')
]
Restart = Annotated[
    bool, typer.Option("--restart", help="Go on from the newest checkpoint, if there is one.")
]
Fresh = Annotated[bool, typer.Option("--fresh", help="Reuse nothing.")]
Verbose = Annotated[bool, typer.Option("--verbose", help="Log what is being done.")]

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    help="Two-scale mechanics in DOLFINx with a learned microscale. PETSc options such as "
    "-macro_snes_monitor and -micro_snes_max_it 30 may follow any command.",
)


def settings_of(config: Path, comm: Any) -> Settings:
    """Read a TOML. Collective.

    Raises:
        InputError: It is wrong; on all ranks.
    """
    from fesurrogate.build.ranks import together

    return together(comm, lambda: read_config(config))


def moved(settings: Settings, output: Path | None) -> Settings:
    """Return the settings with another folder for the dataset and the model."""
    if output is None:
        return settings
    return replace(settings, output=replace(settings.output, folder=output.absolute()))


@contextmanager
def about(config: Path) -> Iterator[None]:
    """Put the TOML before the message of any InputError."""
    try:
        yield
    except MissingPackageError:
        raise
    except InputError as error:
        raise InputError(f"{config}: {error}") from error


def needed(comm: Any, command: str) -> Any:
    """Return the communicator, without which a command cannot run."""
    if comm is None:
        raise MissingPackageError(
            f"{command} needs DOLFINx with petsc4py and mpi4py; get them with: conda install -c "
            "conda-forge fenics-dolfinx, or the Dockerfile, or apt-get install python3-dolfinx-real"
        )
    return comm


def start_log(comm: Any, verbose: bool) -> None:
    """Log to standard error; of other ranks errors only."""
    first = comm is None or comm.rank == 0
    level = (logging.INFO if verbose else logging.WARNING) if first else logging.ERROR
    logging.basicConfig(format="%(message)s", level=level, stream=sys.stderr)
