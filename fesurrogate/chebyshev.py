"""Polynomials in several inputs within [-1, 1]: products of Chebyshev's polynomials."""

from __future__ import annotations

from itertools import combinations_with_replacement
from math import comb

import numpy as np
from numpy.typing import NDArray

from fesurrogate.kinematics import Array

Degrees = NDArray[np.int64]


def term_count(inputs: int, degree: int) -> int:
    """Return how many terms there are up to a total degree, the constant included."""
    return comb(inputs + degree, degree)


def degrees_of(inputs: int, degree: int) -> Degrees:  # (t, i)
    """Return the degrees of each term by each input, by rising total; the constant first."""
    rows = [
        np.bincount(np.array(chosen, dtype=np.int64), minlength=inputs)
        for total in range(degree + 1)
        for chosen in combinations_with_replacement(range(inputs), total)
    ]
    return np.array(rows, dtype=np.int64)


def values(
    x: Array,  # (n, i)
    degrees: Degrees,  # (t, i)
) -> Array:  # (n, t)
    """Return the value of each term at each point."""
    table, _ = _tables(x, int(degrees.max(initial=0)))
    found = np.ones((len(degrees), len(x)))
    for k, degree in enumerate(degrees.T):
        found *= table[degree, k]
    return found.T


def derivatives(
    x: Array,  # (n, i)
    degrees: Degrees,  # (t, i)
    inputs: int,
) -> Array:  # (n, inputs, t)
    """Return the derivative of each term by each of the first inputs at each point."""
    table, slopes = _tables(x, int(degrees.max(initial=0)))
    found = np.ones((inputs, len(degrees), len(x)))
    for k, degree in enumerate(degrees.T):
        factor = table[degree, k]
        for j in range(inputs):
            found[j] *= slopes[degree, k] if j == k else factor
    return found.transpose(2, 0, 1)


def _tables(x: Array, highest: int) -> tuple[Array, Array]:  # (degree + 1, i, n), twice
    """Return the polynomials of one input and their derivatives, by their recurrences."""
    y = x.T
    table = np.ones((highest + 1, *y.shape))  # T
    slopes = np.zeros_like(table)
    if highest:
        table[1], slopes[1] = y, 1.0
    for k in range(2, highest + 1):
        table[k] = 2 * y * table[k - 1] - table[k - 2]
        slopes[k] = 2 * table[k - 1] + 2 * y * slopes[k - 1] - slopes[k - 2]
    return table, slopes
