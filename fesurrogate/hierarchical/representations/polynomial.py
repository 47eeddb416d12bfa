"""Polynomials of a total degree in all axes, by least squares: few numbers for what is smooth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from fesurrogate.errors import InputError
from fesurrogate.hierarchical.axes import Axis
from fesurrogate.hierarchical.representations.base import Representation
from fesurrogate.kinematics import Array


@final
class Polynomial(Representation):
    """Value = Σ_k c_k Π_i T_{k_i}(y_i) with Chebyshev's T, Σ k_i <= degree, y from -1 to 1.

    Args:
        axes: p.
        coefficients: (M, c), in the order of :func:`exponents`.
        degree: In all axes together.
    """

    kind = "polynomial"

    def __init__(self, axes: Sequence[Axis], coefficients: Array, degree: int) -> None:
        self._exponents = exponents(len(axes), degree)
        if coefficients.ndim != 2 or len(coefficients) != len(self._exponents):
            raise ValueError(f"{len(coefficients)} coefficients of degree {degree}")
        self.degree, self.outputs = degree, coefficients.shape[1]
        self._axes, self._coefficients = tuple(axes), coefficients

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
        own = cls(axes, np.zeros((len(exponents(len(axes), degree)), entries.shape[1])), degree)
        if len(points) < len(own._exponents):
            raise InputError(
                f"a polynomial of degree {degree} has {len(own._exponents)} terms, but there are "
                f"{len(points)} entries; expected as many: lower the degree"
            )
        terms, _ = own._terms(points, slopes=False)
        coefficients = np.linalg.lstsq(terms, entries, rcond=None)[0]
        return cls(axes, np.asarray(coefficients, dtype=np.float64), degree)

    def respond(
        self,
        points: Array,  # (n, p)
        *,
        slopes: bool,
    ) -> tuple[Array, Array | None]:  # (n, c), (n, c, p)
        """Add up the terms."""
        terms, rates = self._terms(points, slopes=slopes)
        values = terms @ self._coefficients
        if not slopes:
            return values, None
        return values, np.stack([rate @ self._coefficients for rate in rates], axis=-1)

    def _terms(self, points: Array, *, slopes: bool) -> tuple[Array, list[Array]]:  # (n, M)
        y, length = scaled(self._axes, points)
        columns, rates = zip(*(_chebyshev(y[:, k], self.degree) for k in range(y.shape[1])))  # noqa: B905
        chosen = [column[:, self._exponents[:, k]] for k, column in enumerate(columns)]
        terms = np.prod(chosen, axis=0)
        found = []
        for k in range(y.shape[1] if slopes else 0):
            rate = rates[k][:, self._exponents[:, k]] / length[k]
            found.append(np.prod([*chosen[:k], rate, *chosen[k + 1 :]], axis=0))
        return terms, found

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


def exponents(count: int, degree: int) -> NDArray[np.int64]:  # (M, count)
    """Return the degrees in each axis of all terms up to a total degree."""
    every = product(range(degree + 1), repeat=count)
    return np.array([powers for powers in every if sum(powers) <= degree])


def scaled(
    axes: Sequence[Axis],
    points: Array,  # (n, p)
) -> tuple[Array, Array]:  # (n, p), (p,)
    """Return the points in [-1, 1] and half the lengths of the axes."""
    low = np.array([axis.values[0] for axis in axes])
    half = 0.5 * (np.array([axis.values[-1] for axis in axes]) - low)
    return (points - low) / half - 1.0, half


def _chebyshev(y: Array, degree: int) -> tuple[Array, Array]:  # (n, degree + 1) each
    """Return T_0, ..., T_degree and their derivatives, by recurrence."""
    values, rates = [np.ones_like(y), y], [np.zeros_like(y), np.ones_like(y)]
    for _ in range(1, degree):
        rates.append(2.0 * values[-1] + 2.0 * y * rates[-1] - rates[-2])
        values.append(2.0 * y * values[-1] - values[-2])
    return np.stack(values, axis=1)[:, : degree + 1], np.stack(rates, axis=1)[:, : degree + 1]
