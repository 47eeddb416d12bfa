"""What a guarded run is worth: the reference is solved at some points, and the error estimated."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
from mpi4py import MPI
from numpy.typing import NDArray

from fesurrogate.build.guard import guard_of
from fesurrogate.build.problem import MacroModel
from fesurrogate.checkpoint.cells import original_numbers
from fesurrogate.config import Settings
from fesurrogate.config.material import SURROGATES, GuardSettings
from fesurrogate.config.settings import REST
from fesurrogate.fem.adjoint import Adjoint
from fesurrogate.fem.field import MaterialField
from fesurrogate.fem.points import point_weights
from fesurrogate.kinematics import Array
from fesurrogate.results import AuditResults, Estimate
from fesurrogate.trust.audit import estimate_sum, plan_audit, total

logger = logging.getLogger(__name__)


def warn_of_unused(settings: Settings) -> None:
    """Warn of an audit or a certificate that is asked for where no guard stands before the kind."""
    tables = {f"regions.{name}": table for name, table in settings.regions.items()}
    tables |= {} if settings.material is None else {REST: settings.material}
    for name, table in tables.items():
        asked = table.guard is not None and (table.guard.audit or table.guard.certify)
        if asked and not table.guarded and table.kind != "rve":
            logger.warning(
                "%s.guard asks for an audit or a certificate, but kind is %r: it is for %s",
                name, table.kind, " and ".join(map(repr, SURROGATES)),
            )  # fmt: skip


def audit(
    model: MacroModel, dt: float, *, points: int | None = None, seed: int = 0
) -> AuditResults | None:
    """Solve the reference at some points of the accepted increment. Collective.

    The points are chosen by their doubt and volume (:func:`fesurrogate.trust.audit.plan_audit`),
    those of each guard by themselves, and the same ones on any number of ranks. Those that fell
    back are right already and not asked again.

    Args:
        model: After an accepted increment.
        dt: Length of the increment.
        points: How many points behind each guard may be solved; what its ``audit`` says if None.
        seed: Of the choice.

    Returns:
        The estimate; None where nothing is audited.
    """
    groups = _groups(model, points)
    if not groups:
        return None
    size, square, everything = _stress_size(model, model.mesh.mesh.comm)
    audited = [field for fields in groups.values() for field in fields]
    along = dict(_adjoint_strains(model, audited))
    parts, first = [], 0
    for guard, fields in groups.items():
        strains = {name: rows[first : first + len(fields)] for name, rows in along.items()}
        wanted = guard.audit if points is None else points
        parts.append(_of_guard(model, fields, dt, wanted, seed, size, strains))
        first += len(fields)
    rms = float(np.sqrt(square / everything))
    return AuditResults(
        points=sum(part.points for part in parts),
        served=sum(part.served for part in parts),
        failed=sum(part.failed for part in parts),
        stress_error=total([part.stress_error for part in parts], nonnegative=True),
        worst=max(part.worst for part in parts) / rms,
        outputs={name: total([part.outputs[name] for part in parts]) for name in along},
    )


def _groups(
    model: MacroModel, points: int | None
) -> dict[GuardSettings, list[MaterialField]]:  # in the order of the fields
    """Return the fields that are audited by the guard before them; regions may share one."""
    groups: dict[GuardSettings, list[MaterialField]] = {}
    tables = model.settings.tables
    for name, field in model.fields.items():
        guard = tables[name].guard
        if guard is None or guard_of(field.material) is None or not (points or guard.audit):
            continue
        groups.setdefault(guard, []).append(field)
    return groups


def _of_guard(
    model: MacroModel,
    fields: list[MaterialField],
    dt: float,
    points: int,
    seed: int,
    size: float,
    along: Mapping[str, list[Array]],
) -> AuditResults:
    """Audit the fields behind one guard; ``worst`` is in units of stress. Collective.

    Args:
        model: After an accepted increment.
        fields: Behind the guard.
        dt: Length of the increment.
        points: How many points may be solved.
        seed: Of the choice.
        size: ∫ |σ| dx of the whole body.
        along: By the name of an output, what a stress does work on there, (n, m) for each field.
    """
    comm = model.mesh.mesh.comm
    served = [_served(field) for field in fields]
    doubts = [doubt_of(field)[rows] for field, rows in zip(fields, served, strict=True)]
    weights = [point_weights(field)[rows] for field, rows in zip(fields, served, strict=True)]
    volume = np.concatenate(weights)
    places = _places(comm, [_numbers(f)[rows] for f, rows in zip(fields, served, strict=True)])
    everyone = comm.allreduce(len(volume))
    if not everyone:
        nothing = Estimate(value=0.0, low=0.0, high=0.0)
        outputs = dict.fromkeys(along, nothing)
        return AuditResults(
            points=0, served=0, failed=0, stress_error=nothing, worst=0.0, outputs=outputs
        )

    def in_order(values: Array) -> Array:  # (everyone,)
        """Return the values of the points of all ranks, in their order."""
        whole: Array = np.zeros(everyone)
        for where, part in comm.allgather((places, values)):
            whole[where] = part
        return whole

    plan = plan_audit(in_order(np.concatenate(doubts)), in_order(volume), points, seed=seed)
    mine = np.flatnonzero(np.isin(places, plan.points))
    wrong = np.zeros((len(volume), fields[0].material.kinematics.size))  # Δσ
    failed, first = 0, 0
    for field, rows in zip(fields, served, strict=True):
        chosen = mine[(mine >= first) & (mine < first + len(rows))] - first
        difference, lost = _difference(field, rows[chosen], dt)
        wrong[first + chosen] = difference
        failed, first = failed + lost, first + len(rows)

    def estimated(values: Array, *, nonnegative: bool) -> Estimate:
        """Return the sum over all served points of what is known at the audited ones."""
        whole = in_order(values)
        known = {int(i): float(whole[i]) for i in plan.points}
        return estimate_sum(plan, known, nonnegative=nonnegative, seed=seed)

    sizes = np.linalg.norm(wrong, axis=1)
    outputs = {}
    for name, strains in along.items():
        strain = np.concatenate([part[rows] for part, rows in zip(strains, served, strict=True)])
        work = volume * np.einsum("nm,nm->n", wrong, strain)
        outputs[name] = estimated(work, nonnegative=False)
    return AuditResults(
        points=len(plan.points),
        served=everyone,
        failed=int(comm.allreduce(failed)),
        stress_error=estimated(volume * sizes / size, nonnegative=True),
        worst=float(comm.allreduce(float(sizes.max(initial=0.0)), op=MPI.MAX)),
        outputs=outputs,
    )


def _served(field: MaterialField) -> Any:  # (k,)
    """Return the points that the surrogate answered."""
    assert field.response is not None
    return np.flatnonzero(field.response.report["fallback"] == 0)


def doubt_of(field: MaterialField) -> Array:  # (n,)
    """Return the doubt of each point, in limits of the measure that doubts it most.

    Args:
        field: Guarded, after an update.
    """
    found_guard = guard_of(field.material)
    assert field.response is not None and found_guard is not None
    trust, report = found_guard[0].trust, field.response.report
    doubt: Array = np.zeros(field.num_points)
    for name, limit in zip(trust.names, trust.limits, strict=True):
        found = report[f"doubt_{name}"]
        scale = limit if np.isfinite(limit) and limit > 0.0 else 1.0
        doubt = np.maximum(doubt, found / scale)
    return doubt


def _difference(field: MaterialField, rows: Any, dt: float) -> tuple[Array, int]:  # (k, m)
    """Return the reference's stress less the accepted one; zero, and counted, where it fails."""
    response, guard = field.response, guard_of(field.material)
    assert response is not None and guard is not None
    strain, parameters = field.current_strain(), field.current_parameters()
    truth = guard[1].evaluate(
        strain[rows], response.state[rows], dt,
        parameters=parameters[rows], hint=response.hint[rows], tangent=False,
    )  # fmt: skip
    difference = np.where(truth.ok[:, None], truth.stress - response.stress[rows], 0.0)
    return difference, int((~truth.ok).sum())


