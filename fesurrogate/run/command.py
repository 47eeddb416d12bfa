"""What ``fesurrogate run`` does: a TOML's problem from the first increment to its files."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from mpi4py import MPI

from fesurrogate.build.places import check_files
from fesurrogate.build.predictor import predictor_of
from fesurrogate.build.problem import MacroModel, build_problem
from fesurrogate.build.ranks import together
from fesurrogate.config import Settings
from fesurrogate.progress import tell
from fesurrogate.results import Results
from fesurrogate.run.audit import warn_of_unused
from fesurrogate.run.certify import prepare, wants_certificate
from fesurrogate.run.certify_path import certifier
from fesurrogate.run.checkpoint import Keeper, Taken
from fesurrogate.run.course import Course
from fesurrogate.run.failed_points import FAILED_POINTS
from fesurrogate.run.learned import check_starts
from fesurrogate.run.micro_output import MicroOutput
from fesurrogate.warmstart import Led

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
        course = Course(model, output, keeper, taken, begin=begin, predictor=predictor)
        course.march(progress=progress)
        course.audit()
        if prepared is not None and certifying is not None:
            course.certify(prepared, certifying)
        results = course.written()
        direct = None if prepared is None else prepared.direct
        return Run(
            results, model, course.record.micro, course.interrupted, keeper.newest,
            course.failed_points, direct,
        )  # fmt: skip
