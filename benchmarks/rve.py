"""The cell: what a solve costs beside its parts, timed alone with the same factorisation.

What did not pay, on the cell of Cook's membrane (1,022 unknowns): CHOLMOD in place of MUMPS LDLᵀ
saves a fifth of a solve, but refuses the indefinite matrices that occur on the way, with a warning
on the screen that cannot be silenced; UMFPACK's LU took twice as long to factorise.
"""

from pathlib import Path

import numpy as np

from benchmarks.measure import medians, report
from fesurrogate import Kinematics
from fesurrogate.data.sampling import stretches
from fesurrogate.micro import RVEMaterial, neo_hookean, read_cell

CELL = Path(__file__).parents[1] / "meshes" / "fibre_rve.msh"


def fibre_rve() -> RVEMaterial:
    """Return the RVE of Cook's membrane (constants: demos/cook_membrane.toml)."""
    phases = {
        "matrix": neo_hookean(shear_modulus=100 / 2.8, lame=40 / 0.28),
        "fibre": neo_hookean(shear_modulus=1000 / 2.6, lame=300 / 0.52),
    }
    return RVEMaterial(read_cell(CELL), phases, Kinematics(2, "finite"), degree=1)


def main() -> None:
    """Print the figures."""
    rve = fibre_rve()
    problem = rve.problem
    F = stretches(rve.kinematics, 32, 0.2)[:, 0]
    cold = rve.evaluate(F)
    ksp = problem._snes.ksp
    rhs, q = problem._restriction @ (problem.stiffness @ problem.modes), cold.hint[0]

    median = medians(
        {
            "solve": lambda: rve.evaluate(F, tangent=False),
            "solve with tangent": lambda: rve.evaluate(F),
            "residual": lambda: [problem.assemble(F[0], q) for _ in F],
            "jacobian": lambda: [problem.assembly.assemble_stiffness() for _ in F],
            "factorisation": lambda: [problem._refactorise() for _ in F],
            "columns": lambda: [problem._solve_columns(ksp, rhs) for _ in F],
            "column": lambda: [problem._solve_columns(ksp, rhs[:, :1]) for _ in F],
        }
    )
    ms = {name: 1e3 * seconds / len(F) for name, seconds in median.items()}
    iterations = float(np.mean(cold.report["micro_iterations"]))
    parts = ms["residual"] + ms["jacobian"] + ms["factorisation"] + ms["column"]
    detail = f"{problem.num_unknowns} unknowns, U within 0.2 of I, {iterations:.2f} iterations"
    report("rve.solve", ms["solve"], "ms", detail=detail)
    report("rve.solve_with_tangent", ms["solve with tangent"], "ms", detail=detail)
    report(
        "rve.iteration_over_its_parts",
        ms["solve"] / iterations / parts,
        "1",
        detail="residual, Jacobian, factorisation and solve alone: "
        + ", ".join(f"{ms[k]:.2f}" for k in ("residual", "jacobian", "factorisation", "column"))
        + " ms; what a solve does besides (tolerance, energy) is counted in",
    )
    report(
        "rve.tangent_over_solve",
        (ms["solve with tangent"] - ms["solve"]) / ms["solve"],
        "1",
        detail=f"no factorisation of its own; {len(rhs.T)} columns alone: {ms['columns']:.2f} ms",
    )
