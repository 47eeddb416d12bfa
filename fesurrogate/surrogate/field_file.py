"""A field network on disk, and what evaluates it on the image of a cell."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from fesurrogate.errors import InputError
from fesurrogate.kinematics import Array
from fesurrogate.surrogate.field_operator import FieldOperator
from fesurrogate.surrogate.threads import torch_threads
from fesurrogate.surrogate.weights_file import (
    TRAIN,
    finite_tensors,
    first_line,
    plain,
    read_weights,
    write_weights,
)

FORMAT = "fesurrogate field operator 1"
CHUNK = 16
"""Points that are evaluated at once: their channels stay in the cache."""


def save_field(
    path: str | os.PathLike[str], operator: FieldOperator, card: Mapping[str, Any]
) -> None:
    """Write a field operator.

    Args:
        path: The file.
        operator: What is stored.
        card: JSON-like facts to keep; format, architecture, versions and checksum are added.

    Raises:
        MissingPackageError: safetensors is not installed.
    """
    arrays = {name: plain(value) for name, value in operator.state_dict().items()}
    write_weights(path, arrays, {**card, "format": FORMAT, "architecture": operator.architecture()})


def load_field(path: str | os.PathLike[str]) -> tuple[FieldOperator, dict[str, Any]]:
    """Read a field operator and its card.

    Raises:
        InputError: It is missing, damaged, or of an unknown format or shape.
        MissingPackageError: safetensors is not installed.
    """
    arrays, card = read_weights(path, FORMAT)
    try:
        operator = FieldOperator.from_architecture(card["architecture"])
        operator.load_state_dict(finite_tensors(arrays))
    except Exception as error:  # whatever a hostile file makes the readers raise
        raise InputError(
            f"model {path}: the weights do not fit the card ({first_line(error)}); {TRAIN}"
        ) from error
    return operator, card


def field_of(
    operator: FieldOperator,
    image: Array,  # (P, *grid)
    *,
    threads: int | None = None,
) -> Callable[[Array], Array]:  # (n, i) -> (n, c, points)
    """Return what evaluates an operator on an image, on the CPU in single precision.

    Args:
        operator: Is not changed.
        image: Of the cell.
        threads: torch threads while evaluating; None leaves them alone.
    """
    single = FieldOperator.from_architecture(operator.architecture())
    single.load_state_dict(operator.state_dict())
    single.float().requires_grad_(False)
    shares = torch.from_numpy(image).float()

    def evaluate(inputs: Array) -> Array:
        with torch_threads(threads):
            asked = torch.from_numpy(np.ascontiguousarray(inputs)).float()
            parts = [single(shares, asked[k : k + CHUNK]) for k in range(0, len(asked), CHUNK)]
            return torch.cat(parts).flatten(2).double().numpy()

    return evaluate
