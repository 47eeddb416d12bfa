"""Datasets in memory: any Material answers strain paths that are there as arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fesurrogate.data.dataset import ARRAYS, Dataset
from fesurrogate.data.farm import Wanted, farm
from fesurrogate.data.plan import Given
from fesurrogate.data.shard import Shard
from fesurrogate.data.store import joined
from fesurrogate.errors import InputError
from fesurrogate.kinematics import Array
from fesurrogate.material import Material
from fesurrogate.progress import progress_bar
from fesurrogate.results import versions


def generate(
    material: Material,
    strains: Array,  # (N, T, m)
    comm: Any = None,
    *,
    tangents: bool = True,
    dt: Array | None = None,  # (N, T)
    parameters: Array | None = None,  # (N, p)
    reports: tuple[str, ...] | None = None,
    chunk: int | None = None,
    progress: bool = False,
    meta: Mapping[str, Any] | None = None,
) -> Dataset:
    """Return what the Material answers along strain paths from the virgin state. Collective.

    Args:
        material: Any Material; it is met by every rank together, as the contract says.
        strains: Strain paths, the same on all ranks.
        comm: An mpi4py communicator; None works alone.
        tangents: Whether tangents are stored.
        dt: Lengths of the increments; 1 if None.
        parameters: Parameters of the Material on each path, where it has any.
        reports: Reports of the Material that are stored; ``energy`` and ``dissipation``, where it
            gives them, if None.
        chunk: Paths that are evaluated as one batch.
        progress: Whether rank 0 shows rate and time left.
        meta: Facts to keep with the data; versions and cost are added.

    Returns:
        The whole dataset, on every rank. Of each path what follows its first failure is NaN.

    Raises:
        InputError: The strains do not fit the Material, or it lacks a report.
        RuntimeError: The Material raised on another rank.
    """
    strains = np.ascontiguousarray(strains, dtype=np.float64)
    size = material.kinematics.size
    if strains.ndim != 3 or strains.shape[2] != size:
        raise InputError(
            f"generate: strains have shape {strains.shape}; expected (N, T, {size}) "
            f"for {material.kinematics}"
        )
    paths, increments, _ = strains.shape
    times = None if dt is None else np.asarray(dt, dtype=np.float64)
    given = np.zeros((paths, 0)) if parameters is None else np.asarray(parameters, np.float64)
    names = material.parameter_names
    if given.shape != (paths, len(names)) or not (
        times is None or times.shape == (paths, increments)
    ):
        raise InputError(
            f"generate: dt has shape {None if times is None else times.shape}, expected "
            f"({paths}, {increments}); parameters have shape {given.shape}, expected "
            f"({paths}, {len(names)}): {', '.join(names)}"
        )
    loading = Given(strains, times, given)
    mine: list[Shard] = []
    rank, ranks = (0, 1) if comm is None else (comm.rank, comm.size)
    with progress_bar("generate", paths, unit="paths", enabled=progress and rank == 0) as advance:
        farm(
            material, loading, np.arange(paths), comm,
            wanted=Wanted(tangents, reports), keep=mine.append, advance=advance, block=chunk,
        )  # fmt: skip
    parts = [mine] if comm is None else comm.allgather(mine)
    whole = joined([shard for part in parts for shard in part])
    rows = np.argsort(whole.paths)
    arrays = {name: whole.arrays[name][rows] for name in ARRAYS if name in whole.arrays}
    facts = {
        **(meta or {}),
        "seconds_per_point": whole.seconds / max(paths * increments, 1),
        "ranks": ranks,
        "failed": int((~arrays["ok"]).sum()),
        "versions": versions(),
    }
    return Dataset(
        material.kinematics,
        **{"tangent": None, **arrays},  # type: ignore[arg-type]
        parameter_names=names,
        reports={name: array[rows] for name, array in whole.reports.items()},
        meta=facts,
    )
