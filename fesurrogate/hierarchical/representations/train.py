"""Splines whose coefficients are a tensor train: evaluated axis by axis, never expanded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from types import ModuleType
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from fesurrogate.hierarchical.axes import Axis
from fesurrogate.hierarchical.representations.base import Representation
from fesurrogate.hierarchical.representations.gridded import DEGREES, values_of, with_values
from fesurrogate.hierarchical.representations.splines import Packed, Spline
from fesurrogate.kinematics import Array


@final
class Train(Representation):
    """Value = B₁(x₁) B₂(x₂) ... B_p(x_p) E, with B_k(x) = Σ_i b_i(x) G_k[:, i, :] of splines b_i.

    A point costs some r² products an axis, r the ranks, however many entries the table has. Of
    degree 1 it is multilinear interpolation in the table that the train is.

    Args:
        axes: p, with k₁, ..., k_p values.
        cores: G_k (r_{k-1}, n_k, r_k) of the axes, and E (r_p, c, 1).
        degree: Of the splines, 1 or 3.
    """

    kind = "tensor_train"

    def __init__(self, axes: Sequence[Axis], cores: Sequence[Array], degree: int) -> None:
        sizes = [len(axis.values) for axis in axes]
        ranks = [1, *(core.shape[-1] for core in cores)]
        fits = len(cores) == len(axes) + 1 and degree in DEGREES.values() and ranks[-1] == 1
        if not fits or any(
            core.ndim != 3 or core.shape[0] != rank or core.shape[1] != size
            for core, rank, size in zip(cores, ranks, [*sizes, cores[-1].shape[1]], strict=False)
        ):
            raise ValueError("cores do not match the axes")
        self.outputs, self.degree = cores[-1].shape[1], degree
        self._axes, self._cores = tuple(axes), [np.asarray(core, np.float64) for core in cores]
        self._splines = [Spline(axis.values, degree) for axis in axes]
        self._rows = [
            np.ascontiguousarray(core.transpose(1, 0, 2).reshape(core.shape[1], -1))
            for core in self._cores[:-1]
        ]  # (n_k, r_{k-1} r_k)

    def respond(
        self,
        points: Array,  # (n, p)
        *,
        slopes: bool,
        kernels: ModuleType | None = None,
    ) -> Array:  # (n, 1 + p, c), or (n, 1, c)
        """Multiply from left to right: a row of the value, and one of each derivative."""
        n, p = points.shape
        last = self._cores[-1][:, :, 0]  # (r_p, c)
        if kernels is None:
            rows = self._rows_by_products(points, slopes=slopes)
        else:
            rows = np.empty((n, 1 + p if slopes else 1, len(last)))
            packed, (cores, starts, ranks) = self._packed, self._joined
            local = packed.local(points, kernels)
            kernels.trains(*local, packed.widths, cores, starts, ranks, rows)
        found = rows.reshape(-1, len(last)) @ last
        return np.asarray(found).reshape(n, rows.shape[1], self.outputs)

    @cached_property
    def _packed(self) -> Packed:
        return Packed.of(self._splines)

    @cached_property
    def _joined(self) -> tuple[Array, NDArray[np.int64], NDArray[np.int64]]:
        """Return the rows of the cores of all axes, where each begins, and the ranks."""
        sizes = [rows.size for rows in self._rows]
        starts = np.cumsum([0, *sizes[:-1]], dtype=np.int64)
        ranks = np.array([1, *(core.shape[2] for core in self._cores[:-1])], dtype=np.int64)
        return np.concatenate([rows.ravel() for rows in self._rows]), starts, ranks

    def _rows_by_products(
        self,
        points: Array,  # (n, p)
        *,
        slopes: bool,
    ) -> Array:  # (n, 1 + p, r_p), or (n, 1, r_p)
        found: Array = np.ones((len(points), 1, 1))
        for k, spline in enumerate(self._splines):
            first, weights, rate = spline.local(points[:, k], slopes=slopes)
            following = [found @ self._factor(k, first, weights)]
            if rate is not None:
                following.append(found[:, :1] @ self._factor(k, first, rate))
            found = np.concatenate(following, axis=1)
        return found

    def _factor(self, k: int, first: Any, weights: Array) -> Array:  # (n, r_{k-1}, r_k)
        from scipy.sparse import csr_matrix

        n, width = weights.shape
        entries = first[:, None] + np.arange(width)
        ends = np.arange(0, n * width + 1, width)
        matrix = csr_matrix((weights.ravel(), entries.ravel(), ends), (n, len(self._rows[k])))
        left, _, right = self._cores[k].shape
        return np.asarray(matrix @ self._rows[k]).reshape(n, left, right)

    def arrays(self) -> dict[str, Array]:
        """Return the values of the axes, and the cores."""
        return values_of(self._axes) | {f"core{k}": core for k, core in enumerate(self._cores)}

    def facts(self) -> dict[str, Any]:
        """Return the degree."""
        return {"degree": self.degree}

    @classmethod
    def restored(
        cls, axes: Sequence[Axis], facts: Mapping[str, Any], arrays: Mapping[str, Array]
    ) -> Train:
        """Return the train."""
        cores = [arrays[f"core{k}"] for k in range(len(axes) + 1)]
        return cls(with_values(axes, arrays), cores, int(facts["degree"]))
