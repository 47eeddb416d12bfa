"""``[precompute]``: a table of a cell's quantities, computed once, spread over the ranks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from fesurrogate.build.cells import micro_options
from fesurrogate.build.context import Context, context_of, naming
from fesurrogate.build.dataset import ensure_stored, fingerprint
from fesurrogate.build.directions import directions_of
from fesurrogate.build.factory import function_of
from fesurrogate.build.family import family_of
from fesurrogate.build.places import check_files
from fesurrogate.build.ranks import first_rank_first, together
from fesurrogate.config import Settings
from fesurrogate.config.precompute import AxisSettings, PrecomputeSettings
from fesurrogate.data.dataset import Dataset
from fesurrogate.data.envelope import strain_with
from fesurrogate.data.manifest import FORMAT, Manifest
from fesurrogate.data.store import new_uid
from fesurrogate.errors import InputError
from fesurrogate.hierarchical import Axis, Tabulation, write_tabulation
from fesurrogate.hierarchical.axes import grid
from fesurrogate.hierarchical.scatter import sparse_grid, with_retrieval
from fesurrogate.hierarchical.strains import (
    PREFIX,
    check_quantities,
    has_strain,
    strain_axes,
    strain_columns,
    tabulated,
)
from fesurrogate.hierarchical.tabulation import STIFFNESS, Scattered
from fesurrogate.kinematics import Array
from fesurrogate.laws.rotated import NAMES as ROTATION_NAMES
from fesurrogate.results import versions


@dataclass(frozen=True)
class PrecomputedTable:
    """A table on disk; the same on every rank.

    Attributes:
        path: The file.
        reused: Whether all its entries were there before.
        entries: Points that were computed, those held out among them.
        failed: How many of them have no answer.
        errors: Mean and largest error of interpolation by quantity, as in Tabulation.
        seconds: Time that the entries took, on one rank each, runs before this one included.
    """

    path: Path
    reused: bool
    entries: int
    failed: int
    errors: Mapping[str, tuple[float, float]]
    seconds: float


def ensure_table(
    settings: Settings,
    comm: Any = None,
    *,
    fresh: bool = False,
    progress: bool = False,
    allow_code: bool = False,
) -> PrecomputedTable:
    """Compute the table that ``[precompute]`` asks for, unless it is there. Collective.

    Entries are solved by the farm of ``generate`` and kept in the folder ``precompute`` beside the
    table, so that a run that was interrupted goes on; those that fail are marked in the table.

    Args:
        settings: ``[precompute]`` and ``[material.rve]``.
        comm: An mpi4py communicator; None works alone.
        fresh: Compute in any case.
        progress: Whether rank 0 shows rate and time left.
        allow_code: Whether a user's module may be imported.

    Raises:
        InputError: On all ranks: the settings cannot be used, or another run writes there.
    """
    from fesurrogate.data.farm import Wanted
    from fesurrogate.data.plan import Given

    wanted, kinematics = settings.precompute, settings.kinematics
    directions = directions_of(wanted, kinematics.size)
    context = context_of(settings, allow_code=allow_code)

    names = _names(settings)

    def prepared() -> tuple[Any, dict[str, str], list[Axis], dict[str, str]]:
        _check(settings)
        axes = [_axis(k, axis, wanted) for k, axis in wanted.axes.items()]
        over_strain = strain_columns(kinematics, axes)
        check_quantities(names, bool(over_strain))
        others = [axis for axis in axes if not axis.name.startswith(PREFIX)]
        quantities, sources = ({}, {}) if over_strain else _quantities(names, context)
        assert settings.material is not None and settings.material.rve is not None
        with naming("precompute"):
            family, laws = family_of(
                settings.material.rve,
                _with_parameters(context, others),
                quantities=quantities,
                expansion=wanted.expansion,
                directions=directions,
                probe={axis.name: _middle(axis, wanted) for axis in others},
            )
        return family, {**laws, **sources}, axes, micro_options(context)

    family, sources, axes, options = first_rank_first(comm, prepared)
    columns = strain_columns(kinematics, axes)
    others = [k for k in range(len(axes)) if k not in columns]
    own = _sampled(axes, wanted)
    points = np.concatenate([own, _held_out(axes, wanted)])
    by_cell = [k for k, axis in enumerate(axes) if axis.name in family.numbers]
    by_cell += [k for k in range(len(axes)) if k not in by_cell]
    rows = np.lexsort(points[:, by_cell].T[::-1])  # points of equal cells lie together
    request = fingerprint(
        FORMAT, "precompute", family.fingerprint, sources, options, names,
        dict(wanted.expansion), directions.tolist(), points.tolist(),
    )  # fmt: skip
    meta = {
        "precompute": {k: v for k, v in asdict(wanted).items() if k != "axes"}
        | {"directions": directions.tolist()},
        "ranks": 1 if comm is None else comm.size,
        "versions": versions(),
    }
    head = Manifest(
        new_uid(), request, kinematics, len(points), 1, family.parameter_names, wanted.units, meta
    )
    strain = np.tile(kinematics.rest, (len(points), 1))
    if columns:
        strain = strain_with(kinematics, points[:, columns])
    reports = tuple(name for name in names if not columns or name == "energy")
    path = settings.table
    first = comm is None or comm.rank == 0
    together(comm, lambda: check_files([path]) if first else None)
    made = ensure_stored(
        settings.folder / "precompute", head, family,
        Given(strain[rows, None], None, points[rows][:, others]), comm,
        wanted=Wanted(tangents=columns != [] and "tangent" in names, reports=reports),
        title="precompute",
        fresh=fresh, progress=progress,
    )  # fmt: skip

    def finished() -> PrecomputedTable | None:
        if not first:
            return None
        table = _assembled(
            made.dataset, np.argsort(rows), points, axes,
            cell=family.fingerprint, names=names, count=len(own), on_grid=wanted.sampling == "grid",
        )  # fmt: skip
        if table.samples is not None:
            with naming("precompute"):
                table = with_retrieval(table, wanted.retrieval)
        write_tabulation(table, path)
        return PrecomputedTable(
            path, made.reused, len(points), int(made.manifest.meta["failed"]), table.errors,
            float(made.manifest.meta["seconds_per_point"]) * len(points),
        )  # fmt: skip

    found = together(comm, finished)
    found = found if comm is None else comm.bcast(found)
    assert found is not None
    return found


def _check(settings: Settings) -> None:
    wanted, measure = settings.precompute, settings.kinematics.measure
    if settings.material is None or settings.material.rve is None:
        raise InputError("precompute: there is no cell; add the table [material.rve]")
    if measure not in STIFFNESS and not has_strain(wanted.axes):
        raise InputError(
            f"precompute: kinematics.measure is {measure!r}; expected "
            f"{' or '.join(map(repr, STIFFNESS))}: a stiffness at rest says nothing of large "
            f"strain. Or tabulate the stress over strain, with the axes "
            f"{', '.join(strain_axes(settings.kinematics))}"
        )
    if not wanted.axes:
        raise InputError(
            "precompute: there are no axes; add a table such as [precompute.axes.volume_fraction] "
            "with low, high and points"
        )
    turned = [name for name in wanted.axes if name in ROTATION_NAMES[settings.kinematics.gdim]]
    if turned:
        raise InputError(
            f"precompute.axes: {', '.join(turned)} turns a whole cell, which is exact and needs no "
            "axis; leave it out and set rotated = true in [material]"
        )


def _with_parameters(context: Context, axes: Sequence[Axis]) -> Context:
    return replace(context, parameters=tuple(axis.name for axis in axes))


def _names(settings: Settings) -> tuple[str, ...]:
    """Return the names of the quantities, those that are taken for granted included."""
    wanted = settings.precompute
    if wanted.quantities:
        return wanted.quantities
    if has_strain(wanted.axes):
        return ("stress",)
    return (STIFFNESS.get(settings.kinematics.measure, "stress"),)


def _axis(name: str, given: AxisSettings, wanted: PrecomputeSettings) -> Axis:
    values = np.array(given.grid)
    return Axis(name, values if wanted.sampling == "grid" else values[[0, -1]], given.unit)


def _middle(axis: Axis, wanted: PrecomputeSettings) -> float:
    """Return an entry about the middle of an axis; the middle itself where there is no grid."""
    values = axis.values
    return float(values[len(values) // 2] if wanted.sampling == "grid" else values.mean())


def _sampled(axes: Sequence[Axis], wanted: PrecomputeSettings) -> Array:  # (N, p)
    """Return the points of the table: of the grid, or of no grid."""
    from fesurrogate.data.sampling import sobol

    if wanted.sampling == "grid":
        return grid(axes)
    if wanted.samples is not None:
        cube = sobol(wanted.samples, len(axes), seed=wanted.seed + 1)
    else:
        assert wanted.level is not None
        cube = sparse_grid(wanted.level, len(axes))
    return _placed(cube, axes)


def _quantities(
    names: Sequence[str], context: Context
) -> tuple[dict[str, Callable[..., Array]], dict[str, str]]:
    """Return the quantities by name, and the source of those of the user's."""
    from fesurrogate.hierarchical.quantities import QUANTITIES

    known = QUANTITIES[context.kinematics.measure]
    found, sources = {}, {}
    for name in names:
        if ":" in name:
            with naming("precompute.quantities"):
                code = function_of(name, context)
            found[name], sources[name] = code.value, code.source
        elif name in known:
            found[name] = known[name]
        else:
            raise InputError(
                f"precompute.quantities: {name!r} is no quantity of measure "
                f"{context.kinematics.measure!r}; expected {', '.join(known)}, or module:function"
            )
    return found, sources


