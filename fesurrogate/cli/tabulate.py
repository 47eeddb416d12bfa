"""The commands of the hierarchical mode: precompute, compress."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fesurrogate.cli.common import (
    CONVERGED,
    AllowCode,
    Config,
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
from fesurrogate.errors import InputError


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
    comm = needed(context.obj, "precompute")
    start_log(comm, verbose)
    settings = moved(settings_of(config, comm), output)
    from fesurrogate.build.precompute import ensure_table

    with about(config):
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
    representation: Annotated[
        str, typer.Option("--representation", help="By name, as --trade-off prints them.")
    ] = "smallest",
    trade_off: Annotated[
        bool, typer.Option("--trade-off", help="Print and draw size against error of all.")
    ] = False,
) -> tuple[int, str]:
    """Write a table in its smallest representation, every entry within a tolerance."""
    from fesurrogate.build.places import check_files
    from fesurrogate.build.ranks import together
    from fesurrogate.hierarchical.compress import compress as write
    from fesurrogate.hierarchical.trade_off import compared

    comm = context.obj
    first = comm is None or comm.rank == 0

    def done() -> list[str]:
        if output.resolve() == table.resolve():
            raise InputError(f"--output {output} is the table itself; name another file")
        check_files([output])
        lines = compared(table, output.with_suffix(".png")) if trade_off else []
        found = write(table, output, tolerance, representation=representation)
        for name, each in found.items():
            now = each.chosen
            lines.append(
                f"{name}: {each.before} numbers became {now.numbers} ({now.name}, {now.detail}), "
                f"error up to {now.entries:.2e} at the entries and {now.held_out:.2e} held out"
            )
        return [*lines, f"wrote {output}"]

    lines = together(comm, lambda: done() if first else [])
    return CONVERGED, "\n".join(lines)
