"""The direct answer at the end of a surrogate's run: the surrogate is where Newton starts.

Without history the answer at the last load does not depend on the way to it, so that the direct
FE² problem need be solved there only, from a displacement that is nearly right. What comes out is
the direct answer, to the tolerance of a direct run, whatever the surrogate is worth.

The reference is asked at every point of the surrogate's solution. The surrogate, set right there
(:class:`~fesurrogate.combine.corrected.Corrected`), then leads closer to the answer than a Newton
step would, for nothing; Newton goes on from there, mostly without a step. What has learned in the
run leads nothing: Newton goes on from its solution.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fesurrogate.build.loads import AXES
from fesurrogate.build.predictor import led, without_cells
from fesurrogate.build.problem import MacroModel, build_problem
from fesurrogate.config import Settings
from fesurrogate.config.material import MaterialSettings
from fesurrogate.errors import InputError
from fesurrogate.fem.output import FieldWriter
from fesurrogate.results import CertifiedResults
from fesurrogate.run.figures import stress_tensors
from fesurrogate.warmstart import Led
from fesurrogate.warmstart.surrogate import SHARE

FIELDS = "certified.xdmf"


def wants_certificate(settings: Settings) -> bool:
    """Return whether a guard of a table that is used says ``certify``."""
    return any(guard.certify for guard in settings.guards)


@dataclass(frozen=True)
class Certification:
    """What certifies a run; its problems share mesh and space of the unknown.

    Attributes:
        model: The surrogate's.
        direct: In which the reference answers wherever a guard says ``certify`` or a Material
            learns.
        led: How the surrogate leads that; None where a Material learns.
        history: Whether the answer depends on the way to the last load.
    """

    model: MacroModel
    direct: MacroModel
    led: Led | None
    history: bool


def prepare(
    model: MacroModel, *, allow_code: bool = False, stop: Callable[[], bool] | None = None
) -> Certification:
    """Return what will certify the run of a model. Collective.

    Args:
        model: The surrogate's, before its run.
        allow_code: Whether a user's module may be imported.
        stop: Asked now and then whether to stop.

    Raises:
        InputError: On all ranks: a Material cannot be built, or one learns beside one with history.
    """
    comm, settings = model.mesh.mesh.comm, model.settings.with_tables(_reference)
    direct = build_problem(settings, comm, allow_code=allow_code, beside=model)
    direct.problem.stop = stop
    history = any(field.material.num_state for field in direct.fields.values())
    surrogate = None
    if not any(table.learns for table in model.settings.tables.values()):
        surrogate = led(direct, without_cells(model.settings), allow_code=allow_code, stop=stop)
    elif history:
        raise InputError(
            "guard.certify with history solves every increment again, led by models that are there "
            "from the start, and here one is learned in the run; leave certify out, and certify a "
            "run with the model that this one leaves behind"
        )
    return Certification(model, direct, surrogate, history)


def certify(prepared: Certification, output: Path | None = None) -> CertifiedResults:
    """Solve the direct problem at the last load from the surrogate's solution. Collective.

    The tolerance is :data:`SHARE` of that of a direct run, which is ``snes_rtol`` of the residual
    that an increment begins with, not of the small one that is left of the surrogate's error.

    Args:
        prepared: Without history, its model in the accepted state at the last load. Its direct
            problem holds the answer afterwards.
        output: Folder for ``certified.xdmf``; it is not written if None.
    """
    begin = time.perf_counter()
    model, direct = prepared.model, prepared.direct
    end = model.settings.steps.end_times[-1]
    start = model.u.x.array.copy()
    direct.apply_load(end)
    direct.u.x.array[:] = start
    largest = model.problem.largest_residual
    tolerance = SHARE * direct.problem.relative_tolerance * largest
    way: tuple[float, ...] = ()
    leader = None if direct.problem.stopped() else prepared.led
    if leader is not None and direct.problem.initial_residual(1.0) > tolerance:
        leader.apply_load(end)
        way = leader.lead(1.0, atol=SHARE * tolerance)
    found = direct.problem.solve(atol=tolerance)
    if way and not (found.converged or found.interrupted):
        direct.u.x.array[:] = start
        way, found = (), direct.problem.solve(atol=tolerance)
    if output is not None and found.converged:
        increment_writer(direct, output)(end)
    return found_out(
        prepared,
        converged=found.converged,
        interrupted=found.interrupted,
        reason=found.word,
        newton_iterations=found.iterations,
        residual_norms=(*way[:1], *found.residual_norms),
        seconds=time.perf_counter() - begin,
    )


def found_out(
    prepared: Certification, *, converged: bool, seconds: float, **facts: Any
) -> CertifiedResults:
    """Return how certifying ended, with what it cost and what it changes. Collective.

    Args:
        prepared: As it stands now.
        converged: Whether its direct problem holds the answer.
        seconds: Wall time on this rank.
        facts: The other attributes.
    """
    model, direct = prepared.model, prepared.direct
    comm = model.mesh.mesh.comm
    before, after = model.measure(), direct.measure() if converged else ({}, {})
    tallies = [field.tally for field in direct.fields.values()]
    # cells without a guard, which are solved to lead, too
    beside = prepared.led.counts() if prepared.led else {}

    def total(name: str) -> int:
        return int(comm.allreduce(sum(t.counts[name] for t in tallies))) + beside.get(name, 0)

    return CertifiedResults(
        converged=converged,
        rve_solves=total("rve_solves"),
        micro_iterations=total("micro_iterations"),
        leads=prepared.led.leads if prepared.led else 0,
        reaction=after[0],
        probes=after[1],
        changes=_changes(before, after),
        seconds=float(max(comm.allgather(seconds))),
        **facts,
    )


def not_certified(prepared: Certification, found: CertifiedResults) -> str:
    """Return why there is no direct answer."""
    if found.interrupted:
        return f"certifying: {found.reason}" if prepared.history else "stopped while certifying"
    if prepared.history:
        return f"the surrogate's run ended, but the direct one from its guesses: {found.reason}"
    norms = found.residual_norms
    residual = f"{norms[-1]:.3g}" if norms else "not finite"
    return (
        f"the surrogate's run ended, but Newton did not reach the direct answer from it "
        f"({found.reason}, residual {residual} after {found.newton_iterations} iterations); give "
        "the guard a smaller tolerance, or the model more samples"
    )


def increment_writer(direct: MacroModel, output: Path, *, keep: int = 0) -> Callable[[float], None]:
    """Return what writes displacement and stress of the direct answer at a time. Collective.

    Args:
        direct: The direct problem.
        output: Folder for ``certified.xdmf``.
        keep: How many increments that are there already stay.

    Raises:
        OSError: The file cannot be written; on all ranks. So does what is returned.
    """
    writer = FieldWriter(output / FIELDS, direct.mesh.mesh, keep=keep)
    stress = stress_tensors(direct)
    return lambda time: writer.write(time, nodes={"u": direct.u}, cells={"stress": stress()})


def _reference(table: MaterialSettings) -> MaterialSettings:
    """Return the table of the reference in place of one that is certified, or that learns."""
    if table.guard is None or not (table.learns or (table.guarded and table.guard.certify)):
        return table
    return replace(table, kind=table.guard.reference)


Measured = tuple[Mapping[str, list[float]], Mapping[str, list[float]]]
"""Reactions and displacements by name."""


def _changes(before: Measured, after: Measured) -> dict[str, float]:
    """Return what each output gained, under the names that an audit gives it."""
    return {
        f"{what} {name} {axis}": new - old
        for what, olds, news in zip(("reaction", "probe"), before, after, strict=True)
        for name in news
        for axis, old, new in zip(AXES, olds[name], news[name], strict=False)
    }
