"""A run under way: its increments, then audit, certificate and the files of the end."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from mpi4py import MPI

from fesurrogate.build.places import MEND
from fesurrogate.build.problem import MacroModel
from fesurrogate.errors import ConvergenceError, InputError, Interrupted
from fesurrogate.fem.output import write_json
from fesurrogate.fem.stepping import Increment, Predictor, run_increments
from fesurrogate.memory import beside_peak
from fesurrogate.progress import progress_bar
from fesurrogate.results import AuditResults, CertifiedResults, HistoryEntry, Results, versions
from fesurrogate.run.audit import audit
from fesurrogate.run.certify import Certification, not_certified
from fesurrogate.run.checkpoint import Keeper, Taken
from fesurrogate.run.failed_points import write_failed_points
from fesurrogate.run.guesses import guesses_of
from fesurrogate.run.learned import write_learned
from fesurrogate.run.recorder import Recorder, largest_stretch
from fesurrogate.warmstart import Led

logger = logging.getLogger(__name__)


class Course:
    """A run from where a checkpoint was taken, or from the start, to its files.

    What goes wrong on the way is noted, not raised: whatever could be found out is written.

    Attributes:
        record: What the increments left.
        message: Why the end was not reached, or empty.
        interrupted: Whether the run was stopped before its end and can be continued.
        failed_points: File of the points that could not be solved.

    Args:
        model: The problem.
        output: Folder of the files; none are written if None.
        keeper: Writes checkpoints.
        taken: What was taken of one.
        begin: Clock time at which the run began, restarts counted in.
        predictor: Initial guesses of the increments.

    Raises:
        InputError: The folder cannot be written to.

    Note:
        Building it and its methods are collective.
    """

    def __init__(
        self,
        model: MacroModel,
        output: Path | None,
        keeper: Keeper,
        taken: Taken,
        *,
        begin: float,
        predictor: Predictor | None,
    ) -> None:
        self._model, self._output, self._keeper, self._taken = model, output, keeper, taken
        self._begin, self._predictor = begin, predictor
        self._watch = {name: taken.seconds.get(name, 0.0) for name in ("setup", "output")}
        self._watch["setup"] += time.perf_counter() - begin - taken.seconds.get("total", 0.0)
        try:
            self.record = Recorder(model, output, self._watch, taken)
        except OSError as error:
            raise InputError(f"cannot write to {output}: {error}; make room, or {MEND}") from error
        self._position, self._last_dt = taken.position, 0.0
        self._writable = output is not None
        self._audited: AuditResults | None = None
        self._certified: CertifiedResults | None = None
        self.message, self.interrupted = "", False
        self.failed_points: Path | None = None

    def march(self, *, progress: bool = False) -> None:
        """Solve the increments that are left, and keep what they leave.

        Args:
            progress: Whether rank 0 shows a progress bar.
        """
        model, times = self._model, self._model.settings.steps.end_times
        shown = progress and model.mesh.mesh.comm.rank == 0
        with progress_bar("solve", len(times), unit="increments", enabled=shown) as advance:
            advance(sum(time <= self._position.time for time in times))

            def on_accept(increment: Increment) -> None:
                self._accepted(increment)
                if increment.time in times:
                    advance(1, f"{increment.iterations} Newton iterations")

            try:
                model.apply_load(self._position.time)
                run_increments(
                    model.problem, model.apply_load, times, start=self._position,
                    max_cuts=model.settings.steps.max_cuts, predictor=self._predictor,
                    on_accept=on_accept,
                )  # fmt: skip
            except ConvergenceError as error:
                self.message = str(error)
            except Interrupted as error:
                self.message, self.interrupted = str(error), True
            if self.message and self._writable:
                self._keep_unfinished()
        self.message += self._keeper.said() if self.interrupted else ""
        spent = self._watch["setup"] + self._watch["output"]
        self._watch["solve"] = time.perf_counter() - self._begin - spent
        if not self.interrupted:
            try:
                self.record.finish()
            except OSError as error:
                self._stopped(error)

    def audit(self) -> None:
        """Estimate the error of the last increment, where a guard says so and it was reached."""
        if not any(guard.audit for guard in self._model.settings.guards):
            return
        start = time.perf_counter()
        if not self.message:
            self._audited = self._audit_of_the_end()
        self._watch["audit"] = time.perf_counter() - start

    def certify(self, prepared: Certification, certifying: Callable[[], CertifiedResults]) -> None:
        """Find the direct answer, where the end was reached.

        Args:
            prepared: What certifies the run.
            certifying: Does it.
        """
        if self.message:
            return
        try:
            certified = certifying()
        except OSError as error:
            self._stopped(error)
            return
        self._certified, self.interrupted = certified, certified.interrupted
        self._watch["certify"] = certified.seconds
        if not certified.converged:
            self.message = not_certified(prepared, certified)
            self.message += self._keeper.said() if self.interrupted else ""

    def written(self) -> Results:
        """Return the figures of the run; they, what was learned and the paths are in files."""
        results = self._results()
        try:
            if self._output is not None:
                write_json(
                    self._output / "results.json", results.as_json(), self._model.mesh.mesh.comm
                )
                write_learned(self._model, self._output)
            if self.record.paths is not None and not self.interrupted:
                self.record.paths.write(len(self.record.history))
        except (OSError, InputError) as error:
            said = f"{error}; make room" if isinstance(error, OSError) else str(error)
            if self.message:
                self.message = f"{self.message}; {said}"
            else:
                self.message, self.interrupted = f"{said}{self._keeper.said()}", True
            results = replace(results, converged=False, message=self.message)
        return results

    def _stopped(self, error: OSError) -> None:
        """Note that a file could not be written."""
        self.message, self.interrupted = f"{error}; make room{self._keeper.said()}", True

    def _accepted(self, increment: Increment) -> None:
        """Record an increment, and keep it where a checkpoint is due."""
        self._position, self._last_dt = increment.reached, increment.dt
        try:
            self.record(increment)
            if self._keeper.due(self._position.time >= self._model.settings.steps.end_times[-1]):
                self._keep()
        except OSError as error:
            self._writable = False
            raise Interrupted(f"{error}; make room, or give another --output") from error

    def _keep(self) -> None:
        """Write a checkpoint."""
        now, record = time.perf_counter(), self.record
        spent = {**self._watch, "total": now - self._begin}
        self._keeper.write(self._model, self._position, record.history, spent, record.micro)
        self._watch["output"] += time.perf_counter() - now

    def _keep_unfinished(self) -> None:
        """Write where the increments ended, and the points at which they failed."""
        try:
            self._keep()
            if not self.interrupted and self._output is not None:
                self.failed_points = write_failed_points(self._output, self._model, self._position)
        except OSError as error:
            self.message = f"{self.message}; {error}"

    def _audit_of_the_end(self) -> AuditResults | None:
        """Return the audit; of a checkpoint of the end only without history."""
        if self._last_dt > 0.0:
            return audit(self._model, self._last_dt)
        # nothing was left to solve, and no field has answered yet
        if any(field.material.num_state for field in self._model.fields.values()):
            logger.warning(
                "no audit: the run was at its end already, and its Materials have history"
            )
            return None
        self._model.problem.update()
        return audit(self._model, 1.0)

    def _results(self) -> Results:
        """Return the figures of the run, of all ranks."""
        model, record, comm = self._model, self.record, self._model.mesh.mesh.comm
        tallies = [field.tally for field in model.fields.values()]

        def total(counts: Iterable[int]) -> int:
            return int(comm.allreduce(sum(counts)))

        watch = dict(self._watch)
        watch["material"] = sum(tally.seconds for tally in tallies)
        watch["macro"] = watch.pop("solve") - watch["material"]
        watch["total"] = time.perf_counter() - self._begin
        last: CertifiedResults | HistoryEntry | None = None
        if self._certified is not None and self._certified.converged:
            last = self._certified
        elif record.history:
            last = record.history[-1]
        dofs = model.u.function_space.dofmap
        leader = self._predictor if isinstance(self._predictor, Led) else None
        checks = sum(each.rve_solves for entry in record.history for each in entry.learning)
        return Results(
            title=model.settings.title,
            converged=not self.message,
            message=self.message,
            increments=len(record.history),
            newton_iterations=sum(entry.newton_iterations for entry in record.history),
            rve_solves=total(tally.counts["rve_solves"] for tally in tallies) + checks,
            micro_iterations=total(tally.counts["micro_iterations"] for tally in tallies),
            micro_guesses=guesses_of(tallies, comm),
            tangents={
                name: total(tally.counts[f"{name}_tangents"] for tally in tallies)
                for name in ("surrogate", "consistent")
            },
            leads=leader.leads if leader else 0,
            evaluations=total(tally.points for tally in tallies),
            reaction=last.reaction if last else {},
            probes=last.probes if last else {},
            largest_stretch=largest_stretch(model),
            seconds={name: comm.allreduce(watch[name], op=MPI.MAX) for name in sorted(watch)},
            material={
                name: {"kind": built.kind, "fingerprint": built.fingerprint}
                for name, built in model.materials.items()
            },
            points=total(field.num_points for field in model.fields.values()),
            unknowns=dofs.index_map.size_global * dofs.index_map_bs,
            ranks=comm.size,
            memory=beside_peak(model.memory, comm),
            history=tuple(record.history),
            restarts=self._taken.restarts,
            audit=self._audited,
            certified=self._certified,
            micro=record.micro.results() if record.micro else None,
            versions=versions(),
        )
