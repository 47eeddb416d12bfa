"""What has been learned from: a dataset of single points, some of them held out for ever."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fesurrogate.data.dataset import Dataset
from fesurrogate.errors import InputError
from fesurrogate.kinematics import Array, BoolArray, Kinematics
from fesurrogate.learning.choice import farthest
from fesurrogate.trust.calibrate import FEWEST
from fesurrogate.trust.measures import inputs_of

HELD_OUT = "held_out"
"""Report of a sample: 1 where no model is fitted to it."""

EVERY = 3
"""One sample in so many, in the order in which they come, is held out."""

ENERGY = "energy"


def no_samples(kinematics: Kinematics, parameter_names: tuple[str, ...]) -> Dataset:
    """Return a dataset without any."""
    m = kinematics.size
    return samples_of(
        kinematics, parameter_names,
        strain=np.zeros((0, m)), stress=np.zeros((0, m)), tangent=np.zeros((0, m, m)),
        parameters=np.zeros((0, len(parameter_names))), energy=np.zeros(0),
    )  # fmt: skip


def samples_of(
    kinematics: Kinematics,
    parameter_names: tuple[str, ...],
    *,
    strain: Array,  # (N, m)
    stress: Array,  # (N, m)
    tangent: Array,  # (N, m, m)
    parameters: Array,  # (N, p)
    energy: Array,  # (N,), NaN where it is not known
    first: int = 0,
) -> Dataset:
    """Return solved points as samples.

    Args:
        kinematics: The strain measure.
        parameter_names: Of the p parameters.
        strain: Of the points.
        stress: Of the points.
        tangent: Of the points.
        parameters: Of the points.
        energy: Of the points; left out where it is not known of all.
        first: How many samples came before: that says which are held out.
    """
    n = len(strain)
    held = ((np.arange(n) + first) % EVERY == EVERY - 1).astype(np.float64)
    reports = {HELD_OUT: held[:, None]}
    if np.isfinite(energy).all():
        reports[ENERGY] = energy[:, None]
    return Dataset(
        kinematics, strain[:, None], stress[:, None], tangent[:, None], np.ones((n, 1), dtype=bool),
        None, parameters, parameter_names, reports,
    )  # fmt: skip


def joined(one: Dataset, other: Dataset) -> Dataset:
    """Return the samples of both, in this order; reports that both have."""
    if not len(one):
        return other
    names = ("strain", "stress", "tangent", "ok", "parameters")
    arrays = {name: np.concatenate([getattr(one, name), getattr(other, name)]) for name in names}
    reports = {
        name: np.concatenate([one.reports[name], other.reports[name]])
        for name in one.reports
        if name in other.reports
    }
    return replace(one, **arrays, reports=reports)


def held_out(samples: Dataset) -> BoolArray:  # (N,)
    """Return which samples are held out."""
    return np.asarray(samples.reports[HELD_OUT][:, 0] > 0.5, dtype=np.bool_)


def enough(samples: Dataset) -> bool:
    """Return whether as many samples are held out as a calibration of trust needs."""
    return int(held_out(samples).sum()) >= FEWEST


def inputs(samples: Dataset) -> Array:  # (N, c)
    """Return what a model sees of samples."""
    assert samples.parameters is not None
    return inputs_of(samples.kinematics, samples.strain[:, 0], samples.parameters)


def started_from(
    dataset: Dataset, kinematics: Kinematics, parameter_names: tuple[str, ...], most: int
) -> Dataset:
    """Return the solved points of any dataset as samples: of a run that has learned, or generated.

    Which samples are held out is kept where the dataset says so, else chosen. Of more points than
    wanted those are taken that are spread most.

    Args:
        dataset: Of a Material without history, with tangents.
        kinematics: Of the problem.
        parameter_names: Of the problem.
        most: How many are wanted.

    Raises:
        InputError: It is of another problem, or lacks tangents.
    """
    if dataset.kinematics != kinematics or dataset.parameter_names != parameter_names:
        raise InputError(
            f"the dataset is of {dataset.kinematics} with parameters "
            f"{list(dataset.parameter_names)}; expected {kinematics} with {list(parameter_names)}"
        )
    if dataset.tangent is None:
        raise InputError("the dataset holds no tangents; generate it with tangents = true")
    assert dataset.parameters is not None
    ok, paths = dataset.ok, np.nonzero(dataset.ok)[0]
    energy = dataset.reports.get(ENERGY, np.full(ok.shape, np.nan))
    whole = samples_of(
        kinematics, parameter_names,
        strain=dataset.strain[ok], stress=dataset.stress[ok], tangent=dataset.tangent[ok],
        parameters=dataset.parameters[paths], energy=energy[ok],
    )  # fmt: skip
    marks = dataset.reports.get(HELD_OUT)
    if marks is None or len(whole) > most:
        rows = farthest(inputs(whole), inputs(whole)[:0], most)
        fresh = whole.take(rows)
        held = whole.reports[HELD_OUT][: len(rows)]  # by the order in which they were chosen
        return replace(fresh, reports={**fresh.reports, HELD_OUT: held})
    return replace(whole, reports={**whole.reports, HELD_OUT: marks[ok][:, None]})
