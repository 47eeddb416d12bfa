"""The farm: any Material answers strain paths, spread over the ranks."""

from __future__ import annotations

import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fesurrogate.data.dataset import Dataset
from fesurrogate.errors import InputError
from fesurrogate.kinematics import Array
from fesurrogate.material import BoolArray, Material
from fesurrogate.progress import progress_bar

ROUNDS = 16
"""How often the ranks meet by default: the progress bar moves, and a failure is heard of."""


def generate(
    material: Material,
    strains: Array,  # (N, T, m)
    comm: Any = None,
    *,
    tangents: bool = True,
    dt: Array | None = None,  # (N, T)
    parameters: Array | None = None,  # (N, p)
    chunk: int | None = None,
    progress: bool = False,
    meta: Mapping[str, Any] | None = None,
) -> Dataset:
    """Return what the Material answers along strain paths from the virgin state. Collective.

    The ranks work in rounds: in each, every rank evaluates ``chunk`` paths (none, where they have
    run out), interleaved so that neighbours in the sequence go to different ranks. After a round
    all ranks learn whether one raised, and then all raise. A path ends at its first failed
    increment; that one and the rest of it are kept as ``ok = False`` with NaN.

    Args:
        material: Any Material; it is met by every rank together, as the contract says.
        strains: Strain paths, the same on all ranks.
        comm: An mpi4py communicator; None works alone.
        tangents: Whether tangents are stored.
        dt: Lengths of the increments; 1 if None.
        parameters: Parameters of the Material on each path, where it has any.
        chunk: Paths per rank and round; by default such that there are about 16 rounds.
        progress: Whether rank 0 shows rate and time left.
        meta: Facts to keep with the data; versions and cost are added.

    Returns:
        The whole dataset, on every rank.

    Raises:
        InputError: The strains do not fit the Material.
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
    times = np.ones((paths, increments)) if dt is None else np.asarray(dt, dtype=np.float64)
    given = np.zeros((paths, 0)) if parameters is None else np.asarray(parameters, np.float64)
    names = material.parameter_names
    if times.shape != (paths, increments) or given.shape != (paths, len(names)):
        raise InputError(
            f"generate: dt has shape {times.shape}, expected ({paths}, {increments}); parameters "
            f"have shape {given.shape}, expected ({paths}, {len(names)}): {', '.join(names)}"
        )
    rank, ranks = (0, 1) if comm is None else (comm.rank, comm.size)
    chunk = chunk or min(max(1, -(-paths // (ROUNDS * ranks))), 4096)
    answers: list[tuple[np.ndarray, _Answer]] = []
    seconds, done, failed = 0.0, 0, 0
    with progress_bar("generate", paths, unit="paths", enabled=progress and rank == 0) as advance:
        for first in range(0, paths, chunk * ranks):
            mine = np.arange(first + rank, min(first + chunk * ranks, paths), ranks)
            now = times[first : first + chunk * ranks]
            steps = [np.unique(now[:, t]) for t in range(increments)]  # the same on all ranks
            start = time.perf_counter()
            error: Exception | None = None
            try:
                answer = _follow(material, strains[mine], times[mine], given[mine], steps, tangents)
                answers.append((mine, answer))
                count = (len(mine), int((~answer.ok[:, -1:]).sum()))
            except Exception as caught:
                error, count = caught, (0, 0)
            seconds += time.perf_counter() - start
            meeting = [(count, None if error is None else repr(error))]
            meeting = meeting if comm is None else comm.allgather(meeting[0])
            if error is not None:
                raise error
            for other, ((_, _), message) in enumerate(meeting):
                if message is not None:
                    raise RuntimeError(f"generate: rank {other} raised {message}")
            step = sum(solved for (solved, _), _ in meeting)
            failed += sum(lost for (_, lost), _ in meeting)
            done += step
            advance(step, f"{failed} failed" if failed else "")
    parts = [(answers, seconds)]
    parts = parts if comm is None else comm.allgather(parts[0])
    stress = np.full(strains.shape, np.nan)
    ok = np.zeros((paths, increments), dtype=bool)
    tangent = np.full((*strains.shape, size), np.nan) if tangents else None
    for pieces, _ in parts:
        for rows, answer in pieces:
            stress[rows], ok[rows] = answer.stress, answer.ok
            if tangent is not None:
                tangent[rows] = answer.tangent
    cost = sum(spent for _, spent in parts) / max(paths * increments, 1)
    facts = {**(meta or {}), "seconds_per_point": cost, "ranks": ranks, "failed": int((~ok).sum())}
    facts["versions"] = {"numpy": np.__version__, "python": platform.python_version()}
    return Dataset(
        material.kinematics, strains, stress, tangent, ok,
        None if dt is None else times, given, names, facts,
    )  # fmt: skip


@dataclass(frozen=True)
class _Answer:
    stress: Array  # (k, T, m)
    tangent: Array | None  # (k, T, m, m)
    ok: BoolArray  # (k, T)


def _follow(
    material: Material,
    strains: Array,  # (k, T, m)
    times: Array,  # (k, T)
    parameters: Array,  # (k, p)
    steps: Sequence[Array],  # per increment, the values of dt that occur on any rank
    tangents: bool,
) -> _Answer:
    """Evaluate k paths, increment by increment; all ranks make the same number of calls."""
    paths, increments, size = strains.shape
    stress = np.full(strains.shape, np.nan)
    tangent = np.full((*strains.shape, size), np.nan) if tangents else None
    ok = np.zeros((paths, increments), dtype=bool)
    state = np.array(material.initial_state(paths))
    hint = np.zeros((paths, material.num_hint))
    alive = np.ones(paths, dtype=bool)
    for t in range(increments):
        for step in steps[t]:
            rows = np.flatnonzero(alive & (times[:, t] == step))
            answer = material.evaluate(
                strains[rows, t], state[rows], float(step),
                parameters=parameters[rows], hint=hint[rows], tangent=tangents,
            )  # fmt: skip
            stress[rows, t], ok[rows, t] = answer.stress, answer.ok
            if tangent is not None:
                tangent[rows, t] = answer.tangent
            state[rows], hint[rows] = answer.state, answer.hint
        alive &= ok[:, t]
    return _Answer(stress, tangent, ok)
