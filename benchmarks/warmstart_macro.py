"""Initial guesses and learned tangents at both scales: time of a whole direct FE² run.

``python -m benchmarks warmstart_macro``. Cook's membrane is run by direct FE² with each choice over
the same increments. Times are those of the process (one thread), from the first residual to the
last; building the problem is no part of them, and learning is a line of its own. Two runs are
called cold: by Newton's method alone from no fluctuation in every cell, and the same with this
solver's start (docs/architecture.md). ``modified`` keeps the tangent of the first iteration of an
increment (modified Newton), the obvious way that needs no learning.
"""

import statistics
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import final

import numpy as np
from mpi4py import MPI

from benchmarks.measure import report
from fesurrogate.build import ensure_dataset, ensure_model
from fesurrogate.build.guess import ensure_guess
from fesurrogate.build.predictor import predictor_of
from fesurrogate.build.problem import build_problem
from fesurrogate.config import Settings, read_config
from fesurrogate.fem.stepping import run_increments
from fesurrogate.kinematics import Array
from fesurrogate.material import Material, Response
from fesurrogate.micro import RVEMaterial

COOK = Path(__file__).parents[1] / "demos" / "cook_membrane.toml"
COOK_CELLS = (2, 2)  # of the macro mesh: 36 points
REPEATS = 3  # of all choices in turn
SAMPLES = 256  # that the surrogate and the cell's guess are learned from


def main() -> None:
    """Print the figures."""
    cook()


@dataclass(frozen=True)
class Choice:
    """What a run begins from, and with which tangent."""

    macro: str = "previous"
    micro: str = "previous"
    tangent: str | None = None
    alone: bool = False  # Newton's method in the cells, without a start
    kept: bool = False  # modified Newton

    def __str__(self) -> str:
        tangent = "kept" if self.kept else self.tangent or "the cell's"
        alone = ", by Newton's method alone" if self.alone else ""
        return f"macro {self.macro}, micro {self.micro}{alone}, tangent {tangent}"


CHOICES = {
    "newton": Choice(micro="zero", alone=True),
    "cold": Choice(micro="zero"),
    "previous": Choice(),
    "sensitivity": Choice(micro="sensitivity"),
    "learned": Choice(micro="learned"),
    "modified": Choice(kept=True),
    "quadratic": Choice("quadratic", "learned"),
    "tangent_at_rest": Choice(tangent="linearised_rve"),
    "tangent": Choice(tangent="network"),
    "tangent_learned": Choice("previous", "learned", "network"),
    "surrogate": Choice("surrogate"),
    "surrogate_learned": Choice("surrogate", "learned"),
    "surrogate_tangent": Choice("surrogate", tangent="network"),
    "best": Choice("surrogate", "learned", "network"),
}


def cook() -> None:
    """Run Cook's membrane by direct FE² with each choice."""
    settings = read_config(COOK)
    generate = replace(settings.generate, samples=SAMPLES, fields=True)
    train = replace(settings.train, model="polynomial")
    mesh = replace(settings.mesh, cells=COOK_CELLS) if settings.mesh else None
    with tempfile.TemporaryDirectory() as folder:
        output = replace(settings.output, folder=Path(folder))
        settings = replace(settings, generate=generate, train=train, output=output, mesh=mesh)
        begin = time.process_time()
        data = ensure_dataset(settings)
        middle = time.process_time()
        ensure_guess(settings, data)
        model = ensure_model(settings, data.dataset)
        learning = time.process_time() - begin
        report(
            "warmstart_macro.cook.learning", learning, "s",
            detail=f"{SAMPLES} samples of the cell with tangents {middle - begin:.1f} s; the "
            f"cell's guess and a polynomial energy ({model.summary})",
        )  # fmt: skip
        times: dict[str, list[float]] = {name: [] for name in CHOICES}
        found: dict[str, tuple[list[Array], str]] = {}
        for _ in range(REPEATS):
            for name, choice in CHOICES.items():
                spent, *found[name] = solved(settings, choice)
                times[name].append(spent)
    seconds = {name: statistics.median(of) for name, of in times.items()}
    exact = np.array(found["cold"][0])
    for name, choice in CHOICES.items():
        reactions, said = found[name]
        difference = float(np.abs(np.array(reactions) - exact).max() / np.abs(exact).max())
        one = {k: seconds[name] / seconds[k] for k in ("newton", "cold", "previous", "sensitivity")}
        beside = ", ".join(f"{ratio:.3f} of {k}" for k, ratio in one.items())
        report(
            f"warmstart_macro.cook.{name}", one["cold"], "1",
            bar=0.5 if name == "best" else None,
            detail=f"{choice}: {seconds[name]:.2f} s, {beside}; {said}; reactions of all "
            f"increments differ by {difference:.1e} from those of cold",
        )  # fmt: skip
        if name == "best":
            report(
                "warmstart_macro.cook.same_reaction", difference, "1", bar=1e-8,
                detail="largest difference of a reaction of an increment, relative to the largest",
            )  # fmt: skip
            saved = seconds["cold"] - seconds[name]
            report(
                "warmstart_macro.cook.break_even", learning / saved, "runs",
                detail=f"of {COOK_CELLS[0] * COOK_CELLS[1] * 9} points; the demo has 441",
            )  # fmt: skip


