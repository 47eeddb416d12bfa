"""Factorisations of the cell's stiffness, chosen by its symmetry, as a PETSc PC.

A symmetric stiffness is definite wherever the cell is stable: Cholesky's factorisation (CHOLMOD)
takes half the work of LU or less, and finds out by itself where the stiffness is not definite.
There LDLᵀ (MUMPS) takes over and counts the negative pivots.
"""

from __future__ import annotations

from typing import final

from petsc4py import PETSc

ZERO_PIVOT = 81  # PETSC_ERR_MAT_CH_ZRPVT: Cholesky's method met a pivot that is not positive
CHOLMOD_OPTIONS = {"mat_cholmod_print": "0", "mat_cholmod_factor": "SUPERNODAL"}
"""No message on the screen where the matrix is indefinite; LLᵀ, which does not pass it over."""


def set_factorisation(pc: PETSc.PC, *, symmetric: bool) -> None:
    """Choose how a PC factorises; what the command line says to it afterwards wins."""
    if symmetric:
        pc.setType("python")
        pc.setPythonContext(SymmetricFactor())
    else:
        pc.setType("lu")
        pc.setFactorSolverType("mumps")


@final
class SymmetricFactor:
    """Context of a PC of type ``python``: LLᵀ, and LDLᵀ where the matrix is indefinite.

    Attributes:
        negative_pivots: Of the last factorisation: as many directions in which the cell is
            unstable.
    """

    def __init__(self) -> None:
        self._definite: PETSc.PC | None = None
        self._indefinite: PETSc.PC | None = None
        self.negative_pivots = 0

    def setUp(self, pc: PETSc.PC) -> None:  # noqa: N802 - the name is PETSc's
        """Factorise the matrix of the PC."""
        self.negative_pivots = 0
        try:
            self._definite = self._factorised(pc, self._definite, "cholmod")
        except PETSc.Error as error:
            if error.ierr != ZERO_PIVOT:
                raise
            self._indefinite = self._factorised(pc, self._indefinite, "mumps")
            self.negative_pivots = self._indefinite.getFactorMatrix().getMumpsInfog(12)

    def _factorised(self, pc: PETSc.PC, inner: PETSc.PC | None, package: str) -> PETSc.PC:
        prefix, database = pc.getOptionsPrefix() or "", PETSc.Options()
        if inner is None:
            inner = PETSc.PC().create(pc.getComm())
            inner.setOptionsPrefix(prefix)
            inner.setType("cholesky")
            inner.setFactorSolverType(package)
        ours = [key for key in CHOLMOD_OPTIONS if not database.hasName(prefix + key)]
        inner.setOperators(*pc.getOperators())
        for key in ours:
            database[prefix + key] = CHOLMOD_OPTIONS[key]
        try:
            inner.setUp()
        finally:
            for key in ours:
                database.delValue(prefix + key)
        pc.setFailedReason(inner.getFailedReason())
        self._inner = inner
        return inner

    def apply(self, pc: PETSc.PC, x: PETSc.Vec, y: PETSc.Vec) -> None:
        """Solve for one right-hand side."""
        self._inner.apply(x, y)

    def matApply(self, pc: PETSc.PC, X: PETSc.Mat, Y: PETSc.Mat) -> None:  # noqa: N802
        """Solve for several right-hand sides."""
        self._inner.matApply(X, Y)
