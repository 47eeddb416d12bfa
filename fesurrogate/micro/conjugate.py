"""Conjugate gradients for several right-hand sides at once, by another matrix's factorisation.

Where a good answer is known before, a few steps with the stiffness at rest as preconditioner are
cheaper than a factorisation of the point. All columns share one Krylov space, and only those
combinations of them are solved for that are not solved yet. Source: O'Leary (1980), Linear Algebra
Appl. 29, 293-322, the block method; combinations that have vanished are dropped.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fesurrogate.kinematics import Array

VANISHED = 1e-12  # eigenvalue of a Gram matrix, relative to its largest, that is none


def conjugate_gradients(
    matrix: Any,
    precondition: Callable[[Array], Array],
    rhs: Array,  # (unknowns, columns)
    *,
    tolerance: float,
    most: int,
) -> tuple[Array, int] | None:  # (unknowns, columns)
    """Return the solution and the steps it took, or None where it is not to be had.

    It ends early where the steps so far say that more than ``most`` would be needed, and where the
    matrix shows not to be positive.

    Args:
        matrix: Symmetric, with ``@``.
        precondition: An approximate inverse of it, symmetric and positive, applied to columns.
        rhs: Right-hand sides.
        tolerance: Norm that the residual of all columns may have in the end.
        most: Steps after which to give up.
    """
    residual, combination = _independent(rhs, 0.1 * tolerance)
    answer = np.zeros_like(residual)
    norm = first = float(np.linalg.norm(residual))
    if norm <= tolerance:
        return np.zeros_like(rhs), 0
    direction, image, inverse = residual[:, :0], residual[:, :0], np.zeros((0, 0))
    for step in range(1, most + 1):
        following = precondition(residual)
        direction = following - direction @ (inverse @ (image.T @ following))
        image = matrix @ direction
        size, vectors = np.linalg.eigh(direction.T @ image)
        if not size[0] > -VANISHED * size[-1] or not size[-1] > 0:
            return None
        kept = size > VANISHED * size[-1]
        inverse = (vectors[:, kept] / size[kept]) @ vectors[:, kept].T
        weight = inverse @ (direction.T @ residual)
        answer += direction @ weight
        residual = residual - image @ weight
        norm = float(np.linalg.norm(residual))
        if norm <= tolerance:
            return answer @ combination, step
        wanted, gained = np.log(first / tolerance), np.log(first / norm)
        if step > 1 and not step * wanted <= most * gained:
            return None
    return None


def _independent(
    columns: Array,  # (unknowns, columns)
    negligible: float,
) -> tuple[Array, Array]:  # (unknowns, k), (k, columns)
    """Return orthogonal combinations of columns, beyond a norm, and how they make the columns."""
    if columns.shape[1] == 1:
        return columns, np.eye(1)
    _, size, combination = np.linalg.svd(np.linalg.qr(columns, mode="r"), full_matrices=False)
    kept = combination[size > negligible]
    return columns @ kept.T, kept