def solved(settings: Settings, choice: Choice) -> tuple[float, list[Array], str]:
    """Return the seconds of a run, the reactions of its increments, and a few words."""
    table = settings.material
    assert table is not None and table.rve is not None
    cell = replace(table.rve, initial_guess=choice.micro)
    chosen = replace(
        settings,
        macro=replace(settings.macro, initial_guess=choice.macro),
        material=replace(table, rve=cell, tangent=choice.tangent),
    )
    model = build_problem(chosen, MPI.COMM_SELF, wrap=Kept if choice.kept else None)
    material = model.materials["material"].material
    assert isinstance(material, RVEMaterial)
    if choice.alone:
        material.problem.solver._reference = None
    predictor, reactions = predictor_of(model), list[Array]()
    begin = time.process_time()
    increments = run_increments(
        model.problem, model.apply_load, settings.steps.end_times, predictor=predictor,
        on_accept=lambda _: reactions.append(np.array(model.measure()[0]["left"])),
    )  # fmt: skip
    spent = time.process_time() - begin
    counts = model.fields["material"].tally.counts
    return spent, reactions, (
        f"{sum(i.iterations for i in increments)} Newton iterations, {counts['rve_solves']} "
        f"solves, {counts['micro_iterations'] / counts['rve_solves']:.2f} iterations in a cell, "
        f"{counts['consistent_tangents']} consistent tangents beside "
        f"{counts['surrogate_tangents']} of a surrogate, guesses "
        f"{', '.join(i.guess for i in increments)}"
    )  # fmt: skip


@final
class Kept(Material):
    """A Material whose tangent is computed once an increment, and again where that is too old."""

    tangent_error = 1.0

    def __init__(self, material: Material) -> None:
        self.material, self.kinematics = material, material.kinematics
        m = self.kinematics.size
        self.num_hint = material.num_hint + 1 + m * m  # number of the increment, and the tangent
        self._increment, self._consistent = 1, False

    def use_consistent_tangent(self) -> bool:
        """Compute tangents anew for the rest of the increment."""
        changes, self._consistent = not self._consistent, True
        return changes

    def respond(
        self,
        strain: Array,  # (n, m)
        state: Array,  # (n, 0)
        dt: float,
        *,
        parameters: Array,
        hint: Array,  # (n, h)
        tangent: bool,
        sensitivity: bool,
    ) -> Response:
        """Ask for a tangent once an increment."""
        n, m = strain.shape
        own, number, kept = np.split(hint, [self.material.num_hint, self.material.num_hint + 1], 1)
        fresh = self._consistent or not (number == self._increment).all()
        answer = self.material.evaluate(strain, state, dt, hint=own, tangent=fresh)
        if answer.tangent is not None:
            kept = answer.tangent.reshape(n, m * m)
        marks = np.full((n, 1), float(self._increment))
        counts = {"consistent_tangents": np.full(n, int(fresh))}
        return replace(
            answer,
            tangent=kept.reshape(n, m, m),
            hint=np.concatenate([answer.hint, marks, kept], axis=1),
            report={**answer.report, **counts},
        )

    def accept(self, strain: Array, response: Response) -> None:
        """Begin another increment."""
        self._increment, self._consistent = self._increment + 1, False


if __name__ == "__main__":
    main()
