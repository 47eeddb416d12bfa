"""What ``fesurrogate run`` does: a TOML's problem from the first increment to its files."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import ufl
from mpi4py import MPI

from fesurrogate.audit import audit
from fesurrogate.build.guard import guard_of
from fesurrogate.build.guess import predictor_of
from fesurrogate.build.places import MEND, check_files
from fesurrogate.build.problem import MacroModel, build_problem
from fesurrogate.build.ranks import together
from fesurrogate.certify import (
    Certification,
    certify,
    not_certified,
    prepare,
    wants_certificate,
    write_certified,
)
from fesurrogate.combine.guarded import LATCHED
from fesurrogate.config import Settings
from fesurrogate.errors import ConvergenceError, InputError, Interrupted
from fesurrogate.failed_points import FAILED_POINTS, write_failed_points
from fesurrogate.fem.field import MaterialField
from fesurrogate.fem.output import FieldWriter, write_json
from fesurrogate.fem.points import cell_means, point_weights
from fesurrogate.fem.stepping import Increment, run_increments
from fesurrogate.fem.values import cell_average
from fesurrogate.kinematics import Array
from fesurrogate.memory import beside_peak
from fesurrogate.micro_output import MicroOutput, full_tensors, has_cells
from fesurrogate.path_output import PathOutput
from fesurrogate.progress import progress_bar, tell
from fesurrogate.results import CertifiedResults, HistoryEntry, Results, versions
from fesurrogate.run_checkpoint import Keeper, Taken

FILES = (
    "results.json", "fields.xdmf", "fields.h5", "stress.png", "micro.png", FAILED_POINTS,
    "certified.xdmf", "certified.h5",
)  # fmt: skip
"""What a run may write, besides checkpoints, ``micro_NAME`` of localisation and recorded paths."""

REPORTS = ("plastic_strain", "dissipation", "fallback")
"""Reports of Materials that are written as cell averages where there are any."""


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
        interrupted by ``stop`` or because a file could not be written.

    Raises:
        InputError: On all ranks, with the same message, before anything is solved.
    """
    begin = time.perf_counter()
    if output is not None:
        files = [output / name for name in FILES]
        together(comm, lambda: check_files(files) if comm.rank == 0 else None)
    model = build_problem(settings, comm, allow_code=allow_code)
    needed = model.memory.summed(comm)
    tell(f"memory: about {needed}", enabled=progress and comm.rank == 0)
    model.problem.stop = stop
    prepared = None
    if wants_certificate(settings):
        prepared = prepare(model, allow_code=allow_code, stop=stop)
    with Keeper.held(output, comm, settings.output) as keeper:
        taken = keeper.take(model) if restart else Taken()
        begin -= taken.seconds.get("total", 0.0)
        return _solved(
            model, output, keeper, taken, begin=begin, progress=progress, prepared=prepared
        )


