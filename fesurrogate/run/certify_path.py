"""The direct answer at every increment, where some Material has history: a surrogate leads to it.

There the answer depends on the way. The increments are solved again by the reference, each from
where the surrogate leads (:class:`~fesurrogate.warmstart.Led`), whose states follow the direct
strains. Stopped on the way, it goes on from checkpoints of its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from fesurrogate.build.ranks import together
from fesurrogate.errors import ConvergenceError, Interrupted
from fesurrogate.fem.stepping import Increment, run_increments
from fesurrogate.results import CertifiedResults
from fesurrogate.run.certify import Certification, certify, found_out, increment_writer
from fesurrogate.run.checkpoint import CHECKPOINTS, Keeper, Taken
from fesurrogate.run.figures import entry_of

FOLDER = "certified"
"""In that of the run, with the checkpoints."""


@contextmanager
def certifier(
    prepared: Certification, output: Path | None, *, restart: bool
) -> Iterator[Callable[[], CertifiedResults]]:
    """Give what certifies the run once it has ended. Collective.

    Args:
        prepared: Its direct problem is brought to its newest checkpoint, if it has history.
        output: Folder of the run.
        restart: Whether to go on from that checkpoint.

    Raises:
        InputError: On all ranks: another run is at work there, or the checkpoint is of another.
    """
    if not prepared.history:
        yield partial(certify, prepared, output)
        return
    direct, folder = prepared.direct, None if output is None else output / FOLDER
    comm, settings = direct.mesh.mesh.comm, direct.settings.output
    with Keeper.held(folder, comm, settings, led=prepared.led) as keeper:

        def there() -> bool:
            return restart and folder is not None and any((folder / CHECKPOINTS).glob("*.npz"))

        begun = comm.bcast(together(comm, there), root=0)
        taken = keeper.take(direct) if begun else Taken()
        yield partial(_certify, prepared, output, keeper, taken)


def _certify(
    prepared: Certification, output: Path | None, keeper: Keeper, taken: Taken
) -> CertifiedResults:
    """Solve the increments that are left. Collective."""
    begin = time.perf_counter()
    direct, steps = prepared.direct, prepared.model.settings.steps
    history, position = list(taken.history), taken.position
    interrupted, reason, writable = False, "", output is not None
    write = None
    if output is not None:
        write = increment_writer(direct, output, keep=len(history))

    def on_accept(increment: Increment) -> None:
        nonlocal position, writable
        position = increment.reached
        history.append(entry_of(direct, increment))
        try:
            if write is not None:
                write(increment.time)
            if keeper.due(position.time >= steps.end_times[-1]):
                keep()
        except OSError as error:
            writable = False
            raise Interrupted(f"{error}; make room") from error

    def spent() -> float:
        return taken.seconds.get("total", 0.0) + time.perf_counter() - begin

    def keep() -> None:
        keeper.write(direct, position, history, {"total": spent()}, None)

    try:
        direct.apply_load(position.time)
        run_increments(
            direct.problem, direct.apply_load, steps.end_times, start=position,
            max_cuts=steps.max_cuts, predictor=prepared.led, on_accept=on_accept,
        )  # fmt: skip
    except (ConvergenceError, Interrupted) as error:
        reason, interrupted = str(error), isinstance(error, Interrupted)
        if writable:
            try:
                keep()
            except OSError as full:
                reason = f"{reason}; {full}"
    return found_out(
        prepared,
        converged=not reason,
        interrupted=interrupted,
        reason=reason,
        newton_iterations=sum(entry.newton_iterations for entry in history),
        residual_norms=history[-1].residual_norms if history else (),
        history=tuple(history),
        seconds=spent(),
    )
