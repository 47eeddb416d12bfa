"""The cell: what a solve costs beside its parts, timed alone with the same factorisation.

What did not pay, tried in 2D and 3D with 1,000 and 10,000 unknowns: LDLᵀ of MUMPS takes
1 to 3 times as long to factorise as CHOLMOD's supernodal LLᵀ and twice as long to solve, whatever
its ordering and scaling; UMFPACK, KLU and PETSc's own are slower still. Conjugate gradients on the
true stiffness with the reference factorisation need no factorisation of a point, but 16 steps to
equilibrium and 8 for each column of the tangent: more than the one factorisation that serves both.
Anderson's method with the reference alone, down to the tolerance, takes 18 steps where 8 lead to
the point of that factorisation; and L-BFGS takes more than it, and fails more often. Forms
compiled with -O3, for the machine's own instructions or with fast arithmetic are not assembled
faster beyond a quarter, and compile three times as long.

Cells of linear tetrahedra in seconds of processor time, stress and tangent, factorised beside
iterated: 10,000 unknowns 0.73 and 0.92; 20,000 2.1 and 1.5; 32,000 4.4 and 3.4 (LDLᵀ of MUMPS:
6.5), with 1,140 and 410 MB in use; 98,000 iterated 11, with 830 MB.
"""

import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import ufl
from dolfinx import fem

from benchmarks.measure import medians, report
from fesurrogate import Kinematics
from fesurrogate.data.sampling import stretches
from fesurrogate.micro import RVEMaterial, neo_hookean, read_cell
from fesurrogate.micro.cells import refined

CELL = Path(__file__).parents[1] / "meshes" / "fibre_rve.msh"


def fibre_rve(refinements: int = 0) -> RVEMaterial:
    """Return the RVE of Cook's membrane (constants: demos/cook_membrane.toml), refined or not."""
    phases = {
        "matrix": neo_hookean(shear_modulus=100 / 2.8, lame=40 / 0.28),
        "fibre": neo_hookean(shear_modulus=1000 / 2.6, lame=300 / 0.52),
    }
    cell = read_cell(CELL)
    for _ in range(refinements):
        cell = refined(cell)
    return RVEMaterial(cell, phases, Kinematics(2, "finite"), degree=1)


def main() -> None:
    """Print the figures."""
    rve = fibre_rve()
    problem, solver = rve.problem, rve.problem.solver
    F = stretches(rve.kinematics, 32, 0.2)[:, 0]
    unknowns = f"{problem.num_unknowns} unknowns, U within 0.2 of I"
    plain = fibre_rve()
    plain.problem.solver._reference = None  # Newton's method alone
    cold, newton = rve.evaluate(F), plain.evaluate(F)
    q = cold.hint[0]
    rhs = solver.restrict(problem.stiffness @ problem.modes)
    columns, tangent = _columns(rve), []

    def residuals() -> None:
        for k in range(len(F)):  # no two alike, or the second is not assembled
            problem.assemble(F[k], q)

    def tangents() -> None:
        seconds = 0.0
        for strain in F:  # each by the factorisation that led to its own equilibrium
            q, _, _ = problem.equilibrate(strain, np.zeros(rve.num_hint))
            begin = time.perf_counter()
            problem.condense(strain, q)
            seconds += time.perf_counter() - begin
        tangent.append(1e3 * seconds / len(F))

    median = medians(
        {
            "solve": lambda: rve.evaluate(F, tangent=False),
            "solve with tangent": lambda: rve.evaluate(F),
            "plain": lambda: plain.evaluate(F, tangent=False),
            "plain with tangent": lambda: plain.evaluate(F),
            "tangents": tangents,
            "residual": residuals,
            "jacobian": lambda: [problem.assembly.assemble_stiffness() for _ in F],
            "factorisation": lambda: [solver.factorise() for _ in F],
            "right-hand sides": lambda: [columns() for _ in F],
            "columns": lambda: [solver.solve_columns(rhs, tolerance=1e-4) for _ in F],
            "column": lambda: [solver.solve_columns(rhs[:, :1], tolerance=1e-4) for _ in F],
        }
    )
    ms_tangent = statistics.median(tangent[1:])
    ms = {name: 1e3 * seconds / len(F) for name, seconds in median.items()}
    steps, iterations = (
        float(np.mean(answer.report["micro_iterations"])) for answer in (cold, newton)
    )
    report("rve.solve", ms["solve"], "ms", detail=f"{unknowns}, {steps:.2f} steps")
    report("rve.solve_with_tangent", ms["solve with tangent"], "ms", detail=unknowns)
    report(
        "rve.solve_over_plain_newton",
        ms["solve with tangent"] / ms["plain with tangent"],
        "1",
        detail=f"with tangent; plain: {iterations:.2f} iterations, each with a factorisation",
    )
    parts = ms["residual"] + ms["jacobian"] + ms["factorisation"] + ms["column"]
    report(
        "rve.iteration_over_its_parts",
        ms["plain"] / iterations / parts,
        "1",
        bar=1.2,
        detail="plain Newton; residual, Jacobian, factorisation and solve alone: "
        + ", ".join(f"{ms[k]:.2f}" for k in ("residual", "jacobian", "factorisation", "column"))
        + " ms; what a solve does besides (tolerance, energy) is counted in",
    )
    report(
        "rve.tangent_over_its_parts",
        ms_tangent / (ms["right-hand sides"] + ms["columns"]),
        "1",
        bar=1.3,
        detail=f"{rhs.shape[1]} right-hand sides assembled alone: {ms['right-hand sides']:.2f} ms, "
        f"solved for: {ms['columns']:.2f} ms; the tangent, no factorisation of its own but a "
        f"stiffness assembled: {ms_tangent:.2f} ms",
    )
    report(
        "rve.tangent_over_solve",
        (ms["solve with tangent"] - ms["solve"]) / ms["solve"],
        "1",
        detail="what the tangent adds to a solve",
    )


def _columns(rve: RVEMaterial) -> Callable[[], None]:
    """Return what assembles the right-hand sides of a tangent as vectors, one form for all."""
    problem, cell = rve.problem, rve.cell
    u = problem.assembly.u
    d, V = rve.kinematics.gdim, u.function_space
    direction = fem.Constant(cell.mesh, np.zeros((d, d)))
    F, v = ufl.variable(ufl.Identity(d) + ufl.grad(u)), ufl.TestFunction(V)
    i, j, k, m = ufl.indices(4)
    form = 0
    for name, dx in problem.assembly.measures.items():
        moduli = ufl.diff(ufl.diff(problem.assembly.energies[name](F), F), F)
        form += moduli[i, j, k, m] * ufl.grad(v)[i, j] * direction[k, m] * dx
    compiled, vector = fem.form(form), np.zeros_like(problem.force)

    def assemble() -> None:
        for unit in np.eye(d * d):
            direction.value[:] = unit.reshape(d, d)
            vector[:] = 0.0
            fem.assemble_vector(vector, compiled)

    return assemble
