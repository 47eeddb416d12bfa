"""Polynomials of a total degree in all axes, by least squares: few numbers for what is smooth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any, final

import numpy as np

from fesurrogate.chebyshev import degrees_of, derivatives, term_count, values
from fesurrogate.errors import InputError
from fesurrogate.hierarchical.axes import Axis
from fesurrogate.hierarchical.representations.base import Representation
from fesurrogate.kinematics import Array


@final
class Polynomial(Representation):
    """Value = Σ_k c_k Π_i T_{k_i}(y_i) with Chebyshev's T, Σ k_i <= degree, y from -1 to 1.

    Args:
        axes: p.
        coefficients: (t, c), in the order of :func:`~fesurrogate.chebyshev.degrees_of`.
        degree: In all axes together.
    """

    kind = "polynomial"

    def __init__(self, axes: Sequence[Axis], coefficients: Array, degree: int) -> None:
        if coefficients.ndim != 2 or len(coefficients) != term_count(len(axes), degree):
            raise ValueError(f"{len(coefficients)} coefficients of degree {degree}")
        self.degree, self.outputs = degree, coefficients.shape[1]
        self._axes, self._coefficients = tuple(axes), coefficients
        self._degrees = degrees_of(len(axes), degree)

    @classmethod
    def fitted(
        cls,
        axes: Sequence[Axis],
        points: Array,  # (N, p)
        entries: Array,  # (N, c)
        degree: int,
    ) -> Polynomial:
        """Return the polynomial that is nearest to entries in the mean square.

        Raises:
            InputError: It has more terms than there are entries.
        """
        terms = term_count(len(axes), degree)
        if len(points) < terms:
            raise InputError(
                f"a polynomial of degree {degree} has {terms} terms, but there are {len(points)} "
                "entries; expected as many: lower the degree"
            )
        matrix = values(scaled(axes, points)[0], degrees_of(len(axes), degree))
        coefficients = np.linalg.lstsq(matrix, entries, rcond=None)[0]
        return cls(axes, np.asarray(coefficients, dtype=np.float64), degree)

    def respond(
        self,
        points: Array,  # (n, p)
        *,
        slopes: bool,
        kernels: ModuleType | None = None,
    ) -> Array:  # (n, 1 + p, c), or (n, 1, c)
        """Add up the terms."""
        y, half = scaled(self._axes, points)
        found = np.empty((len(points), 1 + len(half) if slopes else 1, self.outputs))
        found[:, 0] = values(y, self._degrees) @ self._coefficients
        if slopes:
            rates = derivatives(y, self._degrees, len(half))  # (n, p, t)
            for k, length in enumerate(half):
                found[:, 1 + k] = rates[:, k] @ self._coefficients / length
        return found

    def arrays(self) -> dict[str, Array]:
        """Return the coefficients."""
        return {"coefficients": self._coefficients}

    def facts(self) -> dict[str, Any]:
        """Return the degree."""
        return {"degree": self.degree}

    @classmethod
    def restored(
        cls, axes: Sequence[Axis], facts: Mapping[str, Any], arrays: Mapping[str, Array]
    ) -> Polynomial:
        """Return the polynomial."""
        return cls(axes, arrays["coefficients"], int(facts["degree"]))


def scaled(
    axes: Sequence[Axis],
    points: Array,  # (n, p)
) -> tuple[Array, Array]:  # (n, p), (p,)
    """Return the points in [-1, 1] and half the lengths of the axes."""
    low = np.array([axis.values[0] for axis in axes])
    half = 0.5 * (np.array([axis.values[-1] for axis in axes]) - low)
    return (points - low) / half - 1.0, half