def _held_out(axes: Sequence[Axis], wanted: PrecomputeSettings) -> Array:  # (N, p)
    from fesurrogate.data.sampling import sobol

    if not wanted.held_out:
        return np.zeros((0, len(axes)))
    return _placed(sobol(wanted.held_out, len(axes), seed=wanted.seed), axes)


def _placed(cube: Array, axes: Sequence[Axis]) -> Array:  # (N, p), of [0, 1] and of the axes
    from fesurrogate.data.sampling import scaled

    low, high = (np.array([axis.values[end] for axis in axes]) for end in (0, -1))
    return scaled(cube, low, high)


def _assembled(
    dataset: Dataset,
    order: Any,  # (N,), rows of the dataset, in the order of the points
    points: Array,  # (N, p)
    axes: Sequence[Axis],
    *,
    cell: str,
    names: Sequence[str],
    count: int,
    on_grid: bool,
) -> Tabulation:
    """Return the table of a dataset, whose first ``count`` points are its own; others judge it."""
    ok = dataset.ok[order, 0]
    found = {name: array[order, 0] for name, array in dataset.reports.items()}
    if strain_columns(dataset.kinematics, axes):
        tangent = None if dataset.tangent is None else dataset.tangent[order, 0]
        stress, energy = dataset.stress[order, 0], found.get("energy")
        found = tabulated(dataset.kinematics, stress, tangent, energy)
    quantities = {name: found[name] for name in names}
    held = Scattered(points[count:], {k: v[count:] for k, v in quantities.items()}, ok[count:])
    own = {k: v[:count] for k, v in quantities.items()}
    shape = tuple(len(axis.values) for axis in axes)
    return Tabulation(
        dataset.kinematics,
        tuple(axes),
        {k: v.reshape(*shape, *v.shape[1:]) for k, v in own.items()} if on_grid else {},
        ok[:count].reshape(shape) if on_grid else np.ones(shape, dtype=np.bool_),
        held if len(held.ok) else None,
        dataset.units,
        cell,
        dataset.meta,
        samples=None if on_grid else Scattered(points[:count], own, ok[:count]),
    )
