"""What learning in the run saves: Cook's membrane from no data, then aside, beside direct FE2."""

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from mpi4py import MPI

from benchmarks.measure import report
from fesurrogate.config import Settings, read_config
from fesurrogate.results import LearningEntry, Results
from fesurrogate.run import run

TOML = Path(__file__).parents[1] / "demos" / "learn_on_the_fly.toml"
UP, ASIDE, BACK = (0.0, 18.0), (9.0, 15.6), (0.0, -12.0)  # mm, of the right edge
FIRST, NEXT = 0.30, 0.10
"""Of the RVE solves of direct FE²: bars of a run that begins with nothing, and of the next."""


def main() -> None:
    """Print the figures."""
    settings = read_config(TOML)
    settings = replace(settings, output=replace(settings.output, pictures=False, fields=False))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = _judged("first", settings, UP, folder / "first", None, FIRST)
        _cost(found, settings)
        start = folder / "first" / "learned"
        for name, value in (("aside", ASIDE), ("back", BACK)):
            _judged(name, settings, value, folder / name, start, NEXT)


def _run(
    settings: Settings, value: tuple[float, float], kind: str, folder: Path, start: Path | None
) -> Results:
    """Return what moving the right edge gives."""
    material = settings.material
    assert material is not None and material.learning is not None
    material = replace(material, kind=kind, learning=replace(material.learning, start=start))
    edge = replace(settings.dirichlet[1], value=value)
    moved = replace(settings, material=material, dirichlet=(settings.dirichlet[0], edge))
    return run(moved, MPI.COMM_SELF, folder).results


def _judged(
    name: str,
    settings: Settings,
    value: tuple[float, float],
    folder: Path,
    start: Path | None,
    bar: float,
) -> Results:
    """Report a run that learns beside the direct one."""
    found = _run(settings, value, "network", folder, start)
    direct = _run(settings, value, "rve", folder / "direct", None)
    assert found.converged and direct.converged
    force, truth = (np.array(each.reaction["right"]) for each in (found, direct))
    lessons = _lessons(found)
    away = [sum((entry.fallback or {}).values()) / found.points for entry in found.history]
    shown = ", ".join(f"{100 * rate:.0f}" for rate in away)
    begin = f"learning.{name}"
    report(
        f"{begin}.fallback_at_the_end", 100 * away[-1], "%", bar=5.0,
        detail=f"of {found.points} points, by increment: {shown}",
    )  # fmt: skip
    error = float(np.linalg.norm(force - truth) / np.linalg.norm(truth))
    report(f"{begin}.error_of_the_reaction", error, "relative", bar=0.005)
    checked, wrong = (sum(getattr(each, key) for each in lessons) for key in ("checked", "wrong"))
    report(
        f"{begin}.rve_solves", found.rve_solves / direct.rve_solves, "ratio", bar=bar,
        detail=f"{found.rve_solves}, {sum(each.rve_solves for each in lessons)} of them to check "
        f"{checked} points ({wrong} wrong), beside {direct.rve_solves} of direct FE2",
    )  # fmt: skip
    report(
        f"{begin}.time", found.seconds["total"] / direct.seconds["total"], "ratio",
        detail=f"{sum(each.seconds for each in lessons):.1f} s of learning, "
        f"{sum(each.outcome == 'taken' for each in lessons)} refinements; one run each",
    )  # fmt: skip
    grown = [
        each.errors["old_after"] - each.errors["old_before"]
        for each in lessons
        if each.outcome == "taken" and "old_before" in each.errors
    ]
    assert settings.material is not None and settings.material.guard is not None
    report(
        f"{begin}.forgotten", max(grown, default=0.0) / settings.material.guard.tolerance,
        "of the tolerance", bar=0.1,
        detail="largest growth of the error on old samples in a refinement",
    )  # fmt: skip
    return found


def _cost(found: Results, settings: Settings) -> None:
    """Report the RVE solves beside the cheapest direct run, which needs no increments to learn."""
    for increments in range(1, 9):
        steps = replace(settings.steps, increments=increments, max_cuts=0)
        with tempfile.TemporaryDirectory() as folder:
            cold = _run(replace(settings, steps=steps), UP, "rve", Path(folder), None)
        if cold.converged:
            break
    report(
        "learning.first.rve_solves_beside_the_cheapest", found.rve_solves / cold.rve_solves,
        "ratio",
        detail=f"{cold.rve_solves} of direct FE2 in as few increments as converge, {increments}",
    )  # fmt: skip


def _lessons(found: Results) -> list[LearningEntry]:
    return [lesson for entry in found.history for lesson in entry.learning]
