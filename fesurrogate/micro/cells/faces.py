"""Where a mesh ends: on the faces of its cell, or inside of it, at holes and cracks."""

from __future__ import annotations

import numpy as np
from dolfinx import mesh
from numpy.typing import NDArray

from fesurrogate.micro.cells.cell import Cell
from fesurrogate.micro.cells.lattice import TOLERANCE


def exterior_facets(cell: Cell) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:  # (f,), (f,)
    """Return the facets of one element only, rising, and which of them lie on a face."""
    domain, d = cell.mesh, cell.mesh.topology.dim
    domain.topology.create_connectivity(d - 1, d)
    facets = np.sort(mesh.exterior_facet_indices(domain.topology)).astype(np.int32)
    middles = mesh.compute_midpoints(domain, d - 1, facets)[:, :d]
    fractional = (middles - cell.origin) @ np.linalg.inv(cell.lattice)
    nearest = np.minimum(np.abs(fractional), np.abs(fractional - 1)).min(axis=1)
    return facets, np.asarray(nearest < TOLERANCE)
