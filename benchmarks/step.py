"""One macro Newton step with an energy network, beside the same step with a law in pure UFL.

Residual, Jacobian and solve (MUMPS) on 64 x 64 cells of degree 2, 36,864 points. The weights of the
network do not matter here, only its size. Processor time, on one thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import ufl
from dolfinx import fem, la, mesh
from dolfinx.fem import petsc as fem_petsc
from mpi4py import MPI
from petsc4py import PETSc

from benchmarks.measure import medians, report
from fesurrogate import Kinematics, Material
from fesurrogate.fem.field import MaterialField
from fesurrogate.fem.problem import MacroProblem
from fesurrogate.fem.strain import strain_of
from fesurrogate.laws import NeoHookean
from fesurrogate.surrogate import EnergyNetwork, NetworkMaterial

CELLS = 64
DEGREE = 4  # of quadrature: 9 points a cell
MU, LAM = 1.0, 1.5
REPEATS = 9
FINITE = Kinematics(2, "finite")


class Step:
    """The parts of a Newton step, at one of two displacements in turn."""

    def __init__(self, snes: PETSc.SNES, matrix: PETSc.Mat, V: fem.FunctionSpace) -> None:
        self.snes, self.matrix = snes, matrix
        self._x = []
        for amplitude in (0.01, 0.011):
            u = fem.Function(V)
            u.interpolate(lambda x, a=amplitude: a * np.stack([np.sin(x[1]), x[0] * x[1]]))
            self._x.append(u.x.petsc_vec.copy())
        self._b, self._dx = self._x[0].duplicate(), self._x[0].duplicate()
        self._turn = 0

    def residual(self) -> None:
        """Compute the residual at the other displacement."""
        self._turn = 1 - self._turn
        self.snes.computeFunction(self._x[self._turn], self._b)

    def jacobian(self) -> None:
        """Compute the Jacobian where the residual was computed."""
        self.snes.computeJacobian(self._x[self._turn], self.matrix)

    def solve(self) -> None:
        """Factorise and solve."""
        self.matrix.stateIncrease()  # or PETSc keeps a factor that is still right
        self.snes.ksp.setOperators(self.matrix)
        self.snes.ksp.solve(self._b, self._dx)

    def __call__(self) -> None:
        """Do all of it."""
        self.residual()
        self.jacobian()
        self.solve()


def clamped(V: fem.FunctionSpace) -> list[fem.DirichletBC]:
    """Return the condition that holds the left side."""
    facets = mesh.locate_entities_boundary(V.mesh, 1, lambda x: np.isclose(x[0], 0.0))
    return [fem.dirichletbc(np.zeros(2), fem.locate_dofs_topological(V, 1, facets), V)]


def two_scale(V: fem.FunctionSpace, material: Material) -> tuple[Step, MaterialField]:
    """Return the step of a Material at the points."""
    u = fem.Function(V)
    field = MaterialField(material, strain_of(u, FINITE), degree=DEGREE)
    problem = MacroProblem(u, [field], bcs=clamped(V))
    return Step(problem.snes, problem.matrix, V), field


def one_scale(V: fem.FunctionSpace) -> Step:
    """Return the step of a neo-Hookean energy in UFL, as lean as it can be written."""
    u, v, du = fem.Function(V), ufl.TestFunction(V), ufl.TrialFunction(V)
    F = ufl.Identity(2) + ufl.grad(u)
    J = ufl.det(F)
    energy = MU / 2 * (ufl.tr(F.T * F) - 2 - 2 * ufl.ln(J)) + LAM / 2 * ufl.ln(J) ** 2
    dx = ufl.dx(metadata={"quadrature_degree": DEGREE})
    L = ufl.derivative(energy * dx, u, v)
    residual_form, jacobian_form = fem.form(L), fem.form(ufl.derivative(L, u, du))
    bcs = clamped(V)
    matrix, work = fem_petsc.create_matrix(jacobian_form), fem.Function(V)

    def set_unknown(x: PETSc.Vec) -> None:
        values = x.getArray(readonly=True)
        u.x.array[: len(values)] = values
        u.x.scatter_forward()

    def residual(snes: PETSc.SNES, x: PETSc.Vec, b: PETSc.Vec) -> None:
        set_unknown(x)
        work.x.array[:] = 0.0
        fem.assemble_vector(work.x.array, residual_form)
        fem.apply_lifting(work.x.array, [jacobian_form], [bcs], x0=[u.x.array], alpha=-1.0)
        work.x.scatter_reverse(la.InsertMode.add)
        for bc in bcs:
            bc.set(work.x.array, u.x.array, -1.0)
        b.setArray(work.x.petsc_vec.getArray(readonly=True))

    def jacobian(snes: PETSc.SNES, x: PETSc.Vec, A: PETSc.Mat, P: PETSc.Mat) -> None:
        set_unknown(x)
        matrix.zeroEntries()
        fem_petsc.assemble_matrix(matrix, jacobian_form, bcs=bcs)
        matrix.assemble()

    snes = PETSc.SNES().create(V.mesh.comm)
    snes.setFunction(residual, work.x.petsc_vec.duplicate())
    snes.setJacobian(jacobian, matrix)
    snes.ksp.setType("preonly")
    snes.ksp.pc.setType("lu")
    snes.ksp.pc.setFactorSolverType("mumps")
    return Step(snes, matrix, V)


def main() -> None:
    """Print the figures."""
    corners = [[0.0, 0.0], [1.0, 1.0]]
    square = mesh.create_rectangle(
        MPI.COMM_SELF, corners, [CELLS, CELLS], mesh.CellType.quadrilateral
    )
    V = fem.functionspace(square, ("Lagrange", 2, (2,)))
    network = EnergyNetwork(FINITE, (32, 32))
    ways: dict[str, Material] = {
        "law": NeoHookean(2, shear_modulus=MU, lame=LAM),
        "float64": NetworkMaterial(network, threads=1),
        "float32": NetworkMaterial(network, dtype="float32", threads=1),
    }
    steps: dict[str, Step] = {"ufl": one_scale(V)}
    fields: dict[str, MaterialField] = {}
    for name, material in ways.items():
        steps[name], fields[name] = two_scale(V, material)
    median = medians(dict(steps), repeats=REPEATS, clock=time.process_time)
    parts = {name: parts_of(steps[name], fields.get(name)) for name in steps}
    for name, bar in (("float64", 1.4), ("float32", 1.4), ("law", None)):
        ratio = median[name] / median["ufl"]
        detail = f"{1e3 * median[name]:.0f} ms over {1e3 * median['ufl']:.0f} ms; "
        detail += f"{parts[name]}; UFL: {parts['ufl']}"
        report(f"step.{name}_over_ufl", ratio, "1", bar=bar, detail=detail)


def parts_of(step: Step, field: MaterialField | None) -> str:
    """Return what the parts of a step take, in words."""
    actions: dict[str, Callable[[], Any]] = {
        "residual": step.residual, "Jacobian": step.jacobian, "solve": step.solve,
    }  # fmt: skip
    if field is not None:
        strain = field.current_strain()
        actions["of the residual, strain"] = field.current_strain
        actions["and Material"] = lambda: field.material.evaluate(strain, field.state)
    median = medians(actions, repeats=5, clock=time.process_time)
    return ", ".join(f"{name} {1e3 * seconds:.1f} ms" for name, seconds in median.items())


if __name__ == "__main__":
    main()
