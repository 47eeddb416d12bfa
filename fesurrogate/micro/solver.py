"""The linear algebra of the cell and Newton's method: built once, they serve every point.

A factorisation is what a solve costs most. So a point has one of its own, as a rule: the start (see
:mod:`fesurrogate.micro.start`) leads so near to equilibrium that it serves to the end, and for the
tangent too. Wherever that shows not to hold, the point is factorised again, in the end at every
Newton iteration. A point whose guess is good and brings columns of the tangent has none: the
start leads to equilibrium, and what the columns lack takes a few conjugate gradients.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import final

import numpy as np
import scipy.sparse as sp
from petsc4py import PETSc

from fesurrogate.fem.petsc_options import petsc_options, set_from_options
from fesurrogate.kinematics import Array
from fesurrogate.micro.conjugate import conjugate_gradients
from fesurrogate.micro.constraint import galerkin_map
from fesurrogate.micro.factor import SymmetricFactor, set_factorisation
from fesurrogate.micro.iterative import set_iteration
from fesurrogate.micro.start import accelerated_start

MOST_STEPS = 30  # of the start
NEAR = 1e-3  # of the residual without fluctuation: Newton's method needs no start from there
HANDOVER = 1e-4  # where the start ends all the same: its factorisation serves columns to 1e-4 too
KEEP = 0.2  # a step that leaves less of the residual than this keeps its factorisation
CONTRACTION = 0.1  # a repeated solve that leaves more than this of the load is one too many
MOST_REPEATS = 40
STEP = 1 / 3  # of the residual is what a step of the start leaves, as a rule
FACTORISATION = {1: (4.0, 0.0), 2: (0.2, 0.4), 3: (0.065, 2 / 3)}
"""A stiffness and its factorisation cost as much as c n^e steps of the start in a cell of n
unknowns: c and e for each dimension, as measured at 1,000 and 10,000 unknowns."""
PATIENCE = {1: (0.0, 0.0), 2: (0.03, 1 / 2), 3: (0.065, 2 / 3)}
"""The same of the steps that are waited for where columns of the tangent will be needed too."""


@final
class CellSolver:
    """Solves Tᵀ f(q) = 0, and for the linear answers there.

    Args:
        stiffness: K, whose values change in place.
        prolongation: T.
        residual: Returns Tᵀ f at unknowns.
        assemble_stiffness: Assembles K at unknowns.
        symmetric: Whether K is.
        iterative: Whether not to factorise; the command line may choose so too.
        near_null: Sets what multigrid has to know of the matrix.
        dimension: Of the cell's mesh; it says what a factorisation costs beside a solve with one.
        prefix: Of the PETSc options.
    """

    def __init__(
        self,
        stiffness: sp.bsr_matrix,  # (nodes * bs, nodes * bs)
        prolongation: sp.csr_matrix,  # (nodes * bs, unknowns)
        *,
        residual: Callable[[Array], Array],
        assemble_stiffness: Callable[[Array], None],
        symmetric: bool,
        iterative: bool,
        near_null: Callable[[PETSc.Mat], None],
        dimension: int,
        prefix: str,
    ) -> None:
        self._stiffness, self._symmetric, self._prefix = stiffness, symmetric, prefix
        self._prolongation, self._restriction = prolongation, prolongation.T.tocsr()
        self._residual, self._assemble_stiffness = residual, assemble_stiffness
        indptr, indices, self._galerkin = galerkin_map(stiffness, prolongation)
        size, comm = prolongation.shape[1], PETSc.COMM_SELF
        self._snes = snes = PETSc.SNES().create(comm)
        snes.setOptionsPrefix(prefix)
        snes.setType("newtonls")
        snes.setTolerances(rtol=0.0, stol=0.0, max_it=50)
        if iterative:
            set_iteration(snes.ksp, symmetric=symmetric)
        else:
            snes.ksp.setType("preonly")
            set_factorisation(snes.ksp.pc, symmetric=symmetric)
        set_from_options(snes)
        self._options = PETSc.Options(prefix).getAll()  # factorisations of points look for theirs
        self._most = snes.getTolerances()[3]  # iterations, those of the start included
        self._iterative = snes.ksp.getType() != "preonly"

        factor, exponent = PATIENCE[dimension]
        self._patience = factor * size**exponent
        factor, exponent = FACTORISATION[dimension]
        self._factorisation = factor * size**exponent  # in steps of the start
        self._values = np.zeros(len(indices))
        self._pattern = (indices, indptr)
        self._matrix = PETSc.Mat().createAIJWithArrays(
            (size, size), (indptr, indices, self._values), comm=comm
        )
        self._matrix.setOption(PETSc.Mat.Option.SYMMETRIC, symmetric)
        self._near_null = near_null
        if self._iterative:
            near_null(self._matrix)
            snes.setUseEW(True, rtol_max=0.1)
        self._solution = PETSc.Vec().createSeq(size, comm=comm)
        snes.setFunction(self._snes_residual, self._solution.duplicate())
        snes.setJacobian(self._snes_jacobian, self._matrix)
        self._keeps = False  # whether a factorisation may serve several steps
        self._norm = 0.0  # of the residual where SNES last asked for the Jacobian
        self._reference: PETSc.KSP | None = None
        self._rotation: Callable[[], Array | None] | None = None  # of the point, until asked for,
        self._turn: Array | None = None  # and then what it said: the reference turns with it
        self._ksp: PETSc.KSP | None = None  # what holds a factorisation for this point
        self._work = self._solution.duplicate()
        self._dense: dict[int, tuple[PETSc.Mat, PETSc.Mat]] = {}  # of as many columns

    @property
    def spared(self) -> bool:
        """Whether the last solve needed no factorisation of its own."""
        return not self._iterative and self._ksp is not None and self._ksp is self._reference

    def restrict(self, force: Array) -> Array:
        """Return Tᵀ of a nodal force, or of columns of them."""
        return np.asarray(self._restriction @ force)

    # -- equilibrium ----------------------------------------------------------------------

    def set_reference(self) -> None:
        """Take K as it is now assembled for the starts of all points, factorised or coarsened."""
        self._update_matrix()
        matrix = self._matrix.duplicate(copy=True)
        self._reference = ksp = PETSc.KSP().create(PETSc.COMM_SELF)
        ksp.setOptionsPrefix(self._prefix)
        if self._iterative:
            self._near_null(matrix)
            ksp.pc.setType("gamg")
        else:
            set_factorisation(ksp.pc, symmetric=self._symmetric)
            ksp.setFromOptions()
        ksp.setType("preonly")
        ksp.setOperators(matrix)
        ksp.setUp()
        shared = self._snes.ksp.pc
        if self._iterative and shared.getType() == "python":
            shared.getPythonContext().solver = ksp

    def solve(
        self,
        guess: Array,  # (unknowns,)
        *,
        cold: float,
        tolerance: float,
        tangent: bool,
        columns: bool = False,
        rotation: Callable[[], Array | None] = lambda: None,  # of (components, components)
    ) -> tuple[Array, int, bool]:
        """Return the unknowns in equilibrium, the iterations, and whether they are.

        Args:
            guess: Where to start.
            cold: Norm of the residual without fluctuation.
            tolerance: Norm of the residual in equilibrium.
            rotation: Of the cell as a whole: the start turns its stiffness with it.
            tangent: Whether linear answers will be asked for. If not, the point may need no
                factorisation: the start goes on where that costs less.
            columns: Whether these are known nearly: then too a point may need none.
        """
        self._rotation, self._turn = rotation, None
        if self._reference is None:
            return self._newton(guess, tolerance)
        begun, factorises = float(np.linalg.norm(self._residual(guess))), tangent
        if not self._iterative and tangent and columns:
            factorises = not begun * STEP**self._patience <= tolerance
        elif not self._iterative and not tangent:
            left = min(begun, NEAR * cold)
            factorises = not left * STEP**self._factorisation <= tolerance
        handover = HANDOVER if tangent and begun > NEAR * cold else NEAR
        near, steps = accelerated_start(
            self._residual,
            self._approach,
            guess,
            target=max(tolerance, handover * cold) if factorises else tolerance,
            most=min(MOST_STEPS, self._most),
        )
        q, iterations, ok = self._newton(near, tolerance, before=steps)
        if ok:
            return q, iterations, ok
        q, more, ok = self._newton(guess, tolerance)
        return q, iterations + more, ok

    def _approach(self, residual: Array) -> Array:
        """Return R K0⁻¹ Rᵀ of a residual, with the stiffness K0 at rest and the rotation R."""
        assert self._reference is not None
        turn = self._turned()
        if turn is not None:
            residual = (residual.reshape(-1, len(turn)) @ turn).ravel()
        self._work.setArray(residual)
        self._reference.solve(self._work, self._solution)
        answer = self._solution.getArray().copy()
        return answer if turn is None else (answer.reshape(-1, len(turn)) @ turn.T).ravel()

    def _turned(self) -> Array | None:  # (components, components)
        if self._rotation is not None:
            self._turn, self._rotation = self._rotation(), None
        return self._turn

    def _approach_columns(
        self,
        residual: Array,  # (unknowns, columns)
    ) -> Array:  # (unknowns, columns)
        """Return the same of several residuals."""
        assert self._reference is not None
        if residual.shape[1] == 1:
            return self._approach(residual[:, 0])[:, None]
        turn, shape = self._turned(), residual.shape
        if turn is not None:
            residual = (turn.T @ residual.reshape(-1, len(turn), shape[1])).reshape(shape)
        answer = self._columns(self._reference, residual)
        if turn is None:
            return answer
        return np.asarray((turn @ answer.reshape(-1, len(turn), shape[1])).reshape(shape))

    def _newton(
        self, guess: Array, tolerance: float, *, before: int | None = None
    ) -> tuple[Array, int, bool]:
        """Return what Newton's method finds; after steps of a start it keeps factorisations."""
        snes, self._keeps = self._snes, before is not None and not self._iterative
        snes.setTolerances(atol=tolerance, max_it=self._most - (before or 0))
        self._solution.setArray(guess)
        with petsc_options(self._prefix, self._options):
            snes.solve(None, self._solution)
        iterations = snes.getIterationNumber()
        self._ksp = snes.ksp if iterations else self._reference
        if self._iterative:
            self._ksp = None  # the matrix at the solution is another one
        done = snes.getConvergedReason() > 0
        return self._solution.getArray().copy(), iterations + (before or 0), done

    def _snes_residual(self, snes: PETSc.SNES, q: PETSc.Vec, out: PETSc.Vec) -> None:
        out.setArray(self._residual(q.getArray(readonly=True)))

    def _snes_jacobian(self, snes: PETSc.SNES, q: PETSc.Vec, J: PETSc.Mat, P: PETSc.Mat) -> None:
        before, self._norm = self._norm, snes.getFunctionNorm()
        if self._keeps and snes.getIterationNumber() and self._norm < KEEP * before:
            return
        self._assemble_stiffness(q.getArray(readonly=True))
        self._update_matrix()

    def _update_matrix(self) -> None:
        self._values[:] = self._galerkin @ self._stiffness.data.ravel()
        self._matrix.stateIncrease()
        self._matrix.assemble()

    # -- linear answers at the last solution ------------------------------------------------

    def factorise(self) -> None:
        """Factorise K as it is now assembled, or only take it over for iterations."""
        self._update_matrix()
        self._ksp = self._snes.ksp
        self._ksp.setOperators(self._matrix)
        with petsc_options(self._prefix, self._options):
            self._ksp.setUp()

    def relaxed(
        self,
        load: Array,  # (nodes * bs, columns)
        *,
        tolerance: float,
        guess: Array | None = None,  # (unknowns, columns)
    ) -> tuple[Array, Array]:  # (unknowns, columns), (nodes * bs, columns)
        """Return the unknowns S that take up a load, -(TᵀKT)⁻¹ Tᵀ load, and load + K T S.

        An old factorisation is used as long as repeating it pays, until no more is left of the
        load than the tolerance says. Where the point has none and S is nearly known, a few
        conjugate gradients may do without.
        """
        answer, left = np.zeros((self._prolongation.shape[1], load.shape[1])), load
        force = self.restrict(left)
        norm = float(np.linalg.norm(force))
        bound, fresh = tolerance * norm, False
        if guess is not None:
            begun = load + self._stiffness @ (self._prolongation @ guess)
            rest = self.restrict(begun)
            if np.linalg.norm(rest) < norm:
                answer, left, force, norm = guess, begun, rest, float(np.linalg.norm(rest))
                if self.spared:
                    self._ksp = None  # that of the cell at rest tells nothing of this point
                    if norm > bound:
                        answer, left = self._improved(load, answer, left, bound=bound)
                        force = self.restrict(left)
                        norm = float(np.linalg.norm(force))
        if self._ksp is not None and self.negative_pivots > 0:
            self._ksp = None  # to be counted where they matter
        for _ in range(MOST_REPEATS):
            if norm <= bound:
                break
            if self._ksp is None:
                self.factorise()
                fresh = True
            answer = answer - self.solve_columns(force, tolerance=tolerance / 2)
            left = load + self._stiffness @ (self._prolongation @ answer)
            force = self.restrict(left)
            before, norm = norm, float(np.linalg.norm(force))
            if not fresh and not norm < CONTRACTION * before:
                self._ksp = None
        return answer, left

    def _improved(
        self, load: Array, answer: Array, left: Array, *, bound: float
    ) -> tuple[Array, Array]:
        """Return S and what it leaves of the load after conjugate gradients, if these succeed."""
        self._update_matrix()
        matrix = sp.csr_matrix((self._values, *self._pattern), shape=(len(answer),) * 2)
        found = conjugate_gradients(
            matrix, self._approach_columns, -self.restrict(left),
            tolerance=0.9 * bound, most=max(2, int(self._patience / 3)),
        )  # fmt: skip
        if found is None or not found[1]:
            return answer, left
        answer = answer + found[0]
        return answer, load + self._stiffness @ (self._prolongation @ answer)

    @property
    def negative_pivots(self) -> float:
        """Negative eigenvalues of TᵀKT, by the point's factorisation; NaN if it does not tell.

        As many directions are there in which the cell is unstable. A factorisation from near by
        has as many as long as repeating it converges, as it does in :meth:`relaxed`.
        """
        context = None
        if self._ksp is not None and self._ksp.pc.getType() == "python":
            context = self._ksp.pc.getPythonContext()
        return context.negative_pivots if isinstance(context, SymmetricFactor) else np.nan

    def solve_columns(
        self,
        rhs: Array,  # (unknowns, columns)
        *,
        tolerance: float,
    ) -> Array:  # (unknowns, columns)
        """Solve for columns by the factorisation at hand, or to a tolerance."""
        assert self._ksp is not None
        if self._iterative:
            self._ksp.setTolerances(rtol=tolerance)
        return self._columns(self._ksp, rhs)

    def _columns(self, ksp: PETSc.KSP, rhs: Array) -> Array:
        count = rhs.shape[1]
        if count not in self._dense:
            self._dense[count] = tuple(
                PETSc.Mat().createDense(rhs.shape, comm=PETSc.COMM_SELF).setUp() for _ in range(2)
            )
        given, columns = self._dense[count]
        given.getDenseArray()[:] = rhs
        ksp.pc.setReusePreconditioner(True)
        ksp.matSolve(given, columns)
        ksp.pc.setReusePreconditioner(False)
        return columns.getDenseArray().copy()
