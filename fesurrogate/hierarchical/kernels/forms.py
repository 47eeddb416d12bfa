"""Entries from numbers, as :mod:`fesurrogate.hierarchical.representations.forms` says."""

from __future__ import annotations

import math

import numpy as np

from fesurrogate.kinematics import Array
from fesurrogate.machine_code import compiled

POINTS = 16


@compiled
def symmetric(
    found: Array,  # (n, q, c)
    target: Array,  # (n, q, m, m), written
) -> None:
    """Write symmetric matrices and their derivatives from upper triangles."""
    n, q, m = target.shape[:3]
    share = math.sqrt(0.5)
    for i in range(n):
        for k in range(q):
            j = 0
            for r in range(m):
                target[i, k, r, r] = found[i, k, j]
                j += 1
                for s in range(r + 1, m):
                    target[i, k, r, s] = target[i, k, s, r] = share * found[i, k, j]
                    j += 1


@compiled
def definite(
    found: Array,  # (n, q, c)
    target: Array,  # (n, q, m, m), written
) -> None:
    """Write L Lᵀ and its derivatives from Cholesky factors, their diagonals as logarithms.

    Points go through in blocks, on the last axis: the innermost loops have a fixed length.
    """
    n, q, m = target.shape[:3]
    L, dL = np.zeros((m, m, POINTS)), np.zeros((m, m, POINTS))  # L[k, r]: column k of the factor
    total = np.empty(POINTS)
    for begin in range(0, n, POINTS):
        count = min(POINTS, n - begin)
        for p in range(q):
            factor = L if p == 0 else dL
            for b in range(count):
                j = 0
                for k in range(m):
                    for r in range(k, m):
                        factor[k, r, b] = found[begin + b, p, j]
                        j += 1
                    diagonal = factor[k, k, b]
                    factor[k, k, b] = math.exp(diagonal) if p == 0 else L[k, k, b] * diagonal
            for r in range(m):
                for s in range(r, m):
                    total[:] = 0.0
                    for k in range(r + 1):
                        if p == 0:
                            for b in range(POINTS):
                                total[b] += L[k, r, b] * L[k, s, b]
                        else:
                            for b in range(POINTS):
                                total[b] += dL[k, r, b] * L[k, s, b] + L[k, r, b] * dL[k, s, b]
                    for b in range(count):
                        target[begin + b, p, r, s] = target[begin + b, p, s, r] = total[b]
