"""Fields as plain arrays: at the nodes of the mesh, and one value a cell."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import ufl
from dolfinx import fem
from dolfinx.mesh import Mesh

from fesurrogate.errors import InputError
from fesurrogate.fem.compat import geometry_dofmap
from fesurrogate.kinematics import Array


def nodal_values(mesh: Mesh, function: fem.Function) -> Array:  # (local nodes, components)
    """Return a Function at the local nodes of the mesh's geometry. Collective."""
    shape = function.ufl_shape
    element = mesh.ufl_domain().ufl_coordinate_element().basix_element
    space = fem.functionspace(mesh, ("Lagrange", element.degree, tuple(shape)))
    target = fem.Function(space)
    target.interpolate(function)
    target.x.scatter_forward()
    size = max(1, math.prod(shape))
    values = np.zeros((mesh.geometry.x.shape[0], size))
    values[geometry_dofmap(mesh)] = target.x.array.reshape(-1, size)[space.dofmap.list]
    return values


def owned_cell_values(
    mesh: Mesh, values: Array | fem.Function, name: str = "values"
) -> Array:  # (cells, ...)
    """Return what belongs to the owned cells, from an array or a piecewise constant Function.

    Raises:
        InputError: the array has another length, or the Function is not constant in a cell.
    """
    owned = mesh.topology.index_map(mesh.topology.dim).size_local
    if isinstance(values, fem.Function):
        dofs = values.function_space.dofmap.list
        if dofs.shape[1] != 1:
            raise InputError(
                f"cell field {name!r} has {dofs.shape[1]} values a cell; expected a piecewise "
                "constant Function ('DG', 0): average it with cell_average()"
            )
        size = values.function_space.dofmap.index_map_bs
        rows = values.x.array.reshape(-1, size)[dofs[:owned, 0]]
        return rows[:, 0] if size == 1 else rows
    array = np.asarray(values, dtype=np.float64)
    if array.ndim == 0 or len(array) != owned:
        raise InputError(
            f"cell field {name!r} has shape {array.shape}; expected one row for each of the "
            f"{owned} cells that this rank owns"
        )
    return array


def cell_average(
    mesh: Mesh, terms: Sequence[tuple[Any, ufl.Measure]]
) -> Callable[[], Array]:  # () -> (owned cells,)
    """Return a function that averages a scalar UFL expression over each owned cell.

    Args:
        mesh: the mesh.
        terms: expressions and the measures (regions) that they belong to; the average is zero
            outside. A quadrature Function needs a measure of its degree, as a MaterialField's
            ``dx`` is.

    Note:
        Both this call and the returned function are collective. The forms are compiled once.
    """
    space = fem.functionspace(mesh, ("DG", 0))
    test = ufl.TestFunction(space)
    forms = [fem.form(expression * test * dx) for expression, dx in terms]
    volume = fem.assemble_vector(fem.form(test * ufl.dx(domain=mesh))).array.copy()
    owned = mesh.topology.index_map(mesh.topology.dim).size_local
    dofs = space.dofmap.list[:owned, 0]

    def average() -> Array:
        total = sum(fem.assemble_vector(form).array[dofs] for form in forms)
        return total / volume[dofs]

    return average
