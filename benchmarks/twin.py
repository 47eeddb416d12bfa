"""The cell beside a twin: the same solve, written leanly with dolfinx_mpc and MUMPS.

The twin is what a careful user of DOLFINx would write: forms, matrix, vectors and solver exist
once; periodicity by the constraint of dolfinx_mpc, in its assembly; Newton's method to the same
tolerance from the same start; LU of MUMPS, its analysis done once; at the end the stiffness at the
solution is factorised and the m columns of the tangent are solved for at once. Both give the same
answer, to 1e-6.
"""

import numpy as np
import ufl
from dolfinx import fem, mesh
from dolfinx_mpc import MultiPointConstraint, assemble_matrix, assemble_vector
from mpi4py import MPI
from petsc4py import PETSc

from benchmarks.measure import medians, report
from fesurrogate import Kinematics
from fesurrogate.data.sampling import stretches
from fesurrogate.kinematics import Array
from fesurrogate.micro import Cell, RVEMaterial, make_cell, neo_hookean

PHASES = {
    "matrix": neo_hookean(shear_modulus=1.0, lame=1.5),
    "inclusion": neo_hookean(shear_modulus=10.0, lame=15.0),
}
SIZES = {2: (22, 71), 3: (7, 15)}  # elements along an edge: about 1,000 and 10,000 unknowns
BARS = {2: 0.55, 3: 0.40}
STRAINS = {22: 8, 71: 3, 7: 4, 15: 1}


def inclusion(gdim: int, count: int) -> Cell:
    """Return a unit cell of simplices with a round inclusion of radius 0.35, unsmoothed."""
    counts = [count] * gdim
    create = mesh.create_unit_square if gdim == 2 else mesh.create_unit_cube
    unit = create(MPI.COMM_SELF, *counts)
    cells = np.arange(unit.topology.index_map(gdim).size_local, dtype=np.int32)
    middle = mesh.compute_midpoints(unit, gdim, cells)[:, :gdim]
    inside = np.linalg.norm(middle - 0.5, axis=1) < 0.35
    return make_cell(unit, {"matrix": cells[~inside], "inclusion": cells[inside]})


