"""Strong and weak scaling on one and two ranks, beside the formula of docs/scaling.md.

Each run is a process of its own, ``mpirun -n P python -m benchmarks.scaling CASE NX NY``, which
prints what it took and the constants of the formula, each measured alone. The formula is then fed
with the constants of points and cells from one rank, and of the linear solve alone from P ranks.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from dolfinx import fem, mesh
from mpi4py import MPI

from benchmarks.measure import report
from benchmarks.step import FINITE, clamped
from fesurrogate import Material
from fesurrogate.combine import Balanced
from fesurrogate.combine.balanced import shares
from fesurrogate.fem.field import MaterialField
from fesurrogate.fem.problem import MacroProblem
from fesurrogate.fem.strain import strain_of
from fesurrogate.micro import RVEMaterial, hexagonal_packing, neo_hookean
from fesurrogate.surrogate import EnergyNetwork, NetworkMaterial

CASES = {"direct": (8, 4, 1), "network": (64, 32, 2)}  # cells along x and y, degree
REPEATS = 3


def material_of(case: str) -> Material:
    """Return a fibre in a matrix, or an energy network of ordinary size."""
    if case == "network":
        return NetworkMaterial(EnergyNetwork(FINITE, (32, 32)), threads=1)
    phases = {
        "matrix": neo_hookean(shear_modulus=1.0, lame=1.5),
        "fibre": neo_hookean(shear_modulus=10.0, lame=15.0),
    }
    cell = hexagonal_packing(0.4, cell="rhombus", resolution=8)
    return RVEMaterial(cell, phases, FINITE, degree=1)


def worker(case: str, nx: int, ny: int) -> dict[str, float]:
    """Return what an increment takes on these ranks, and what its parts take alone. Collective."""
    comm, degree = MPI.COMM_WORLD, CASES[case][2]
    corners = [[0.0, 0.0], [float(nx), float(ny)]]
    domain = mesh.create_rectangle(comm, corners, [nx, ny], mesh.CellType.quadrilateral)
    V = fem.functionspace(domain, ("Lagrange", degree, (2,)))
    u, moved = fem.Function(V), fem.Constant(domain, np.zeros(2))
    material = material_of(case)
    if case == "direct" and comm.size > 1:
        material = Balanced(material, comm)
    field = MaterialField(material, strain_of(u, FINITE), degree=2 * degree)
    right = mesh.locate_entities_boundary(domain, 1, lambda x: np.isclose(x[0], nx))
    dofs = fem.locate_dofs_topological(V, 1, right)
    bcs = [*clamped(V), fem.dirichletbc(moved, dofs, V)]
    problem = MacroProblem(u, [field], bcs=bcs)

    def timed(action: Callable[[], Any]) -> float:
        comm.Barrier()
        begin = time.perf_counter()
        action()
        comm.Barrier()
        return time.perf_counter() - begin

    def increment() -> float:
        u.x.array[:] = 0.0
        field.hint = np.zeros_like(field.hint)
        before = field.tally.seconds, field.tally.updates
        spent = timed(lambda: results.append(problem.solve()))
        inside.append(comm.allreduce(field.tally.seconds - before[0], op=MPI.MAX))
        updates.append(field.tally.updates - before[1])
        return spent

    results: list[Any] = []
    inside: list[float] = []
    updates: list[int] = []
    moved.value[:] = [0.0, 0.05 * nx]
    seconds = [increment() for _ in range(REPEATS + 1)][1:]
    assert results[-1].converged
    matrix, ksp = problem.matrix, problem.snes.ksp
    b, x = matrix.createVecs()
    b.set(1.0)

    def solve() -> None:
        matrix.stateIncrease()
        ksp.setOperators(matrix)
        ksp.solve(b, x)

    def median(action: Callable[[], Any]) -> float:
        return statistics.median(timed(action) for _ in range(REPEATS))

    return {
        "ranks": comm.size,
        "points": comm.allreduce(field.num_points),
        "unknowns": V.dofmap.index_map.size_global * V.dofmap.index_map_bs,
        "iterations": results[-1].iterations,
        "updates": updates[-1],
        "seconds": statistics.median(seconds),
        "material": statistics.median(inside[1:]),
        "strain": median(field.current_strain),
        "residual": median(problem.assemble_residual),
        "jacobian": median(problem.assemble_jacobian),
        "solve": median(solve),
    }


def launch(case: str, ranks: int, nx: int, ny: int) -> dict[str, float]:
    """Return what the worker says on a number of ranks."""
    words = ["mpirun", "--oversubscribe", "-n", f"{ranks}", sys.executable, "-m"]
    words += ["benchmarks.scaling", case, f"{nx}", f"{ny}"]
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=900)
    return json.loads(next(line for line in done.stdout.splitlines() if line.startswith("{")))


def formula(one: dict[str, float], many: dict[str, float]) -> float:
    """Return the seconds that docs/scaling.md gives for an increment.

    Args:
        one: Constants, from one rank.
        many: What was run, and the linear solve alone on its ranks.
    """
    share = many["points"] / one["points"] / many["ranks"]
    updates, iterations = many["updates"], many["iterations"]
    points = updates * (one["material"] / one["updates"] + one["residual"])
    points += (updates + iterations) * one["strain"] + iterations * one["jacobian"]
    return share * points + iterations * many["solve"]


def planning() -> None:
    """Print what it costs each rank to plan who answers which point, in processor time."""
    rng = np.random.default_rng(0)
    cost = 1.0 + rng.integers(2, 5, 36_864)
    cost[: len(cost) // 5] *= 3.0
    for ranks in (16, 256, 1024):
        parts = np.array_split(cost, ranks)
        begin = time.process_time()
        answers = shares(parts)
        spent = time.process_time() - begin
        moved = sum(int((answer != rank).sum()) for rank, answer in enumerate(answers))
        detail = f"{len(cost)} points, a fifth of them at three times the cost; {moved} move"
        report(f"scaling.planning_{ranks}", 1e3 * spent, "ms", detail=detail)


def main() -> None:
    """Print the figures."""
    planning()
    for case, (nx, ny, _) in CASES.items():
        one = launch(case, 1, nx, ny)
        two, double = launch(case, 2, nx, ny), launch(case, 2, 2 * nx, ny)
        keys = ("material", "strain", "residual", "jacobian", "solve")
        parts = ", ".join(f"{key} {1e3 * one[key]:.3g} ms" for key in keys)
        detail = f"{one['points']} points, {one['unknowns']} unknowns, {one['iterations']} "
        detail += f"iterations, {1e3 * one['seconds']:.3g} ms; {parts}"
        report(f"scaling.{case}_point", 1e6 * one["material"] / one["updates"] / one["points"],
               "µs", detail=detail)  # fmt: skip
        for name, run, ideal in (("strong", two, 0.5), ("weak", double, 1.0)):
            efficiency = ideal * one["seconds"] / run["seconds"]
            expected = formula(one, run)
            detail = f"{1e3 * run['seconds']:.3g} ms on 2 ranks, {1e3 * expected:.3g} expected; "
            detail += f"solve {1e3 * run['solve']:.3g} ms, {run['points']} points, "
            detail += f"{run['iterations']} iterations"
            report(f"scaling.{name}_{case}", efficiency, "1", detail=detail)
            ratio = run["seconds"] / expected
            report(f"scaling.{name}_{case}_over_formula", max(ratio, 1 / ratio), "1", bar=1.25,
                   detail=f"{ratio:.3f}")  # fmt: skip
        ratio = one["seconds"] / formula(one, one)
        report(f"scaling.one_{case}_over_formula", max(ratio, 1 / ratio), "1", bar=1.25,
               detail=f"{ratio:.3f}")  # fmt: skip


if __name__ == "__main__":
    found = worker(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
    if MPI.COMM_WORLD.rank == 0:
        print(json.dumps(found), flush=True)
