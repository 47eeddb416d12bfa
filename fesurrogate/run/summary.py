"""A run in a few lines."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fesurrogate.results import LearningEntry, Results


def summary(results: Results, folder: Path) -> dict[str, str]:
    """Return what is worth a line on the screen, by its name.

    Args:
        results: Of the run.
        folder: Where it has written ``results.json``.
    """

    def vector(values: Sequence[float]) -> str:
        noise = 1e-10 * max(map(abs, values), default=0.0)  # no -8.5e-14 beside a force of 64
        shown = (0.0 if abs(value) <= noise else value for value in values)
        return "(" + ", ".join(f"{value:.6g}" for value in shown) + ")"

    seconds = ", ".join(f"{name} {spent:.2f}" for name, spent in results.seconds.items())
    return {
        "converged": "yes" if results.converged else "no",
        "increments": f"{results.increments}, {results.newton_iterations} Newton iterations",
        "evaluations": f"{results.evaluations} points, {results.rve_solves} RVE solves",
        **_guesses(results),
        **{f"reaction {name}": vector(value) for name, value in results.reaction.items()},
        **{f"probe {name}": vector(value) for name, value in results.probes.items()},
        **_learned(results),
        **_trust(results),
        "seconds": seconds,
        "results": str(folder / "results.json"),
    }


def _guesses(results: Results) -> dict[str, str]:
    """Return what became of initial guesses that are not the classical ones."""
    words = ("taken", "refused", "repeated")
    macro = {word: sum(entry.guess == word for entry in results.history) for word in words}
    lines = {}
    for name, counts in (("increments", macro), ("cells", results.micro_guesses)):
        if any(counts.values()):
            said = ", ".join(f"{counts[word]} {word}" for word in words)
            lines[f"initial guesses of {name}"] = said
    if results.leads and any(macro.values()):
        lines["initial guesses of increments"] += f"; {results.leads} solutions of the surrogate"
    if any(results.micro_guesses.values()):
        mean = results.micro_iterations / max(results.rve_solves, 1)
        lines["initial guesses of cells"] += f"; {mean:.2f} iterations a solve, {_saved(results)}"
    if any(results.tangents.values()):
        said = ", ".join(f"{count} {word}" for word, count in results.tangents.items())
        lines["tangents of points"] = said
    return lines


def _saved(results: Results) -> str:
    """Return what the guesses of cells saved, as far as it is known."""
    guesses = results.micro_guesses
    if not guesses.get("compared"):
        return "none compared with the classical guess"
    word = "saved" if guesses["saved"] >= 0 else "lost"
    compared = "one solve" if guesses["compared"] == 1 else f"{guesses['compared']} solves"
    return f"about {abs(guesses['saved'])} {word} in all (estimated from {compared} without guess)"


def _learned(results: Results) -> dict[str, str]:
    """Return what Materials that learn have learned, and what it took."""
    lessons = [lesson for entry in results.history for lesson in entry.learning]
    if not lessons:
        return {}
    outcomes = ", ".join(
        f"{count} {word}"
        for word in ("taken", "refused", "failed")
        if (count := sum(lesson.outcome == word for lesson in lessons))
    )
    solves, spent = (
        sum(getattr(each, name) for each in lessons) for name in ("rve_solves", "seconds")
    )
    checked, wrong = (sum(getattr(each, name) for each in lessons) for name in ("checked", "wrong"))
    regions = dict.fromkeys(lesson.region for lesson in lessons)
    learned = {
        f"learned in {name}" if len(regions) > 1 else "learned": _kept(
            [lesson for lesson in lessons if lesson.region == name]
        )
        for name in regions
    }
    return {
        **learned,
        "refinements": f"{outcomes or 'none'}; {solves} RVE solves and {spent:.1f} s beside",
        "checked": f"{checked} points that were trusted, {wrong} of them wrongly",
    }


def _kept(lessons: Sequence[LearningEntry]) -> str:
    """Return what a Material holds after its lessons, and how good its model is."""
    errors = [each.errors["held_out_after"] for each in lessons if each.outcome == "taken"]
    judged = f", error {100 * errors[-1]:.2g} % on those held out" if errors else ""
    return f"{lessons[-1].samples} samples, {lessons[-1].held_out} held out{judged}"


def _trust(results: Results) -> dict[str, str]:
    """Return what is known of a guarded surrogate: where it fell back, and its audited error."""
    lines = {}
    last = results.history[-1] if results.history else None
    told = (("fallback", last.fallback), ("not trusted", last.untrusted)) if last else ()
    for name, counts in told:
        if counts is not None:
            why = ", ".join(f"{measure} {count}" for measure, count in counts.items() if count)
            away = f"{sum(counts.values())} of {results.points} points at the end"
            lines[name] = f"{away} ({why})" if why else away
    certified = results.certified
    if certified is not None:
        how = (
            f"{certified.newton_iterations} Newton iterations, {certified.leads} solutions of the "
            f"surrogate, {certified.rve_solves} RVE solves"
        )
        if certified.history:
            how = f"{len(certified.history)} increments, {how}"
        lines["certified"] = f"{'yes' if certified.converged else 'no'}, {how}"
        for name, change in certified.changes.items():
            lines[f"change of {name}"] = f"{change:+.3g}"
    found = results.audit
    if found is not None:
        error = found.stress_error
        value, low, high, worst = (
            f"{100 * part:.3g} %" for part in (error.value, error.low, error.high, found.worst)
        )
        lines["audit"] = (
            f"stress error {value} (with 95 % confidence {low} to {high}), worst {worst}, from "
            f"{found.points} of {found.served} points"
            + (f", {found.failed} of which the reference could not solve" if found.failed else "")
        )
        for name, each in found.outputs.items():
            lines[f"audit of {name}"] = f"{each.value:+.3g} ({each.low:+.3g} to {each.high:+.3g})"
    return lines
