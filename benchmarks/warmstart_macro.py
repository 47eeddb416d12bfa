"""Initial guesses of the macro problem, beside those of its cells: time of a whole direct FE² run.

``python -m benchmarks warmstart_macro``.
"""

import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from mpi4py import MPI

from benchmarks.measure import report
from fesurrogate.build.dataset import ensure_dataset
from fesurrogate.build.guess import ensure_guess
from fesurrogate.config import Settings, read_config
from fesurrogate.run import run

COOK = Path(__file__).parents[1] / "demos" / "cook_membrane.toml"
COOK_CELLS = (2, 2)  # of the macro mesh: 36 points


def main() -> None:
    """Print the figures."""
    cook()


def cook() -> None:
    """Run Cook's membrane by direct FE² with guesses at both scales."""
    settings = read_config(COOK)
    generate = replace(settings.generate, samples=512, tangents=False, fields=True)
    choices = {
        "cold": ("previous", "zero"),
        "previous": ("previous", "previous"),
        "sensitivity": ("previous", "sensitivity"),
        "learned": ("previous", "learned"),
        "learned_quadratic": ("quadratic", "learned"),
    }
    with tempfile.TemporaryDirectory() as folder:
        output = replace(settings.output, folder=Path(folder), pictures=False, fields=False)
        mesh = replace(settings.mesh, cells=COOK_CELLS) if settings.mesh else None
        settings = replace(settings, generate=generate, output=output, mesh=mesh)
        begin = time.perf_counter()
        ensure_guess(settings, ensure_dataset(settings))
        learning = time.perf_counter() - begin
        found = {name: _run(settings, *choice) for name, choice in choices.items()}
    one = found["cold"]
    for name, each in found.items():
        a, b = (np.array(r.reaction["left"]) for r in (one, each))
        difference = float(np.abs(a - b).max() / np.abs(a).max())
        report(
            f"warmstart.cook.{name}", each.seconds["solving"] / one.seconds["solving"], "1",
            bar=0.5 if name == "learned" else None,
            detail=f"macro {choices[name][0]}, micro {choices[name][1]}: "
            f"{each.seconds['solving']:.1f} s, {each.newton_iterations} Newton iterations, "
            f"{each.micro_iterations / each.rve_solves:.2f} in a cell, {each.rve_solves} solves; "
            f"reaction differs by {difference:.1e}; guesses of increments: "
            f"{', '.join(entry.guess for entry in each.history)}; learning: {learning:.1f} s",
        )  # fmt: skip


def _run(settings: Settings, macro: str, micro: str) -> object:
    table = settings.material
    assert table is not None and table.rve is not None
    cell = replace(table.rve, initial_guess=micro)
    chosen = replace(
        settings,
        macro=replace(settings.macro, initial_guess=macro),
        material=replace(table, rve=cell),
    )
    found = run(chosen, MPI.COMM_SELF).results
    assert found.converged
    solving = found.seconds["material"] + found.seconds["macro"]
    return replace(found, seconds={**found.seconds, "solving": solving})


if __name__ == "__main__":
    main()