def _solved(
    model: MacroModel,
    output: Path | None,
    keeper: Keeper,
    taken: Taken,
    *,
    begin: float,
    progress: bool,
    prepared: Certification | None,
) -> Run:
    """Solve from where a checkpoint was taken, or from the start. Collective."""
    settings, comm = model.settings, model.mesh.mesh.comm
    watch = {name: taken.seconds.get(name, 0.0) for name in ("setup", "output")}
    watch["setup"] += time.perf_counter() - begin - taken.seconds.get("total", 0.0)
    try:
        record = _Recorder(model, output, watch, taken)
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
                max_cuts=settings.steps.max_cuts, predictor=predictor_of(settings),
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
    if wanted := max((guard.audit for guard in settings.guards), default=0):
        start = time.perf_counter()
        if last_dt > 0.0 and not interrupted:
            audited = audit(model, last_dt, points=wanted)
        watch["audit"] = time.perf_counter() - start
    certified = None
    if prepared is not None and not message:
        certified = certify(prepared)
        watch["certify"] = certified.seconds
        if not certified.converged:
            interrupted = certified.interrupted
            message = not_certified(certified)
            if interrupted:
                message = f"stopped while certifying{keeper.said()}"
    tallies = [field.tally for field in model.fields.values()]
    material = sum(tally.seconds for tally in tallies)
    watch |= {"material": material, "macro": solving - material}
    watch["total"] = time.perf_counter() - begin

    def total(count: int) -> int:
        return int(comm.allreduce(count))

    last: CertifiedResults | HistoryEntry | None = record.history[-1] if record.history else None
    if certified is not None and certified.converged:
        last = certified
    V = model.u.function_space
    results = Results(
        title=settings.title,
        converged=not message,
        message=message,
        increments=len(record.history),
        newton_iterations=sum(entry.newton_iterations for entry in record.history),
        rve_solves=total(sum(tally.counts["rve_solves"] for tally in tallies)),
        micro_iterations=total(sum(tally.counts["micro_iterations"] for tally in tallies)),
        micro_guesses={
            name: total(sum(tally.counts[f"guess_{name}"] for tally in tallies))
            for name in ("taken", "refused", "repeated")
        },
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
            if prepared is not None and certified is not None and certified.converged:
                write_certified(output, prepared.direct)
            write_json(output / "results.json", results.as_json(), comm)
        if record.paths is not None and not interrupted:
            record.paths.write(len(record.history))
    except OSError as error:
        if not interrupted:
            message, interrupted = f"{error}; make room{keeper.said()}", True
        results = replace(results, converged=False, message=message)
    direct = None if prepared is None else prepared.direct
    return Run(results, model, record.micro, interrupted, keeper.newest, failed_points, direct)


def largest_stretch(model: MacroModel) -> float | None:
    """Return the largest principal stretch at any quadrature point; None unless finite strain.

    Collective.
    """
    kinematics = model.settings.kinematics
    if kinematics.measure != "finite":
        return None
    largest = 0.0
    for field in model.fields.values():
        gradient = kinematics.unpack(field.current_strain())
        singular = np.linalg.svd(gradient, compute_uv=False)
        largest = max(largest, float(singular.max(initial=0.0)))
    return float(model.mesh.mesh.comm.allreduce(largest, op=MPI.MAX))


def reported(
    model: MacroModel, weights: Mapping[str, Array] | None = None
) -> dict[str, Array]:  # each (owned cells,)
    """Return what Materials report of :data:`REPORTS`, averaged over each owned cell. Collective.

    Args:
        model: After an increment.
        weights: Of the points of each field; computed if None.
    """
    known = weights or {name: point_weights(field) for name, field in model.fields.items()}
    found: dict[str, list[tuple[MaterialField, Array, Array]]] = {}
    for name, field in model.fields.items():
        report = field.response.report if field.response else {}
        for key in set(REPORTS) & set(report):
            found.setdefault(key, []).append((field, known[name], report[key]))
    mesh = model.mesh.mesh
    names = sorted({name for part in mesh.comm.allgather(list(found)) for name in part})
    return {name: cell_means(mesh, found.get(name, [])) for name in names}


def fallen_back(model: MacroModel) -> dict[str, int] | None:
    """Return how many points fell back, by the measure that doubted them. Collective."""
    counts: dict[str, int] = {}
    for field in model.fields.values():
        guard = guard_of(field.material)
        if guard is None:
            continue
        assert field.response is not None
        report = field.response.report
        reasons = report["reason"][report["fallback"] == 1]
        named = dict(enumerate(guard[0].trust.names, start=1)) | {LATCHED: "latched"}
        for code, name in named.items():
            counts[name] = counts.get(name, 0) + int((reasons == code).sum())
    comm = model.mesh.mesh.comm
    return {name: int(comm.allreduce(counts[name])) for name in counts} or None


def stress_magnitude(model: MacroModel) -> Array:  # (owned cells,)
    """Return the Frobenius norm of the stress, averaged over each owned cell. Collective."""
    terms = [(ufl.sqrt(ufl.inner(f.stress, f.stress)), f.dx) for f in model.fields.values()]
    return cell_average(model.mesh.mesh, terms)()


class _Recorder:
    """Keeps and writes what an accepted increment leaves behind."""

    def __init__(
        self, model: MacroModel, output: Path | None, watch: dict[str, float], taken: Taken
    ) -> None:
        self.history: list[HistoryEntry] = list(taken.history)
        self._before = len(self.history)
        self._model, self._output, self._watch = model, output, watch
        wanted = model.settings.output
        begin = time.perf_counter()
        mesh = model.mesh.mesh
        self.micro = None
        if wanted.micro and has_cells(model):
            self.micro = MicroOutput(model, output, taken=taken.micro)
        self.paths = PathOutput(model, output) if wanted.paths and output is not None else None
        self._writer = None
        if output is not None and wanted.fields:
            self._writer = FieldWriter(output / "fields.xdmf", mesh, keep=len(self.history))
            self._averages = [
                cell_average(mesh, [(f.stress[k], f.dx) for f in model.fields.values()])
                for k in range(model.settings.kinematics.size)
            ]
            self._weights = {name: point_weights(field) for name, field in model.fields.items()}
        watch["output"] += time.perf_counter() - begin

    def __call__(self, increment: Increment) -> None:
        begin = time.perf_counter()
        reaction, probes = self._model.measure()
        self.history.append(
            HistoryEntry(
                time=increment.time,
                newton_iterations=increment.iterations,
                residual_norms=increment.residual_norms,
                reaction=reaction,
                probes=probes,
                fallback=fallen_back(self._model),
                guess=increment.guess,
            )
        )
        if self._writer is not None:
            components = np.stack([average() for average in self._averages], axis=1)
            stress = full_tensors(self._model.settings.kinematics, components)
            cells = {"stress": stress, **reported(self._model, self._weights)}
            self._writer.write(increment.time, nodes={"u": self._model.u}, cells=cells)
        if self.micro is not None:
            self.micro(increment)
        if self.paths is not None:
            self.paths(increment)
        self._watch["output"] += time.perf_counter() - begin

    def finish(self) -> None:
        """Draw the pictures of the end."""
        settings, mesh = self._model.settings, self._model.mesh.mesh
        if self._output is None or not settings.output.pictures:
            return
        begin = time.perf_counter()
        from fesurrogate.fem.pictures import Panel, plot_deformed

        scalar = settings.kinematics.measure == "gradient"
        stress = stress_magnitude(self._model)
        displacement = None if scalar else self._model.u
        plot_deformed(
            self._output / "stress.png",
            mesh,
            stress,
            displacement=displacement,
            title=settings.title,
            label="norm of the stress",
            length_unit="",
        )
        if self.micro is not None and len(self.history) > self._before:
            from fesurrogate.fem.micro_pictures import plot_micro

            panel = Panel("norm of the stress", mesh, displacement, stress)
            plot_micro(self._output / "micro.png", panel, self.micro.views(), title=settings.title)
        self._watch["output"] += time.perf_counter() - begin
