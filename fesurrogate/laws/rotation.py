"""Rotations, what they do to the components of a strain measure, and their derivatives."""

from __future__ import annotations

from math import factorial

import numpy as np

from fesurrogate.kinematics import Array, Kinematics

GENERATORS = np.array(
    [
        [[0.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]],
        [[0.0, 0.0, 1.0], [0.0, 0.0, 0.0], [-1.0, 0.0, 0.0]],
        [[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]],
    ]
)
"""(3, 3, 3): G[k] v = e_k × v."""

TERMS = 10  # of the series below an angle of 1: the first one left out is below 1e-19


def rotation_matrix(
    orientation: Array,  # (n, 1), angles in 2D; (n, 3), rotation vectors in 3D
) -> tuple[Array, Array]:  # (n, d, d), (n, d, d, q)
    """Return the rotations Q of orientations in radians, and ∂Q/∂orientation.

    Q = 1 + a K + b K²,  K = orientation ×,  a = sin t / t,  b = (1 - cos t) / t²,

    with t the angle (Rodrigues), evaluated without cancellation and smooth at t = 0.
    """
    if orientation.shape[1] == 1:
        sine, cosine = np.sin(orientation[:, 0]), np.cos(orientation[:, 0])
        columns = np.array([[cosine, -sine, sine, cosine], [-sine, -cosine, cosine, -sine]])
        matrix, slope = columns.transpose(0, 2, 1).reshape(2, -1, 2, 2)
        return matrix, slope[..., None]
    square = np.einsum("nk,nk->n", orientation, orientation)  # (n,), t²
    a, b, da, db = (values[:, None, None] for values in _coefficients(square))
    skew = np.einsum("nk,kij->nij", orientation, GENERATORS)  # K
    product = skew @ skew
    matrix = np.eye(3) + a * skew + b * product
    along = da * skew + db * product  # ∂Q/∂t²
    generators = GENERATORS[None]
    skews = skew[:, None]
    turned = generators @ skews + skews @ generators  # (n, q, 3, 3)
    slope = 2.0 * orientation[:, :, None, None] * along[:, None]
    slope += a[:, None] * generators + b[:, None] * turned
    return matrix, np.moveaxis(slope, 1, -1)


def component_rotation(
    kinematics: Kinematics,
    rotation: Array,  # (n, d, d), Q
) -> Array:  # (n, m, m)
    """Return R, orthogonal, such that the components on the axes Q e_i are R components.

    On these axes a tensor is Qᵀ T Q and a vector Qᵀ g.
    """
    to_axes = rotation.swapaxes(1, 2)  # Qᵀ
    if kinematics.measure == "gradient":
        return to_axes
    return _on_basis(kinematics, to_axes, rotation)


def component_rotation_slope(
    kinematics: Kinematics,
    rotation: Array,  # (n, d, d), Q
    slope: Array,  # (n, d, d, q), ∂Q/∂orientation
) -> Array:  # (n, q, m, m)
    """Return ∂R/∂orientation of :func:`component_rotation`."""
    n, gdim, count = len(rotation), kinematics.gdim, slope.shape[-1]
    each = np.moveaxis(slope, -1, 1).reshape(
        n * count, gdim, gdim
    )  # ∂Q, orientation by orientation
    flipped = each.swapaxes(1, 2)
    if kinematics.measure == "gradient":
        return flipped.reshape(n, count, gdim, gdim)
    same = np.repeat(rotation, count, axis=0)
    matrix = _on_basis(kinematics, flipped, same)
    matrix += _on_basis(kinematics, same.swapaxes(1, 2), each)
    return matrix.reshape(n, count, kinematics.size, kinematics.size)


def _on_basis(
    kinematics: Kinematics,
    left: Array,  # (n, d, d), L
    right: Array,  # (n, d, d), M
) -> Array:  # (n, m, m)
    """Return the matrix of T -> L T M on the orthonormal tensors of the components."""
    n, size = len(left), kinematics.size
    basis = kinematics.unpack(np.eye(size))  # (m, d, d)
    moved = left[:, None] @ basis @ right[:, None]  # (n, m, d, d)
    flat: Array = moved.reshape(n, size, kinematics.gdim**2) @ basis.reshape(size, -1).T
    return flat.swapaxes(1, 2)


def turn(
    matrix: Array,  # (n, m, m), or (1, m, m) for all points alike
    rows: Array,  # (n, m)
) -> Array:  # (n, m)
    """Return the product of each point's matrix with its row."""
    with np.errstate(over="ignore", invalid="ignore"):  # rows of points that fail
        if len(matrix) == 1:
            return rows @ matrix[0].T
        product: Array = (matrix @ rows[:, :, None])[:, :, 0]
        return product


def _coefficients(
    square: Array,  # (n,), t²
) -> tuple[Array, Array, Array, Array]:  # (n,) each
    """Return a = sin t / t, b = (1 - cos t) / t² and their derivatives by t²."""
    angle = np.sqrt(square)
    a: Array = np.asarray(np.sinc(angle / np.pi), dtype=np.float64)
    b: Array = np.asarray(0.5 * np.sinc(0.5 * angle / np.pi) ** 2, dtype=np.float64)
    small = square < 1.0
    safe = np.where(small, 1.0, square)
    da = (np.cos(angle) - a) / (2.0 * safe)
    db = (a - 2.0 * b) / (2.0 * safe)
    x = np.where(small, square, 0.0)
    series_a, series_b = np.zeros_like(x), np.zeros_like(x)
    for k in range(TERMS, 0, -1):  # Horner's rule
        series_a = series_a * x + (-1) ** k * k / factorial(2 * k + 1)
        series_b = series_b * x + (-1) ** k * k / factorial(2 * k + 2)
    return a, b, np.where(small, series_a, da), np.where(small, series_b, db)
