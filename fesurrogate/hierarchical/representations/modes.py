"""Proper orthogonal decomposition: a few modes of the inner axes, times smooth coefficients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any, final

import numpy as np

from fesurrogate.hierarchical.axes import Axis
from fesurrogate.hierarchical.representations.base import Representation, below, prefixed
from fesurrogate.hierarchical.representations.decoder import Decoded
from fesurrogate.hierarchical.representations.gridded import Gridded
from fesurrogate.kinematics import Array


@final
class Modes(Representation):
    """Value = Σ_r a_r(z) φ_r(x), a_r and φ_r splines through what the decomposition gives.

    z are the outer axes, of parameters; x the inner ones, of strain. Where there are no inner ones
    the modes are constant.

    Args:
        outer: Gives a, (n, r), over the outer axes: splines, or a decoder.
        inner: Gives φ, (n, r c), over the inner axes; an array (r, c) where there are none.
        columns: Positions of the outer and of the inner axes.
    """

    kind = "pod"

    def __init__(
        self,
        outer: Gridded | Decoded,
        inner: Gridded | Array,
        columns: tuple[Sequence[int], Sequence[int]],
    ) -> None:
        self._outer, self._inner = outer, inner
        self._columns = (list(columns[0]), list(columns[1]))
        total = inner.outputs if isinstance(inner, Gridded) else inner.size
        if total % outer.outputs or bool(self._columns[1]) != isinstance(inner, Gridded):
            raise ValueError("modes do not match their coefficients")
        self.outputs = total // outer.outputs

    def respond(
        self,
        points: Array,  # (n, p)
        *,
        slopes: bool,
        kernels: ModuleType | None = None,
    ) -> Array:  # (n, 1 + p, c), or (n, 1, c)
        """Return the sum, and its slopes by the rule of products."""
        (outer, inner), rank = self._columns, self._outer.outputs
        own = self._outer.respond(points[:, outer], slopes=slopes, kernels=kernels)  # (n, ., r)
        if not isinstance(self._inner, Gridded):
            modes = self._inner.reshape(rank, self.outputs)
            return np.asarray(own.reshape(-1, rank) @ modes).reshape(*own.shape[:2], self.outputs)
        flat = self._inner.respond(points[:, inner], slopes=slopes, kernels=kernels)
        far = flat.reshape(*flat.shape[:2], rank, self.outputs)  # (n, ., r, c)
        near = own @ far[:, 0]
        if not slopes:
            return near
        found = np.empty((len(points), 1 + points.shape[1], self.outputs))
        found[:, [0, *(1 + k for k in outer)]] = near
        found[:, [1 + k for k in inner]] = np.einsum("nr,nprc->npc", own[:, 0], far[:, 1:])
        return found

    def arrays(self) -> dict[str, Array]:
        """Return those of the coefficients and of the modes."""
        found = prefixed("outer_", self._outer.arrays())
        if not isinstance(self._inner, Gridded):
            return {**found, "inner": self._inner}
        return found | prefixed("inner_", self._inner.arrays())

    def facts(self) -> dict[str, Any]:
        """Return which axes are outer and inner ones, and what gives the coefficients."""
        outer = {"kind": self._outer.kind, **self._outer.facts()}
        return {"columns": self._columns, "outer": outer}

    @classmethod
    def restored(
        cls, axes: Sequence[Axis], facts: Mapping[str, Any], arrays: Mapping[str, Array]
    ) -> Modes:
        """Return the decomposition."""
        columns, given = facts["columns"], facts["outer"]
        kinds: dict[str, type[Gridded | Decoded]] = {k.kind: k for k in (Gridded, Decoded)}
        near, far = ([axes[k] for k in of] for of in columns)
        outer = kinds[given["kind"]].restored(near, given, below(arrays, "outer_"))
        inner = Gridded.restored(far, given, below(arrays, "inner_")) if far else arrays["inner"]
        return cls(outer, inner, (columns[0], columns[1]))


def decomposed(
    axes: Sequence[Axis],
    entries: Array,  # (k₁, ..., k_p, c)
    rank: int,
    *,
    outer: Sequence[int],
    degree: int = 3,
) -> tuple[Array, Gridded | Array]:
    """Return the ``rank`` modes that hold the entries best, in the mean square over the grid.

    Args:
        axes: p.
        entries: On their grid.
        rank: Number of modes, r.
        outer: Positions of the outer axes; the others are inner ones.
        degree: Of the splines.

    Returns:
        The coefficients on the grid of the outer axes, (..., r), and the modes as :class:`Modes`
        takes them.
    """
    inner = [k for k in range(len(axes)) if k not in outer]
    moved = entries.transpose(*outer, *inner, len(axes))
    far = [axes[k] for k in inner]
    rows = [len(axes[k].values) for k in outer]
    left, sizes, right = np.linalg.svd(moved.reshape(int(np.prod(rows)), -1), full_matrices=False)
    kept = min(rank, len(sizes))
    own = (left[:, :kept] * sizes[:kept]).reshape(*rows, kept)
    c = entries.shape[-1]
    if not inner:
        return own, right[:kept].reshape(kept, c)
    modes = right[:kept].reshape(kept, *(len(axis.values) for axis in far), c)
    modes = np.moveaxis(modes, 0, -2)  # (k, ..., r, c)
    modes = modes.reshape(*modes.shape[:-2], kept * c)
    return own, Gridded.through(far, modes, degree)
