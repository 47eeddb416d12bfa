"""What measures of doubt say of points whose answer is known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fesurrogate.data.dataset import Dataset
from fesurrogate.errors import InputError
from fesurrogate.kinematics import Array, BoolArray
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
    doubts, error = doubts_and_errors(surrogate, measures, dataset, scale=scale)
    return tuple(
        CalibratedMeasure(measure, doubt, error)
        for measure, doubt in zip(measures, doubts, strict=True)
    )


def doubts_and_errors(
    surrogate: Material,
    measures: Sequence[Measure],
    dataset: Dataset,
    *,
    scale: float,
    points: BoolArray | None = None,  # (N, T)
    tangent: bool = True,
) -> tuple[list[Array], Array]:  # (k,) of each measure, (k,)
    """Return what measures say of the solved points of paths, and |Δstress| over the scale there.

    Args:
        surrogate: Evaluated along the paths.
        measures: Of doubt.
        dataset: Paths with the reference's answers.
        scale: A stress.
        points: Of which, if not all.
        tangent: Whether a measure asks for it.

    Raises:
        InputError: Paths of more than one time step.
    """
    state = surrogate.initial_state(len(dataset))
    assert dataset.parameters is not None
    doubts: list[list[Array]] = [[] for _ in measures]
    errors = []
    for t in range(dataset.increments):
        times = np.ones(len(dataset)) if dataset.dt is None else dataset.dt[:, t]
        if len(np.unique(times)) > 1:
            raise InputError("a calibration takes paths of one time step for all")
        answer = surrogate.evaluate(
            dataset.strain[:, t], state, float(times[0]) if len(times) else 1.0,
            parameters=dataset.parameters, tangent=tangent,
        )  # fmt: skip
        state, ok = answer.state, dataset.ok[:, t]
        ok = ok if points is None else ok & points[:, t]
        wrong = np.linalg.norm(answer.stress - dataset.stress[:, t], axis=1) / scale
        errors.append(np.where(answer.ok, wrong, np.inf)[ok])
        for kept, measure in zip(doubts, measures, strict=True):
            kept.append(measure.doubt(dataset.strain[:, t], dataset.parameters, answer)[ok])
    return [np.concatenate(kept) for kept in doubts], np.concatenate(errors)


def _rows(dataset: Dataset) -> tuple[Array, Array]:  # (N T, m), (N T, p)
    strain = dataset.strain.reshape(-1, dataset.kinematics.size)
    assert dataset.parameters is not None
    return strain, np.repeat(dataset.parameters, dataset.increments, axis=0)
