"""Series of interpolants on coarser grids."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import final

import numpy as np

from fesurrogate.hierarchical.axes import Axis
from fesurrogate.hierarchical.representations import Gridded
from fesurrogate.hierarchical.representations.forms import decode
from fesurrogate.hierarchical.representations.gridded import DEGREES
from fesurrogate.hierarchical.series.judge import FINEST, Candidate, Judge
from fesurrogate.hierarchical.tabulation import Kept, written
from fesurrogate.kinematics import Array


@final
class Grids:
    """Coarser grids of one quantity, filled from splines of the whole table.

    Args:
        judge: Of the quantity, of a table on a grid without entries that failed.
    """

    def __init__(self, judge: Judge) -> None:
        self.judge = judge

    @cached_property
    def _smooth(self) -> Kept:
        return self.judge.table.splined(self.judge.name)

    def refilled(self, counts: tuple[int, ...]) -> tuple[list[Axis], Array]:  # p, (N, ...)
        """Return evenly spaced axes with so many values, and entries from splines of the table."""
        axes = [
            Axis(axis.name, np.linspace(axis.values[0], axis.values[-1], count), axis.unit)
            for axis, count in zip(self.judge.table.axes, counts, strict=True)
        ]
        numbers = grid_of(self._smooth).on_grid(axes)
        entries = np.empty((len(numbers), 1, *self._smooth.shape))
        decode(self._smooth.form, numbers[:, None], entries)
        return axes, entries[:, 0]

    @cached_property
    def splines(self) -> list[Candidate]:
        """Return those of :meth:`coarser` that are smooth, which others are made of."""
        return list(self.coarser("spline"))

    def coarser(self, label: str) -> Iterator[Candidate]:
        """Give interpolants on coarser grids; at each step the axis is refined that pays most.

        They end where refining no longer helps: at what the table itself, or the noise of its
        meshes, is off.
        """
        judge, degree = self.judge, DEGREES[label]
        most = judge.table.shape
        start = tuple(min(degree + 1, count) for count in most)

        def made(counts: tuple[int, ...]) -> Candidate:
            axes, entries = self.refilled(counts)
            numbers, form = written(judge.name, entries, judge.table.kinematics, mean=degree == 1)
            table = Gridded.through(axes, numbers.reshape(*counts, -1), degree)
            return judge.judged(label, " x ".join(map(str, counts)), judge.kept(table, form))

        counts, now = start, made(start)
        errors = [now.mean_square]
        yield judge.measured(label, now.detail, now.kept)
        while now.held_out > FINEST and _falls(errors, 2 * len(counts)):
            further = [
                (made(finer), finer)
                for k in range(len(counts))
                if counts[k] < most[k]
                for finer in [(*counts[:k], counts[k] + 1, *counts[k + 1 :])]
            ]
            if not further:
                return
            current = now

            def gain(one: tuple[Candidate, tuple[int, ...]], now: Candidate = current) -> float:
                cost = np.log(one[0].numbers / now.numbers)
                return float(np.log(now.mean_square / max(one[0].mean_square, 1e-300)) / cost)

            now, counts = max(further, key=gain)
            errors.append(now.mean_square)
            yield judge.measured(label, now.detail, now.kept)


def grid_of(kept: Kept) -> Gridded:
    """Return the grid of splines."""
    assert isinstance(kept.representation, Gridded)
    return kept.representation


def _falls(errors: list[float], steps: int) -> bool:
    """Return whether an error has fallen by a tenth in so many steps."""
    return len(errors) <= steps or errors[-1] < 0.9 * errors[-1 - steps]
