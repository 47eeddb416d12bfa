"""Meshed inclusions brought to a volume fraction by moving the nodes of their surface.

Between meshes of two radii the number of nodes jumps, and the fraction with it; with the mesh kept,
it is a smooth function of the radius.
"""

from __future__ import annotations

import itertools
from dataclasses import replace

import basix.ufl
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from fesurrogate.errors import InputError
from fesurrogate.kinematics import Array
from fesurrogate.micro.cells.gmsh_mesh import CELLS, SimplexMesh

TOLERANCE = 1e-10
ON_SURFACE = 1e-6  # of a distance to the centre, in radii


def inclusion_fraction(mesh: SimplexMesh, lattice: Array) -> float:
    """Return the share of the lattice cell that no cell outside the inclusions fills."""
    outside = mesh.cells[~mesh.inside]
    return 1 - float(measures(mesh.points, outside).sum()) / abs(np.linalg.det(lattice))


def measures(
    points: Array,  # (nodes, d)
    cells: NDArray[np.int64],  # (cells, nodes per cell)
) -> Array:  # (cells,)
    """Return area or volume of linear or quadratic simplices; nan where one is inverted.

    Inverted is a cell with a Jacobian determinant that is not positive at a node or at a
    quadrature point.
    """
    d = points.shape[1]
    degree = 1 if cells.shape[1] == d + 1 else 2
    element = basix.ufl.element("Lagrange", CELLS[d], degree).basix_element
    quadrature, weights = basix.make_quadrature(element.cell_type, 3)  # exact: det is cubic
    places = np.concatenate([quadrature, element.points])
    gradients = element.tabulate(1, places)[1:, :, :, 0]  # (d, places, nodes per cell)
    determinant = np.empty((len(cells), len(places)))
    for k in range(len(places)):
        jacobian = np.einsum("cni,jn->cij", points[cells], gradients[:, k])
        determinant[:, k] = np.linalg.det(jacobian)
    sound = (determinant > 0).all(axis=1)
    return np.where(sound, determinant[:, : len(weights)] @ weights, np.nan)


def resized(
    mesh: SimplexMesh,
    centres: Array,  # (count, d)
    radius: float,
    *,
    lattice: Array,  # (d, d)
    fraction: float,
) -> SimplexMesh:
    """Return the mesh with its surface nodes on spheres of the radius that gives the fraction.

    A node on a face of the cell slides in the face, so that opposite faces keep equal nodes.

    Args:
        mesh: Of inclusions of the given radius.
        centres: Of the inclusions.
        radius: Of the inclusions; near the one that is looked for.
        lattice: Of the cell, with a corner at 0.
        fraction: That the meshed inclusions shall have.

    Raises:
        InputError: A cell is inverted, before or after.
    """
    surface, centre, free = _surface(mesh.points, centres, radius, lattice)
    start = mesh.points[surface] - centre  # (nodes on surfaces, d)
    fixed = np.einsum("nij,nj->ni", np.eye(len(lattice)) - free, start)  # across the node's faces
    along = start - fixed
    length, square = np.linalg.norm(along, axis=1), np.einsum("ni,ni->n", fixed, fixed)
    wanted, found = radius, inclusion_fraction(mesh, lattice)
    for _ in range(30):
        if not abs(found - fraction) > TOLERANCE:
            break
        wanted *= (fraction / found) ** (1 / len(lattice))
        points = mesh.points.copy()
        stretch = np.sqrt(np.maximum(wanted**2 - square, 0)) / np.maximum(length, 1e-300)
        points[surface] = centre + fixed + along * stretch[:, None]
        mesh = replace(mesh, points=points)
        found = inclusion_fraction(mesh, lattice)
    if not np.isfinite(measures(mesh.points, mesh.cells)).all():
        raise InputError(
            "gmsh made elements that are inverted or flat; take another resolution, gap or seed"
        )
    return mesh


def _surface(
    points: Array, centres: Array, radius: float, lattice: Array
) -> tuple[NDArray[np.int64], Array, Array]:
    """Return the nodes on surfaces, the centre of each one's, and the projector on its faces."""
    d = len(lattice)
    shifts = np.array(list(itertools.product((-1, 0, 1), repeat=d))) @ lattice
    images = (centres[:, None] + shifts).reshape(-1, d)
    distance, nearest = cKDTree(images).query(points)
    surface = np.flatnonzero(np.abs(distance / radius - 1) < ON_SURFACE)
    centre = images[nearest[surface]]
    fractional = points[surface] @ np.linalg.inv(lattice)
    on_face = (np.abs(fractional) < ON_SURFACE) | (np.abs(fractional - 1) < ON_SURFACE)
    normals = np.linalg.inv(lattice).T  # (d, d), row k is normal to the k-th pair of faces
    free = np.empty((len(surface), d, d))
    for pattern in itertools.product((False, True), repeat=d):
        rows = (on_face == np.array(pattern)).all(axis=1)
        q = normals[list(pattern)]
        free[rows] = np.eye(d) - np.linalg.pinv(q) @ q
    return surface, centre, free
