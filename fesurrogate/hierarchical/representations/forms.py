"""How an entry is written as numbers: so that symmetry, and where it holds definiteness, is kept.

plain      the entry itself
symmetric  its upper triangle, off-diagonal numbers times √2: Frobenius norms are kept
definite   its Cholesky factor L, the diagonal as logarithms: L Lᵀ is definite for any numbers
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fesurrogate.kinematics import Array

Form = Literal["plain", "symmetric", "definite"]
FORMS = ("plain", "symmetric", "definite")


def encoded(
    form: Form,
    entries: Array,  # (N, ...)
) -> Array:  # (N, c)
    """Return entries as numbers.

    Raises:
        numpy.linalg.LinAlgError: An entry is not definite.
    """
    if form == "plain":
        return entries.reshape(len(entries), math.prod(entries.shape[1:]))
    rows, columns, factor = _triangle(entries.shape[-1])
    if form == "symmetric":
        return np.ascontiguousarray(entries[:, rows, columns] * factor)
    L = np.linalg.cholesky(entries).swapaxes(1, 2)[:, rows, columns]
    return np.where(rows == columns, np.log(np.where(rows == columns, L, 1.0)), L)


def decoded(
    form: Form,
    values: Array,  # (n, c)
    slopes: Array | None,  # (n, c, p)
    shape: tuple[int, ...],
) -> tuple[Array, Array | None]:  # (n, ...), (n, ..., p)
    """Return entries of a shape from numbers, and their derivatives."""
    n = len(values)
    if form == "plain":
        found = None if slopes is None else slopes.reshape(n, *shape, slopes.shape[-1])
        return values.reshape(n, *shape), found
    m = shape[0]
    rows, columns, factor = _triangle(m)
    if form == "symmetric":
        whole: Array = np.empty((n, m, m))
        whole[:, rows, columns] = whole[:, columns, rows] = values / factor
        if slopes is None:
            return whole, None
        rates = np.empty((n, m, m, slopes.shape[-1]))
        rates[:, rows, columns] = rates[:, columns, rows] = slopes / factor[:, None]
        return whole, rates
    diagonal = rows == columns
    numbers = values.copy()
    numbers[:, diagonal] = np.exp(values[:, diagonal])
    L = np.zeros((n, m, m))
    L[:, columns, rows] = numbers
    whole = L @ L.swapaxes(1, 2)
    if slopes is None:
        return whole, None
    turned = slopes.copy()
    turned[:, diagonal] *= numbers[:, diagonal, None]
    dL = np.zeros((n, slopes.shape[-1], m, m))
    dL[:, :, columns, rows] = turned.swapaxes(1, 2)
    half = dL @ L.swapaxes(1, 2)[:, None]
    return whole, np.moveaxis(half + half.swapaxes(2, 3), 1, -1)


def encoded_size(form: Form, shape: tuple[int, ...]) -> int:
    """Return how many numbers an entry of a shape is written as."""
    if form == "plain":
        return math.prod(shape)
    return shape[0] * (shape[0] + 1) // 2


def form_of(
    entries: Array,  # (N, ...), of those that could be computed
    *,
    definite: bool,
    mean: bool,
) -> Form:
    """Return how a quantity is written.

    Args:
        entries: Of it.
        definite: Whether it must stay positive definite.
        mean: Whether what is looked up is a mean of entries, of weights that are not negative,
            which is definite where they are.
    """
    square = entries.ndim == 3 and entries.shape[1] == entries.shape[2]
    if not square or not np.array_equal(entries, entries.swapaxes(1, 2)):
        return "plain"
    return "definite" if definite and not mean else "symmetric"


def _triangle(size: int) -> tuple[NDArray[np.intp], NDArray[np.intp], Array]:
    rows, columns = np.triu_indices(size)
    return rows, columns, np.where(rows == columns, 1.0, math.sqrt(2.0))
