"""A model on disk: weights of a network, what was measured of its trust, and a card."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from fesurrogate.errors import InputError
from fesurrogate.kinematics import Kinematics
from fesurrogate.surrogate.architectures import describe, empty_network
from fesurrogate.surrogate.material import NetworkMaterial
from fesurrogate.surrogate.network import Network
from fesurrogate.surrogate.weights_file import (
    TRAIN,
    finite_tensors,
    first_line,
    plain,
    read_weights,
    write_weights,
)

FORMAT = "fesurrogate model 1"
TRUST = "trust/"


def save_model(
    path: str | os.PathLike[str],
    network: Network,
    card: Mapping[str, Any] | None = None,
    *,
    trust: Mapping[str, np.ndarray] | None = None,
) -> None:
    """Write a model, first under a temporary name, so that no half file ever counts.

    Args:
        path: The file, ``*.safetensors`` by custom.
        network: What is stored.
        card: JSON-like facts to keep: units, envelope, errors on unseen data, fingerprint of the
            dataset, licence. Kinematics, architecture, versions and checksum are added.
        trust: What was measured of when to believe it (:mod:`fesurrogate.trust.record`).

    Raises:
        MissingPackageError: safetensors is not installed.
    """
    arrays = {name: plain(value) for name, value in network.state_dict().items()}
    for name, array in (trust or {}).items():
        arrays[TRUST + name] = np.ascontiguousarray(array, dtype=np.float64)
    write_weights(path, arrays, {**(card or {}), "format": FORMAT, **describe(network)})


def load_model(path: str | os.PathLike[str]) -> tuple[Network, dict[str, Any]]:
    """Read a model and check it.

    Returns:
        The network in float64 and its card.

    Raises:
        InputError: The model is missing, damaged, or of an unknown format or shape.
        MissingPackageError: safetensors is not installed.
    """
    arrays, card = read_weights(path, FORMAT)
    weights = {name: array for name, array in arrays.items() if not name.startswith(TRUST)}
    try:
        network = empty_network(card)
        network.load_state_dict(finite_tensors(weights))
    except Exception as error:  # whatever a hostile file makes the readers raise
        raise InputError(
            f"model {path}: the weights do not fit the card ({first_line(error)}); {TRAIN}"
        ) from error
    return network, card


def load_trust(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Return the arrays that :func:`save_model` was given as ``trust``; none if it was not.

    Raises:
        InputError: As :func:`load_model`.
        MissingPackageError: safetensors is not installed.
    """
    arrays, _ = read_weights(path, FORMAT)
    return {
        name.removeprefix(TRUST): array for name, array in arrays.items() if name.startswith(TRUST)
    }


def load_network_material(
    path: str | os.PathLike[str],
    kinematics: Kinematics | None = None,
    *,
    dtype: Literal["float64", "float32"] = "float64",
    device: str = "cpu",
    threads: int | None = None,
) -> NetworkMaterial:
    """Read a model as a Material.

    Args:
        path: The file.
        kinematics: What the problem needs; None takes what the model was trained under.
        dtype: See :class:`NetworkMaterial`.
        device: A torch device.
        threads: torch threads while evaluating; None leaves them alone.

    Raises:
        InputError: As :func:`load_model`; or the model was trained under another Kinematics.
    """
    network, _ = load_model(path)
    if kinematics is not None and network.kinematics != kinematics:
        raise InputError(
            f"model {path} was trained under another Kinematics: {network.kinematics}; "
            f"this problem needs {kinematics}; {TRAIN}"
        )
    return NetworkMaterial(network, dtype=dtype, device=device, threads=threads)
