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
from functools import partial
from typing import final

import numpy as np

from fesurrogate.errors import InputError
from fesurrogate.kinematics import Array, Kinematics
from fesurrogate.material import Material
from fesurrogate.micro.assembly import CellAssembly
from fesurrogate.micro.boundary import Boundary, prolongation
from fesurrogate.micro.cells.cell import Cell
from fesurrogate.micro.iterative import LARGEST_FACTORISED, set_rigid_motions
from fesurrogate.micro.objectivity import with_rotations
from fesurrogate.micro.phases import Phase
from fesurrogate.micro.solver import CellSolver
from fesurrogate.micro.strain import affine_modes, num_fluctuating, rotation_of

LINEAR = 1e-12  # of a load, that columns may leave that enter to first order
ROUNDING = 1e-14  # residual, relative to the nodal forces, that arithmetic can reach


@final
class CellProblem:
    """One cell's equations: mesh, forms, sparsity and solver exist once and serve every point.

    Attributes:
        taken: Whether the last :meth:`equilibrate` took its candidate; None if it needed none.
        relaxation: (unknowns, m), S where :meth:`condense` was last called.
    """

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
        self._strain: Array = np.zeros(0)  # the last one, and
        self._affine: Array = np.zeros(0)  # X (strain - rest)
        self._at: Array | None = None  # fluctuation of the force that is at hand, and
        self._restricted: Array | None = None  # Tᵀ f
        V = self.assembly.u.function_space
        x = V.tabulate_dof_coordinates()[:, : cell.mesh.geometry.dim]
        self.modes = affine_modes(kinematics, x)  # X
        fluctuating = num_fluctuating(kinematics)
        self.prolongation = prolongation(boundary, cell, V, fluctuating=fluctuating)  # T
        self.num_unknowns = self.prolongation.shape[1]
        symmetric = self.assembly.symmetric
        self.solver = CellSolver(
            self.stiffness,
            self.prolongation,
            residual=self._residual,
            assemble_stiffness=self._assemble_stiffness,
            symmetric=symmetric,
            iterative=self.num_unknowns > LARGEST_FACTORISED[cell.mesh.topology.dim],
            near_null=partial(
                set_rigid_motions,
                prolongation=self.prolongation,
                x=x,
                fluctuating=fluctuating,
            ),
            dimension=cell.mesh.topology.dim,
            prefix=prefix,
        )
        if symmetric:
            self.assemble(kinematics.rest, np.zeros(self.num_unknowns), tangent=True)
            self.solver.set_reference()
        self.taken: bool | None = None
        self.relaxation: Array | None = None
        self._parameters: Array | None = None
        if not self.assembly.parameter_names:
            self.set_parameters(np.zeros(0))

    # -- assembly -------------------------------------------------------------------------

    def assemble(
        self,
        strain: Array,  # (m,)
        q: Array,  # (unknowns,)
        *,
        tangent: bool = False,
    ) -> None:
        """Assemble the force f, and K if asked for, at a macro strain and a fluctuation."""
        self._set_strain(strain)
        if not (self.assembly.symmetric and self._stands_at(q)):
            self._move_to(q)
            self.assembly.assemble_force()
            self._at, self._restricted = q.copy(), None
        if tangent:
            self.assembly.assemble_stiffness()

    def _set_strain(self, strain: Array) -> None:
        if strain is not self._strain and not np.array_equal(strain, self._strain):
            self._strain, self._at = strain.copy(), None
            self._affine = self.modes @ (strain - self.kinematics.rest)

    def _stands_at(self, q: Array) -> bool:
        return self._at is not None and bool((q == self._at).all())

    def _move_to(self, q: Array) -> None:
        self.set_displacement(self._affine + self.prolongation @ q)

    def set_displacement(
        self,
        values: Array,  # (nodes * bs,)
    ) -> None:
        """Set the displacement itself; no force that was assembled before is that of it."""
        self._at = None
        self.assembly.u.x.array[:] = values

    def set_parameters(
        self,
        values: Array,  # (p,)
    ) -> bool:
        """Give the parameters their values; return whether a cell at rest can have them."""
        if self._parameters is None or not np.array_equal(values, self._parameters):
            self._parameters = values.copy()
            self._possible = self.assembly.set_parameters(values)
            self._at = None
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

    def _residual(self, q: Array) -> Array:
        self.assemble(self._strain, q)
        if self._restricted is None:
            self._restricted = self.solver.restrict(self.force)
        return self._restricted

    def _assemble_stiffness(self, q: Array) -> None:
        # SNES asks for the Jacobian where it last accepted a residual; a line search may have
        # tried further points since, so the displacement is set anew.
        if not self._stands_at(q):
            self._move_to(q)
        self.assembly.assemble_stiffness()

    def equilibrate(
        self,
        strain: Array,  # (m,)
        guess: Array,  # (unknowns,)
        *,
        candidate: Array | None = None,  # (unknowns,)
        tangent: bool = True,
        columns: bool = False,
    ) -> tuple[Array, int, bool]:
        """Return the fluctuation q in equilibrium, the iterations, and whether it is one.

        The residual of equilibrium is ``rtol`` of that without fluctuation, whatever the initial
        guess, so that a warm start saves work and cannot change the answer; and never below what
        rounding allows, which at finite strain is that of F, however close to rest. Without a
        tangent to follow, less work may do.

        A candidate is taken in place of the guess where its residual is finite and below that of
        the guess; :attr:`taken` says so. Where :meth:`condense` will be given a relaxation,
        ``columns`` says so, and a point may need no factorisation.
        """
        self.taken = None
        self.assembly.restart()
        self._set_strain(strain)
        cold = float(np.linalg.norm(self._residual(np.zeros(self.num_unknowns))))
        if not np.isfinite(cold):
            return guess, 0, False
        rounding = ROUNDING * self._force_scale * (float(np.linalg.norm(strain)) + 1e-3)
        tolerance = max(self.rtol * cold, rounding)
        if candidate is not None and not np.array_equal(candidate, guess):
            norm = float(np.linalg.norm(self._residual(guess))) if guess.any() else cold
            if not norm <= tolerance:
                finite = bool(np.isfinite(candidate).all())
                self.taken = finite and bool(np.linalg.norm(self._residual(candidate)) < norm)
                guess = candidate if self.taken else guess
                self.assembly.restart()
        return self.solver.solve(
            guess, cold=cold, tolerance=tolerance, tangent=tangent,
            columns=columns and self.taken is not False,
            rotation=partial(rotation_of, self.kinematics, strain),
        )  # fmt: skip

    def condense(
        self,
        strain: Array,  # (m,)
        q: Array,  # (unknowns,), in equilibrium
        *,
        relaxation: Array | None = None,  # (unknowns, m)
    ) -> tuple[Array, Array]:  # (m,), (m, m)
        """Return mean stress and tangent at an equilibrium that was just solved for.

        The stress is Yᵀf / V. It equals Xᵀf / V in equilibrium, but what the residual Tᵀf still
        holds enters it to second order only: a macro Newton that sees it converges beyond the
        tolerance of the cell. The tangent of a symmetric cell errs by the square of what its
        columns Y lack, so that they need the root of ``rtol`` only. A guess of the relaxation S
        may spare their solution.
        """
        self.assemble(strain, q, tangent=True)
        tolerance = self.rtol**0.5 if self.assembly.symmetric else LINEAR
        load = self.stiffness @ self.modes
        if relaxation is not None:
            relaxation = with_rotations(relaxation, self.kinematics, strain, q=q)
        self.relaxation, forces = self.solver.relaxed(load, tolerance=tolerance, guess=relaxation)
        Y = self.modes + self.prolongation @ self.relaxation
        stress: Array = np.asarray(Y.T @ self.force / self.volume, dtype=np.float64)
        tangent: Array = np.asarray(Y.T @ forces / self.volume, dtype=np.float64)
        return stress, tangent

    def sensitivity(self) -> Array:  # (m, p)
        """Return the derivative of the mean stress by the parameters, after :meth:`condense`."""
        _, forces = self.solver.relaxed(self.assembly.sensitivity(), tolerance=LINEAR)
        return np.asarray(self.modes.T @ forces / self.volume)
