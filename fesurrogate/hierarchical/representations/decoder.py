"""The decoder of an autoencoder, whose latents are splines of the axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any, final

import numpy as np

from fesurrogate.hierarchical.axes import Axis
from fesurrogate.hierarchical.representations.base import Representation, below, prefixed
from fesurrogate.hierarchical.representations.gridded import Gridded
from fesurrogate.kinematics import Array

NAMES = ("offset", "linear", "second", "first", "bias")


@final
class Decoded(Representation):
    """Value = offset + linear z + second tanh(first z + bias), z(axes) splines.

    Args:
        latents: Gives z, (n, d).
        weights: By the names of :class:`fesurrogate.train.autoencoder.Decoder`, which fits them.
    """

    kind = "autoencoder"

    def __init__(self, latents: Gridded, weights: Mapping[str, Array]) -> None:
        self._latents = latents
        self._offset, self._linear, self._second, self._first, self._bias = (
            weights[name] for name in NAMES
        )
        size, d, h = len(self._offset), latents.outputs, len(self._bias)
        shapes = [(size, d), (size, h), (h, d)]
        if [self._linear.shape, self._second.shape, self._first.shape] != shapes:
            raise ValueError("weights of a decoder do not match")
        self.outputs = size

    def respond(
        self,
        points: Array,  # (n, p)
        *,
        slopes: bool,
        kernels: ModuleType | None = None,
    ) -> Array:  # (n, 1 + p, c), or (n, 1, c)
        """Decode the latents, and their slopes by the chain rule."""
        z = self._latents.respond(points, slopes=slopes, kernels=kernels)
        flat = z.reshape(-1, z.shape[2])  # one product for values and slopes
        inner = (flat @ self._first.T).reshape(*z.shape[:2], len(self._bias))  # (n, ., h)
        inner[:, 0] = np.tanh(inner[:, 0] + self._bias)
        inner[:, 1:] *= 1.0 - inner[:, :1] ** 2
        found = flat @ self._linear.T + inner.reshape(len(flat), -1) @ self._second.T
        found = found.reshape(*z.shape[:2], self.outputs)
        found[:, 0] += self._offset
        return np.asarray(found)

    def arrays(self) -> dict[str, Array]:
        """Return the weights and those of the latents."""
        weights = (self._offset, self._linear, self._second, self._first, self._bias)
        own = dict(zip(NAMES, weights, strict=True))
        return own | prefixed("latents_", self._latents.arrays())

    def facts(self) -> dict[str, Any]:
        """Return the degree of the latents."""
        return self._latents.facts()

    @classmethod
    def restored(
        cls, axes: Sequence[Axis], facts: Mapping[str, Any], arrays: Mapping[str, Array]
    ) -> Decoded:
        """Return the decoder."""
        return cls(Gridded.restored(axes, facts, below(arrays, "latents_")), arrays)
