"""The direct answer at the end of a surrogate's run: the surrogate is where Newton starts.

Without history the answer at the last load does not depend on the way to it, so that the direct
FE² problem need be solved there only, from a displacement that is nearly right. What comes out is
the direct answer, to the tolerance of a direct run, whatever the surrogate is worth.

The reference is asked at every point of the surrogate's solution. The surrogate, set right there
(:class:`~fesurrogate.combine.corrected.Corrected`), then leads closer to the answer than a Newton
step would, for nothing; Newton goes on from there, mostly without a step.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from petsc4py import PETSc

from fesurrogate.build.loads import AXES
from fesurrogate.build.problem import MacroModel, build_problem, completed
from fesurrogate.combine import Corrected
from fesurrogate.config import Settings
from fesurrogate.config.material import MaterialSettings
from fesurrogate.errors import InputError
from fesurrogate.fem.output import FieldWriter
from fesurrogate.fem.values import cell_average
from fesurrogate.results import CertifiedResults
from fesurrogate.run.micro_output import full_tensors

FIELDS = "certified.xdmf"

SHARE = 0.1
"""Of a direct run's tolerance. There Newton's last step mostly ends far below the tolerance; from a
good start it may end just below, with an answer that differs in the ninth digit."""


def wants_certificate(settings: Settings) -> bool:
    """Return whether a guard of a table that is used says ``certify``."""
    base = settings.material
    tables = [base, *(completed(table, base) for table in settings.regions.values())]
    return any(table is not None and _certified(table) for table in tables)


@dataclass(frozen=True)
class Certification:
    """What certifies a run; its problems share mesh and space of the unknown.

    Attributes:
        model: The surrogate's.
        direct: In which the reference answers wherever a guard says ``certify``.
        corrected: In which the surrogate does, set right at one strain of each point.
    """

    model: MacroModel
    direct: MacroModel
    corrected: MacroModel


def prepare(
    model: MacroModel, *, allow_code: bool = False, stop: Callable[[], bool] | None = None
) -> Certification:
    """Return what will certify the run of a model. Collective.

    Args:
        model: The surrogate's, before its run.
        allow_code: Whether a user's module may be imported.
        stop: Asked now and then whether to stop.

    Raises:
        InputError: On all ranks: some Material has history, so that its answer depends on the way.
    """
    for name, field in model.fields.items():
        if field.material.num_state:
            raise InputError(
                f"certify: {model.materials[name].kind!r} of the region {name!r} has history, so "
                "that the answer depends on the way to the last load; leave certify out, and let "
                "audit say how wrong the surrogate is"
            )
    comm, settings = model.mesh.mesh.comm, _replaced(model.settings, _reference)
    direct = build_problem(settings, comm, allow_code=allow_code, beside=model)
    plain = _replaced(model.settings, _unguarded)
    if plain.material is not None:  # or its regions would take its guard
        plain = replace(plain, material=_unguarded(plain.material))
    corrected = build_problem(plain, comm, allow_code=allow_code, beside=model, wrap=Corrected)
    direct.problem.stop = corrected.problem.stop = stop
    return Certification(model, direct, corrected)


def certify(prepared: Certification) -> CertifiedResults:
    """Solve the direct problem at the last load from the surrogate's solution. Collective.

    The tolerance is :data:`SHARE` of that of a direct run, which is ``snes_rtol`` of the residual
    that an increment begins with, not of the small one that is left of the surrogate's error.

    Args:
        prepared: Its model in the accepted state at the last load. Its direct problem holds the
            answer afterwards.
    """
    begin = time.perf_counter()
    model, direct, corrected = prepared.model, prepared.direct, prepared.corrected
    comm = model.mesh.mesh.comm
    start = model.u.x.array.copy()
    for each in (direct, corrected):
        each.apply_load(model.settings.steps.end_times[-1])
        each.u.x.array[:] = start
    before = model.measure()
    largest = model.problem.largest_residual
    tolerance = SHARE * direct.problem.relative_tolerance * largest
    led = _lead(direct, corrected, tolerance)
    found = direct.problem.solve(atol=tolerance)
    if led and not (found.converged or found.interrupted):
        direct.u.x.array[:] = start
        led, found = (), direct.problem.solve(atol=tolerance)
    after = direct.measure() if found.converged else ({}, {})
    tallies = [field.tally for field in direct.fields.values()]
    counts = [sum(t.counts[name] for t in tallies) for name in ("rve_solves", "micro_iterations")]
    reasons = {
        value: name
        for name, value in vars(PETSc.SNES.ConvergedReason).items()
        if isinstance(value, int)
    }
    return CertifiedResults(
        converged=found.converged,
        interrupted=found.interrupted,
        reason=reasons.get(found.reason, str(found.reason)),
        newton_iterations=found.iterations,
        residual_norms=(*led[:1], *found.residual_norms),
        rve_solves=int(comm.allreduce(counts[0])),
        micro_iterations=int(comm.allreduce(counts[1])),
        reaction=after[0],
        probes=after[1],
        changes=_changes(before, after),
        seconds=float(max(comm.allgather(time.perf_counter() - begin))),
    )


def _lead(direct: MacroModel, corrected: MacroModel, tolerance: float) -> tuple[float, ...]:
    """Move the direct problem's u to where the corrected surrogate leads from it. Collective.

    Returns:
        Residual norms of the way, of which the first is the direct one; none where nothing moved.
    """
    if direct.problem.stopped() or direct.problem.update():
        return ()
    for name, field in corrected.fields.items():
        exact = direct.fields[name]
        assert isinstance(field.material, Corrected) and exact.response is not None
        lines = field.material.lines(
            exact.current_strain(), exact.response, parameters=exact.current_parameters()
        )
        field.start_increment(lines)
    way = corrected.problem.solve(atol=0.1 * tolerance)
    if not way.converged:
        return ()
    direct.u.x.array[:] = corrected.u.x.array
    return way.residual_norms


def not_certified(found: CertifiedResults) -> str:
    """Return why there is no direct answer."""
    norms = found.residual_norms
    residual = f"{norms[-1]:.3g}" if norms else "not finite"
    return (
        f"the surrogate's run ended, but Newton did not reach the direct answer from it "
        f"({found.reason}, residual {residual} after {found.newton_iterations} iterations); give "
        "the guard a smaller tolerance, or the model more samples"
    )


def write_certified(folder: Path, direct: MacroModel) -> None:
    """Write displacement and stress of the answer to ``certified.xdmf``. Collective.

    Raises:
        OSError: The file cannot be written; on all ranks.
    """
    mesh, kinematics = direct.mesh.mesh, direct.settings.kinematics
    components = [
        cell_average(mesh, [(field.stress[k], field.dx) for field in direct.fields.values()])()
        for k in range(kinematics.size)
    ]
    stress = full_tensors(kinematics, np.stack(components, axis=1))
    time = direct.settings.steps.end_times[-1]
    FieldWriter(folder / FIELDS, mesh).write(time, nodes={"u": direct.u}, cells={"stress": stress})


def _replaced(
    settings: Settings, change: Callable[[MaterialSettings], MaterialSettings]
) -> Settings:
    """Return the settings with another table in place of each that is certified."""

    def changed(table: MaterialSettings) -> MaterialSettings:
        return change(table) if _certified(table) else table

    base = settings.material
    return replace(
        settings,
        material=None if base is None else changed(base),
        regions={k: changed(completed(table, base)) for k, table in settings.regions.items()},
    )


def _reference(table: MaterialSettings) -> MaterialSettings:
    assert table.guard is not None
    return replace(table, kind=table.guard.reference)


def _unguarded(table: MaterialSettings) -> MaterialSettings:
    return replace(table, guard=None)


def _certified(table: MaterialSettings) -> bool:
    return table.guarded and table.guard is not None and table.guard.certify


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
