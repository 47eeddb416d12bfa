"""A model on disk: one safetensors file, whose header holds the card as JSON.

One file is replaced in one step, so that weights and card never come apart. Loading reads
numbers and JSON and executes nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from fesurrogate.errors import InputError, MissingPackageError
from fesurrogate.kinematics import Kinematics
from fesurrogate.surrogate.architectures import describe, empty_network
from fesurrogate.surrogate.material import NetworkMaterial
from fesurrogate.surrogate.network import Network

FORMAT = "fesurrogate model 1"
TRUST = "trust/"
TRAIN = "train one with: fesurrogate train CONFIG"


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
    library = _safetensors()
    target = Path(path)
    arrays = {name: _plain(value) for name, value in network.state_dict().items()}
    for name, array in (trust or {}).items():
        arrays[TRUST + name] = np.ascontiguousarray(array, dtype=np.float64)
    facts = {
        **(card or {}),
        "format": FORMAT,
        **describe(network),
        "versions": {
            "python": platform.python_version(), "numpy": np.__version__,
            "torch": str(torch.__version__),
        },
    }  # fmt: skip
    facts = json.loads(json.dumps(facts, default=str))
    facts["checksum"] = _checksum(facts, arrays)
    content = library.save(arrays, metadata={"card": json.dumps(facts)})
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def load_model(path: str | os.PathLike[str]) -> tuple[Network, dict[str, Any]]:
    """Read a model and check it.

    Returns:
        The network in float64 and its card.

    Raises:
        InputError: The model is missing, damaged, or of an unknown format or shape.
        MissingPackageError: safetensors is not installed.
    """
    arrays, card = _read(path)
    try:
        network = empty_network(card)
        tensors = {
            name: torch.from_numpy(array.copy())
            for name, array in arrays.items()
            if not name.startswith(TRUST)
        }
        if not all(bool(torch.isfinite(tensor).all()) for tensor in tensors.values()):
            raise InputError("weights that are not finite")
        network.load_state_dict(tensors)
    except Exception as error:  # whatever a hostile file makes the readers raise
        raise InputError(
            f"model {path}: the weights do not fit the card ({_first_line(error)}); {TRAIN}"
        ) from error
    return network, card


def load_trust(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Return the arrays that :func:`save_model` was given as ``trust``; none if it was not.

    Raises:
        InputError: As :func:`load_model`.
        MissingPackageError: safetensors is not installed.
    """
    arrays, _ = _read(path)
    return {
        name.removeprefix(TRUST): array for name, array in arrays.items() if name.startswith(TRUST)
    }


def _read(path: str | os.PathLike[str]) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return the arrays and the card of a model that is whole."""
    library = _safetensors()
    if not Path(path).is_file():
        raise InputError(f"model {path} does not exist; {TRAIN}")
    try:
        content = Path(path).read_bytes()
        arrays = library.load(content)
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        card = json.loads(header["__metadata__"]["card"])
        found = card["format"]
    except Exception as error:  # as above
        raise InputError(
            f"model {path} cannot be read ({_first_line(error)}); it is no model or was cut "
            f"short; {TRAIN}"
        ) from error
    if found != FORMAT:
        raise InputError(f"model {path} says format {found!r}; expected {FORMAT!r}; {TRAIN}")
    if card.get("checksum") != _checksum(card, arrays):
        raise InputError(f"model {path} is damaged or edited (checksum differs); {TRAIN}")
    return arrays, card


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


def _plain(tensor: torch.Tensor) -> np.ndarray:
    return np.ascontiguousarray(tensor.detach().cpu().to(torch.float64).numpy())


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _checksum(card: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> str:
    content = {key: value for key, value in card.items() if key != "checksum"}
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode())
    for name in sorted(arrays):
        digest.update(f"{name}{arrays[name].dtype}{arrays[name].shape}".encode())
        digest.update(arrays[name].tobytes())
    return digest.hexdigest()


def _safetensors() -> Any:
    try:
        import safetensors.numpy
    except ImportError as error:
        raise MissingPackageError(
            "reading and writing models needs safetensors; install it with: "
            "pip install fesurrogate[train]"
        ) from error
    return safetensors.numpy
