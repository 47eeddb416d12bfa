"""The commands that solve: run, homogenize, check."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from fesurrogate.cli.common import (
    CONVERGED,
    NOT_CONVERGED,
    STOPPED,
    AllowCode,
    Config,
    HomogenizeOutput,
    Points,
    Restart,
    Results,
    Verbose,
    about,
    app,
    needed,
    settings_of,
    start_log,
)


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
    comm = needed(context.obj, "run")
    start_log(comm, verbose)
    settings = settings_of(config, comm)
    if output is not None:
        settings = replace(settings, run_output=output.absolute())
    from fesurrogate.run import run
    from fesurrogate.run.signals import stop_signals
    from fesurrogate.run.summary import summary

    with about(config), stop_signals(loud=comm.rank == 0) as stop:
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
    comm = needed(context.obj, "homogenize")
    start_log(comm, verbose)
    settings = settings_of(config, comm)
    folder = settings.folder / "homogenize" if output is None else output.absolute()
    from fesurrogate.homogenize import homogenize

    with about(config):
        found = homogenize(settings, comm, folder, allow_code=allow_code, progress=True)
    text = f"{found.text}\nresults: {folder / 'results.json'}" if found.results else ""
    if not found.message:
        return CONVERGED, text
    return NOT_CONVERGED, f"{text}\nerror: {found.message}".lstrip()


@app.command()
def check(
    context: typer.Context,
    points: Points,
    point: Annotated[int, typer.Option("--point", help="Number of the point.")] = 0,
    config: Annotated[
        Path | None,
        typer.Option("--config", help="The TOML of the Material [default: that of the run]."),
    ] = None,
    allow_code: AllowCode = False,
) -> tuple[int, str]:
    """Ask a point at which a run failed again, alone."""
    comm = needed(context.obj, "check")
    from fesurrogate.build.ranks import together
    from fesurrogate.run.point_check import check_point

    def ask() -> tuple[int, str]:
        if comm.rank > 0:
            return CONVERGED, ""
        found = check_point(points, point, config=config, allow_code=allow_code)
        return (CONVERGED if found.solved else NOT_CONVERGED), found.text

    return comm.bcast(together(comm, ask), root=0)
