"""The macro problem: one PETSc SNES around the fields of a body."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
import ufl
from dolfinx import fem, la, mesh
from dolfinx.fem import petsc as fem_petsc
from mpi4py import MPI
from numpy.typing import NDArray
from petsc4py import PETSc

from fesurrogate.fem.field import MaterialField
from fesurrogate.fem.near_null_space import rigid_body_modes
from fesurrogate.fem.petsc_options import petsc_options, set_from_options
from fesurrogate.kinematics import Array

DEFAULT_OPTIONS: Mapping[str, Any] = {
    "snes_type": "newtonls",
    "snes_linesearch_type": "basic",  # see MacroProblem
    "snes_rtol": 1e-8,
    "snes_atol": 1e-50,
    "snes_stol": 0.0,
    "snes_max_it": 25,
    "snes_divergence_tolerance": -1,
    "ksp_type": "preonly",
    "ksp_rtol": 1e-9,  # of an iterative one: a further Newton iteration costs a Material's answers
    "pc_type": "lu",
    "pc_factor_mat_solver_type": "mumps",
}
STALL = 0.3  # of the residual, left by an iteration whose tangent is not good enough
HELD = 1e-10  # residual of a load that is held, relative to the largest of a load that moved


@dataclass(frozen=True)
class SolveResult:
    """How a Newton solve ended.

    Attributes:
        converged: Whether the residual met the tolerance.
        reason: ``SNESConvergedReason``; positive where converged.
        iterations: Newton iterations.
        residual_norms: Euclidean norm of the residual at each iterate, the initial one first.
        interrupted: Whether it was abandoned because the run was asked to stop.
    """

    converged: bool
    reason: int
    iterations: int
    residual_norms: tuple[float, ...]
    interrupted: bool = False

    @property
    def word(self) -> str:
        """PETSc's word for the reason; the number where it has none."""
        words = vars(PETSc.SNES.ConvergedReason).items()
        return next((name for name, value in words if value == self.reason), str(self.reason))


