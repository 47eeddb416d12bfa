"""What stands in a guard before anything is learned: a surrogate that nobody trusts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import numpy as np

from fesurrogate.combine import Guarded
from fesurrogate.config.train import TrainSettings
from fesurrogate.errors import InputError
from fesurrogate.kinematics import Array, Kinematics
from fesurrogate.material import Material, Response, masked
from fesurrogate.trust import FixedMeasure, Measure, Trust, Violation


@final
class Untaught(Material):
    """No stress at any admissible strain: an answer to be thrown away.

    Args:
        kinematics: The strain measure.
        parameter_names: Of the Material that it will learn from.
    """

    def __init__(self, kinematics: Kinematics, parameter_names: Sequence[str] = ()) -> None:
        self.kinematics, self.parameter_names = kinematics, tuple(parameter_names)

    def respond(
        self,
        strain: Array,  # (n, m)
        state: Array,  # (n, 0)
        dt: float,
        *,
        parameters: Array,  # (n, p)
        hint: Array,  # (n, 0)
        tangent: bool,
        sensitivity: bool,
    ) -> Response:
        """Return zeros; rows that are not admissible fail."""
        n, m = strain.shape
        ok = self.kinematics.admissible(strain) & np.isfinite(parameters).all(axis=1)
        answer = Response(
            np.zeros((n, m)),
            np.zeros((n, m, m)) if tangent else None,
            state.copy(),
            hint.copy(),
            np.ones(n, dtype=bool),
            np.zeros((n, m, parameters.shape[1])) if sensitivity else None,
        )
        return masked(answer, ok)


@final
class Unknown(Measure):
    """Doubts everything.

    Args:
        name: Of the measure that will take its place.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def doubt(self, strain: Array, parameters: Array, response: Response) -> Array:
        """Return inf."""
        return np.full(len(strain), np.inf)


def calibrated(train: TrainSettings) -> tuple[str, ...]:
    """Return the measures for which what is fitted in a run is calibrated, the best first."""
    deviates = train.ensemble > 1 or train.model == "gaussian_process"
    return ("deviation", "novelty") if deviates else ("novelty",)


def untaught(
    reference: Material,
    train: TrainSettings,
    *,
    tolerance: float,
    measures: Sequence[str] | None = None,
) -> Guarded:
    """Return a guard that asks the reference everywhere, for a Learning Material to begin with.

    Args:
        reference: The exact Material, without history.
        train: What will be fitted.
        tolerance: Of the trust: |Δstress| over the root mean square of |stress| of the samples.
        measures: Of doubt; ``deviation`` where the model will report one, else ``novelty`` if None.

    Raises:
        InputError: A measure that the model will not have, or a reference with history.
    """
    if reference.num_state:
        raise InputError(
            "learning: the reference has history, and a sample is a strain path; take "
            "LearningPaths for it"
        )
    known = calibrated(train)
    names = tuple(measures or known[:1])
    if not set(names) <= {"deviation", "novelty"}:
        raise InputError(
            f"measures are {list(names)}; what is learned in the run is judged by 'deviation', "
            "'novelty' or both"
        )
    if not set(names) <= set(known):
        raise InputError(
            f"measures are {list(names)}, but a single model {train.model!r} has no deviation; "
            "give train.ensemble = 4, say, or the measure 'novelty'"
        )
    kinematics = reference.kinematics
    unknown = [FixedMeasure(Unknown(name)) for name in names]
    physics = FixedMeasure(Violation(kinematics, 1.0))
    surrogate = Untaught(kinematics, reference.parameter_names)
    return Guarded(surrogate, reference, Trust([*unknown, physics], tolerance))
