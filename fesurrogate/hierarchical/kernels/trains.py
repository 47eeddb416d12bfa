"""Trains of splines from left to right, the row of each derivative beside that of the value."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fesurrogate.kinematics import Array
from fesurrogate.machine_code import compiled


@compiled
def trains(
    first: NDArray[np.int64],  # (n, p)
    weights: Array,  # (n, p, 2, 4)
    widths: NDArray[np.int64],  # (p,)
    cores: Array,  # one core after the other, each (k, r, s)
    starts: NDArray[np.int64],  # (p,), of the cores
    ranks: NDArray[np.int64],  # (p + 1,), r_0 = 1, r_1, ...
    found: Array,  # (n, 1 + p, r_p), written; (n, 1, r_p) without the derivatives
) -> None:
    """Write the products of the cores of all axes, and their derivatives."""
    n, p = first.shape
    slopes, most = found.shape[1] > 1, ranks.max()
    factor, rate = np.empty(most * most), np.empty(most * most)
    row, following = np.empty((p + 1, most)), np.empty((p + 1, most))
    for i in range(n):
        row[0, 0] = 1.0
        for k in range(p):
            before, after = ranks[k], ranks[k + 1]
            size = before * after
            begin = starts[k] + first[i, k] * size
            for j in range(size):
                factor[j] = rate[j] = 0.0
            for s in range(widths[k]):
                own, slope, start = weights[i, k, 0, s], weights[i, k, 1, s], begin + s * size
                for j in range(size):
                    factor[j] += own * cores[start + j]
                if slopes:
                    for j in range(size):
                        rate[j] += slope * cores[start + j]
            for q in range(k + 1 if slopes else 1):
                for j in range(after):
                    following[q, j] = 0.0
                for r in range(before):
                    for j in range(after):
                        following[q, j] += row[q, r] * factor[r * after + j]
            if slopes:
                for j in range(after):
                    following[k + 1, j] = 0.0
                for r in range(before):
                    for j in range(after):
                        following[k + 1, j] += row[0, r] * rate[r * after + j]
            row, following = following, row
        for q in range(found.shape[1]):
            for j in range(ranks[p]):
                found[i, q, j] = row[q, j]
