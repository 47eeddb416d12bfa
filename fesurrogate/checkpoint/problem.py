"""A macro problem in its accepted state, to an archive and back, on any number of ranks.

Values at points and nodes are kept cell by cell under the number that a cell has in the mesh's
file or generator, and in the order of its reference cell: neither depends on the ranks. They come
back as they were, bit by bit.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from dolfinx import fem
from dolfinx.mesh import Mesh
from mpi4py import MPI
from numpy.typing import NDArray

from fesurrogate.checkpoint.archive import KINDS, Archive, ArchiveWriter
from fesurrogate.checkpoint.rows import read_rows, shared_blocks, write_rows
from fesurrogate.checkpoint.store import Store
from fesurrogate.errors import InputError
from fesurrogate.fem.compat import geometry_dofmap
from fesurrogate.fem.field import MaterialField
from fesurrogate.fem.problem import MacroProblem
from fesurrogate.fem.stepping import Position
from fesurrogate.kinematics import Array

logger = logging.getLogger(__name__)
FORMAT = 1
PointRows = tuple[MaterialField, Array]
"""A field, and rows (n, k) of its points."""


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
    rows = [*_rows(problem, fields), *_rows_beside(beside)]
    path = _written(store, rows, facts, comm, whole=whole)
    if comm.rank == 0:
        store.prune()
    return path


def save_beside(
    store: Store, beside: Sequence[PointRows], facts: Mapping[str, Any], comm: MPI.Intracomm
) -> Path:
    """Write rows of points alone, which :func:`load_beside` gives back. Collective.

    Args:
        store: Where; what is there stays.
        beside: Fields, with rows of their points.
        facts: What JSON can say.
        comm: The ranks.

    Returns:
        The file.

    Raises:
        OSError: It cannot be written; on all ranks.
    """
    return _written(store, _rows_beside(beside), facts, comm)


def _written(
    store: Store,
    rows: Sequence[tuple[str, NDArray]],
    facts: Mapping[str, Any],
    comm: MPI.Intracomm,
    *,
    whole: Mapping[str, NDArray] | None = None,
) -> Path:
    """Write rows of all ranks, and arrays that are alike on all, to the next file of a store."""
    path: Path | None = None
    failure: Exception | None = None
    with ExitStack() as stack:
        sink: ArchiveWriter | None = None
        try:
            sink = stack.enter_context(store.writer()) if comm.rank == 0 else None
        except OSError as error:
            failure = error
        for name, array in rows:
            try:
                write_rows(sink, name, array, comm)
            except Exception as error:
                sink, failure = None, failure or error  # the others still send
        try:
            if sink is not None:
                for name, array in (whole or {}).items():
                    sink.add(name, array.shape, array.dtype, iter([array]))
                path = sink.finish(facts, store.pattern())
        except Exception as error:
            failure = failure or error
    reason = getattr(failure, "strerror", None) or str(failure)
    text, path = comm.bcast((failure and f"cannot write {store.folder}: {reason}", path), root=0)
    if text is not None:
        raise OSError(text) from failure
    assert path is not None
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
    at = _positions(source, "cells", original_numbers(mesh), comm)
    nodes = _node_values(problem.u)
    values = read_rows(source, "u", at, nodes.shape[1:], comm)
    owned = problem.u.function_space.dofmap.list[: len(nodes)]
    size = problem.u.function_space.dofmap.index_map_bs
    restored: list[tuple[MaterialField, list[Array]]] = []
    for k, held in enumerate(fields.values()):
        at = _positions(source, f"fields/{k}/cells", original_numbers(mesh)[held.cells], comm)
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


def load_beside(
    source: Archive | None, beside: Sequence[PointRows], comm: MPI.Intracomm
) -> list[Array] | None:  # each (n, k)
    """Return the rows that were kept of the points of other fields. Collective.

    Args:
        source: On rank 0.
        beside: The fields, with rows of the width that is expected.
        comm: The ranks.

    Returns:
        None where the checkpoint has none, or others.

    Raises:
        InputError: On all ranks: the checkpoint is damaged or hostile.
    """
    arrays = comm.bcast(source.arrays if source is not None else None, root=0)
    expected = _rows_beside(beside)
    if any(name not in arrays or arrays[name][0][1:] != rows.shape[1:] for name, rows in expected):
        return None
    found = []
    for k, (held, rows) in enumerate(beside):
        numbers = original_numbers(held.mesh)[held.cells]
        at = _positions(source, f"beside/{k}/cells", numbers, comm)
        shape = _by_cell(held, rows).shape[1:]
        read = read_rows(source, f"beside/{k}/rows", at, shape, comm)
        found.append(np.asarray(read.reshape(rows.shape), dtype=np.float64))
    return found


def original_numbers(mesh: Mesh) -> NDArray[np.int64]:  # (owned cells,)
    """Return the number of each owned cell in the mesh's file or generator."""
    owned = mesh.topology.index_map(mesh.topology.dim).size_local
    return np.asarray(mesh.topology.original_cell_index[:owned], dtype=np.int64)


