"""What an iterative solver should know of elasticity: motions that cost next to no energy."""

from __future__ import annotations

import numpy as np
from dolfinx import fem
from petsc4py import PETSc


def rigid_body_modes(V: fem.FunctionSpace) -> PETSc.NullSpace | None:
    """Return the translations and rotations in a space of displacements. Collective.

    Algebraic multigrid (GAMG) keeps them on its coarse levels, so that its iterations do not grow
    with the mesh.

    Returns:
        The modes, 3 in 2D and 6 in 3D, for ``Mat.setNearNullSpace``; None where the space is not
        of one Lagrange displacement, a scalar or a mixed space say.
    """
    dim, element = V.mesh.geometry.dim, V.ufl_element()
    if dim == 1 or element.block_size != dim or element.family_name != "P":
        return None
    owned = V.dofmap.index_map.size_local
    nodes = np.ascontiguousarray(V.tabulate_dof_coordinates()[:owned, :dim])  # (nodes, d)
    coordinates = PETSc.Vec().createWithArray(nodes.ravel(), bsize=dim, comm=V.mesh.comm)
    modes = PETSc.NullSpace().createRigidBody(coordinates)
    coordinates.destroy()
    return modes