def _stress_size(model: MacroModel, comm: Any) -> tuple[float, float, float]:
    """Return ∫ |σ| dx, ∫ |σ|² dx and ∫ dx over the body."""
    sums = np.zeros(3)
    for field in model.fields.values():
        assert field.response is not None
        weights, size = point_weights(field), np.linalg.norm(field.response.stress, axis=1)
        sums += [weights @ size, weights @ size**2, weights.sum()]
    whole = comm.allreduce(sums)
    return float(whole[0]), float(whole[1]), float(whole[2])


def _numbers(field: MaterialField) -> NDArray[np.int64]:  # (n,)
    """Return a number of each point that no partition of the mesh changes."""
    cells = original_numbers(field.mesh)[field.cells]
    each = field.num_points // max(1, len(cells))
    return (cells[:, None] * each + np.arange(each)).ravel()


def _places(comm: Any, numbers: list[NDArray[np.int64]]) -> NDArray[np.int64]:  # (n,)
    """Return where this rank's points stand among those of all, in the order of their numbers."""
    own = np.concatenate(numbers)
    return np.searchsorted(np.sort(np.concatenate(comm.allgather(own))), own)


def _adjoint_strains(model: MacroModel, audited: list[MaterialField]) -> Any:
    """Give the name of each output, and δε(ψ) at the points of the audited fields."""
    fields = list(model.fields.values())
    places = [fields.index(field) for field in audited]
    axes = "xyz"[: model.u.function_space.dofmap.index_map_bs]
    adjoint = Adjoint(model.problem)
    for name, facets in model.reactions.items():
        for k, axis in enumerate(axes):
            strains = adjoint.of_reaction(facets, k)
            yield f"reaction {name} {axis}", [strains[i] for i in places]
    for probe in model.probes:
        for k, axis in enumerate(axes):
            strains = adjoint.of_value(probe.point, probe.cell, k)
            yield f"probe {probe.name} {axis}", [strains[i] for i in places]