def mesh_fingerprint(mesh: Mesh) -> str:
    """Return a hash of the nodes of all cells, the same on any number of ranks. Collective."""
    numbers = original_numbers(mesh)
    x = mesh.geometry.x[geometry_dofmap(mesh)[: len(numbers)]]
    parts = mesh.comm.gather((numbers, x), root=0)
    digest = ""
    if parts is not None:
        order = np.argsort(np.concatenate([k for k, _ in parts]))
        every = np.concatenate([part.reshape(len(part), -1) for _, part in parts if len(part)])
        digest = hashlib.sha256(np.ascontiguousarray(every[order]).tobytes()).hexdigest()[:16]
    return str(mesh.comm.bcast(digest, root=0))


def _rows(problem: MacroProblem, fields: Mapping[str, MaterialField]) -> list[tuple[str, NDArray]]:
    """Return what is kept of each owned cell, by name; the names are alike on all ranks."""
    mesh = problem.u.function_space.mesh
    numbers = original_numbers(mesh)
    rows: list[tuple[str, NDArray]] = [("cells", numbers), ("u", _node_values(problem.u))]
    for k, held in enumerate(fields.values()):
        rows.append((f"fields/{k}/cells", numbers[held.cells]))
        rows += [(f"fields/{k}/{name}", array) for name, array in _rows_of(held).items()]
    return rows


def _rows_of(held: MaterialField) -> dict[str, NDArray]:  # (cells, ...)
    """Return what a field has accepted, cell by cell. Collective."""
    names = ("state", "hint", "stress")
    return {k: _by_cell(held, rows) for k, rows in zip(names, held.accepted, strict=True)}


def _rows_beside(beside: Sequence[PointRows]) -> list[tuple[str, NDArray]]:
    """Return what is kept of other fields, cell by cell, by name. Collective."""
    rows: list[tuple[str, NDArray]] = []
    for k, (held, kept) in enumerate(beside):
        rows.append((f"beside/{k}/cells", original_numbers(held.mesh)[held.cells]))
        rows.append((f"beside/{k}/rows", _by_cell(held, kept)))
    return rows


def _by_cell(held: MaterialField, rows: Array) -> NDArray:  # (n, k) -> (cells, points of one * k)
    """Return rows of the points as rows of the cells, whose width is alike on all ranks."""
    own = held.num_points // max(1, len(held.cells))
    per_cell = held.mesh.comm.allreduce(own, op=MPI.MAX)
    return rows.reshape(len(held.cells), per_cell * rows.shape[1])


def _node_values(u: fem.Function) -> NDArray:  # (owned cells, nodes * block size)
    """Return a Lagrange function at the nodes of each owned cell, in the reference cell's order.

    Its dofs are these values, and the dofmap lists them in that order whatever the orientation of
    the cell's edges and faces.
    """
    V, element = u.function_space, u.function_space.element
    if element.needs_dof_transformations or not element.interpolation_ident:
        raise InputError("a checkpoint needs an unknown of Lagrange elements")
    owned = V.mesh.topology.index_map(V.mesh.topology.dim).size_local
    values = u.x.array.reshape(-1, V.dofmap.index_map_bs)[V.dofmap.list[:owned]]
    return values.reshape(owned, V.dofmap.list.shape[1] * V.dofmap.index_map_bs)


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


def _positions(
    source: Archive | None, name: str, mine: NDArray[np.int64], comm: MPI.Intracomm
) -> NDArray[np.int64]:
    """Return where this rank's cells are in the file."""
    there = np.concatenate([np.zeros(0, np.int64), *shared_blocks(source, name, (), comm)])
    order = np.argsort(there, kind="stable")
    found = np.searchsorted(there[order], mine)
    found = np.minimum(found, max(0, len(there) - 1))
    lacks = len(mine) > 0 and (not len(there) or bool((there[order][found] != mine).any()))
    if comm.allreduce(lacks, op=MPI.LOR):
        raise InputError(f"the checkpoint holds other cells ({name}); start anew without --restart")
    return order[found] if len(there) else found


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
