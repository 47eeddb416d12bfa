"""A macro problem in its accepted state, to an archive and back, on any number of ranks.

Values at points and nodes are kept cell by cell; they come back as they were, bit by bit.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from mpi4py import MPI
from numpy.typing import NDArray

from fesurrogate.checkpoint.archive import KINDS, Archive
from fesurrogate.checkpoint.beside import PointRows, rows_beside
from fesurrogate.checkpoint.cells import by_cell, node_values, original_numbers, positions_of
from fesurrogate.checkpoint.rows import read_rows, write_file
from fesurrogate.checkpoint.store import Store
from fesurrogate.errors import InputError
from fesurrogate.fem.field import MaterialField
from fesurrogate.fem.problem import MacroProblem
from fesurrogate.fem.stepping import Position
from fesurrogate.kinematics import Array

logger = logging.getLogger(__name__)
FORMAT = 1


@dataclass(frozen=True)
class Saved:
    """What a checkpoint says beside the state of the problem; the same on every rank.

    Attributes:
        position: How far the load has come.
        identity: What the run is made of, by part: a run of other parts cannot go on from here.
        extra: What the caller keeps with it, as JSON can say it.
    """

    position: Position
    identity: Mapping[str, str]
    extra: Mapping[str, Any] = field(default_factory=dict)


def save_problem(
    store: Store,
    problem: MacroProblem,
    fields: Mapping[str, MaterialField],
    saved: Saved,
    *,
    beside: Sequence[PointRows] = (),
) -> Path:
    """Write a checkpoint of the accepted state, and remove the one before the last. Collective.

    Args:
        store: Where.
        problem: The macro problem.
        fields: Its fields by name.
        saved: What is kept beside.
        beside: Rows of the points of other fields, which :func:`load_beside` gives back.

    Returns:
        The file.

    Raises:
        OSError: It cannot be written; on all ranks. Those before are as they were.
        InputError: The unknown is no Lagrange function, or what a Material's ``snapshot`` gives
            is no array of numbers, or differs between ranks.
    """
    comm = problem.u.function_space.mesh.comm
    snapshots = [_snapshot(f, name, comm) for name, f in fields.items()]
    facts = {
        "format": FORMAT,
        "time": saved.position.time,
        "cuts": saved.position.cuts,
        "identity": dict(saved.identity),
        "largest_residual": problem.largest_residual,
        "fields": list(fields),
        "tallies": [_tally(f, comm) for f in fields.values()],
        "extra": dict(saved.extra),
    }
    whole = {
        f"fields/{k}/snapshot/{name}": array
        for k, arrays in enumerate(snapshots)
        for name, array in arrays.items()
    }
    rows = [*_rows(problem, fields), *rows_beside(beside)]
    path = write_file(store, rows, facts, comm, whole=whole)
    if comm.rank == 0:
        store.prune()
    return path


def load_problem(
    source: Archive | None,
    problem: MacroProblem,
    fields: Mapping[str, MaterialField],
    identity: Mapping[str, str],
) -> Saved:
    """Bring a problem and its Materials to the state of a checkpoint. Collective.

    Args:
        source: On rank 0.
        problem: The macro problem, as it was built.
        fields: Its fields by name.
        identity: What this run is made of.

    Raises:
        InputError: On all ranks: the checkpoint is of another run, damaged or hostile.
    """
    comm = problem.u.function_space.mesh.comm
    path, facts, arrays = comm.bcast(
        (source.path, source.facts, source.arrays) if source is not None else None, root=0
    )
    saved = _saved(path, facts, list(fields))
    other = [part for part in identity if saved.identity.get(part) != identity[part]]
    if other:
        raise InputError(
            f"{path} is of another run: {', '.join(other)} differ; restore them, or start anew "
            "without --restart"
        )
    mesh = problem.u.function_space.mesh
    at = positions_of(source, "cells", original_numbers(mesh), comm)
    nodes = node_values(problem.u)
    values = read_rows(source, "u", at, nodes.shape[1:], comm)
    owned = problem.u.function_space.dofmap.list[: len(nodes)]
    size = problem.u.function_space.dofmap.index_map_bs
    restored: list[tuple[MaterialField, list[Array]]] = []
    for k, held in enumerate(fields.values()):
        at = positions_of(source, f"fields/{k}/cells", original_numbers(mesh)[held.cells], comm)
        parts: list[Array] = []
        for (name, array), accepted in zip(_rows_of(held).items(), held.accepted, strict=True):
            key = f"fields/{k}/{name}"
            if name == "hint" and key in arrays and arrays[key][0][1:] != array.shape[1:]:
                logger.info("hints begin anew: the Material keeps others on as many ranks")
                parts.append(np.zeros((held.num_points, held.material.num_hint)))
                continue
            rows = read_rows(source, key, at, array.shape[1:], comm)
            parts.append(np.asarray(rows.reshape(accepted.shape), dtype=np.float64))
        restored.append((held, parts))
    values = values.reshape(*owned.shape, size)
    problem.u.x.array.reshape(-1, size)[owned] = values  # what others own comes from them
    problem.u.x.scatter_forward()
    for k, (held, (state, hint, stress)) in enumerate(restored):
        begin = f"fields/{k}/snapshot/"
        names = [name for name in arrays if name.startswith(begin)]
        snapshot = {name.removeprefix(begin): _whole(source, name, comm) for name in names}
        if snapshot:
            held.material.restore(snapshot)
        held.resume(state, hint, stress)
        _restore_tally(held, facts["tallies"][k], comm)
    problem.resume(float(facts["largest_residual"]))
    return saved


def _rows(problem: MacroProblem, fields: Mapping[str, MaterialField]) -> list[tuple[str, NDArray]]:
    """Return what is kept of each owned cell, by name; the names are alike on all ranks."""
    mesh = problem.u.function_space.mesh
    numbers = original_numbers(mesh)
    rows: list[tuple[str, NDArray]] = [("cells", numbers), ("u", node_values(problem.u))]
    for k, held in enumerate(fields.values()):
        rows.append((f"fields/{k}/cells", numbers[held.cells]))
        rows += [(f"fields/{k}/{name}", array) for name, array in _rows_of(held).items()]
    return rows


def _rows_of(held: MaterialField) -> dict[str, NDArray]:  # (cells, ...)
    """Return what a field has accepted, cell by cell. Collective."""
    names = ("state", "hint", "stress")
    return {k: by_cell(held, rows) for k, rows in zip(names, held.accepted, strict=True)}


def _snapshot(held: MaterialField, name: str, comm: MPI.Intracomm) -> dict[str, NDArray]:
    arrays = {key: np.asarray(array) for key, array in held.material.snapshot().items()}
    digest = hashlib.sha256()
    for key in sorted(arrays):
        digest.update(f"{key} {arrays[key].dtype.str} {arrays[key].shape}".encode())
        digest.update(np.ascontiguousarray(arrays[key]).tobytes())
    found = comm.allgather(digest.hexdigest() if arrays else "")
    holders = [rank for rank, text in enumerate(found) if text]  # not all that share a GPU
    if len({found[rank] for rank in holders}) > 1:
        raise InputError(f"{name}: what the Material learned differs between the ranks")
    if holders and holders[0] > 0:
        arrays = comm.bcast(arrays, root=holders[0])
    if any(array.dtype.kind not in KINDS for array in arrays.values()):
        raise InputError(f"{name}: a snapshot holds what is no number; expected arrays of numbers")
    return arrays


def _saved(path: Path, facts: dict[str, Any], names: list[str]) -> Saved:
    """Return what the facts say, each of the type that it should have."""
    try:
        if facts["format"] != FORMAT or facts["fields"] != names:
            raise ValueError(f"format {facts['format']} with {facts['fields']}")
        position = Position(float(facts["time"]), int(facts["cuts"]))
        if not (np.isfinite(position.time) and 0 <= position.cuts < 1000):
            raise ValueError(f"{position}")
        if not np.isfinite(float(facts["largest_residual"])):
            raise ValueError("largest_residual")
        for tally in facts["tallies"]:
            counts = {str(key): int(value) for key, value in tally["counts"].items()}
            _ = counts, [float(tally[key]) for key in ("updates", "points", "failed", "seconds")]
        if len(facts["tallies"]) != len(names):
            raise ValueError("tallies")
        return Saved(position, dict(facts["identity"]), dict(facts["extra"]))
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise InputError(
            f"{path} is no checkpoint of this run and version ({error}); start anew without "
            "--restart"
        ) from error


def _whole(source: Archive | None, name: str, comm: MPI.Intracomm) -> NDArray:
    item: Any = None
    if source is not None and comm.rank == 0:
        try:
            item = source.array(name)
        except Exception as error:  # of a damaged or hostile file
            item = f"{source.path}: array {name} cannot be read ({error})"
    item = comm.bcast(item, root=0)
    if isinstance(item, str):
        raise InputError(item)
    return np.asarray(item)


def _tally(held: MaterialField, comm: MPI.Intracomm) -> dict[str, Any]:
    tally = held.tally
    every = comm.allgather(dict(tally.counts))
    names = sorted({name for counts in every for name in counts})
    return {
        "updates": tally.updates,
        "points": comm.allreduce(tally.points),
        "failed": comm.allreduce(tally.failed),
        "seconds": comm.allreduce(tally.seconds, op=MPI.MAX),
        "counts": {name: sum(counts.get(name, 0) for counts in every) for name in names},
    }


def _restore_tally(held: MaterialField, facts: Mapping[str, Any], comm: MPI.Intracomm) -> None:
    tally = held.tally
    tally.updates, tally.seconds = int(facts["updates"]), float(facts["seconds"])
    if comm.rank == 0:  # the sum over the ranks is what is reported
        tally.points, tally.failed = int(facts["points"]), int(facts["failed"])
        tally.counts.update({name: int(value) for name, value in facts["counts"].items()})
