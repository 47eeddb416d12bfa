"""The boundary value problem of the cell: equilibrium and its condensation to the macro scale.

With u = X (ε - ε₀) + T q (see :mod:`fesurrogate.micro.constraint`) and the nodal force f(u):

    equilibrium   Tᵀ f = 0
    stress        σ = Xᵀ f / V = Yᵀ f / V
    tangent       A = Yᵀ K Y / V,   Y = X + T S,   S = -(Tᵀ K T)⁻¹ Tᵀ K X
    sensitivity   ∂σ/∂p = Xᵀ (f,p + K T q,p) / V,   q,p = -(Tᵀ K T)⁻¹ Tᵀ f,p

The stress is the volume average by the Hill-Mandel lemma. The tangent is a quadratic form that is
stationary at the exact S, so a factorisation that is one Newton step old costs an error of second
order only; it is used without refactorising and polished until it does not matter.

Source: Miehe and Koch (2002), Arch. Appl. Mech. 72, 300-317, for the condensation; the symmetric
form is ours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, final

import numpy as np
import scipy.sparse as sp
import ufl
from dolfinx import fem
from petsc4py import PETSc

from fesurrogate.errors import InputError
from fesurrogate.fem.petsc_options import set_from_options
from fesurrogate.kinematics import Array, Kinematics
from fesurrogate.material import Material
from fesurrogate.micro.assembly import CellAssembly
from fesurrogate.micro.cells.cell import Cell
from fesurrogate.micro.constraint import (
    blocked,
    galerkin_map,
    linear_prolongation,
    periodic_masters,
    periodic_prolongation,
    traction_prolongation,
)
from fesurrogate.micro.phases import Phase
from fesurrogate.micro.strain import affine_modes, num_fluctuating

Boundary = Literal["periodic", "linear", "traction"]
"""Condition on the boundary of the cell."""

ROUNDING = 1e-14  # residual, relative to the nodal forces, that arithmetic can reach


@final
class CellProblem:
    """One cell's equations: mesh, forms, sparsity and solver exist once and serve every point."""

    def __init__(
        self,
        cell: Cell,
        phases: Mapping[str, Phase | Material],
        kinematics: Kinematics,
        *,
        degree: int,
        boundary: Boundary,
        rtol: float,
        prefix: str,
        parameters: Sequence[str] = (),
    ) -> None:
        missing = sorted(set(cell.phase_cells) - set(phases))
        unknown = sorted(set(phases) - set(cell.phase_cells))
        if missing or unknown:
            raise InputError(
                f"the cell's phases are {sorted(cell.phase_cells)}, but laws are given for "
                f"{sorted(phases)}; name the same phases in both"
            )
        if cell.mesh.geometry.dim > kinematics.gdim:
            raise InputError(
                f"the cell is {cell.mesh.geometry.dim}D, but the kinematics have gdim "
                f"{kinematics.gdim}; a plane cell serves both, a solid one only gdim 3"
            )
        curved = cell.mesh.ufl_domain().ufl_coordinate_element().basix_element.degree
        if degree < curved:
            raise InputError(
                f"degree is {degree}, but the cell's elements are curved, of degree {curved}; a "
                f"displacement of a lower degree holds no uniform strain: take degree {curved}, or "
                "straight elements"
            )
        self.kinematics, self.rtol, self.volume = kinematics, rtol, cell.volume
        self.assembly = CellAssembly(cell, phases, kinematics, degree, parameters=parameters)
        self.force, self.stiffness = self.assembly.force, self.assembly.stiffness  # f, K
        V = self.assembly.u.function_space
        x = V.tabulate_dof_coordinates()[:, : cell.mesh.geometry.dim]
        self.modes = affine_modes(kinematics, x)  # X
        nodal = _nodal_prolongation(boundary, cell, V, x)
        self.prolongation = blocked(  # T
            nodal, V.dofmap.index_map_bs, num_fluctuating(kinematics)
        )
        self._restriction = self.prolongation.T.tocsr()
        self.num_unknowns = self.prolongation.shape[1]
        self._build_solver(prefix)
        self._parameters: Array | None = None
        if not self.assembly.parameter_names:
            self.set_parameters(np.zeros(0))

    def _build_solver(self, prefix: str) -> None:
        indptr, indices, self._galerkin = galerkin_map(
            self.stiffness.indptr, self.stiffness.indices, self.prolongation
        )
        self._values = np.zeros(len(indices))
        size, comm = self.num_unknowns, PETSc.COMM_SELF
        self._matrix = PETSc.Mat().createAIJWithArrays(
            (size, size), (indptr, indices, self._values), comm=comm
        )
        symmetric = self.assembly.symmetric
        self._matrix.setOption(PETSc.Mat.Option.SYMMETRIC, symmetric)
        self._solution = PETSc.Vec().createSeq(size, comm=comm)
        self._snes = snes = PETSc.SNES().create(comm)
        snes.setOptionsPrefix(prefix)
        snes.setFunction(self._residual, self._solution.duplicate())
        snes.setJacobian(self._jacobian, self._matrix)
        snes.setType("newtonls")
        snes.setTolerances(rtol=0.0, stol=0.0, max_it=25)
        snes.ksp.setType("preonly")
        # LDLᵀ, if symmetric: the matrix need not be definite
        snes.ksp.pc.setType("cholesky" if symmetric else "lu")
        snes.ksp.pc.setFactorSolverType("mumps")
        set_from_options(snes)

    # -- assembly -------------------------------------------------------------------------

    def assemble(
        self,
        strain: Array,  # (m,)
        q: Array,  # (unknowns,)
        *,
        tangent: bool = False,
    ) -> None:
        """Assemble the force f, and K if asked for, at a macro strain and a fluctuation."""
        self.assembly.u.x.array[:] = self._displacement(strain, q)
        self.assembly.assemble_force()
        if tangent:
            self.assembly.assemble_stiffness()

    def _displacement(self, strain: Array, q: Array) -> Array:
        return self.modes @ (strain - self.kinematics.rest) + self.prolongation @ q

    def set_parameters(
        self,
        values: Array,  # (p,)
    ) -> bool:
        """Give the parameters their values; return whether a cell at rest can have them."""
        if self._parameters is None or not np.array_equal(values, self._parameters):
            self._parameters = values.copy()
            self._possible = self.assembly.set_parameters(values)
            if self._possible:
                self.start_increment(self.assembly.initial_state(), 1.0)
                self.assemble(self.kinematics.rest, np.zeros(self.num_unknowns), tangent=True)
                unit = float(np.linalg.norm(self.stiffness @ self.modes))
                self._force_scale = unit  # nodal force of a unit strain
                self._possible = bool(np.isfinite(unit))
        return self._possible

    def start_increment(self, state: Array, dt: float) -> None:
        """Begin an increment of length dt from a state of the cell (num_state,)."""
        self.assembly.start_increment(state, dt)

    def stress(self) -> Array:
        """Return the mean stress (m,) at the last assembled displacement."""
        return np.asarray(self.modes.T @ self.force / self.volume, dtype=np.float64)

    # -- equilibrium ----------------------------------------------------------------------

    def _residual(self, snes: PETSc.SNES, q: PETSc.Vec, out: PETSc.Vec) -> None:
        self.assemble(self._strain, q.getArray(readonly=True))
        out.setArray(self._restriction @ self.force)

    def _jacobian(self, snes: PETSc.SNES, q: PETSc.Vec, J: PETSc.Mat, P: PETSc.Mat) -> None:
        # SNES asks for the Jacobian where it last accepted a residual; a line search may have
        # tried further points since, so the displacement is set anew.
        self.assembly.u.x.array[:] = self._displacement(self._strain, q.getArray(readonly=True))
        self.assembly.assemble_stiffness()
        self._update_matrix()

    def _update_matrix(self) -> None:
        self._values[:] = self._galerkin @ self.stiffness.data
        self._matrix.stateIncrease()
        self._matrix.assemble()

    def tolerance(
        self,
        strain: Array,  # (m,)
    ) -> float:
        """Return the residual norm at which equilibrium at a strain is reached.

        It is ``rtol`` of the residual without fluctuation, whatever the initial guess, so that a
        warm start saves work and cannot change the answer; and never below what rounding allows,
        which at finite strain is that of F, however close to rest.
        """
        self.assemble(strain, np.zeros(self.num_unknowns))
        forces = self._force_scale * (float(np.linalg.norm(strain)) + 1e-3)
        residual = float(np.linalg.norm(self._restriction @ self.force))
        return max(self.rtol * residual, ROUNDING * forces)

    def equilibrate(
        self,
        strain: Array,  # (m,)
        guess: Array,  # (unknowns,)
    ) -> tuple[Array, int, bool]:
        """Return the fluctuation q in equilibrium, the Newton iterations, and whether it is one."""
        self._strain = strain
        self.assembly.restart()
        atol = self.tolerance(strain)
        if not np.isfinite(atol):
            return guess, 0, False
        self._snes.setTolerances(atol=atol)
        self._solution.setArray(guess)
        self._snes.solve(None, self._solution)
        iterations = self._snes.getIterationNumber()
        return self._solution.getArray().copy(), iterations, self._snes.getConvergedReason() > 0

    def condense(
        self,
        strain: Array,  # (m,)
        q: Array,  # (unknowns,), in equilibrium
    ) -> tuple[Array, Array]:  # (m,), (m, m)
        """Return mean stress and tangent at an equilibrium that was just solved for.

        The stress is Yᵀf / V. It equals Xᵀf / V in equilibrium, but what the residual Tᵀf still
        holds enters it to second order only: a macro Newton that sees it converges beyond the
        tolerance of the cell.
        """
        self.assemble(strain, q, tangent=True)
        if self._snes.getIterationNumber() == 0:  # a warm start needed no factorisation
            self._refactorise()
        Y = self.modes + self._relaxed(self.stiffness @ self.modes)
        stress: Array = np.asarray(Y.T @ self.force / self.volume, dtype=np.float64)
        tangent: Array = np.asarray(Y.T @ (self.stiffness @ Y) / self.volume, dtype=np.float64)
        return stress, tangent

    def _refactorise(self) -> None:
        self._update_matrix()
        self._snes.ksp.setOperators(self._matrix)
        self._snes.ksp.setUp()

    def sensitivity(self) -> Array:  # (m, p)
        """Return the derivative of the mean stress by the parameters, after :meth:`condense`."""
        by_parameters = self.assembly.sensitivity()
        total = by_parameters + self.stiffness @ self._relaxed(by_parameters)
        return np.asarray(self.modes.T @ total / self.volume)

    def _relaxed(
        self,
        load: Array,  # (nodes * bs, columns)
    ) -> Array:  # (nodes * bs, columns)
        """Return the fluctuations that take up a load, -T (TᵀKT)⁻¹ Tᵀ load.

        They are polished until what is left of the load does not matter; in a symmetric cell the
        tangent errs by the square of it.
        """
        tolerance = 1e-7 if self.assembly.symmetric else 1e-12
        ksp = self._snes.ksp
        ksp.pc.setReusePreconditioner(True)
        answer: Array = np.zeros_like(load)
        force = self._restriction @ load
        scale = np.linalg.norm(force)
        for attempt in range(8):
            if np.linalg.norm(force) <= tolerance * scale:
                break
            if attempt == 4:  # the last Newton step was too long for its factorisation to serve
                ksp.pc.setReusePreconditioner(False)
                self._refactorise()
                ksp.pc.setReusePreconditioner(True)
            answer -= self.prolongation @ self._solve_columns(ksp, force)
            force = self._restriction @ (load + self.stiffness @ answer)
        ksp.pc.setReusePreconditioner(False)
        return answer

    def _solve_columns(self, ksp: PETSc.KSP, rhs: Array) -> Array:
        given, columns = np.asfortranarray(rhs), np.empty(rhs.shape, order="F")
        B, X = (
            PETSc.Mat().createDense(rhs.shape, array=array, comm=PETSc.COMM_SELF)
            for array in (given, columns)
        )
        ksp.matSolve(B, X)
        B.destroy()
        X.destroy()
        return columns


