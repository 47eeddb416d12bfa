"""How an entry is written as numbers: so that symmetry, and where it holds definiteness, is kept.

plain      the entry itself
symmetric  its upper triangle, off-diagonal numbers times √2: Frobenius norms are kept
definite   its Cholesky factor L, the diagonal as logarithms: L Lᵀ is definite for any numbers
"""

from __future__ import annotations

import math
from types import ModuleType
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


def decode(
    form: Form,
    found: Array,  # (n, q, c), numbers and, after them, their derivatives
    target: Array,  # (n, q, ...), written
    kernels: ModuleType | None = None,
) -> None:
    """Write entries and their derivatives from numbers.

    Args:
        form: How they are written.
        found: The numbers.
        target: What is filled.
        kernels: Compiled loops; None takes NumPy.
    """
    if form == "plain":
        target.reshape(found.shape)[:] = found
        return
    if kernels is not None:
        write = kernels.symmetric if form == "symmetric" else kernels.definite
        write(found, target)
        return
    rows, columns, factor = _triangle(target.shape[-1])
    if form == "symmetric":
        target[:, :, rows, columns] = target[:, :, columns, rows] = found / factor
        return
    diagonal = rows == columns
    numbers = found.copy()
    numbers[:, 0, diagonal] = np.exp(found[:, 0, diagonal])
    numbers[:, 1:, diagonal] *= numbers[:, :1, diagonal]
    L = np.zeros(target.shape)  # and its derivatives
    L[:, :, columns, rows] = numbers
    turned = L[:, :1].swapaxes(2, 3)
    np.matmul(L, turned, out=target)
    target[:, 1:] += target[:, 1:].swapaxes(2, 3).copy()


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
