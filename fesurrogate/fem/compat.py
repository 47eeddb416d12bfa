"""Every difference between the DOLFINx versions we support (0.9 to 0.11) lives here."""

from __future__ import annotations

import numpy as np
from dolfinx import fem, mesh
from numpy.typing import NDArray


def evaluate_expression(
    expression: fem.Expression,
    domain: mesh.Mesh,
    cells: NDArray[np.int32],  # (c,)
    size: int,
) -> NDArray[np.float64]:  # (c * points, size)
    """Evaluate a vector expression of ``size`` components; 0.9 returns it flat, 0.10 shaped."""
    return np.asarray(expression.eval(domain, cells)).reshape(-1, size)


def geometry_dofmap(domain: mesh.Mesh) -> NDArray[np.int32]:  # (local cells, nodes per cell)
    """Return the geometry nodes of the local cells: ``dofmap``, deprecated in 0.11."""
    maps = getattr(domain.geometry, "dofmaps", None)
    if maps is None:
        return domain.geometry.dofmap
    return maps(0) if callable(maps) else maps[0]
