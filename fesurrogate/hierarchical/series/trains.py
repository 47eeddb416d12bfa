"""Series of tensor trains."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from fesurrogate.hierarchical.representations import Train
from fesurrogate.hierarchical.series.grids import Grids, grid_of
from fesurrogate.hierarchical.series.judge import FINEST, Candidate, Judge
from fesurrogate.hierarchical.tabulation import written
from fesurrogate.hierarchical.tensor_train import pruned
from fesurrogate.kinematics import Array


def trains(judge: Judge) -> Iterator[Candidate]:
    """Give tensor trains of the whole table, multilinear between its entries."""
    table, shape = judge.table, judge.table.shape
    numbers, form = written(judge.name, judge.entries, table.kinematics, mean=True)
    mean = numbers.mean(axis=0)
    whole = np.tile(mean, (table.ok.size, 1))
    whole[table.ok.reshape(-1)] = numbers  # and the mean where there is no entry
    array = whole.reshape(*shape, -1)
    size = judge.scale(array)
    for tolerance in 10.0 ** -np.arange(0.5, 4.1, 0.25):
        cores = pruned(array, tolerance, size)
        kept = judge.kept(Train(table.axes, cores, 1), form)
        yield judge.measured("tensor_train", _ranks(cores), kept)


def spline_trains(grids: Grids) -> Iterator[Candidate]:
    """Give tensor trains of the coefficients of splines on coarser grids."""
    judge = grids.judge
    for spline in grids.splines:
        table = grid_of(spline.kept)
        array, limit = table.coefficients, max(spline.held_out, FINEST)
        cores = pruned(array, 0.5 * limit, judge.scale(array))
        kept = judge.kept(Train(table.axes, cores, table.degree), spline.kept.form)
        yield judge.measured("spline_train", f"{spline.detail}, {_ranks(cores)}", kept)


def _ranks(cores: Sequence[Array]) -> str:
    return f"ranks {', '.join(str(core.shape[2]) for core in cores[:-1])}"
