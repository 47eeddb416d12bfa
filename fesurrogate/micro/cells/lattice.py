"""Of which lattice a mesh is the cell, and whether it holds together when it is repeated."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components
from scipy.spatial import ConvexHull, QhullError, cKDTree

from fesurrogate.errors import InputError
from fesurrogate.kinematics import Array

TOLERANCE = 1e-6  # of a lattice vector


def find_lattice(
    x: Array,  # (nodes, d)
    lattice: Array | None,  # (d, d)
    *,
    has_void: bool,
    source: str,
) -> tuple[Array, Array]:  # (d,), (d, d)
    """Return lower corner and lattice vectors (rows) of the parallelepiped that a mesh fills.

    Without a lattice, it is the convex hull of the nodes; where that is no parallelepiped and
    voids may have eaten its corners, the box around the nodes.

    Raises:
        InputError: The lattice is none, or the mesh does not reach over it or is of another shape.
    """
    d = x.shape[1]
    if lattice is None:
        lattice = _hull_lattice(x)
        if lattice is None and not has_void:
            raise InputError(
                f"{source}: the mesh is no parallelepiped; a cell must be one, or give its lattice "
                "vectors and the name of its void"
            )
        if lattice is None:
            lattice = np.diag(np.ptp(x, axis=0))
    if lattice.shape != (d, d) or not np.isfinite(lattice).all():
        raise InputError(f"{source}: the lattice is {lattice.tolist()}; expected {d} vectors")
    lengths = np.linalg.norm(lattice, axis=1)
    if abs(np.linalg.det(lattice)) < 1e-6 * np.prod(lengths):
        raise InputError(
            f"{source}: the lattice vectors {lattice.tolist()} span no volume; give {d} that are "
            "not parallel"
        )
    fractional = x @ np.linalg.inv(lattice)
    lower, extent = fractional.min(axis=0), np.ptp(fractional, axis=0)
    if np.abs(extent - 1).max() > TOLERANCE:
        raise InputError(
            f"{source}: the mesh extends over {', '.join(f'{e:.6g}' for e in extent)} lattice "
            "vectors; expected 1 each: correct the lattice or the mesh"
        )
    return lower @ lattice, lattice


def _hull_lattice(x: Array) -> Array | None:
    """Return the edges of the convex hull if it is a parallelepiped, the k-th most along axis k."""
    d = x.shape[1]
    size = float(np.ptp(x, axis=0).max())
    try:
        planes = ConvexHull(x).equations  # outward unit normal and offset, of every simplex
    except QhullError:
        return None
    sides = planes[:1]
    for plane in planes:  # few differ: those of coplanar simplices agree
        apart = np.abs((sides - plane) / np.append(np.ones(d), size)).max(axis=1)
        if apart.min() > 10 * TOLERANCE:
            sides = np.vstack([sides, plane])
        if len(sides) > 2 * d:
            return None
    normals, widths = [], []
    for k, side in enumerate(sides):
        for other in sides[k + 1 :]:
            if np.abs(side[:d] + other[:d]).max() < 10 * TOLERANCE:
                normals.append(side[:d])
                widths.append(-side[d] - other[d])
    if len(sides) != 2 * d or len(normals) != d:
        return None
    vectors = (np.linalg.inv(np.array(normals)) * widths).T  # n_j · a_i = w_j δ_ij
    order: list[int] = []
    for axis in range(d):
        along = np.abs(vectors[:, axis]) / np.linalg.norm(vectors, axis=1)
        along[order] = -1.0
        order.append(int(along.argmax()))
    vectors = vectors[order]
    vectors *= np.where(np.diag(vectors) < 0, -1.0, 1.0)[:, None]
    vectors[np.abs(vectors) < 1e-12 * size] = 0.0
    return np.asarray(vectors)


def check_connected(
    x: Array,  # (nodes, d)
    cells: NDArray[np.integer],  # (cells, nodes per cell)
    origin: Array,  # (d,)
    lattice: Array,  # (d, d)
    *,
    source: str,
) -> None:
    """Refuse a cell that, repeated along its lattice, is not one body without free parts.

    Raises:
        InputError: Parts of the mesh share no node; or the body is an island that no neighbour
            holds.
    """
    d = x.shape[1]
    pairs = np.stack([np.repeat(cells[:, 0], cells.shape[1] - 1), cells[:, 1:].ravel()])
    graph = sp.coo_matrix((np.ones(pairs.shape[1]), pairs), shape=(len(x), len(x)))
    _, part = connected_components(graph, directed=False)
    fractional = (x - origin) @ np.linalg.inv(lattice)
    upper = np.abs(fractional - 1) < TOLERANCE
    tree = cKDTree(fractional)
    links: set[tuple[int, ...]] = set()  # (part, part of the image, shift along each vector)
    for axis in range(d):
        rows = np.flatnonzero(upper[:, axis])
        images = fractional[rows] - np.eye(d)[axis]
        distance, partner = tree.query(images, distance_upper_bound=10 * TOLERANCE)
        found = np.isfinite(distance)
        for one, other in set(zip(part[rows[found]], part[partner[found]], strict=True)):
            links.add((int(one), int(other), *np.eye(d, dtype=int)[axis].tolist()))
    place: dict[int, NDArray] = {int(part[cells[0, 0]]): np.zeros(d, dtype=int)}
    reached = True
    while reached:  # where each part lies, in lattice steps from the first
        reached = False
        for one, other, *step in links:
            if one in place and other not in place:
                place[other], reached = place[one] - step, True
            elif other in place and one not in place:
                place[one], reached = place[other] + step, True
    parts = set(part[cells[:, 0]].tolist())
    if parts - set(place):
        loose = x[np.flatnonzero(part == min(parts - set(place)))].mean(axis=0)
        raise InputError(
            f"{source}: the mesh falls apart: {len(parts - set(place))} part(s), the first near "
            f"{loose.round(6).tolist()}, share no node with the rest; join the phases at their "
            "interfaces (in gmsh: fragment), and the faces periodically"
        )
    loops = [place[one] - place[other] - step for one, other, *step in links]
    rank = int(np.linalg.matrix_rank(np.array(loops))) if loops else 0
    if rank < d - 1:
        raise InputError(
            f"{source}: repeated, the cell is connected along {rank} of {d} directions, so that "
            "parts of it can turn freely; let what is no void reach from face to face, and give "
            "opposite faces the same nodes"
        )