class Twin:
    """Stress and tangent of a periodic unit cell, linear elements, at finite strain."""

    def __init__(self, cell: Cell, gdim: int) -> None:
        V = fem.functionspace(cell.mesh, ("Lagrange", 1, (gdim,)))
        x = V.tabulate_dof_coordinates()[:, :gdim]
        inner = np.argmin(np.linalg.norm(x - 0.5, axis=1)).astype(np.int32)  # held at rest
        self.bcs = [fem.dirichletbc(np.zeros(gdim), np.array([inner]), V)]
        self.mpc = mpc = MultiPointConstraint(V)
        for moved in np.ndindex(*[2] * gdim):  # faces, edges and corners, each once
            if any(moved):
                shift = np.array([*moved, *[0] * (3 - gdim)])[:, None]
                mpc.create_periodic_constraint_geometrical(
                    V,
                    lambda x, shift=shift: (np.isclose(x, 1.0) == (shift == 1))[:gdim].all(axis=0),
                    lambda x, shift=shift: x - shift,
                    self.bcs,
                )
        mpc.finalize()
        self.w = fem.Function(V)
        self.F = fem.Constant(cell.mesh, np.eye(gdim))  # of the macro scale
        self.E = fem.Constant(cell.mesh, np.eye(gdim))  # a direction of it
        v, dw = ufl.TestFunction(V), ufl.TrialFunction(V)
        F = ufl.variable(self.F + ufl.grad(self.w))
        i, j, k, m = ufl.indices(4)
        residual, column = [], []
        for name, dx in cell.measures(1).items():
            P = ufl.diff(PHASES[name].energy(F, **PHASES[name].constants), F)
            residual.append(ufl.inner(P, ufl.grad(v)) * dx)
            column.append(ufl.diff(P, F)[i, j, k, m] * ufl.grad(v)[i, j] * self.E[k, m] * dx)
        self.residual, self.column = fem.form(sum(residual)), fem.form(sum(column))
        self.jacobian = fem.form(ufl.derivative(sum(residual), self.w, dw))
        self.X = np.einsum("xj,aij->xia", x, np.eye(gdim**2).reshape(-1, gdim, gdim))
        self.X = self.X.reshape(-1, gdim**2)  # affine displacements, (dofs, m)
        self.pinned = inner * gdim + np.arange(gdim)
        self.b = assemble_vector(self.residual, mpc)
        self.A = assemble_matrix(self.jacobian, mpc, self.bcs)
        self.d = self.b.duplicate()
        self.ksp = PETSc.KSP().create(PETSc.COMM_SELF)
        self.ksp.setType("preonly")
        self.ksp.pc.setType("lu")
        self.ksp.pc.setFactorSolverType("mumps")
        self.ksp.setOperators(self.A)

    def _assemble_residual(self) -> float:
        assemble_vector(self.residual, self.mpc, self.b)
        self.b.array_w[self.pinned] = 0.0
        return float(self.b.norm())

    def _assemble_jacobian(self) -> None:
        assemble_matrix(self.jacobian, self.mpc, self.bcs, A=self.A)
        self.ksp.setUp()

    def solve(self, F: Array, *, rtol: float = 1e-8) -> int:
        """Newton from rest; return the iterations."""
        self.F.value[:] = F.reshape(self.F.value.shape)
        self.w.x.array[:] = 0.0
        norm = start = self._assemble_residual()
        iterations = 0
        while norm > rtol * start:
            self._assemble_jacobian()
            self.ksp.solve(self.b, self.d)
            self.w.x.array[:] -= self.d.array
            self.mpc.backsubstitution(self.w)
            norm = self._assemble_residual()
            iterations += 1
        return iterations

    def evaluate(self, F: Array) -> tuple[Array, Array]:  # (m,), (m, m)
        """Return stress and tangent; the volume is 1."""
        self.solve(F)
        self._assemble_jacobian()
        force = fem.assemble_vector(self.residual).array
        KX = np.zeros_like(self.X)
        rhs = np.zeros_like(self.X, order="F")
        slaves, masters = self.mpc.slaves, self.mpc.masters.array
        for a, direction in enumerate(np.eye(len(self.X.T))):
            self.E.value[:] = direction.reshape(self.E.value.shape)
            KX[:, a] = fem.assemble_vector(self.column).array
        rhs[:] = KX
        np.add.at(rhs, masters, KX[slaves])
        rhs[slaves] = rhs[self.pinned] = 0.0
        solved = np.empty_like(rhs, order="F")
        B, D = (
            PETSc.Mat().createDense(rhs.shape, array=array, comm=PETSc.COMM_SELF)
            for array in (rhs, solved)
        )
        self.ksp.matSolve(B, D)
        solved[slaves] = solved[masters]
        return self.X.T @ force, (self.X - solved).T @ KX


def main() -> None:
    """Print the figures."""
    for gdim, counts in SIZES.items():
        for count in counts:
            _compare(gdim, count)


def _compare(gdim: int, count: int) -> None:
    cell = inclusion(gdim, count)
    kinematics = Kinematics(gdim, "finite")
    rve, twin = RVEMaterial(cell, PHASES, kinematics, degree=1), Twin(cell, gdim)
    F = stretches(kinematics, STRAINS[count], 0.2)[:, 0]
    ours, theirs = rve.evaluate(F), [twin.evaluate(f) for f in F]
    assert ours.tangent is not None
    for i, (stress, tangent) in enumerate(theirs):
        for got, expected in ((ours.stress[i], stress), (ours.tangent[i], tangent)):
            np.testing.assert_allclose(got, expected, rtol=0, atol=1e-6 * np.abs(expected).max())
    seconds = medians(
        {
            "ours": lambda: rve.evaluate(F),
            "twin": lambda: [twin.evaluate(f) for f in F],
            "twin without tangent": lambda: [twin.solve(f) for f in F],
        },
        5,
    )
    ms = {name: 1e3 * value / len(F) for name, value in seconds.items()}
    iterations = np.mean([twin.solve(f) for f in F])
    report(
        f"twin.ours_over_dolfinx_mpc_{gdim}d_{rve.problem.num_unknowns}",
        ms["ours"] / ms["twin"],
        "1",
        bar=BARS[gdim],
        detail=f"{rve.problem.num_unknowns} unknowns, U within 0.2 of I, cold, with tangent: "
        f"{ms['ours']:.1f} ms beside {ms['twin']:.1f}, of which its tangent "
        f"{ms['twin'] - ms['twin without tangent']:.1f}, and {iterations:.1f} Newton iterations",
    )
