"""A block through the perceptron: value, gradient and Hessian."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from fesurrogate.machine_code import OPTIONS
from fesurrogate.surrogate.kernels.blocks import POINTS, TILE, Numbers, add_product, tanh


class Weights(NamedTuple):
    """The perceptron of l hidden layers of at most h neurons, padded; x / scale is folded in."""

    sizes: NDArray[np.int64]  # (l + 1,), inputs and widths
    starts: NDArray[np.int64]  # (l + 1,), sums of the sizes before
    matrices: Numbers  # (l, h, h)
    transposed: Numbers  # (l, h, h)
    biases: Numbers  # (l, h)
    output: Numbers  # (h,)
    pairs: Numbers  # (q (q + 1) / 2, h), products of the columns of the first matrix
    table: Numbers  # (14,), constants of tanh
    exponent: NDArray[Any]  # (2,), of tanh


class Scratch(NamedTuple):
    """What a block leaves behind of the perceptron. Layers lie one after another, x first."""

    active: Numbers  # (k, b), a_l
    slopes: Numbers  # (k, b), tanh' z_l
    adjoints: Numbers  # (k, b), g_l ⊙ tanh' z_l; in the place of x the gradient
    value: Numbers  # (b,)
    curvature: Numbers  # (h, b)
    scaled: Numbers  # (h, b)
    jacobian: Numbers  # (q, h, b)
    upper: Numbers  # (q (q + 1) / 2, b), -½ of the Hessian's upper triangle row by row
    power: Numbers  # (b,)
    bits: NDArray[Any]  # (b,), the same memory as integers


@njit(**OPTIONS)
def scratch(
    net: Weights,
    inputs: int,  # q
) -> Scratch:
    """Return memory for one block, x at rest in it."""
    rows, wide, number = net.starts[-1] + net.sizes[-1], len(net.output), net.output.dtype
    power = np.empty(POINTS, number)
    return Scratch(
        np.zeros((rows, POINTS), number),
        np.empty((rows, POINTS), number),
        np.empty((rows, POINTS), number),
        np.empty(POINTS, number),
        np.empty((wide, POINTS), number),
        np.empty((wide, POINTS), number),
        np.empty((inputs, wide, POINTS), number),
        np.empty((len(net.pairs), POINTS), number),
        power,
        power.view(net.exponent.dtype),
    )


@njit(**OPTIONS)
def perceptron(net: Weights, work: Scratch) -> None:
    """Leave N(x) and ∂N/∂x, as :class:`~fesurrogate.surrogate.perceptron.Perceptron` does."""
    sizes, active, slopes, adjoints = net.sizes, work.active, work.slopes, work.adjoints
    one, last = net.table[5], len(sizes) - 1
    for layer in range(1, last + 1):
        start = net.starts[layer]
        before, end = start - sizes[layer - 1], start + sizes[layer]
        for i in range(start, end):
            bias = net.biases[layer - 1, i - start]
            for p in range(POINTS):
                active[i, p] = bias
        add_product(net.matrices[layer - 1], active[before:start], active[start:end])
        tanh(active[start:end], work.power, work.bits, net.table, net.exponent)
        for i in range(start, end):
            for p in range(POINTS):
                slopes[i, p] = one - active[i, p] * active[i, p]
    start = net.starts[last]
    work.value[:] = 0.0
    for i in range(sizes[last]):
        factor = net.output[i]
        for p in range(POINTS):
            work.value[p] += factor * active[start + i, p]
            adjoints[start + i, p] = factor * slopes[start + i, p]
    for layer in range(last, 0, -1):
        start = net.starts[layer]
        before, end = start - sizes[layer - 1], start + sizes[layer]
        adjoints[before:start] = 0.0
        add_product(net.transposed[layer - 1], adjoints[start:end], adjoints[before:start])
        if layer > 1:
            for i in range(before, start):
                for p in range(POINTS):
                    adjoints[i, p] *= slopes[i, p]


@njit(**OPTIONS)
def hessian(net: Weights, work: Scratch) -> None:
    """Leave -½ ∂²N/∂x² by the first q inputs, after :func:`perceptron`."""
    sizes, curvature, scaled, jacobian = net.sizes, work.curvature, work.scaled, work.jacobian
    q, upper = len(jacobian), work.upper
    upper[:] = 0.0
    for layer in range(1, len(sizes)):
        start, width = net.starts[layer], sizes[layer]
        for i in range(width):
            for p in range(POINTS):
                curvature[i, p] = work.adjoints[start + i, p] * work.active[start + i, p]
        if layer == 1:
            add_product(net.pairs, curvature[:width], upper)
            continue
        behind = sizes[layer - 1]
        slopes = work.slopes[start - behind : start]
        for r in range(q):
            for i in range(behind):
                if layer == 2:
                    factor = net.matrices[0, i, r]
                    for p in range(POINTS):
                        scaled[i, p] = factor * slopes[i, p]
                else:
                    for p in range(POINTS):
                        scaled[i, p] = jacobian[r, i, p] * slopes[i, p]
            jacobian[r, :width] = 0.0
            add_product(net.matrices[layer - 1], scaled[:behind], jacobian[r, :width])
        row = 0
        for r in range(q):
            for i in range(width):
                for p in range(POINTS):
                    scaled[i, p] = curvature[i, p] * jacobian[r, i, p]
            for s in range(r, q):
                other = jacobian[s]
                for i in range(0, width, TILE):
                    for p in range(POINTS):
                        total = upper[row, p] + scaled[i, p] * other[i, p]
                        total += scaled[i + 1, p] * other[i + 1, p]
                        total += scaled[i + 2, p] * other[i + 2, p]
                        total += scaled[i + 3, p] * other[i + 3, p]
                        upper[row, p] = total
                row += 1
