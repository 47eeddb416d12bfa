"""Kinematic constraints of the cell, as a prolongation of independent unknowns.

The displacement of the cell is u = X (ε - ε₀) + T q: affine modes X of the macro strain, and a
fluctuation T q. T is a sparse matrix that repeats a master's value on its periodic images and
leaves one node at rest; another boundary condition is another T. Everything else (assembly,
residual Tᵀf, stress Xᵀf, tangent) is the same for all of them and stays in the ordinary Lagrange
space, so no multiplier, no modified DOLFINx space and no second assembly is needed.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from fesurrogate.errors import InputError
from fesurrogate.kinematics import Array, Kinematics


def affine_modes(
    kinematics: Kinematics,
    x: Array,  # (nodes, d)
) -> Array:  # (nodes * bs, m)
    """Return the nodal displacement of each unit strain component, about the cell's centre."""
    centred = x - (x.min(axis=0) + x.max(axis=0)) / 2
    basis = kinematics.unpack(np.eye(kinematics.size))
    if kinematics.measure == "gradient":
        return centred @ basis.T
    return np.stack([(centred @ tensor.T).ravel() for tensor in basis], axis=1)


def periodic_masters(
    x: Array,  # (nodes, d)
    origin: Array,  # (d,)
    lattice: Array,  # (d, d), rows are the lattice vectors
    *,
    tolerance: float = 1e-6,
) -> NDArray[np.int64]:  # (nodes,)
    """Return, for every node, the node that stands for it and all its periodic images.

    Raises:
        InputError: A node on one face has no partner on the opposite face.
    """
    fractional = (x - origin) @ np.linalg.inv(lattice)
    reduced = np.where(fractional > 1 - tolerance, fractional - 1, fractional)
    tree = cKDTree(reduced)
    images = tree.query_ball_point(reduced, r=10 * tolerance)
    master = np.array([min(group) for group in images], dtype=np.int64)
    upper = np.abs(fractional - 1) < tolerance
    lower = np.abs(fractional) < tolerance
    expected = 2 ** (upper | lower).sum(axis=1)
    unmatched = np.flatnonzero([len(group) for group in images] != expected)
    if unmatched.size:
        raise InputError(
            f"the cell's faces do not match: the node at {x[unmatched[0]].tolist()} has no "
            f"partner on the opposite face ({unmatched.size} such nodes); make the mesh periodic, "
            "in gmsh with setPeriodic"
        )
    return master


def periodic_prolongation(
    master: NDArray[np.int64],  # (nodes,)
    block_size: int,
) -> sp.csr_matrix:  # (nodes * bs, unknowns)
    """Return T: one unknown block per master node but the first, which is held at rest."""
    kept, column = np.unique(master, return_inverse=True)
    free = column > 0
    rows = np.flatnonzero(free)[:, None] * block_size + np.arange(block_size)
    columns = (column[free] - 1)[:, None] * block_size + np.arange(block_size)
    shape = (len(master) * block_size, (len(kept) - 1) * block_size)
    values = np.ones(rows.size)
    return sp.csr_matrix((values, (rows.ravel(), columns.ravel())), shape=shape)


def galerkin_map(
    indptr: NDArray,
    indices: NDArray,
    prolongation: sp.csr_matrix,  # (n, q), at most one 1 per row
) -> tuple[NDArray[np.int32], NDArray[np.int32], sp.csr_matrix]:
    """Return the CSR pattern of TᵀKT and the sparse map from K's values to its values.

    A numeric triple product is then one sparse matrix-vector product over the stored values.
    """
    n, q = prolongation.shape
    column = np.full(n, -1, dtype=np.int64)
    rows = np.repeat(np.arange(n), np.diff(prolongation.indptr))
    column[rows] = prolongation.indices
    i = column[np.repeat(np.arange(n), np.diff(indptr))]
    j = column[indices]
    source = np.flatnonzero((i >= 0) & (j >= 0))
    entries, target = np.unique(i[source] * q + j[source], return_inverse=True)
    new_indptr = np.searchsorted(entries // q, np.arange(q + 1)).astype(np.int32)
    values = (np.ones(source.size), (target, source))
    mapping = sp.csr_matrix(values, shape=(len(entries), len(indices)))
    return new_indptr, (entries % q).astype(np.int32), mapping
