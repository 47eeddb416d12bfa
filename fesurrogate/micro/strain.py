"""From the unknowns of a cell to its strain; a plane cell may stand for a prism.

A plane cell under the kinematics of the solid is the section of a prism in generalised plane
strain: all macro strains of the solid, a fluctuation that does not change along the prism. Its
unknown has more components than the displacement: the derivative along the prism, of what the
strain measure sees of it, is a field like any other. The macro strain makes it constant and the
fluctuation leaves it alone, so that mean stress and tangent follow as for any cell.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import ufl
from dolfinx import fem

from fesurrogate.fem.strain import pack
from fesurrogate.kinematics import Array, Kinematics

ALONG = {"small": (2,), "finite": (0, 1, 2), "gradient": (0,)}
"""Components of the displacement whose derivative along a prism is an unknown."""


def num_fluctuating(kinematics: Kinematics) -> int:
    """Return how many components of the unknown fluctuate: those of the displacement."""
    return 1 if kinematics.measure == "gradient" else kinematics.gdim


def num_components(kinematics: Kinematics, dimension: int) -> int:
    """Return the components of the unknown in a mesh of a dimension."""
    along = ALONG[kinematics.measure] if dimension < kinematics.gdim else ()
    return num_fluctuating(kinematics) + len(along)


def affine_modes(
    kinematics: Kinematics,
    x: Array,  # (nodes, dimension)
) -> Array:  # (nodes * components, m)
    """Return the nodal unknown of each unit strain component, about the mesh's centre."""
    centred = x - (x.min(axis=0) + x.max(axis=0)) / 2
    shape = (kinematics.size, -1, kinematics.gdim)
    basis: Array = kinematics.unpack(np.eye(kinematics.size)).reshape(shape)
    dimension = x.shape[1]
    if dimension < kinematics.gdim and kinematics.measure == "small":
        basis = _sheared_along(basis)
    modes = np.einsum("xj,mij->xim", centred, basis[:, :, :dimension])
    if dimension < kinematics.gdim:
        along = basis[:, ALONG[kinematics.measure], dimension].T
        modes = np.concatenate([modes, np.broadcast_to(along, (len(x), *along.shape))], axis=1)
    return modes.reshape(-1, kinematics.size)


def _sheared_along(
    basis: Array,  # (m, 3, 3), symmetric
) -> Array:  # (m, 3, 3)
    """Return displacement gradients of the same strains that do not move the section sideways."""
    gradient = basis.copy()
    gradient[:, 2, :2] += gradient[:, :2, 2]
    gradient[:, :2, 2] = 0.0
    return gradient


def displacement_gradient(u: fem.Function, kinematics: Kinematics) -> Any:
    """Return ∇u (d, d), or (d,) of a scalar, in UFL."""
    if u.function_space.mesh.geometry.dim == kinematics.gdim:
        return ufl.grad(u)
    plane, along = ufl.grad(u), ALONG[kinematics.measure]
    first = num_fluctuating(kinematics)
    depth = {i: u[first + k] for k, i in enumerate(along)}
    if kinematics.measure == "gradient":
        return ufl.as_vector([plane[0, 0], plane[0, 1], depth[0]])
    zero = ufl.as_ufl(0.0)
    return ufl.as_tensor([[plane[i, 0], plane[i, 1], depth.get(i, zero)] for i in range(3)])


def strain_tensor(u: fem.Function, kinematics: Kinematics) -> Any:
    """Return what an energy takes: F, the symmetric ε or the gradient, in UFL."""
    gradient = displacement_gradient(u, kinematics)
    if kinematics.measure == "finite":
        return ufl.Identity(kinematics.gdim) + gradient
    return ufl.sym(gradient) if kinematics.measure == "small" else gradient


def strain_components(u: fem.Function, kinematics: Kinematics) -> Any:
    """Return what a Material takes: the strain (m,), in UFL."""
    return pack(kinematics, strain_tensor(u, kinematics))


def rotation_of(
    kinematics: Kinematics,
    strain: Array,  # (m,), admissible
) -> Array | None:  # (d, d)
    """Return the rotation R of F = R U at finite strain, else None."""
    if kinematics.measure != "finite":
        return None
    left, _, right = np.linalg.svd(strain.reshape(kinematics.gdim, kinematics.gdim))
    return np.asarray(left @ right)
