"""Arrays of many axes as products of small ones: tensor trains, to store tables in little room.

    A[i₁, ..., i_p] = G₁[i₁] G₂[i₂] ... G_p[i_p],  cores G_k (r_{k-1}, n_k, r_k), r₀ = r_p = 1.

Source: Oseledets (2011), SIAM J. Sci. Comput. 33, 2295, algorithm 1.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fesurrogate.kinematics import Array


def tensor_train(
    array: Array,  # (n₁, ..., n_p)
    error: float,
) -> list[Array]:  # (r_{k-1}, n_k, r_k) each
    """Return the cores of an array, by truncated singular value decompositions.

    Args:
        array: Two axes or more.
        error: Largest Frobenius norm of the difference; 0 keeps all but rounding.
    """
    shape = array.shape
    share = error**2 / max(len(shape) - 1, 1)  # squared, of each truncation
    cores: list[Array] = []
    rest, rank = np.array(array, dtype=np.float64), 1
    for size in shape[:-1]:
        left, values, right = np.linalg.svd(rest.reshape(rank * size, -1), full_matrices=False)
        lost = np.append(np.cumsum(values[::-1] ** 2)[::-1], 0.0)  # beyond each rank, squared
        negligible = (np.finfo(float).eps * values[0]) ** 2 if len(values) else 0.0
        kept = max(int(np.argmax(lost <= max(share, negligible))), 1)
        cores.append(left[:, :kept].reshape(rank, size, kept))
        rest, rank = values[:kept, None] * right[:kept], kept
    cores.append(rest.reshape(rank, shape[-1], 1))
    return cores


def expanded(
    cores: Sequence[Array],  # (r_{k-1}, n_k, r_k) each
) -> Array:  # (n₁, ..., n_p)
    """Return the array of a train."""
    whole: Array = cores[0]
    for core in cores[1:]:
        whole = np.asarray(np.tensordot(whole, core, axes=1), dtype=np.float64)
    return np.asarray(whole[0, ..., 0], dtype=np.float64)


def pruned(
    array: Array,  # (N, ..., c)
    tolerance: float,
    size: Array | float | None = None,  # (N, ...)
) -> list[Array]:
    """Return the smallest train, out of a search, whose every entry is near enough.

    An entry is what the last axis holds, (c,); its error is |difference| / size, of Euclidean
    norms. The norm of the whole that is given up is halved until all entries are within.

    Args:
        array: Finite numbers.
        tolerance: Largest error of an entry, > 0.
        size: What errors are relative to; |entry| if None.
    """
    reference = np.linalg.norm(array, axis=-1) if size is None else size
    error = tolerance * float(np.linalg.norm(array))
    while True:
        cores = tensor_train(array, error)
        off = np.linalg.norm(expanded(cores) - array, axis=-1)
        if (off <= tolerance * reference).all() or error < 1e-15 * np.linalg.norm(array):
            return cores
        error *= 0.5
