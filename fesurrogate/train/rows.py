"""The points of a dataset that can be learned from, as tensors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from fesurrogate.data.dataset import Dataset
from fesurrogate.errors import InputError


@dataclass(frozen=True)
class Rows:
    """Points that were solved.

    Attributes:
        strain: (k, m).
        stress: (k, m).
        tangent: (k, m, m), or None where the data hold none.
        energy: (k,), or None where the data hold none.
        parameters: (k, p).
        weight: (k,), of squared errors, or None where it is 1.
    """

    strain: Tensor
    stress: Tensor
    tangent: Tensor | None
    energy: Tensor | None
    parameters: Tensor
    weight: Tensor | None = None

    def weighted(
        self,
        array: Tensor,  # (k, ...)
    ) -> Tensor:  # (k, ...)
        """Return an array whose squares have the weights of the rows."""
        if self.weight is None:
            return array
        return self.weight.sqrt().reshape(-1, *(1,) * (array.ndim - 1)) * array

    def part(self, rows: slice) -> Rows:
        """Return some of the rows."""
        return Rows(**{k: None if t is None else t[rows] for k, t in vars(self).items()})


def solved_rows(dataset: Dataset) -> Rows:
    """Return the points that did not fail, all increments of all paths.

    Raises:
        InputError: Points that claim to be solved hold numbers that are not finite or strains
            that are not admissible; or none was solved.
    """
    ok = dataset.ok
    if not ok.any():
        raise InputError(f"all {ok.size} points of the dataset failed; there is nothing to learn")
    assert dataset.parameters is not None
    paths, increments = ok.shape
    arrays = {
        "strain": dataset.strain,
        "stress": dataset.stress,
        "tangent": dataset.tangent,
        "energy": dataset.reports.get("energy"),
        "parameters": np.broadcast_to(
            dataset.parameters[:, None], (paths, increments, dataset.parameters.shape[1])
        ),
        "weight": dataset.weight,
    }
    chosen = {name: None if a is None else np.array(a[ok]) for name, a in arrays.items()}
    for name, array in chosen.items():
        if array is not None and not np.isfinite(array).all():
            bad = int((~np.isfinite(array)).reshape(len(array), -1).any(axis=1).sum())
            raise InputError(
                f"dataset: {name} is not finite at {bad} of {len(array)} points marked as solved; "
                "generate it again, or mark them as failed"
            )
    assert chosen["strain"] is not None
    refused = int((~dataset.kinematics.admissible(chosen["strain"])).sum())
    if refused:
        raise InputError(f"dataset: det F <= 0 at {refused} points marked as solved")
    tensors = {name: None if a is None else torch.from_numpy(a) for name, a in chosen.items()}
    return Rows(**tensors)
