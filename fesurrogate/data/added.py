"""Points that were added to a dataset beside those that its settings draw.

A dataset is one row of numbered paths. Batches of added points stand in it where they were added;
the other numbers are those of the drawn paths, in their order. The manifest keeps the batches, and
says so before the first of their points is computed: a run that is killed is taken up as it was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from fesurrogate.data.dataset import Dataset
from fesurrogate.data.manifest import Manifest
from fesurrogate.data.plan import Loading, Paths
from fesurrogate.errors import InputError
from fesurrogate.kinematics import Array, BoolArray


@dataclass(frozen=True)
class Batch:
    """Points that a model asked for.

    Attributes:
        key: Hash of the model's file and of how the points were chosen.
        first: Number of its first path in the dataset.
        strain: (k, m).
        parameters: (k, p).
        foreseen: (k, m), the stress that the model, which had not seen them, gave; NaN where none.
        doubt: (k,), of the model, as a stress over the root mean square in the dataset; novelty
            where the model reports no deviation; NaN where it had no answer.
        measure: Which of both, ``deviation`` or ``novelty``.
    """

    key: str
    first: int
    strain: Array
    parameters: Array
    foreseen: Array
    doubt: Array
    measure: str

    def __len__(self) -> int:
        """Return the number of points k."""
        return len(self.strain)

    def described(self) -> dict[str, Any]:
        """Return what JSON can say, from which :func:`batches_of` makes the same bits again."""
        arrays = ("strain", "parameters", "foreseen", "doubt")
        numbers = {}
        for name in arrays:
            array = getattr(self, name).astype(object)
            array[~np.isfinite(getattr(self, name))] = None
            numbers[name] = array.tolist()
        return {"key": self.key, "first": self.first, "measure": self.measure, **numbers}

    def error(self, dataset: Dataset, scale: float) -> float:
        """Return the error of the model at its points: it had not seen them.

        Args:
            dataset: The one that the points were added to.
            scale: Root mean square of |stress|.

        Returns:
            The root mean square of |Δstress| over the scale; inf where the model gave no stress,
            or no point was solved.
        """
        rows = slice(self.first, self.first + len(self))
        solved = dataset.ok[rows, 0]
        squared = ((self.foreseen - dataset.stress[rows, 0])[solved] ** 2).sum(axis=1)
        if not len(squared) or not np.isfinite(squared).all():
            return np.inf
        return float(np.sqrt(squared.mean()) / scale)


def batches_of(head: Manifest) -> tuple[Batch, ...]:
    """Return the batches of a dataset, in the order of their numbers.

    Raises:
        InputError: What the manifest says of them cannot be.
    """
    size, names = head.kinematics.size, head.parameter_names
    try:
        found = tuple(_batch(entry, size, len(names)) for entry in head.added)
        ends = [0, *(batch.first + len(batch) for batch in found)]
        if any(batch.first < end for batch, end in zip(found, ends, strict=False)):
            raise ValueError("batches that overlap")
        if ends[-1] > head.paths:
            raise ValueError("batches beyond its paths")
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"the manifest's list of added points cannot be used ({error}); begin anew with --fresh"
        ) from error
    return found


def _batch(entry: Mapping[str, Any], m: int, p: int) -> Batch:
    k = len(entry["strain"])
    shapes = {"strain": (k, m), "parameters": (k, p), "foreseen": (k, m), "doubt": (k,)}
    arrays = {
        name: np.array(entry[name], dtype=np.float64).reshape(shape)
        for name, shape in shapes.items()
    }
    if not all(np.isfinite(arrays[name]).all() for name in ("strain", "parameters")) or not k:
        raise ValueError("points that are not finite, or none")
    return Batch(str(entry["key"]), int(entry["first"]), measure=str(entry["measure"]), **arrays)


@final
class Extended:
    """A plan with batches of added points between its paths.

    Args:
        plan: The drawn paths, of one increment each.
        batches: In the order of their numbers.
    """

    increments = 1

    def __init__(self, plan: Loading, batches: Sequence[Batch]) -> None:
        self.timed = plan.timed
        self.samples = plan.samples + sum(len(batch) for batch in batches)
        self._plan = plan
        rows = np.full(self.samples, -1)  # of the added points, -1 of a drawn path
        begin = 0
        for batch in batches:
            rows[batch.first : batch.first + len(batch)] = np.arange(begin, begin + len(batch))
            begin += len(batch)
        self._rows = rows
        self._drawn = np.cumsum(rows < 0) - 1  # (N,), number in the plan of a drawn path
        self._strain = np.concatenate([batch.strain for batch in batches])
        self._parameters = np.concatenate([batch.parameters for batch in batches])

    def strain(self, paths: Paths) -> Array:
        """Return (k, 1, m)."""
        drawn = self._plan.strain(self._drawn[paths].clip(0))
        return np.where(
            self._added(paths)[:, None, None], self._strain[self._rows[paths], None], drawn
        )

    def dt(self, paths: Paths) -> Array:
        """Return (k, 1)."""
        return self._plan.dt(np.where(self._added(paths), paths, self._drawn[paths]))

    def parameters(self, paths: Paths) -> Array:
        """Return (k, p)."""
        drawn = self._plan.parameters(self._drawn[paths].clip(0))
        return np.where(self._added(paths)[:, None], self._parameters[self._rows[paths]], drawn)

    def _added(self, paths: Paths) -> BoolArray:
        return self._rows[paths] >= 0
