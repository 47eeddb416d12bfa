"""Memory reused from chunk to chunk where no graph is built.

Fresh megabyte-sized temporaries cost more in page faults than the arithmetic done on them.
"""

from __future__ import annotations

import math
from typing import Any, final

import torch
from torch import Tensor


@final
class Workspace:
    """Named buffers, valid until the same name is asked for again. Not for concurrent threads."""

    def __init__(self) -> None:
        self._buffers: dict[str, Tensor] = {}

    def __call__(self, name: str, like: Tensor, *shape: int) -> Tensor | None:
        """Return a buffer for the ``out`` argument of a torch function, or None under autograd.

        Args:
            name: One name per temporary of a formula.
            like: Tensor of the wanted dtype and device.
            shape: Wanted shape.
        """
        if torch.is_grad_enabled():
            return None
        count = math.prod(shape)
        buffer = self._buffers.get(name)
        if (
            buffer is None
            or buffer.numel() < count
            or buffer.dtype != like.dtype
            or buffer.device != like.device
        ):
            with torch.inference_mode(False):
                buffer = torch.empty(count, dtype=like.dtype, device=like.device)
            self._buffers[name] = buffer
        return buffer[:count].view(shape)

    def __deepcopy__(self, memo: dict[int, Any]) -> Workspace:
        """Return an empty workspace: buffers are no part of a model."""
        return Workspace()
