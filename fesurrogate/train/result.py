"""What training gives, and the parts of a dataset that it is given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fesurrogate.data.dataset import Dataset
from fesurrogate.surrogate.network import Network
from fesurrogate.train.errors import Errors


@dataclass(frozen=True)
class FitResult:
    """A fitted network and how good it is.

    Attributes:
        network: The network of the check that was best on the held-out paths.
        errors: On half of the held-out paths, which training has not seen in any way; the other
            half chose the moment to stop. (One held-out path alone does both.)
        history: Per check: ``iteration`` or ``degree``, ``loss``, ``stress`` and ``tangent`` error
            held out.
        seconds: Time of the training.
        calibrated: Of an ensemble, whether its standard deviation was calibrated on points that
            training has not seen; None of other models.
    """

    network: Network
    errors: Errors
    history: Mapping[str, list[float]]
    seconds: float
    calibrated: bool | None = None


@dataclass(frozen=True)
class Parts:
    """Whole paths: to train on, to choose the moment to stop, to judge the fitted network."""

    training: Dataset
    choosing: Dataset
    judging: Dataset


def parts_of(dataset: Dataset, validation: float, *, seed: int) -> Parts:
    """Split a dataset.

    Args:
        dataset: The data.
        validation: Fraction of the paths held out, half of them to judge.
        seed: Seed of the draw.

    Raises:
        InputError: One of the parts would be empty.
    """
    training, held_out = dataset.split(validation, seed=seed)
    if len(held_out) == 1:
        return Parts(training, held_out, held_out)
    return Parts(training, *held_out.split(0.5, seed=seed))
