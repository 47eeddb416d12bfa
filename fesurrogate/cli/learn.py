"""The commands that make and learn data: generate, inspect, train."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from fesurrogate.cli.common import (
    CONVERGED,
    AllowCode,
    Beside,
    Config,
    Data,
    Fresh,
    Output,
    Verbose,
    about,
    app,
    moved,
    needed,
    settings_of,
    start_log,
)

Active = Annotated[
    Path | None,
    typer.Option("--active", metavar="MODEL", help="Add the points where a model is least sure."),
]


@app.command()
def generate(
    context: typer.Context,
    config: Config,
    output: Output = None,
    active: Active = None,
    allow_code: AllowCode = False,
    fresh: Fresh = False,
    verbose: Verbose = False,
) -> tuple[int, str]:
    """Generate the datasets of [generate] and [calibration], unless they are there.

    With --active MODEL, a batch of points where the model is least sure is added.
    """
    comm = needed(context.obj, "generate")
    start_log(comm, verbose)
    settings = moved(settings_of(config, comm), output)
    from fesurrogate.build.active import ensure_active
    from fesurrogate.build.calibration import calibration_of
    from fesurrogate.build.dataset import ensure_dataset

    with about(config):
        options: dict[str, Any] = {"fresh": fresh, "progress": True, "allow_code": allow_code}
        lines: tuple[str, ...] = ()
        if active is None:
            made = ensure_dataset(settings, comm, **options)
            reused = made.reused
        else:
            asked = ensure_active(settings, active, comm, **options)
            made, reused, lines = asked.made, asked.reused, asked.lines
        if settings.calibration is not None:
            ensure_dataset(calibration_of(settings), comm, **options)
        learned = ""
        if settings.generate.fields:
            from fesurrogate.build.guess import ensure_guess

            learned = f"\nwrote {ensure_guess(settings, made, comm)}"
            if settings.train.model == "field_network":
                from fesurrogate.build.cell_image import ensure_image

                learned += f"\nwrote {ensure_image(settings, comm, allow_code=allow_code)}"
    verb, head = "reused" if reused else "wrote", made.manifest
    said = f"{verb} {made.path}: {head.paths} paths, {head.meta['failed']} failed points{learned}"
    return CONVERGED, "\n".join([*lines, said])


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
    start_log(comm, verbose)
    settings = moved(settings_of(config, comm), output)
    from fesurrogate.build.field_network import ensure_field_network
    from fesurrogate.build.model import ensure_model

    network = settings.train.model == "field_network"
    ensure = ensure_field_network if network else ensure_model
    with about(config):
        made = ensure(settings, comm=comm, fresh=fresh, progress=True)
    return CONVERGED, f"{'reused' if made.reused else 'wrote'} {made.path}: {made.summary}"
