"""The response of a cell along a path of strains, with its history."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from fesurrogate.errors import InputError
from fesurrogate.kinematics import Array, Kinematics
from fesurrogate.material import Material


@dataclass(frozen=True)
class PathResponse:
    """What a Material answered, increment by increment.

    Attributes:
        strain: (T, m), as far as it was followed.
        stress: (T, m).
        report: Figures of each increment by name, (T,) or (T, ...).
        dt: Length of an increment.
        failed: Number of the increment, from 1, that could not be solved; None if all were.
    """

    strain: Array
    stress: Array
    report: dict[str, Array] = field(default_factory=dict)
    dt: float = 1.0
    failed: int | None = None


def check_path(path: Sequence[Sequence[float]], kinematics: Kinematics) -> None:
    """Refuse a path whose rows are no strains of the kinematics.

    Raises:
        InputError: A row has another number of components, or is not admissible.
    """
    what = {
        "small": "Mandel components of the strain",
        "finite": "components of F, row by row",
        "gradient": "components of the gradient",
    }[kinematics.measure]
    for k, row in enumerate(path):
        if len(row) != kinematics.size:
            raise InputError(
                f"homogenize.path[{k}] has {len(row)} numbers; expected {kinematics.size}: the "
                f"{what}"
            )
        if not kinematics.admissible(np.array([row], dtype=np.float64)).all():
            raise InputError(f"homogenize.path[{k}] is {list(row)}; expected det F > 0")


def follow(
    material: Material,
    path: Sequence[Sequence[float]],  # (T, m)
    dt: float,
    *,
    advance: Callable[[int], None] = lambda count: None,
) -> PathResponse:
    """Return the response along a path; it ends before an increment that cannot be solved.

    Args:
        material: Starts from its virgin state.
        path: Strains at the ends of the increments.
        dt: Length of each increment.
        advance: Called with 1 after each.
    """
    state, hint, answers = material.initial_state(1), None, []
    failed = None
    for k, row in enumerate(path):
        strain = np.array([row], dtype=np.float64)
        response = material.evaluate(strain, state, dt, hint=hint)
        if not response.ok[0]:
            failed = k + 1
            break
        material.accept(strain, response)
        state, hint = response.state, response.hint
        answers.append(response)
        advance(1)
    names = list(answers[0].report) if answers else []
    size = material.kinematics.size
    return PathResponse(
        np.array(path[: len(answers)], dtype=np.float64).reshape(-1, size),
        np.array([response.stress[0] for response in answers]).reshape(-1, size),
        {name: np.array([response.report[name][0] for response in answers]) for name in names},
        dt,
        failed,
    )
