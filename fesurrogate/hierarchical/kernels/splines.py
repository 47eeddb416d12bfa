"""The B-splines about each point, by the formulas of ``representations.splines``."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fesurrogate.kinematics import Array
from fesurrogate.machine_code import compiled


@compiled
def local(
    points: Array,  # (n, p)
    knots: Array,  # (p, t), each axis filled up at its end
    counts: NDArray[np.int64],  # (p,), number of B-splines
    degrees: NDArray[np.int64],  # (p,)
    first: NDArray[np.int64],  # (n, p), written
    weights: Array,  # (n, p, 2, 4), written: as many as the degree and one, and their derivatives
) -> None:
    """Write first B-spline, weights and their derivatives, point by point and axis by axis."""
    n, p = points.shape
    for i in range(n):
        for k in range(p):
            t, d, count = knots[k], degrees[k], counts[k]
            x = min(max(points[i, k], t[0]), t[count + d])
            span, above = d, count
            while above - span > 1:
                middle = (span + above) // 2
                if t[middle] <= x:
                    span = middle
                else:
                    above = middle
            own, rate = weights[i, k, 0], weights[i, k, 1]
            own[0] = 1.0
            for j in range(1, d + 1):
                if j == d:
                    for r in range(d + 1):
                        rate[r] = 0.0
                carried = 0.0
                for r in range(j):
                    right, left = t[span + r + 1], t[span + 1 + r - j]
                    part = own[r] / (right - left)
                    own[r] = carried + (right - x) * part
                    carried = (x - left) * part
                    if j == d:
                        rate[r] -= d * part
                        rate[r + 1] += d * part
                own[j] = carried
            first[i, k] = span - d