def _nodal_prolongation(
    boundary: Boundary,
    cell: Cell,
    V: fem.FunctionSpace,
    x: Array,  # (nodes, dimension)
) -> sp.csr_matrix:  # (nodes, nodal unknowns)
    if boundary == "periodic":
        has_void = cell.void is not None
        masters = periodic_masters(x, cell.origin, cell.lattice, has_void=has_void)
        return periodic_prolongation(masters)
    if boundary == "linear":
        return linear_prolongation(x, cell.origin, cell.lattice)
    return traction_prolongation(_normals(cell, V))


def _normals(cell: Cell, V: fem.FunctionSpace) -> Array:  # (nodes, dimension)
    """Return ∫ φ n dS over the faces of the cell."""
    if cell.void is not None:
        raise InputError(
            f"boundary 'traction' is not for a cell with a void ({cell.void!r}): where the void "
            "meets a face there is no traction to be uniform; take 'periodic'"
        )
    v, n = ufl.TestFunction(V), ufl.FacetNormal(cell.mesh)
    d, components = cell.mesh.geometry.dim, V.dofmap.index_map_bs
    if components > 1:  # block I of the vector is ∫ φ_I n dS
        zeros = [ufl.as_ufl(0.0)] * (components - d)
        integrals = [ufl.inner(v, ufl.as_vector([*(n[k] for k in range(d)), *zeros])) * ufl.ds]
    else:
        integrals = [v * n[k] * ufl.ds for k in range(d)]
    vectors = [fem.assemble_vector(fem.form(integral)).array for integral in integrals]
    return np.stack(vectors, axis=1).reshape(V.dofmap.index_map.size_local, -1)[:, :d]
