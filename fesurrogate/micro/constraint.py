"""Kinematic constraints of the cell, as a prolongation of independent unknowns.

The displacement of the cell is u = X (ε - ε₀) + T q: affine modes X of the macro strain, and a
fluctuation T q. T is a sparse matrix that repeats a master's value on its periodic images, say, and
leaves one node at rest; another boundary condition is another T. Everything else (assembly,
residual Tᵀf, stress Xᵀf, tangent) is the same for all of them and stays in the ordinary Lagrange
space, so no multiplier, no modified DOLFINx space and no second assembly is needed.

Periodic fluctuations, no fluctuation on the boundary (linear displacement) and ∫ w ⊗ n dS = 0
(uniform traction) all meet the Hill-Mandel condition; the smaller the space of fluctuations, the
stiffer the cell: traction ≤ periodic ≤ linear. Source: Miehe and Koch (2002), Arch. Appl. Mech.
72, 300-317.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.linalg import qr
from scipy.spatial import cKDTree

from fesurrogate.errors import InputError
from fesurrogate.kinematics import Array


def periodic_masters(
    x: Array,  # (nodes, d)
    origin: Array,  # (d,)
    lattice: Array,  # (d, d), rows are the lattice vectors
    *,
    has_void: bool = False,
    tolerance: float = 1e-6,
) -> NDArray[np.int64]:  # (nodes,)
    """Return, for every node, the node that stands for it and all its periodic images.

    In a cell with a void a node may face nothing: it is free there. Nodes inside stand for
    themselves, though two of them, on the faces of a crack, lie in one place.

    Raises:
        InputError: A node on one face has no partner on the opposite face.
    """
    fractional = (x - origin) @ np.linalg.inv(lattice)
    reduced = np.where(fractional > 1 - tolerance, fractional - 1, fractional)
    upper = np.abs(fractional - 1) < tolerance
    lower = np.abs(fractional) < tolerance
    faces = (upper | lower).sum(axis=1)  # on how many faces each node lies
    rows = np.flatnonzero(faces)
    images = cKDTree(reduced[rows]).query_ball_point(reduced[rows], r=10 * tolerance)
    master = np.arange(len(x), dtype=np.int64)
    master[rows] = rows[[min(group) for group in images]]
    unmatched = rows[[len(group) for group in images] != 2 ** faces[rows]]
    if has_void:
        unmatched = unmatched[_nearly_met(fractional, reduced, unmatched, tolerance)]
    if unmatched.size:
        place = ", ".join(f"{value:.6g}" for value in x[unmatched[0]])
        raise InputError(
            f"the cell's faces do not match: the node at [{place}] has no "
            f"partner on the opposite face ({unmatched.size} such nodes); make the mesh periodic "
            "(gmsh: setPeriodic), or take boundary 'linear'"
        )
    return master


def _nearly_met(
    fractional: Array,  # (nodes, d)
    reduced: Array,  # (nodes, d), with upper faces moved onto lower ones
    nodes: NDArray[np.integer],  # (k,)
    tolerance: float,
) -> NDArray[np.bool_]:  # (k,)
    """Return whether nodes of the opposite face lie beside the image: within half the spacing."""
    spacing = cKDTree(fractional).query(fractional[nodes], k=2)[0][:, 1]
    tree = cKDTree(reduced)
    near = tree.query_ball_point(reduced[nodes], r=spacing / 2, return_length=True)
    met = tree.query_ball_point(reduced[nodes], r=10 * tolerance, return_length=True)
    return np.asarray(near > met)


def periodic_prolongation(
    master: NDArray[np.int64],  # (nodes,)
) -> sp.csr_matrix:  # (nodes, nodal unknowns)
    """Return T of equal fluctuations on opposite faces; the first node is held at rest."""
    kept, column = np.unique(master, return_inverse=True)
    ones = (np.ones(len(master)), (np.arange(len(master)), column))
    return sp.csr_matrix(ones, shape=(len(master), len(kept)))[:, 1:]


def linear_prolongation(
    x: Array,  # (nodes, d)
    origin: Array,  # (d,)
    lattice: Array,  # (d, d), rows are the lattice vectors
    *,
    tolerance: float = 1e-6,
) -> sp.csr_matrix:  # (nodes, nodal unknowns)
    """Return T of a boundary that follows the macro strain: no fluctuation on it."""
    fractional = (x - origin) @ np.linalg.inv(lattice)
    inside = ((fractional > tolerance) & (fractional < 1 - tolerance)).all(axis=1)
    return sp.identity(len(x), format="csr")[:, np.flatnonzero(inside)]


def traction_prolongation(
    normals: Array,  # (nodes, d), ∫ φ n dS over the boundary
) -> sp.csr_matrix:  # (nodes, nodal unknowns)
    """Return T of uniform traction: ∫ w ⊗ n dS = 0, the least that the macro strain asks for.

    Of each component, d nodes depend on the other boundary nodes (chosen by pivoting, for their
    condition), and one more is held at rest.
    """
    nodes, d = normals.shape
    boundary = np.flatnonzero(np.abs(normals).max(axis=1) > 1e-12 * np.abs(normals).max())
    _, pivots = qr(normals[boundary].T, mode="r", pivoting=True)[:2]
    dependent = boundary[pivots[:d]]
    others = np.setdiff1d(boundary, dependent)
    weights = -np.linalg.solve(normals[dependent].T, normals[others].T)  # (d, others)
    nodal = sp.identity(nodes, format="lil")
    nodal[dependent, dependent] = 0.0
    nodal[np.ix_(dependent, others)] = weights
    free = np.setdiff1d(np.arange(nodes), [*dependent, others[0]])
    return nodal.tocsr()[:, free]


def blocked(
    nodal: sp.csr_matrix,  # (nodes, nodal unknowns)
    components: int,
    fluctuating: int,
) -> sp.csr_matrix:  # (nodes * components, nodal unknowns * fluctuating)
    """Return T of a field of some components, of which the first ones fluctuate, all alike."""
    return sp.kron(nodal, sp.identity(components, format="csr")[:, :fluctuating], format="csr")


def galerkin_map(
    stiffness: sp.bsr_matrix,  # (n, n)
    prolongation: sp.csr_matrix,  # (n, q)
) -> tuple[NDArray[np.int32], NDArray[np.int32], sp.csr_matrix]:
    """Return the CSR pattern of TᵀKT and the sparse map from K's values to its values.

    A numeric triple product is then one sparse matrix-vector product over the stored values, block
    by block as they lie in memory.
    """
    blocks, structure = stiffness.data, (stiffness.indices, stiffness.indptr)
    place = np.arange(blocks.size).reshape(blocks.shape)
    entrywise = sp.bsr_matrix((place, *structure), shape=stiffness.shape).tocsr()
    indptr, indices = entrywise.indptr, entrywise.indices
    n, q = prolongation.shape
    T, starts = prolongation, prolongation.indptr
    count = np.diff(starts)  # entries in a row of T
    rows = np.repeat(np.arange(n), np.diff(indptr))
    pairs = count[rows].astype(np.int64) * count[indices]  # of an entry of K
    source = np.repeat(np.arange(len(indices)), pairs)
    within = np.arange(len(source)) - np.repeat(np.cumsum(pairs) - pairs, pairs)
    right = count[indices][source]
    left_entry = starts[rows[source]] + within // right
    right_entry = starts[indices[source]] + within % right
    keys = T.indices[left_entry].astype(np.int64) * q + T.indices[right_entry]
    entries, target = np.unique(keys, return_inverse=True)
    values = (T.data[left_entry] * T.data[right_entry], (target, entrywise.data[source]))
    mapping = sp.csr_matrix(values, shape=(len(entries), len(indices)))
    new_indptr = np.searchsorted(entries // q, np.arange(q + 1)).astype(np.int32)
    return new_indptr, (entries % q).astype(np.int32), mapping
