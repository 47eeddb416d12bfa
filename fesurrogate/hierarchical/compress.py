"""A table in little room: each quantity in the representation that needs the fewest numbers."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from fesurrogate.errors import InputError
from fesurrogate.hierarchical.axes import Axis
from fesurrogate.hierarchical.file import content_of, read_tabulation, write_tabulation
from fesurrogate.hierarchical.series import TRAINED, Candidate, Candidates
from fesurrogate.hierarchical.tabulation import STIFFNESS, Tabulation

SMALLEST = "smallest"
"""In place of the name of a representation: the one that needs the fewest numbers."""


@dataclass(frozen=True)
class Compressed:
    """What became of one quantity.

    Attributes:
        before: Numbers that were stored.
        chosen: What is stored now, with its errors.
    """

    before: int
    chosen: Candidate


def compress(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    tolerance: float,
    *,
    representation: str = SMALLEST,
) -> dict[str, Compressed]:
    """Write a table in little room; entries and held-out points are left out.

    Every entry is within the tolerance of what it was, relative to its Frobenius norm (over strain
    to the root of the mean square of all), and so is every held-out point, or it is no farther off
    than it was by multilinear interpolation of the table.

    Args:
        source: A table.
        target: The file that is written.
        tolerance: Largest relative error of an entry.
        representation: A name of :attr:`~.series.Candidates.series`; or the smallest.

    Returns:
        What became of each quantity.

    Raises:
        InputError: The source cannot be read or is compressed, the tolerance is no number between
            0 and 1, or it is not reached by one that keeps a stiffness positive definite.
        OSError: The file cannot be written.
    """
    if not 0 < tolerance < 1:
        raise InputError(f"tolerance is {tolerance}; expected a relative error, such as 0.005")
    table = uncompressed(source)
    found = {
        name: Compressed(
            table.computed(name)[1].size, _chosen(table, name, tolerance, representation)
        )
        for name in computed_names(table)
    }
    write_tabulation(stored(table, {k: each.chosen for k, each in found.items()}), target)
    return found


def uncompressed(source: str | os.PathLike[str]) -> Tabulation:
    """Read a table that holds what was computed.

    Raises:
        InputError: It cannot be read, or was compressed before.
    """
    table = read_tabulation(source)
    if not computed_names(table):
        raise InputError(
            f"table {source} was compressed before; expected one that fesurrogate precompute wrote"
        )
    return table


def computed_names(table: Tabulation) -> tuple[str, ...]:
    """Return the names of the quantities that were computed."""
    return tuple(table.quantities if table.samples is None else table.samples.quantities)


def stored(table: Tabulation, chosen: Mapping[str, Candidate]) -> Tabulation:
    """Return the table with nothing but what was chosen, and the errors it has."""
    axes, ok = table.axes, table.ok
    if ok.all():  # of the axes the ends say all
        axes = tuple(Axis(a.name, a.values[[0, -1]], a.unit) for a in axes)
        ok = np.ones((2,) * len(axes), dtype=np.bool_)
    facts = {
        name: {
            "representation": f"{each.name}, {each.detail}",
            "error": {"entries": each.entries, "held_out": each.held_out},
        }
        for name, each in chosen.items()
    }
    meta = {"versions": table.meta.get("versions", {}), "compressed": facts}
    samples = table.samples
    if samples is not None:
        samples = None if samples.ok.all() else replace(samples, quantities={})
    kept = {name: each.kept for name, each in chosen.items()}
    return replace(
        table, axes=axes, ok=ok, quantities={}, kept=kept, held_out=None, meta=meta, samples=samples
    )


def file_size(table: Tabulation, candidate: Candidate, name: str) -> int:
    """Return the bytes of the file that holds one quantity in a representation."""
    return len(content_of(stored(table, {name: candidate})))


def series_of(
    table: Tabulation, name: str, wanted: str, *, slow: bool = False
) -> dict[str, Iterable[Candidate]]:
    """Return the series that are asked for, by name.

    Args:
        table: With the quantity.
        name: Of the quantity.
        wanted: Name of a series, or the smallest, which is all.
        slow: Whether all means also those that are trained step by step.

    Raises:
        InputError: The table does not allow it.
    """
    every = Candidates(table, name).series
    if wanted != SMALLEST and wanted not in every:
        raise InputError(
            f"representation is {wanted!r}; expected {SMALLEST!r}, or for this table one of "
            f"{', '.join(every)}"
        )
    left_out = () if slow else TRAINED
    return {
        k: make()
        for k, make in every.items()
        if wanted == k or (wanted == SMALLEST and k not in left_out)
    }


def _chosen(table: Tabulation, name: str, tolerance: float, wanted: str) -> Candidate:
    """Return the smallest candidate within the tolerance."""
    limit = max(tolerance, _own_error(table, name))
    best: Candidate | None = None
    nearest = np.inf
    for series in series_of(table, name, wanted).values():
        for candidate in series:
            error = candidate.entries
            if candidate.held_out > limit:
                error = max(error, candidate.held_out)
            if error > tolerance:
                nearest = min(nearest, error)
                continue
            if not _definite(table, name, candidate):
                continue
            if best is None or candidate.numbers < best.numbers:
                best = candidate
            break  # the next of a series is larger
    if best is None:
        best_seen = (
            f"{nearest:.2g} is the nearest" if nearest < np.inf else "none keeps it definite"
        )
        raise InputError(
            f"tolerance is {tolerance}, which no representation of {name} reaches ({best_seen}); "
            "expected a larger one, or a table with more entries"
        )
    return best


def _own_error(table: Tabulation, name: str) -> float:
    """Return the largest error of look-ups at the held-out points of the table as it is."""
    return table.errors.get(name, (0.0, 0.0))[1]


def _definite(table: Tabulation, name: str, candidate: Candidate) -> bool:
    if name != STIFFNESS.get(table.kinematics.measure) or candidate.kept.form == "definite":
        return True
    found, _ = candidate.kept.evaluate(table.computed(name)[0])
    return bool(np.linalg.eigvalsh(found).min(initial=1.0) > 0)


def efficient(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Return those that no other beats in both numbers and error, from the smallest on."""
    found: list[Candidate] = []
    for each in sorted(candidates, key=lambda one: (one.numbers, one.held_out)):
        if not found or each.held_out < found[-1].held_out:
            found.append(each)
    return found
