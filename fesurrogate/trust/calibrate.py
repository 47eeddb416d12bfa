"""What measures of doubt say of points whose answer is known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fesurrogate.data.dataset import Dataset
from fesurrogate.errors import InputError
from fesurrogate.kinematics import Array
from fesurrogate.material import Material
from fesurrogate.trust.calibrated import CalibratedMeasure
from fesurrogate.trust.measures import Measure, inputs_of

FEWEST = 40
"""Points with which a calibration begins to say something of a risk of 5 %."""


def training_inputs(dataset: Dataset, most: int = 2000) -> Array:  # (k, q + p)
    """Return the inputs of the solved points of a dataset; ``most`` of them, evenly taken."""
    strain, parameters = _rows(dataset)
    solved = np.flatnonzero(dataset.ok.ravel())
    chosen = solved[np.unique(np.linspace(0, len(solved) - 1, min(most, len(solved))).astype(int))]
    return inputs_of(dataset.kinematics, strain[chosen], parameters[chosen])


def stress_scale(dataset: Dataset) -> float:
    """Return the root mean square of |stress| over the solved points."""
    return float(np.sqrt((dataset.stress[dataset.ok] ** 2).sum(axis=1).mean()))


def calibrate(
    surrogate: Material,
    measures: Sequence[Measure],
    dataset: Dataset,
    *,
    scale: float,
) -> tuple[CalibratedMeasure, ...]:
    """Return the measures with what they said of the solved points of a dataset.

    Args:
        surrogate: Evaluated along the paths.
        measures: What is calibrated.
        dataset: Points that training has not seen, inside the training envelope and outside it.
        scale: Root mean square of |stress| of the training data.

    Raises:
        InputError: Another kinematics or parameters, or too few solved points.
    """
    if dataset.kinematics != surrogate.kinematics or (
        dataset.parameter_names != surrogate.parameter_names
    ):
        raise InputError(
            f"the calibration's dataset is of {dataset.kinematics} with parameters "
            f"{list(dataset.parameter_names)}; the model is of {surrogate.kinematics} with "
            f"{list(surrogate.parameter_names)}"
        )
    if int(dataset.ok.sum()) < FEWEST:
        raise InputError(
            f"{int(dataset.ok.sum())} solved points to calibrate trust with; expected at least "
            f"{FEWEST}: give [calibration] more samples"
        )
    state = surrogate.initial_state(len(dataset))
    assert dataset.parameters is not None
    doubts: list[list[Array]] = [[] for _ in measures]
    errors = []
    for t in range(dataset.increments):
        times = np.ones(len(dataset)) if dataset.dt is None else dataset.dt[:, t]
        if len(np.unique(times)) > 1:
            raise InputError("a calibration takes paths of one time step for all")
        answer = surrogate.evaluate(
            dataset.strain[:, t], state, float(times[0]), parameters=dataset.parameters
        )
        state, ok = answer.state, dataset.ok[:, t]
        wrong = np.linalg.norm(answer.stress - dataset.stress[:, t], axis=1) / scale
        errors.append(np.where(answer.ok, wrong, np.inf)[ok])
        for kept, measure in zip(doubts, measures, strict=True):
            kept.append(measure.doubt(dataset.strain[:, t], dataset.parameters, answer)[ok])
    error = np.concatenate(errors)
    return tuple(
        CalibratedMeasure(measure, np.concatenate(kept), error)
        for measure, kept in zip(measures, doubts, strict=True)
    )


def _rows(dataset: Dataset) -> tuple[Array, Array]:  # (N T, m), (N T, p)
    strain = dataset.strain.reshape(-1, dataset.kinematics.size)
    assert dataset.parameters is not None
    return strain, np.repeat(dataset.parameters, dataset.increments, axis=0)
