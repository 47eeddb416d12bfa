"""The quadrature points of a field: where they are, what they weigh, and means over each cell."""

from __future__ import annotations

from collections.abc import Sequence

import basix
import numpy as np
import ufl
from dolfinx import fem
from dolfinx.mesh import Mesh

from fesurrogate.fem.compat import evaluate_expression
from fesurrogate.fem.field import MaterialField
from fesurrogate.kinematics import Array


def point_coordinates(field: MaterialField) -> Array:  # (n, d)
    """Return where the points of a field lie in the undeformed body."""
    points, _ = _quadrature(field)
    x = fem.Expression(ufl.SpatialCoordinate(field.mesh), points)
    return evaluate_expression(x, field.mesh, field.cells, field.mesh.geometry.dim)


def point_weights(field: MaterialField) -> Array:  # (n,)
    """Return the volume (2D: area) that each point of a field stands for."""
    points, weights = _quadrature(field)
    scale = fem.Expression(ufl.as_vector([abs(ufl.JacobianDeterminant(field.mesh))]), points)
    stretch = evaluate_expression(scale, field.mesh, field.cells, 1)[:, 0]
    return np.asarray(stretch * np.tile(weights, len(field.cells)), dtype=np.float64)


def cell_means(
    mesh: Mesh,
    values: Sequence[tuple[MaterialField, Array, Array]],
) -> Array:  # (owned cells,)
    """Return the mean of point values over each owned cell; NaN where no field has any.

    Args:
        mesh: Of all fields.
        values: A field, the weights (n,) of its points and a value (n,) at each.
    """
    owned = mesh.topology.index_map(mesh.topology.dim).size_local
    means = np.full(owned, np.nan)
    for field, weights, value in values:
        if len(field.cells):
            rows = len(field.cells), -1
            volume = weights.reshape(rows).sum(axis=1)
            means[field.cells] = (weights * value).reshape(rows).sum(axis=1) / volume
    return means


def _quadrature(field: MaterialField) -> tuple[Array, Array]:  # (points, d), (points,)
    return basix.make_quadrature(field.mesh.basix_cell(), field.metadata["quadrature_degree"])
