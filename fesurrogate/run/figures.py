"""Figures of an accepted increment, and the stress of its cells, of any problem of a run."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fesurrogate.build.guard import guard_of
from fesurrogate.build.problem import MacroModel
from fesurrogate.combine.guarded import LATCHED
from fesurrogate.fem.stepping import Increment
from fesurrogate.fem.values import cell_average
from fesurrogate.kinematics import Array
from fesurrogate.results import HistoryEntry
from fesurrogate.run.learned import lessons
from fesurrogate.run.micro_output import full_tensors


def doubted(model: MacroModel, report: str) -> dict[str, int] | None:
    """Return at how many points a guard reports something, by the measure that doubted them.

    Collective.

    Args:
        model: After an increment.
        report: ``fallback`` or ``untrusted``.

    Returns:
        None where no guard has it.
    """
    counts: dict[str, int] = {}
    for field in model.fields.values():
        guard = guard_of(field.material)
        found = None if field.response is None else field.response.report
        if guard is None or found is None or report not in found:
            continue
        reasons = found["reason"][found[report] == 1]
        named = dict(enumerate(guard[0].trust.names, start=1)) | {LATCHED: "latched"}
        for code, name in named.items():
            counts[name] = counts.get(name, 0) + int((reasons == code).sum())
    comm = model.mesh.mesh.comm
    return {name: int(comm.allreduce(counts[name])) for name in counts} or None


def stress_tensors(model: MacroModel) -> Callable[[], Array]:  # () -> (owned cells, d, d)
    """Return what averages the stress over each owned cell; its forms are compiled once.

    Both this call and what it returns are collective.
    """
    mesh, kinematics = model.mesh.mesh, model.settings.kinematics
    averages = [
        cell_average(mesh, [(f.stress[k], f.dx) for f in model.fields.values()])
        for k in range(kinematics.size)
    ]
    return lambda: full_tensors(kinematics, np.stack([average() for average in averages], axis=1))


def entry_of(model: MacroModel, increment: Increment) -> HistoryEntry:
    """Return the figures of the increment that was just accepted. Collective."""
    reaction, probes = model.measure()
    return HistoryEntry(
        time=increment.time,
        newton_iterations=increment.iterations,
        residual_norms=increment.residual_norms,
        reaction=reaction,
        probes=probes,
        fallback=doubted(model, "fallback"),
        untrusted=doubted(model, "untrusted"),
        guess=increment.guess,
        learning=lessons(model),
    )
