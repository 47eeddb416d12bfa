"""The farm: any Material answers strain paths, block by block, spread over the ranks.

A block is a fixed range of path numbers and is always evaluated as one batch. So the answers are
the same bits whatever the number of ranks, and whether or not a run was interrupted.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fesurrogate.data.plan import Loading, Paths
from fesurrogate.data.shard import Shard
from fesurrogate.errors import InputError
from fesurrogate.kinematics import Array
from fesurrogate.material import BoolArray, Material, Response
from fesurrogate.progress import Advance

POINTS_PER_BLOCK = 8
SCALARS = ("energy", "dissipation")
"""Reports that are kept where the Material gives them and nothing else is asked for."""
FLUCTUATION, SLOPES = "fluctuation", "fluctuation_slopes"
"""Names under which fluctuations of a cell, and sketches of their derivatives, are kept, like
reports."""
Fields = Callable[[Array, Array], Mapping[str, NDArray]]
"""From strains (n, m) and hints (n, h) of points that were solved to what is kept of their fields,
each (n, ...), by name."""


@dataclass(frozen=True)
class Wanted:
    """What is kept of the answers.

    Attributes:
        tangents: Whether tangents are.
        reports: Names of the reports that must be there; None keeps those of :data:`SCALARS`
            that are.
        fields: What is kept of the hints; nothing if None.
    """

    tangents: bool = True
    reports: tuple[str, ...] | None = None
    fields: Fields | None = None


def farm(
    material: Material,
    loading: Loading,
    paths: Paths,
    comm: Any = None,
    *,
    wanted: Wanted,
    keep: Callable[[Shard], None],
    advance: Advance,
    block: int | None = None,
) -> None:
    """Evaluate strain paths from the virgin state. Collective.

    The ranks work in rounds: in each, every rank evaluates one block of paths (none, where they
    have run out). After a round all ranks learn whether one raised, and then all raise.
    A Material that communicates is refused: what it answers would depend on how the ranks share
    the work. All call the Material together and equally often all the same, so that one that does
    not say so does no harm.
    A path ends at its first failed increment; that one and the rest of it are kept as
    ``ok = False`` with NaN.

    Args:
        material: Any Material that does not communicate among ranks.
        loading: Strain paths by number, the same on all ranks.
        paths: Numbers of the paths to evaluate, rising, the same on all ranks.
        comm: An mpi4py communicator; None works alone.
        wanted: What is kept.
        keep: Takes the answers of a block, on the rank that evaluated it.
        advance: Of a progress bar.
        block: Paths in a block; by default so many that it holds about 8 points.

    Raises:
        InputError: The Material communicates, or lacks a report that is wanted.
        RuntimeError: The Material raised on another rank.
    """
    check_source(material)
    rank, ranks = (0, 1) if comm is None else (comm.rank, comm.size)
    size = block or default_block(loading.increments)
    blocks = np.split(paths, np.flatnonzero(np.diff(paths // size)) + 1) if len(paths) else []
    failed = 0
    for first in range(0, len(blocks), ranks):
        present = blocks[first : first + ranks]
        mine = present[rank] if rank < len(present) else np.zeros(0, dtype=np.int64)
        now = loading.dt(np.concatenate(present))
        steps = [np.unique(now[:, t]) for t in range(loading.increments)]  # alike on all ranks
        error: Exception | None = None
        count = (0, 0)
        try:
            begin = time.perf_counter()
            answer = _follow(material, loading, mine, steps, wanted)
            spent = time.perf_counter() - begin
            if len(mine):
                keep(_shard(loading, mine, answer, spent))
                count = (len(mine), int((~answer.ok[:, -1:]).sum()))
        except Exception as caught:
            error = caught
        meeting = [(count, None if error is None else repr(error))]
        meeting = meeting if comm is None else comm.allgather(meeting[0])
        if error is not None:
            raise error
        for other, (_, message) in enumerate(meeting):
            if message is not None:
                raise RuntimeError(f"generate: rank {other} raised {message}")
        failed += sum(lost for (_, lost), _ in meeting)
        advance(sum(solved for (solved, _), _ in meeting), f"{failed} failed" if failed else "")


def check_source(material: Material) -> None:
    """Refuse a Material that communicates among ranks, on any number of them.

    Raises:
        InputError: It does.
    """
    if material.collective:
        raise InputError(
            f"generate: {type(material).__name__} communicates among ranks, but each has paths of "
            "its own here; give the Material that it wraps, whose paths are spread over the ranks"
        )


def default_block(increments: int) -> int:
    """Return how many paths of so many increments make a block."""
    return max(1, POINTS_PER_BLOCK // max(increments, 1))


@dataclass(frozen=True)
class _Answer:
    stress: Array  # (k, T, m)
    tangent: Array | None  # (k, T, m, m)
    ok: BoolArray  # (k, T)
    reports: dict[str, NDArray]  # each (k, T, ...)


def _shard(loading: Loading, paths: Paths, answer: _Answer, seconds: float) -> Shard:
    arrays: dict[str, NDArray | None] = {
        "strain": loading.strain(paths),
        "stress": answer.stress,
        "tangent": answer.tangent,
        "ok": answer.ok,
        "dt": loading.dt(paths) if loading.timed else None,
        "parameters": loading.parameters(paths),
    }
    there = {name: array for name, array in arrays.items() if array is not None}
    return Shard(paths, there, answer.reports, seconds)


def _follow(
    material: Material,
    loading: Loading,
    paths: Paths,  # (k,)
    steps: Sequence[Array],  # per increment, the values of dt that occur on any rank
    wanted: Wanted,
) -> _Answer:
    """Evaluate k paths, increment by increment; all ranks make the same number of calls."""
    strains, times = loading.strain(paths), loading.dt(paths)  # (k, T, m), (k, T)
    parameters = loading.parameters(paths)
    k, increments, m = strains.shape
    stress = np.full(strains.shape, np.nan)
    tangent = np.full((*strains.shape, m), np.nan) if wanted.tangents else None
    ok = np.zeros((k, increments), dtype=bool)
    reports: dict[str, NDArray] = {}
    state = np.array(material.initial_state(k))
    hint = np.zeros((k, material.num_hint))
    alive = np.ones(k, dtype=bool)
    for t in range(increments):
        for step in steps[t]:
            rows = np.flatnonzero(alive & (times[:, t] == step))
            answer = material.evaluate(
                strains[rows, t], state[rows], float(step),
                parameters=parameters[rows], hint=hint[rows], tangent=wanted.tangents,
            )  # fmt: skip
            stress[rows, t], ok[rows, t] = answer.stress, answer.ok
            if tangent is not None:
                tangent[rows, t] = answer.tangent
            state[rows], hint[rows] = answer.state, answer.hint
            if len(rows):
                kept = {name: np.asarray(answer.report[name]) for name in _names(answer, wanted)}
                if wanted.fields is not None:
                    kept |= _solved(wanted.fields, strains[rows, t], answer)
                for name, values in kept.items():
                    empty = np.full((k, increments, *values.shape[1:]), np.nan, _kind(values))
                    reports.setdefault(name, empty)[rows, t] = values
        alive &= ok[:, t]
    for array in reports.values():
        array[~ok] = np.nan
    return _Answer(stress, tangent, ok, reports)


def _solved(fields: Fields, strain: Array, answer: Response) -> dict[str, NDArray]:
    """Return what is kept of fields, with rows of NaN where a point failed."""
    found = {}
    for name, values in fields(strain[answer.ok], answer.hint[answer.ok]).items():
        found[name] = np.full((len(strain), *values.shape[1:]), np.nan, values.dtype)
        found[name][answer.ok] = values
    return found


def _kind(values: NDArray) -> Any:
    """Return the type to keep values in: their own where it knows NaN."""
    return values.dtype if values.dtype.kind == "f" else np.float64


def _names(answer: Response, wanted: Wanted) -> list[str]:
    if wanted.reports is None:
        return [name for name in SCALARS if name in answer.report]
    for name in wanted.reports:
        if name not in answer.report:
            raise InputError(
                f"generate: the source reports no {name!r}; expected one of "
                f"{', '.join(sorted(answer.report)) or 'none, as it reports nothing'}"
            )
    return list(wanted.reports)
