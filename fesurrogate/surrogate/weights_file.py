"""Weights on disk: one safetensors file, whose header holds a card as JSON.

One file is replaced in one step, so that weights and card never come apart. Loading reads
numbers and JSON and executes nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fesurrogate.errors import InputError, MissingPackageError
from fesurrogate.whole_file import write_whole

TRAIN = "train one with: fesurrogate train CONFIG"


def write_weights(
    path: str | os.PathLike[str],
    arrays: Mapping[str, np.ndarray],
    card: Mapping[str, Any],
) -> None:
    """Write weights, first under a temporary name, so that no half file ever counts.

    Args:
        path: The file.
        arrays: The weights by name.
        card: JSON-like facts, ``format`` among them; versions and checksum are added.

    Raises:
        MissingPackageError: safetensors is not installed.
    """
    library = _safetensors()
    target = Path(path)
    facts = {
        **card,
        "versions": {
            "python": platform.python_version(), "numpy": np.__version__,
            "torch": str(torch.__version__),
        },
    }  # fmt: skip
    facts = json.loads(json.dumps(facts, default=str))
    facts["checksum"] = checksum(facts, arrays)
    content = library.save(dict(arrays), metadata={"card": json.dumps(facts)})
    target.parent.mkdir(parents=True, exist_ok=True)
    write_whole(target, content)


def read_weights(
    path: str | os.PathLike[str], form: str
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return the weights and the card of a file that is whole.

    Args:
        path: The file.
        form: The ``format`` that its card must say.

    Raises:
        InputError: It is missing, damaged, or says another format.
        MissingPackageError: safetensors is not installed.
    """
    library = _safetensors()
    if not Path(path).is_file():
        raise InputError(f"model {path} does not exist; {TRAIN}")
    try:
        content = Path(path).read_bytes()
        arrays = library.load(content)
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        card = json.loads(header["__metadata__"]["card"])
        found = card["format"]
    except Exception as error:  # whatever a hostile file makes the readers raise
        raise InputError(
            f"model {path} cannot be read ({first_line(error)}); it is no model or was cut "
            f"short; {TRAIN}"
        ) from error
    if found != form:
        raise InputError(f"model {path} says format {found!r}; expected {form!r}; {TRAIN}")
    if card.get("checksum") != checksum(card, arrays):
        raise InputError(f"model {path} is damaged or edited (checksum differs); {TRAIN}")
    return arrays, card


def plain(tensor: torch.Tensor) -> np.ndarray:
    """Return a tensor as it is stored: in double precision."""
    return np.ascontiguousarray(tensor.detach().cpu().to(torch.float64).numpy())


def finite_tensors(arrays: Mapping[str, np.ndarray]) -> dict[str, torch.Tensor]:
    """Return arrays of a file as tensors.

    Raises:
        InputError: One is not finite.
    """
    tensors = {name: torch.from_numpy(array.copy()) for name, array in arrays.items()}
    if not all(bool(torch.isfinite(tensor).all()) for tensor in tensors.values()):
        raise InputError("weights that are not finite")
    return tensors


def first_line(error: Exception) -> str:
    """Return the first line of what an exception says, or its kind."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def checksum(card: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> str:
    """Return a hash of weights and card but for the checksum in it."""
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
