"""Krylov's method with algebraic multigrid, for cells too large to be factorised.

The multigrid hierarchy is built once, of the cell at rest, and serves every point: the stiffness of
a point changes, its preconditioner need not. MINRES bears the indefinite stiffness that occurs on
the way to equilibrium, and of a cell that has buckled; the preconditioner is definite in any case.
"""

from __future__ import annotations

from typing import final

import numpy as np
import scipy.sparse as sp
from petsc4py import PETSc

from fesurrogate.kinematics import Array

LARGEST_FACTORISED = {1: np.inf, 2: 300_000, 3: 20_000}
"""Unknowns beyond which a cell of a dimension is not factorised."""


def set_iteration(ksp: PETSc.KSP, *, symmetric: bool) -> None:
    """Choose how a KSP iterates; what the command line says to it afterwards wins."""
    ksp.setType("minres" if symmetric else "gmres")
    ksp.setTolerances(max_it=500)
    if symmetric:
        ksp.pc.setType("python")
        ksp.pc.setPythonContext(Shared())
    else:
        ksp.pc.setType("gamg")


@final
class Shared:
    """Context of a PC of type ``python``: what another matrix was prepared for.

    PETSc's multigrid would smooth with the matrix of the point, for which its smoothers were not
    made: it need not be definite then.
    """

    solver: PETSc.KSP

    def apply(self, pc: PETSc.PC, x: PETSc.Vec, y: PETSc.Vec) -> None:
        """Apply it once."""
        self.solver.solve(x, y)


def set_rigid_motions(
    matrix: PETSc.Mat,
    prolongation: sp.csr_matrix,  # (nodes * components, unknowns)
    x: Array,  # (nodes, d)
    *,
    fluctuating: int,
) -> None:
    """Tell multigrid what a coarse space must hold: translations and rotations of every part.

    No periodic fluctuation is a rotation of the whole; of a part of the cell it is all the same.
    """
    matrix.setBlockSize(fluctuating)
    d = x.shape[1]
    if fluctuating < d:
        return  # constants are known without being told
    columns = prolongation.tocsc()
    components = prolongation.shape[0] // len(x)
    place = x[columns.indices[columns.indptr[:-1:fluctuating]] // components]  # of the unknowns
    place = place - place.mean(axis=0)
    motions = [np.tile(unit, (len(place), 1)) for unit in np.eye(fluctuating)]
    for i in range(d):
        for j in range(i):
            turn = np.zeros((len(place), fluctuating))
            turn[:, i], turn[:, j] = place[:, j], -place[:, i]
            motions.append(turn)
    orthonormal = np.linalg.qr(np.stack([m.ravel() for m in motions], axis=1))[0]
    vectors = []
    for motion in orthonormal.T:
        vectors.append(matrix.createVecRight())
        vectors[-1].setArray(motion)
    matrix.setNearNullSpace(PETSc.NullSpace().create(vectors=vectors, comm=matrix.getComm()))
