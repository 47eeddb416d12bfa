"""The points at which a run came to its end, in a file from which each can be asked again alone."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fesurrogate.build.problem import MacroModel
from fesurrogate.checkpoint import original_numbers
from fesurrogate.checkpoint.archive import ArchiveWriter, read_archive
from fesurrogate.checkpoint.rows import write_rows
from fesurrogate.errors import InputError
from fesurrogate.fem.points import point_coordinates
from fesurrogate.fem.stepping import Position
from fesurrogate.kinematics import Array

FAILED_POINTS = "failed_points.npz"
FORMAT = "fesurrogate failed points 1"
WIDE = ("strain", "accepted_strain", "state", "hint", "parameters", "coordinates")


@dataclass(frozen=True)
class FailedPoint:
    """A point that could not be solved.

    Attributes:
        region: Of its Material; ``material`` where no region is.
        cell: Of the mesh, numbered as in its file or generator.
        coordinates: (d,), in the undeformed body.
        strain: (m,), at which it failed.
        accepted_strain: (m,), of the last accepted increment.
        state: (s,), of the last accepted increment.
        hint: (h,), that the Material was given.
        parameters: (p,).
        dt: Length of the increment.
        time: Load time of the last accepted increment.
        error: The exception on its rank, in one line, if there was one.
        source: The run's TOML.
        kind: Of the Material.
        fingerprint: Of the Material.
    """

    region: str
    cell: int
    coordinates: Array
    strain: Array
    accepted_strain: Array
    state: Array
    hint: Array
    parameters: Array
    dt: float
    time: float
    error: str
    source: str
    kind: str
    fingerprint: str


def write_failed_points(folder: Path, model: MacroModel, position: Position) -> Path | None:
    """Write the points that failed last, of all ranks, if there are any. Collective.

    Args:
        folder: Of the file, which exists.
        model: The problem, back in its accepted state.
        position: How far the load had come.

    Raises:
        OSError: On all ranks: it cannot be written.
    """
    comm = model.mesh.mesh.comm
    failures = {name: field.failure for name, field in model.fields.items()}
    counts = [comm.allreduce(0 if f is None else len(f.rows)) for f in failures.values()]
    if not sum(counts):
        return None
    facts: dict[str, Any] = {"format": FORMAT, "time": position.time, "regions": []}
    facts["source"] = str(model.settings.source or "")
    error: Exception | None = None
    path: Path | None = None
    with ExitStack() as stack:
        sink: ArchiveWriter | None = None
        try:
            sink = stack.enter_context(ArchiveWriter(folder)) if comm.rank == 0 else None
        except OSError as raised:
            error = raised
        for k, (name, count) in enumerate(zip(failures, counts, strict=True)):
            held, failure, material = model.fields[name], failures[name], model.materials[name]
            rows = np.zeros(0, dtype=np.int64) if failure is None else failure.rows
            said = [f.error for f in comm.allgather(failure) if f is not None and f.error]
            dt = max(comm.allgather(0.0 if failure is None else failure.dt))
            facts["regions"].append(
                {
                    "name": name, "count": count, "kind": material.kind, "dt": dt,
                    "fingerprint": material.fingerprint, "error": "; ".join(dict.fromkeys(said)),
                }
            )  # fmt: skip
            per_cell = held.num_points // max(1, len(held.cells))
            arrays = {
                "cell": original_numbers(model.mesh.mesh)[held.cells[rows // max(1, per_cell)]],
                "coordinates": point_coordinates(held)[rows],
                "accepted_strain": held.current_strain()[rows],
            }
            for key in ("strain", "state", "hint", "parameters"):
                width = {"strain": held.current_strain(), "parameters": held.current_parameters()}
                empty = width.get(key, held.state if key == "state" else held.hint)[:0]
                arrays[key] = empty if failure is None else getattr(failure, key)
            for key, array in arrays.items():
                try:
                    write_rows(sink, f"{k}/{key}", array, comm)
                except Exception as raised:
                    sink, error = None, error or raised
        try:
            path = sink.finish(facts, FAILED_POINTS) if sink is not None else None
        except OSError as raised:
            error = raised
    text, path = comm.bcast((error and f"cannot write {folder / FAILED_POINTS}: {error}", path))
    if text is not None:
        raise OSError(text) from error
    return path


def read_failed_point(path: Path, number: int) -> tuple[FailedPoint, int]:
    """Return a point of a file, counted from 0 over all regions, and how many there are.

    Raises:
        InputError: The file is missing, damaged or hostile, or has fewer points.
    """
    source = read_archive(path)
    try:
        facts = source.facts
        if facts.get("format") != FORMAT:
            raise ValueError(f"format {facts.get('format')!r}")
        regions = list(facts["regions"])
        count = sum(int(region["count"]) for region in regions)
        if not 0 <= number < count:
            raise InputError(f"{path} has {count} points; expected one from 0 to {count - 1}")
        row, k = number, 0
        while row >= int(regions[k]["count"]):
            row, k = row - int(regions[k]["count"]), k + 1
        region = regions[k]
        arrays = {key: source.array(f"{k}/{key}")[row].astype(np.float64) for key in WIDE}
        if any(array.ndim != 1 for array in arrays.values()):
            raise ValueError("rows of more than one axis")
        return FailedPoint(
            region=str(region["name"]), cell=int(source.array(f"{k}/cell")[row]), **arrays,
            dt=float(region["dt"]), time=float(facts["time"]), error=str(region["error"]),
            source=str(facts["source"]), kind=str(region["kind"]),
            fingerprint=str(region["fingerprint"]),
        ), count  # fmt: skip
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{path} is no file of failed points ({error}); give the failed_points.npz of a run"
        ) from error
    finally:
        source.close()
