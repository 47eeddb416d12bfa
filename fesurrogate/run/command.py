"""What ``fesurrogate run`` does: a TOML's problem from the first increment to its files."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from mpi4py import MPI

from fesurrogate.build.places import MEND, check_files
from fesurrogate.build.predictor import predictor_of
from fesurrogate.build.problem import MacroModel, build_problem
from fesurrogate.build.ranks import together
from fesurrogate.config import Settings
from fesurrogate.errors import ConvergenceError, InputError, Interrupted
from fesurrogate.fem.output import write_json
from fesurrogate.fem.stepping import Increment, Predictor, run_increments
from fesurrogate.memory import beside_peak
from fesurrogate.progress import progress_bar, tell
from fesurrogate.results import AuditResults, CertifiedResults, HistoryEntry, Results, versions
from fesurrogate.run.audit import audit, warn_of_unused
from fesurrogate.run.certify import Certification, not_certified, prepare, wants_certificate
from fesurrogate.run.certify_path import certifier
from fesurrogate.run.checkpoint import Keeper, Taken
from fesurrogate.run.failed_points import FAILED_POINTS, write_failed_points
from fesurrogate.run.guesses import guesses_of
from fesurrogate.run.learned import check_starts, write_learned
from fesurrogate.run.micro_output import MicroOutput
from fesurrogate.run.recorder import (
    Recorder,
    largest_stretch,
)
from fesurrogate.warmstart import Led

logger = logging.getLogger(__name__)
FILES = (
    "results.json", "fields.xdmf", "fields.h5", "stress.png", "micro.png", FAILED_POINTS,
    "certified.xdmf", "certified.h5",
)  # fmt: skip
"""What a run may write, besides checkpoints, ``micro_NAME`` of localisation and recorded paths."""


@dataclass(frozen=True)
class Run:
    """A run that has ended: its figures, the problem in its last accepted state, localisation.

    Attributes:
        results: What results.json holds.
        model: The problem.
        micro: Localisation, where it was asked for.
        interrupted: Whether it was stopped before its end and can be continued.
        checkpoint: The newest checkpoint.
        failed_points: File of the points that could not be solved.
        direct: The problem that holds the certified answer, where one was asked for.
    """

    results: Results
    model: MacroModel
    micro: MicroOutput | None = None
    interrupted: bool = False
    checkpoint: Path | None = None
    failed_points: Path | None = None
    direct: MacroModel | None = None


def run(
    settings: Settings,
    comm: MPI.Intracomm,
    output: Path | None = None,
    *,
    allow_code: bool = False,
    progress: bool = False,
    restart: bool = False,
    stop: Callable[[], bool] | None = None,
) -> Run:
    """Solve the problem of the settings and write what ``[output]`` asks for. Collective.

    Args:
        settings: The problem.
        comm: Communicator of the macro mesh.
        output: Folder for ``results.json``, ``fields.xdmf``, pictures and checkpoints; none are
            written if None.
        allow_code: Whether a user's module may be imported.
        progress: Whether rank 0 shows a progress bar.
        restart: Whether to go on from the newest checkpoint in ``output``, if there is one.
        stop: Asked now and then whether to stop; it is enough that one rank's says so.

    Returns:
        The results, with ``converged = False`` where a step failed at its smallest, or the run was
        interrupted by ``stop`` or because a file could not be written, by another process's doing
        or for want of room.

    Raises:
        InputError: On all ranks, with the same message, before anything is solved.
    """
    begin = time.perf_counter()
    if output is not None:
        files = [output / name for name in FILES]
        together(comm, lambda: check_files(files) if comm.rank == 0 else None)
        together(comm, lambda: check_starts(settings, output))
    model = build_problem(settings, comm, allow_code=allow_code)
    needed = model.memory.summed(comm)
    tell(f"memory: about {needed}", enabled=progress and comm.rank == 0)
    model.problem.stop = stop
    warn_of_unused(settings)
    predictor = predictor_of(model, allow_code=allow_code, stop=stop)
    prepared = None
    if wants_certificate(settings):
        prepared = prepare(model, allow_code=allow_code, stop=stop)
    led = predictor if isinstance(predictor, Led) else None
    with ExitStack() as stack:
        keeper = stack.enter_context(Keeper.held(output, comm, settings.output, led=led))
        taken = keeper.take(model) if restart else Taken()
        certifying = None
        if prepared is not None:
            certifying = stack.enter_context(certifier(prepared, output, restart=restart))
        begin -= taken.seconds.get("total", 0.0)
        return _solved(
            model, output, keeper, taken, begin=begin, progress=progress,
            prepared=prepared, certifying=certifying, predictor=predictor,
        )  # fmt: skip


def _audited(model: MacroModel, last_dt: float) -> AuditResults | None:
    """Return the audit of the last increment; of a checkpoint of the end only without history."""
    if last_dt == 0.0:  # nothing was left to solve, and no field has answered yet
        if any(field.material.num_state for field in model.fields.values()):
            logger.warning(
                "no audit: the run was at its end already, and its Materials have history"
            )
            return None
        model.problem.update()
        last_dt = 1.0
    return audit(model, last_dt)


def _solved(
    model: MacroModel,
    output: Path | None,
    keeper: Keeper,
    taken: Taken,
    *,
    begin: float,
    progress: bool,
    prepared: Certification | None,
    certifying: Callable[[], CertifiedResults] | None,
    predictor: Predictor | None,
) -> Run:
    """Solve from where a checkpoint was taken, or from the start. Collective."""
    settings, comm = model.settings, model.mesh.mesh.comm
    watch = {name: taken.seconds.get(name, 0.0) for name in ("setup", "output")}
    watch["setup"] += time.perf_counter() - begin - taken.seconds.get("total", 0.0)
    try:
        record = Recorder(model, output, watch, taken)
    except OSError as error:
        raise InputError(f"cannot write to {output}: {error}; make room, or {MEND}") from error
    times, message = settings.steps.end_times, ""
    position, interrupted, writable = taken.position, False, output is not None
    last_dt = 0.0
    failed_points: Path | None = None
    shown = progress and comm.rank == 0

    def keep() -> None:
        now = time.perf_counter()
        spent = {**watch, "total": now - begin}
        keeper.write(model, position, record.history, spent, record.micro)
        watch["output"] += time.perf_counter() - now

    with progress_bar("solve", len(times), unit="increments", enabled=shown) as advance:
        advance(sum(time <= position.time for time in times))

        def on_accept(increment: Increment) -> None:
            nonlocal position, writable, last_dt
            position, last_dt = increment.reached, increment.dt
            try:
                record(increment)
                if keeper.due(position.time >= times[-1]):
                    keep()
            except OSError as error:
                writable = False
                raise Interrupted(f"{error}; make room, or give another --output") from error
            if increment.time in times:
                advance(1, f"{increment.iterations} Newton iterations")

        try:
            model.apply_load(position.time)
            run_increments(
                model.problem, model.apply_load, times, start=position,
                max_cuts=settings.steps.max_cuts, predictor=predictor,
                on_accept=on_accept,
            )  # fmt: skip
        except ConvergenceError as error:
            message = str(error)
        except Interrupted as error:
            message, interrupted = str(error), True
        try:
            if message and writable:
                keep()
            if message and writable and not interrupted and output is not None:
                failed_points = write_failed_points(output, model, position)
        except OSError as error:
            message = f"{message}; {error}"
    message += keeper.said() if interrupted else ""
    solving = time.perf_counter() - begin - watch["setup"] - watch["output"]
    if not interrupted:
        try:
            record.finish()
        except OSError as error:
            message, interrupted = f"{error}; make room{keeper.said()}", True
    audited = None
    if any(guard.audit for guard in settings.guards):
        start = time.perf_counter()
        if not message and not interrupted:
            audited = _audited(model, last_dt)
        watch["audit"] = time.perf_counter() - start
    certified = None
    if prepared is not None and certifying is not None and not message:
        try:
            certified = certifying()
        except OSError as error:
            message, interrupted = f"{error}; make room{keeper.said()}", True
        else:
            watch["certify"] = certified.seconds
            interrupted = certified.interrupted
            if not certified.converged:
                message = not_certified(prepared, certified)
                message += keeper.said() if interrupted else ""
    tallies = [field.tally for field in model.fields.values()]
    material = sum(tally.seconds for tally in tallies)
    watch |= {"material": material, "macro": solving - material}
    watch["total"] = time.perf_counter() - begin

    def total(count: int) -> int:
        return int(comm.allreduce(count))

    last: CertifiedResults | HistoryEntry | None = record.history[-1] if record.history else None
    if certified is not None and certified.converged:
        last = certified
    V, led = model.u.function_space, predictor if isinstance(predictor, Led) else None
    results = Results(
        title=settings.title,
        converged=not message,
        message=message,
        increments=len(record.history),
        newton_iterations=sum(entry.newton_iterations for entry in record.history),
        rve_solves=total(sum(tally.counts["rve_solves"] for tally in tallies))
        + sum(lesson.rve_solves for entry in record.history for lesson in entry.learning),
        micro_iterations=total(sum(tally.counts["micro_iterations"] for tally in tallies)),
        micro_guesses=guesses_of(tallies, comm),
        tangents={
            name: total(sum(tally.counts[f"{name}_tangents"] for tally in tallies))
            for name in ("surrogate", "consistent")
        },
        leads=led.leads if led else 0,
        evaluations=total(sum(tally.points for tally in tallies)),
        reaction=last.reaction if last else {},
        probes=last.probes if last else {},
        largest_stretch=largest_stretch(model),
        seconds={name: comm.allreduce(spent, op=MPI.MAX) for name, spent in sorted(watch.items())},
        material={
            name: {"kind": built.kind, "fingerprint": built.fingerprint}
            for name, built in model.materials.items()
        },
        points=total(sum(field.num_points for field in model.fields.values())),
        unknowns=V.dofmap.index_map.size_global * V.dofmap.index_map_bs,
        ranks=comm.size,
        memory=beside_peak(model.memory, comm),
        history=tuple(record.history),
        restarts=taken.restarts,
        audit=audited,
        certified=certified,
        micro=record.micro.results() if record.micro else None,
        versions=versions(),
    )
    try:
        if output is not None:
            write_json(output / "results.json", results.as_json(), comm)
            write_learned(model, output)
        if record.paths is not None and not interrupted:
            record.paths.write(len(record.history))
    except (OSError, InputError) as error:
        said = f"{error}; make room" if isinstance(error, OSError) else str(error)
        if message:
            message = f"{message}; {said}"
        else:
            message, interrupted = f"{said}{keeper.said()}", True
        results = replace(results, converged=False, message=message)
    direct = None if prepared is None else prepared.direct
    return Run(results, model, record.micro, interrupted, keeper.newest, failed_points, direct)
