"""The condition on the boundary of the cell: which fluctuations it leaves free."""

from __future__ import annotations

from typing import Literal

import numpy as np
import scipy.sparse as sp
import ufl
from dolfinx import fem, mesh

from fesurrogate.errors import InputError
from fesurrogate.kinematics import Array
from fesurrogate.micro.cells.cell import Cell
from fesurrogate.micro.cells.faces import exterior_facets
from fesurrogate.micro.constraint import (
    blocked,
    linear_prolongation,
    periodic_masters,
    periodic_prolongation,
    traction_prolongation,
)

Boundary = Literal["periodic", "linear", "traction"]
"""Condition on the boundary of the cell."""


def prolongation(
    boundary: Boundary,
    cell: Cell,
    V: fem.FunctionSpace,
    *,
    fluctuating: int,
) -> sp.csr_matrix:  # (nodes * components, unknowns)
    """Return T, from the unknowns of the cell to the nodal values of its fluctuation.

    Args:
        boundary: Condition on the boundary.
        cell: The cell.
        V: Space of the displacement.
        fluctuating: How many of its components fluctuate.

    Raises:
        InputError: The cell's faces do not match, or the condition is not for a cell with a void.
    """
    x = V.tabulate_dof_coordinates()[:, : cell.mesh.geometry.dim]
    if boundary == "periodic":
        has_void = cell.void is not None
        masters = periodic_masters(x, cell.origin, cell.lattice, has_void=has_void)
        nodal = periodic_prolongation(masters)
    elif boundary == "linear":
        nodal = linear_prolongation(x, cell.origin, cell.lattice)
    else:
        nodal = traction_prolongation(_normals(cell, V))
    return blocked(nodal, V.dofmap.index_map_bs, fluctuating)


def _normals(cell: Cell, V: fem.FunctionSpace) -> Array:  # (nodes, dimension)
    """Return ∫ φ n dS over the faces of the cell; those of a crack in it are none."""
    if cell.void is not None:
        raise InputError(
            f"boundary 'traction' is not for a cell with a void ({cell.void!r}): where the void "
            "meets a face there is no traction to be uniform; take 'periodic'"
        )
    v, n = ufl.TestFunction(V), ufl.FacetNormal(cell.mesh)
    facets, on_face = exterior_facets(cell)
    d, components = cell.mesh.geometry.dim, V.dofmap.index_map_bs
    faces = mesh.meshtags(cell.mesh, d - 1, facets, on_face.astype(np.int32))
    ds = ufl.Measure("ds", domain=cell.mesh, subdomain_data=faces)(1)
    if components > 1:  # block I of the vector is ∫ φ_I n dS
        zeros = [ufl.as_ufl(0.0)] * (components - d)
        integrals = [ufl.inner(v, ufl.as_vector([*(n[k] for k in range(d)), *zeros])) * ds]
    else:
        integrals = [v * n[k] * ds for k in range(d)]
    vectors = [fem.assemble_vector(fem.form(integral)).array for integral in integrals]
    return np.stack(vectors, axis=1).reshape(V.dofmap.index_map.size_local, -1)[:, :d]
