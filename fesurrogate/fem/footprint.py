"""How much memory fields and matrices take, before there are any.

The copies that a field keeps at a point, and how many numbers the factors of a matrix hold, are
counted. The constants were fitted to MUMPS and hold within 20 % for compact bodies; for thin ones
in space the factors come out up to 1.5 times too large.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from dolfinx import fem
from mpi4py import MPI

from fesurrogate.kinematics import Array
from fesurrogate.material import Material

NUMBER, INDEX = 8, 4  # bytes
SAMPLES = 100  # nodes whose neighbours are counted
SCRATCH = 3  # tangents that a Material may need to make one
REPORTS = 6  # columns
MUMPS = 1.2  # what MUMPS takes over its factors
SPREAD = 1.3  # what they take on several ranks over those on one
MATRIX, COPY, MULTIGRID = 12, 18, 16  # bytes an entry: the matrix; MUMPS's copy; GAMG's levels


def point_bytes(material: Material, *, balanced: bool = False) -> int:
    """Return the bytes of an owned point while its Material is evaluated.

    A :class:`~fesurrogate.fem.field.MaterialField` keeps the state that was accepted; the hint that
    was accepted and the last one; stress and tangent, accepted and last; strain. The answer adds
    one of each. What DOLFINx's Functions take is in :func:`function_bytes`.

    Args:
        material: The Material.
        balanced: Whether it is spread over ranks by ``Balanced``, whose copies come on top.
    """
    m, s, h = material.kinematics.size, material.num_state, material.num_hint
    p = len(material.parameter_names)
    history = 2 * s + 3 * h
    if balanced:  # answered, then first the hint and last the state sorted and brought back
        history = max(2 * s + 6 * h, 4 * s + 4 * h)
    rows = 4 * m + (2 + SCRATCH) * m * m + 2 * p + REPORTS
    return NUMBER * (history + rows)


def function_bytes(material: Material) -> int:
    """Return the bytes of a local point, ghosts included, in the Functions of a field."""
    m = material.kinematics.size
    return NUMBER * (m + m * m) + 2 * INDEX


@dataclass(frozen=True)
class MatrixSize:
    """What the memory of a matrix and its factors depends on.

    Attributes:
        unknowns: Rows.
        entries: That are stored.
        factor: Numbers in the factors L and U.
    """

    unknowns: int
    entries: int
    factor: float

    def bytes(self, pc_type: str, ranks: int) -> int:
        """Return the bytes of a rank's share, with the preconditioner or the factors."""
        if pc_type not in ("lu", "cholesky"):
            return int(self.entries * (MATRIX + MULTIGRID) / ranks)
        half = 0.5 if pc_type == "cholesky" else 1.0
        spread = 1.0 if ranks == 1 else SPREAD
        factors = NUMBER * MUMPS * spread * half * self.factor
        return int((self.entries * (MATRIX + COPY) + factors) / ranks)


def matrix_size(V: fem.FunctionSpace) -> MatrixSize:
    """Return the size of a matrix of a space, from the neighbours of some nodes. Collective."""
    comm, dofmap, dim = V.mesh.comm, V.dofmap, V.mesh.geometry.dim
    owned, block = dofmap.index_map.size_local, dofmap.index_map_bs
    sample = np.unique(np.linspace(0, owned, SAMPLES, endpoint=False).astype(np.int32)[:owned])
    near = dofmap.list[np.isin(dofmap.list, sample).any(axis=1)]  # (cells, nodes of a cell)
    neighbours = [len(np.unique(near[(near == node).any(axis=1)])) for node in sample]
    entries = owned * float(np.mean(neighbours)) * block**2 if neighbours else 0.0
    x = V.tabulate_dof_coordinates()[:, :dim]
    bounds = np.concatenate([x.max(axis=0, initial=-np.inf), -x.min(axis=0, initial=np.inf)])
    comm.Allreduce(MPI.IN_PLACE, bounds, op=MPI.MAX)
    extents = bounds[:dim] + bounds[dim:]
    nodes = dofmap.index_map.size_global
    factor = factor_numbers(nodes, block, extents=extents)
    return MatrixSize(nodes * block, int(comm.allreduce(entries)), factor)


def factor_numbers(
    nodes: int,
    block: int,
    *,
    extents: Array,  # (d,)
) -> float:
    """Return how many numbers the factors L and U hold, ordered by nested dissection.

    That is of order N log N for N unknowns in the plane and N^(4/3) in space (A. George, SIAM J.
    Numer. Anal. 10, 1973, 345-363), and less for plates and bars.

    Args:
        nodes: Nodes of the mesh, those of higher degree included.
        block: Unknowns a node.
        extents: Of the body along the axes.
    """
    d, logarithm = len(extents), np.log2(max(nodes, 2))
    spacing = (float(np.prod(extents)) / max(nodes, 1)) ** (1.0 / d)
    across = np.sort(extents / max(spacing, 1e-300) + 1.0)  # (d,), nodes along the axes
    if d == 1:
        a_node = 3.0
    elif d == 2:
        a_node = min(5.8 * logarithm, 3.0 * across[0])
    else:
        compact, plate = 21.0 * nodes ** (1.0 / 3.0), 3.9 * across[0] * logarithm
        a_node = min(compact, plate, 2.7 * across[0] * across[1])
    return float(block**2 * nodes * a_node)
