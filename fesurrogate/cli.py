"""The command line, ``fesurrogate COMMAND``.

Commands: run, homogenize, generate, precompute, compress, inspect, train, check, doctor.

Exit codes: 0 done (converged), 1 an error in the program, 2 bad input, 3 did not converge, 4
stopped and can be continued, 130 ended at once. Options of PETSc, one dash and a word, are handed
to PETSc before DOLFINx is imported and win over what the TOML and the code set. Messages are
printed once, by rank 0.
"""

from __future__ import annotations

import logging
import re
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, NoReturn

import click
import typer

from fesurrogate.config import Settings, read_config
from fesurrogate.errors import InputError, MissingPackageError

CONVERGED, BAD_INPUT, NOT_CONVERGED, STOPPED, INTERRUPTED = 0, 2, 3, 4, 130
Config = Annotated[Path, typer.Argument(help="The TOML.", show_default=False)]
Output = Annotated[Path | None, typer.Option("--output", help="Output folder.")]
Data = Annotated[Path, typer.Argument(help="Folder of a dataset.", show_default=False)]
Points = Annotated[Path, typer.Argument(help="failed_points.npz of a run.", show_default=False)]
Beside = Annotated[
    Path | None, typer.Option("--output", help="Output folder [inspect beside the dataset].")
]
Results = Annotated[
    Path | None, typer.Option("--output", help="Folder of results.json [default: FOLDER/KIND].")
]
HomogenizeOutput = Annotated[
    Path | None, typer.Option("--output", help="Folder of results.json [FOLDER/homogenize].")
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
PETSC_OPTION = re.compile(r"-[A-Za-z_][A-Za-z0-9_]+")


def split_petsc_options(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return (ours, PETSc's): PETSc's are one dash and a word, with the value that follows.

    A word after such an option is its value unless it begins with a dash (a number may) or ends in
    ``.toml``: a flag such as ``-macro_snes_monitor`` may stand before the configuration.
    """
    ours, petsc = [], []
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        if not PETSC_OPTION.fullmatch(word):
            ours.append(word)
            continue
        petsc.append(word)
        if rest and not rest[0].endswith(".toml") and (rest[0][:1] != "-" or _number(rest[0])):
            petsc.append(rest.pop(0))
    return ours, petsc


def _number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a command and exit with its code."""
    ours, petsc = split_petsc_options(sys.argv[1:] if arguments is None else arguments)
    comm = _world(["fesurrogate", *petsc])
    first = comm is None or comm.rank == 0
    try:
        code, text = _dispatch(ours, comm)
    except InputError as error:
        code, text = BAD_INPUT, f"error: {error}"
    except (Exception, KeyboardInterrupt) as error:
        if _interrupted(error):
            _leave(comm)
        traceback.print_exc()
        sys.stderr.flush()
        if comm is not None and comm.size > 1:
            comm.Abort(1)
        sys.exit(1)
    if first and text:
        print(text, file=sys.stderr if code else sys.stdout, flush=True)
    if comm is not None:
        comm.Barrier()  # the message is out before mpirun learns of the exit code
    sys.exit(code)


def _interrupted(error: BaseException | None) -> bool:
    """Return whether the error is, or was caused by, a Ctrl-C; PETSc wraps it in errors."""
    while error is not None:
        if isinstance(error, KeyboardInterrupt | click.Abort):
            return True
        error = error.__cause__ or error.__context__
    return False


def _leave(comm: Any) -> NoReturn:
    """End all ranks after a Ctrl-C: the others may wait for this one, or know nothing of it."""
    if comm is not None and comm.rank > 0:
        time.sleep(0.5)  # where all were interrupted, rank 0 says so and ends the others
    print("interrupted", file=sys.stderr, flush=True)
    if comm is not None and comm.size > 1:
        comm.Abort(INTERRUPTED)
    sys.exit(INTERRUPTED)


def _world(petsc: list[str]) -> Any:
    """Return the communicator, with PETSc initialised; None where there is no MPI."""
    try:
        import petsc4py
        from mpi4py import MPI
    except ImportError:
        return None
    petsc4py.init(petsc)
    return MPI.COMM_WORLD


def _dispatch(arguments: list[str], comm: Any) -> tuple[int, str]:
    """Parse and run; return the exit code and what rank 0 says last."""
    try:
        result = app(arguments, prog_name="fesurrogate", standalone_mode=False, obj=comm)
    except click.UsageError as error:
        usage = f"{error.ctx.get_usage()}\n" if error.ctx else ""
        return BAD_INPUT, f"{usage}error: {error.format_message()}"
    except click.ClickException as error:
        return BAD_INPUT, f"error: {error.format_message()}"
    return result if isinstance(result, tuple) else (int(result or 0), "")


@app.command()
def run(
    context: typer.Context,
    config: Config,
    output: Results = None,
    restart: Restart = False,
    allow_code: AllowCode = False,
    verbose: Verbose = False,
) -> tuple[int, str]:
    """Solve the problem of a TOML; write results.json, fields, pictures and checkpoints."""
    comm = _needed(context.obj, "run")
    _log(comm, verbose)
    settings = _settings(config, comm)
    if output is not None:
        settings = replace(settings, run_output=output.absolute())
    from fesurrogate.run import run
    from fesurrogate.run.signals import stop_signals
    from fesurrogate.run.summary import summary

    with _about(config), stop_signals(loud=comm.rank == 0) as stop:
        outcome = run(
            settings, comm, settings.run_folder, allow_code=allow_code, progress=True,
            restart=restart, stop=stop,
        )  # fmt: skip
    results = outcome.results
    lines = [f"{name}: {value}" for name, value in summary(results, settings.run_folder).items()]
    if outcome.interrupted:
        return STOPPED, "\n".join([*lines, f"stopped: {results.message}"])
    if results.converged:
        return CONVERGED, "\n".join(lines)
    if outcome.failed_points is not None:
        lines.append(f"ask a failed point again: fesurrogate check {outcome.failed_points}")
    kept = f"; the checkpoint is {outcome.checkpoint}" if outcome.checkpoint else ""
    return NOT_CONVERGED, "\n".join([*lines, f"error: {results.message}{kept}"])


@app.command()
def homogenize(
    context: typer.Context,
    config: Config,
    output: HomogenizeOutput = None,
    allow_code: AllowCode = False,
    verbose: Verbose = False,
) -> tuple[int, str]:
    """Find the effective properties of the cell of a TOML, with bounds, errors and pictures."""
    comm = _needed(context.obj, "homogenize")
    _log(comm, verbose)
    settings = _settings(config, comm)
    folder = settings.folder / "homogenize" if output is None else output.absolute()
    from fesurrogate.homogenize import homogenize

    with _about(config):
        found = homogenize(settings, comm, folder, allow_code=allow_code, progress=True)
    text = f"{found.text}\nresults: {folder / 'results.json'}" if found.results else ""
    if not found.message:
        return CONVERGED, text
    return NOT_CONVERGED, f"{text}\nerror: {found.message}".lstrip()


@app.command()
def generate(
    context: typer.Context,
    config: Config,
    output: Output = None,
    allow_code: AllowCode = False,
    fresh: Fresh = False,
    verbose: Verbose = False,
) -> tuple[int, str]:
    """Generate the datasets of [generate] and [calibration], unless they are there."""
    comm = _needed(context.obj, "generate")
    _log(comm, verbose)
    settings = _moved(_settings(config, comm), output)
    from fesurrogate.build.calibration import calibration_of
    from fesurrogate.build.dataset import ensure_dataset

    with _about(config):
        options = {"fresh": fresh, "progress": True, "allow_code": allow_code}
        made = ensure_dataset(settings, comm, **options)
        if settings.calibration is not None:
            ensure_dataset(calibration_of(settings), comm, **options)
        learned = ""
        if settings.generate.fields:
            from fesurrogate.build.guess import ensure_guess

            learned = f"\nwrote {ensure_guess(settings, made, comm)}"
    verb, head = "reused" if made.reused else "wrote", made.manifest
    failed = head.meta["failed"]
    return CONVERGED, f"{verb} {made.path}: {head.paths} paths, {failed} failed points{learned}"


@app.command()
def precompute(
    context: typer.Context,
    config: Config,
    output: Output = None,
    allow_code: AllowCode = False,
    fresh: Fresh = False,
    verbose: Verbose = False,
) -> tuple[int, str]:
    """Compute the table of [precompute], quantities of a cell over its axes."""
    comm = _needed(context.obj, "precompute")
    _log(comm, verbose)
    settings = _moved(_settings(config, comm), output)
    from fesurrogate.build.precompute import ensure_table

    with _about(config):
        made = ensure_table(settings, comm, fresh=fresh, progress=True, allow_code=allow_code)
    verb = "reused" if made.reused else "wrote"
    lines = [f"{verb} {made.path}: {made.entries} points, {made.failed} failed"]
    for name, (mean, largest) in made.errors.items():
        lines.append(f"interpolation of {name}: error {mean:.2%} in the mean, up to {largest:.2%}")
    return CONVERGED, "\n".join(lines)


@app.command()
def compress(
    context: typer.Context,
    table: Annotated[Path, typer.Argument(help="A table, table.h5.", show_default=False)],
    output: Annotated[Path, typer.Option("--output", help="The file that is written.")],
    tolerance: Annotated[float, typer.Option("--tolerance", help="Error of an entry.")] = 0.005,
) -> tuple[int, str]:
    """Write a table as tensor trains, every entry within a tolerance."""
    from fesurrogate.build.ranks import together
    from fesurrogate.hierarchical.compress import compress as write

    comm = context.obj
    first = comm is None or comm.rank == 0
    found = together(comm, lambda: write(table, output, tolerance) if first else None)
    lines = [
        f"{name}: {each.numbers[0]} numbers became {each.numbers[1]}, error up to {each.error:.2e}"
        for name, each in (found or {}).items()
    ]
    return CONVERGED, "\n".join([*lines, f"wrote {output}"])


@app.command()
def inspect(context: typer.Context, dataset: Data, output: Beside = None) -> tuple[int, str]:
    """Find what is wrong with a dataset and how it fills its envelope; draw it."""
    from fesurrogate.build.ranks import together
    from fesurrogate.inspection import inspect as examine

    comm, folder = context.obj, (output or dataset.parent / "inspect").absolute()
    first = comm is None or comm.rank == 0
    found = together(comm, lambda: examine(dataset, folder) if first else None)
    return CONVERGED, f"{found.text}\nresults: {folder / 'inspect.json'}" if found else ""


@app.command()
def train(
    context: typer.Context,
    config: Config,
    output: Output = None,
    fresh: Fresh = False,
    verbose: Verbose = False,
) -> tuple[int, str]:
    """Train the model of [train] on the dataset of `generate`, unless it is there."""
    comm = context.obj
    _log(comm, verbose)
    settings = _moved(_settings(config, comm), output)
    from fesurrogate.build.model import ensure_model

    with _about(config):
        made = ensure_model(settings, comm=comm, fresh=fresh, progress=True)
    return CONVERGED, f"{'reused' if made.reused else 'wrote'} {made.path}: {made.summary}"


@app.command()
def check(
    context: typer.Context,
    points: Points,
    point: Annotated[int, typer.Option("--point", help="Number of the point.")] = 0,
    config: Annotated[
        Path | None, typer.Option("--config", help="The TOML of the Material [that of the run].")
    ] = None,
    allow_code: AllowCode = False,
) -> tuple[int, str]:
    """Ask a point at which a run failed again, alone."""
    comm = _needed(context.obj, "check")
    from fesurrogate.build.ranks import together
    from fesurrogate.run.point_check import check_point

    def ask() -> tuple[int, str]:
        if comm.rank > 0:
            return CONVERGED, ""
        found = check_point(points, point, config=config, allow_code=allow_code)
        return (CONVERGED if found.solved else NOT_CONVERGED), found.text

    return comm.bcast(together(comm, ask), root=0)


@app.command()
def doctor() -> tuple[int, str]:
    """Print what was found on this machine, and what to mend."""
    from fesurrogate.doctor import doctor as examine

    return int(examine() or 0), ""


def _settings(config: Path, comm: Any) -> Settings:
    from fesurrogate.build.ranks import together

    return together(comm, lambda: read_config(config))


def _moved(settings: Settings, output: Path | None) -> Settings:
    """Return the settings with another folder for the dataset and the model."""
    if output is None:
        return settings
    return replace(settings, output=replace(settings.output, folder=output.absolute()))


@contextmanager
def _about(config: Path) -> Iterator[None]:
    """Put the TOML before the message of any InputError."""
    try:
        yield
    except MissingPackageError:
        raise
    except InputError as error:
        raise InputError(f"{config}: {error}") from error


def _needed(comm: Any, command: str) -> Any:
    if comm is None:
        raise MissingPackageError(
            f"{command} needs DOLFINx with petsc4py and mpi4py; get them with: conda install -c "
            "conda-forge fenics-dolfinx, or the Dockerfile, or apt-get install python3-dolfinx-real"
        )
    return comm


def _log(comm: Any, verbose: bool) -> None:
    first = comm is None or comm.rank == 0
    level = (logging.INFO if verbose else logging.WARNING) if first else logging.ERROR
    logging.basicConfig(format="%(message)s", level=level, stream=sys.stderr)
