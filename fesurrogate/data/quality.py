"""What is wrong with a dataset, point by point.

Checks compare a point with the others, so that no check needs to know the Material. What most of
the points share is taken for the Material's nature and said in the note, not held against them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from fesurrogate.data import energetics, outliers
from fesurrogate.data.dataset import Dataset
from fesurrogate.data.neighbours import Score, neighbours
from fesurrogate.kinematics import Array, BoolArray

DIGITS = 10
"""Digits, relative to the largest, to which strains and parameters of copies agree."""


@dataclass(frozen=True)
class Finding:
    """The points that one check finds fault with.

    Attributes:
        name: What they are.
        points: (N, T).
        note: How they were found, or why nothing was looked for.
        score: (N, T), larger where worse, NaN where there is none; or None.
        limit: Of the score.
        suspicious: Whether they must not be learned from unseen; what failed is flagged already.
    """

    name: str
    points: BoolArray
    note: str = ""
    score: Array | None = field(default=None, repr=False)
    limit: float = np.inf
    suspicious: bool = True

    @property
    def count(self) -> int:
        """Number of points."""
        return int(self.points.sum())


def examine(dataset: Dataset) -> tuple[Finding, ...]:
    """Return all findings, also those without any points.

    Note:
        Takes about a second for 10,000 points; a point is compared with at most 2,000 others.
    """
    sound = _sound(dataset)
    near = neighbours(dataset, sound) if dataset.increments == 1 else None
    return (
        Finding("failed", ~dataset.ok, "flagged by the source; not learned from", suspicious=False),
        Finding("unusable", dataset.ok & ~sound, _why_unusable(dataset)),
        Finding("duplicated", _copies(dataset), f"inputs of an earlier path to {DIGITS} digits"),
        _found("outlying", dataset, outliers.score(dataset, sound, near)),
        _found("asymmetric tangent", dataset, energetics.asymmetry(dataset, sound)),
        _found("not positive definite at rest", dataset, energetics.negative(dataset, sound)),
        _found("energy and stress at odds", dataset, energetics.mismatch(dataset, sound, near)),
    )


def suspicious_points(findings: tuple[Finding, ...], dataset: Dataset) -> BoolArray:  # (N, T)
    """Return the points that are not to be learned from unseen."""
    bad = np.zeros(dataset.ok.shape, dtype=bool)
    for finding in findings:
        if finding.suspicious:
            bad |= finding.points
    return bad & dataset.ok


def _found(name: str, dataset: Dataset, score: Score) -> Finding:
    values = np.full(dataset.ok.shape, np.nan) if score.values is None else score.values
    with np.errstate(invalid="ignore"):
        points = values > score.limit
    return Finding(name, points, score.note, score.values, score.limit)


def _sound(dataset: Dataset) -> BoolArray:  # (N, T)
    """Return the solved points whose numbers are numbers."""
    return dataset.ok & np.logical_and.reduce(list(_usable(dataset).values()))


def _usable(dataset: Dataset) -> dict[str, BoolArray]:  # each (N, T)
    """Return where each thing holds that must hold at a solved point, named by its breach."""
    n, increments = dataset.ok.shape
    arrays = {"strain": dataset.strain, "stress": dataset.stress, "tangent": dataset.tangent}
    held: dict[str, BoolArray] = {
        f"{name} is not finite": _finite(array.reshape(n, increments, -1))
        for name, array in {**arrays, "dt": dataset.dt}.items()
        if array is not None and array.size
    }
    assert dataset.parameters is not None
    finite = _finite(dataset.parameters)
    held["parameters are not finite"] = np.tile(finite[:, None], (1, increments))
    flat: Array = dataset.strain.reshape(-1, dataset.kinematics.size)
    flat = np.where(_finite(flat)[:, None], flat, dataset.kinematics.rest)
    held["det F <= 0"] = dataset.kinematics.admissible(flat).reshape(n, increments)
    return held


def _finite(array: Array) -> BoolArray:
    """Return which rows of the last axis hold finite numbers only."""
    return np.logical_and.reduce(np.isfinite(array), axis=-1)


def _why_unusable(dataset: Dataset) -> str:
    breaches = [why for why, held in _usable(dataset).items() if (dataset.ok & ~held).any()]
    return ", ".join(breaches) or "all numbers are finite, det F > 0"


def _copies(dataset: Dataset) -> BoolArray:  # (N, T)
    """Return all points of paths whose inputs are those of an earlier path."""
    n = len(dataset)
    inputs = [dataset.strain.reshape(n, -1) - np.tile(dataset.kinematics.rest, dataset.increments)]
    inputs += [array for array in (dataset.dt, dataset.parameters) if array is not None]
    rows = []
    for array in inputs:
        scale = np.nanmax(np.abs(array), initial=1e-300)
        rows.append(np.round(array / scale, DIGITS) + 0.0)  # no -0.0
    _, first = np.unique(np.concatenate(rows, axis=1), axis=0, return_index=True)
    copies = np.ones(n, dtype=bool)
    copies[first] = False
    return np.tile(copies[:, None], (1, dataset.increments))