@final
class MacroProblem:
    """Find u with Σ ∫ σ(ε(u)) · δε(v) dx = external(v) for all v, and u given on a boundary.

    It does not know what kind of Material a field carries. A point that cannot be solved makes
    the residual NaN on every rank, and SNES diverges on all ranks together; the caller cuts the
    step (:mod:`fesurrogate.fem.stepping`).

    Newton takes full steps by default. Under large rotations the residual norm rises on the way
    to the solution, and a line search on it (``bt``) shortens steps that were good: Cook's
    membrane took 76 evaluations of the Material with it and 21 without. Set
    ``-macro_snes_linesearch_type bt`` where full steps fail.

    The tolerance refers to the residual that an increment begins with. Where the load is held that
    is rounding already, so a residual of ``HELD`` times the largest that an increment began with
    is equilibrium too, unless ``snes_atol`` is set.

    ``-macro_ksp_type cg -macro_pc_type gamg`` takes the place of the direct solver for large
    meshes: with the rigid-body modes of a displacement, its iterations do not grow with the mesh.

    Args:
        u: The unknown; its present value is the initial guess.
        fields: The regions of the body.
        bcs: Dirichlet conditions; their values may change between solves.
        external: Linear form of the external loads, of a test function of u's space.
        prefix: Prefix of the PETSc options.
        options: PETSc options without prefix, over :data:`DEFAULT_OPTIONS`; what the user gave on
            the command line wins over both.

    Attributes:
        stop: Asked at each residual, on every rank, whether the run is to stop; None never.

    Raises:
        InputError: PETSc refuses an option.

    Note:
        Construction and every method are collective.
    """

    def __init__(
        self,
        u: fem.Function,
        fields: Sequence[MaterialField],
        *,
        bcs: Sequence[fem.DirichletBC] = (),
        external: Any | None = None,
        prefix: str = "macro_",
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self.u, self.fields, self.bcs = u, tuple(fields), list(bcs)
        self.dt = 1.0
        self.stop: Callable[[], bool] | None = None
        self._stopped = False
        V = u.function_space
        v, du = ufl.TestFunction(V), ufl.TrialFunction(V)
        regions = [(k, field.cells) for k, field in enumerate(self.fields)]
        dx = ufl.Measure("dx", domain=V.mesh, subdomain_data=regions)
        residual = sum(f.residual(v, unknown=u, dx=dx(k)) for k, f in enumerate(self.fields))
        jacobian = sum(f.jacobian(du, v, unknown=u, dx=dx(k)) for k, f in enumerate(self.fields))
        self.residual_form = fem.form(residual)
        self.jacobian_form = fem.form(jacobian)
        # of its own, since its measures have other subdomain data
        self.external_form = None if external is None else fem.form(-external)
        self._work = fem.Function(V)
        self._accepted = u.x.array.copy()
        self.matrix = fem_petsc.create_matrix(self.jacobian_form)
        self._solution, _ = self.matrix.createVecs()
        self._norms: list[float] = []
        self._largest = 0.0  # residual norm that a solved increment began with
        self._switched = False  # to consistent tangents, in this solve
        self._has_stiffness = False  # from a solve before
        self._standing = False  # whether the fields answer as accepted, and as at no other u
        self._prefix, self._options = prefix, dict(options or {})
        self.snes = self._build_snes(prefix, {**DEFAULT_OPTIONS, **self._options})

    def _build_snes(self, prefix: str, options: Mapping[str, Any]) -> PETSc.SNES:
        snes = PETSc.SNES().create(self.u.function_space.mesh.comm)
        snes.setOptionsPrefix(prefix)
        snes.setFunction(self._residual, self._work.x.petsc_vec)
        snes.setJacobian(self._jacobian, self.matrix)
        snes.setMonitor(lambda _, iteration, norm: self._norms.append(norm))
        set_from_options(snes, options)
        if snes.ksp.pc.type not in ("lu", "cholesky"):
            modes = rigid_body_modes(self.u.function_space)
            if modes is not None:
                self.matrix.setNearNullSpace(modes)
        self._sets_atol = snes.getTolerances()[1] == DEFAULT_OPTIONS["snes_atol"]
        return snes

    # -- callbacks of SNES ----------------------------------------------------------------

    def _set_unknown(self, x: PETSc.Vec) -> None:
        values = x.getArray(readonly=True)
        self.u.x.array[: len(values)] = values
        self.u.x.scatter_forward()

    def _residual(self, snes: PETSc.SNES, x: PETSc.Vec, b: PETSc.Vec) -> None:
        self._set_unknown(x)
        array = self._work.x.array
        if self.stopped() or self.update():
            array[:] = np.nan
        else:
            self._lift(self.assemble_residual())
        if b.handle != self._work.x.petsc_vec.handle:
            b.setArray(self._work.x.petsc_vec.getArray(readonly=True))

    def _lift(self, array: Array) -> None:
        """Put what the boundary values lack into the residual, and sum it over the ranks."""
        fem.apply_lifting(array, [self.jacobian_form], [self.bcs], x0=[self.u.x.array], alpha=-1.0)
        self._work.x.scatter_reverse(la.InsertMode.add)
        for bc in self.bcs:
            bc.set(array, self.u.x.array, -1.0)

    def _jacobian(self, snes: PETSc.SNES, x: PETSc.Vec, J: PETSc.Mat, P: PETSc.Mat) -> None:
        self._set_unknown(x)
        # the first step may raise the residual by rotation, whatever the tangent
        if len(self._norms) > 2 and not self._norms[-1] < STALL * self._norms[-2]:
            self.use_consistent_tangents()
        self.update()
        self.assemble_jacobian()
        self._has_stiffness = True

    def use_consistent_tangents(self) -> bool:
        """Take consistent tangents for the rest of the increment; return whether that is new."""
        new = any([field.use_consistent_tangent() for field in self.fields])
        self._switched = self._switched or new
        return new

    def stopped(self) -> bool:
        """Return whether any rank was asked to stop, since this solve began. Collective."""
        if self.stop is not None and not self._stopped:
            comm = self.u.function_space.mesh.comm
            self._stopped = bool(comm.allreduce(self.stop(), op=MPI.LOR))
        return self._stopped

    # -- assembly -------------------------------------------------------------------------

    def update(self) -> int:
        """Evaluate all fields at the present u; return the failed points on all ranks."""
        return sum(field.update(self.dt) for field in self.fields)

    def assemble_residual(self) -> Array:
        """Assemble the residual without boundary conditions; ghosts are not yet summed.

        Returns:
            The array of owned and ghost entries, shared with the problem's work vector.
        """
        array = self._work.x.array
        array[:] = 0.0
        fem.assemble_vector(array, self.residual_form)
        if self.external_form is not None:
            fem.assemble_vector(array, self.external_form)
        return array

    def assemble_jacobian(self) -> PETSc.Mat:
        """Assemble the Jacobian with the rows and columns of the Dirichlet unknowns zeroed."""
        self.matrix.zeroEntries()
        fem_petsc.assemble_matrix(self.matrix, self.jacobian_form, bcs=self.bcs)
        self.matrix.assemble()
        return self.matrix

    # -- increments -----------------------------------------------------------------------

    def solve(self, dt: float = 1.0, *, atol: float | None = None) -> SolveResult:
        """Solve for u from its present value.

        Where tangents are those of surrogates, and the residual stalls, consistent ones take over;
        what does not converge all the same is solved once more with them.

        Args:
            dt: Length of the increment from the accepted state.
            atol: Residual norm that is equilibrium, whatever the solve begins with; ``HELD`` times
                :attr:`largest_residual` if None. What sets ``snes_atol`` wins.

        Returns:
            How Newton ended. State is accepted by :meth:`accept` only.
        """
        start, self._switched = self.u.x.array.copy(), False
        result = self._solve(dt, atol)
        if result.converged or result.interrupted:
            return result
        if not (self._switched or self.use_consistent_tangents()):
            return result
        self.restore()
        self.u.x.array[:] = start
        again = self._solve(dt, atol)
        return replace(again, iterations=result.iterations + again.iterations)

    def _solve(self, dt: float, atol: float | None) -> SolveResult:
        self.dt, self._standing = dt, False
        self._norms, self._stopped = [], False
        owned = self._solution.getLocalSize()
        self._solution.setArray(self.u.x.array[:owned])
        wanted = HELD * self._largest if atol is None else atol
        if self._sets_atol and wanted > 0.0:
            self.snes.setTolerances(atol=wanted)
        with petsc_options(self._prefix, self._options):  # the factorisation looks for its own
            self.snes.solve(None, self._solution)
        reason = self.snes.getConvergedReason()
        if reason > 0:
            self._set_unknown(self._solution)
            if self.update():  # the last residual may have been a rejected trial
                reason = PETSc.SNES.ConvergedReason.DIVERGED_FUNCTION_DOMAIN
            else:
                self._largest = max(self._largest, self._norms[0])
        iterations = self.snes.getIterationNumber()
        return SolveResult(reason > 0, reason, iterations, tuple(self._norms), self._stopped)

    def initial_residual(self, dt: float) -> float:
        """Return the residual norm that a solve from the present u would begin with.

        Args:
            dt: Length of the increment from the accepted state.

        Returns:
            NaN where a point cannot be solved.
        """
        self.dt, self._stopped, self._standing = dt, False, False
        self._solution.setArray(self.u.x.array[: self._solution.getLocalSize()])
        self._residual(self.snes, self._solution, self._work.x.petsc_vec)
        return float(la.norm(self._work.x))  # not PETSc's, which knows of no change to the array

    def standing_residual(self, dt: float) -> float:
        """Return the residual norm at the accepted u, with the accepted stress where that is known.

        No Material is asked then: the norm is :meth:`initial_residual` but for what a Material's
        stress relaxes at a strain that stays. Under a load that is held that is all, and asked for.

        Args:
            dt: Length of the increment from the accepted state.
        """
        if not self._standing:
            return self.initial_residual(dt)
        self.dt = dt
        self._lift(self.assemble_residual())
        norm = float(la.norm(self._work.x))
        moved = norm > self.relative_tolerance * self._largest
        return norm if moved else self.initial_residual(dt)

    def correction(self) -> float:
        """Return |K⁻¹ r|: how far Newton's method would go from where a residual was computed last.

        K is the stiffness of the last iteration of the last solve, the same wherever the residual
        is from. By this norm (the natural level function of Deuflhard, Newton Methods for Nonlinear
        Problems, 2004, sect. 3.1.4) a guess is judged as by its distance from the solution; the
        norm of the residual itself rises wherever a stiff body is turned.

        Returns:
            The Euclidean norm; that of the residual where no stiffness is at hand; NaN where a
            point could not be solved.
        """
        norm = float(la.norm(self._work.x))
        if not (self._has_stiffness and np.isfinite(norm)):
            return norm
        residual = self._work.x.petsc_vec
        residual.stateIncrease()  # its array was filled behind it
        correction = residual.duplicate()
        self.snes.ksp.solve(residual, correction)
        return float(correction.norm())

    def accept(self) -> None:
        """Take the present u and the fields' responses as the accepted state."""
        self._accepted, self._standing = self.u.x.array.copy(), True
        for field in self.fields:
            field.accept()

    def resume(self, largest: float) -> None:
        """Take the present u as the accepted one, of a checkpoint.

        Args:
            largest: :attr:`largest_residual` of the run that wrote it.
        """
        self._accepted, self._largest = self.u.x.array.copy(), largest
        self._standing = False

    @property
    def relative_tolerance(self) -> float:
        """Residual norm that ends a solve, over the one it began with."""
        return float(self.snes.getTolerances()[0])

    @property
    def largest_residual(self) -> float:
        """Residual norm that a solved increment began with, the largest so far."""
        return self._largest

    def restore(self) -> None:
        """Return to the accepted state, bitwise."""
        self.u.x.array[:], self._standing = self._accepted, False
        for field in self.fields:
            field.restore()

    def reaction(
        self,
        facets: NDArray[np.int32],
    ) -> Array:  # (block size,)
        """Return the resultant force of the constraints on a boundary, summed over the ranks.

        Args:
            facets: Local facets of the boundary.
        """
        V = self.u.function_space
        domain: mesh.Mesh = V.mesh
        domain.topology.create_connectivity(domain.topology.dim - 1, domain.topology.dim)
        blocks = fem.locate_dofs_topological(V, domain.topology.dim - 1, facets)
        self.assemble_residual()
        self._work.x.scatter_reverse(la.InsertMode.add)
        size = V.dofmap.index_map_bs
        owned = blocks[blocks < V.dofmap.index_map.size_local]
        local = self._work.x.array.reshape(-1, size)[owned].sum(axis=0)
        return np.asarray(domain.comm.allreduce(local, op=MPI.SUM))
