"""The macro linear solve by size: MUMPS beside CG with GAMG and the rigid-body modes, to 1e-9.

Elasticity on squares and cubes; factorisation or setup included; processor time of one rank.
"""

from __future__ import annotations

import statistics
import time

import numpy as np
import ufl
from dolfinx import fem, mesh
from dolfinx.fem import petsc as fem_petsc
from mpi4py import MPI
from petsc4py import PETSc

from benchmarks.measure import report
from fesurrogate.fem.near_null_space import rigid_body_modes

CASES = ((2, 64, 2), (2, 160, 2), (3, 16, 1), (3, 24, 1), (3, 9, 2))  # d, cells a side, degree
REPEATS = 3


def clamped_body(dim: int, n: int, degree: int) -> tuple[PETSc.Mat, fem.FunctionSpace]:
    """Return the stiffness of a square or cube that is held at one side."""
    shape = mesh.CellType.quadrilateral if dim == 2 else mesh.CellType.hexahedron
    if dim == 2:
        domain = mesh.create_unit_square(MPI.COMM_SELF, n, n, shape)
    else:
        domain = mesh.create_unit_cube(MPI.COMM_SELF, n, n, n, shape)
    V = fem.functionspace(domain, ("Lagrange", degree, (dim,)))
    u, v = ufl.TrialFunction(V), ufl.TestFunction(V)
    form = ufl.inner(ufl.sym(ufl.grad(u)), ufl.sym(ufl.grad(v))) + 0.4 * ufl.div(u) * ufl.div(v)
    side = mesh.locate_entities_boundary(domain, dim - 1, lambda x: np.isclose(x[0], 0.0))
    held = fem.dirichletbc(np.zeros(dim), fem.locate_dofs_topological(V, dim - 1, side), V)
    A = fem_petsc.assemble_matrix(fem.form(form * ufl.dx), bcs=[held])
    A.assemble()
    return A, V


def solver(A: PETSc.Mat, ksp_type: str, pc_type: str) -> PETSc.KSP:
    """Return a solver of a matrix."""
    ksp = PETSc.KSP().create(A.comm)
    ksp.setType(ksp_type)
    ksp.pc.setType(pc_type)
    if pc_type == "lu":
        ksp.pc.setFactorSolverType("mumps")
    ksp.setTolerances(rtol=1e-9)
    return ksp


def compare(dim: int, n: int, degree: int) -> None:
    """Print what one solve takes either way; they alternate."""
    A, V = clamped_body(dim, n, degree)
    A.setNearNullSpace(rigid_body_modes(V))
    b, x = A.createVecs()
    b.setRandom()
    ways = {"lu": solver(A, "preonly", "lu"), "gamg": solver(A, "cg", "gamg")}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(REPEATS + 1):
        for name, ksp in ways.items():
            A.stateIncrease()
            ksp.setOperators(A)
            begin = time.process_time()
            ksp.solve(b, x)
            seconds[name].append(time.process_time() - begin)
    median = {name: statistics.median(spent[1:]) for name, spent in seconds.items()}
    detail = f"{A.getSize()[0]} unknowns of degree {degree}: MUMPS {1e3 * median['lu']:.0f} ms, "
    detail += (
        f"GAMG {1e3 * median['gamg']:.0f} ms in {ways['gamg'].getIterationNumber()} iterations"
    )
    name = f"linear.gamg_over_lu_{dim}d_degree_{degree}_{A.getSize()[0]}"
    report(name, median["gamg"] / median["lu"], "1", detail=detail)


def main() -> None:
    """Print the figures."""
    for case in CASES:
        compare(*case)


if __name__ == "__main__":
    main()
