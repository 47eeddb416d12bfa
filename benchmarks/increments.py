"""Guesses of increments over long histories: answers of the Material that each saves, or costs.

``python -m benchmarks increments``. A beam that is clamped at one end, under a dead load, with
closed-form laws: rubber that is loaded step by step or in cycles, metal in cycles through yield.
What counts are evaluations of the Material, those of guesses that were refused included.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import ufl
from dolfinx import fem
from mpi4py import MPI

from benchmarks.measure import report
from fesurrogate.fem import MacroProblem, MaterialField, strain_of
from fesurrogate.fem.mesh import rectangle
from fesurrogate.fem.stepping import Increment, run_increments
from fesurrogate.kinematics import Array
from fesurrogate.laws import J2Plasticity, NeoHookean
from fesurrogate.material import Material
from fesurrogate.warmstart import DynamicModes, Extrapolation

RUBBER = NeoHookean(2, shear_modulus=1.0, lame=2.0)
METAL = J2Plasticity(2, young=100.0, poisson=0.3, yield_stress=0.3, hardening=10.0)
CYCLES = 4


def triangle(time: float) -> float:
    """A wave of period 4 with straight sides, which begins as time does."""
    return 1.0 - abs((time + 1.0) % 4.0 - 2.0)


HISTORIES: dict[str, tuple[Material, Callable[[float], float], Array]] = {
    "rubber_ramp": (RUBBER, lambda t: 0.02 * t, np.linspace(0.05, 1.0, 20)),
    "rubber_sine": (RUBBER, lambda t: 0.012 * np.sin(t), np.arange(1, 24 * CYCLES) * np.pi / 12),
    "rubber_triangle": (RUBBER, lambda t: 0.012 * triangle(t), np.arange(1, 16 * CYCLES) / 4),
    "metal_sine": (METAL, lambda t: 0.012 * np.sin(t), np.arange(1, 24 * CYCLES) * np.pi / 12),
    "metal_triangle": (METAL, lambda t: 0.012 * triangle(t), np.arange(1, 16 * CYCLES) / 4),
}
"""Law, transverse load per volume, times."""

GUESSES: dict[str, Callable[[int], Any]] = {
    "previous": lambda owned: None,
    "linear": lambda owned: Extrapolation(1),
    "quadratic": lambda owned: Extrapolation(2),
    "dynamic_modes": lambda owned: DynamicModes(MPI.COMM_SELF, owned),
}


def main() -> None:
    """Print the figures."""
    for name, (law, load, times) in HISTORIES.items():
        found = {guess: followed(law, load, times, make) for guess, make in GUESSES.items()}
        plain, exact, _ = found["previous"]
        for guess, (evaluations, u, increments) in found.items():
            difference = float(np.abs(u - exact).max() / np.abs(exact).max())
            words = [increment.guess for increment in increments]
            report(
                f"increments.{name}.{guess}", evaluations / plain, "1",
                detail=f"evaluations of the Material over those from 'previous': {evaluations}, "
                f"{sum(i.iterations for i in increments)} Newton iterations in {len(increments)} "
                f"increments; {words.count('taken')} guesses taken, {words.count('refused')} "
                f"refused; u differs by {difference:.1e}",
            )  # fmt: skip


def followed(
    law: Material,
    load: Callable[[float], float],
    times: Array,
    make: Callable[[int], Any],
) -> tuple[int, Array, list[Increment]]:
    """Return evaluations of the Material, the last unknown and the increments."""
    tagged = rectangle(MPI.COMM_SELF, upper=(4.0, 1.0), cells=(8, 2))
    V = fem.functionspace(tagged.mesh, ("Lagrange", 2, (2,)))
    u, force = fem.Function(V), fem.Constant(tagged.mesh, np.zeros(2))
    field = MaterialField(law, strain_of(u, law.kinematics), degree=2)
    clamped = fem.locate_dofs_topological(V, 1, tagged.facets("left"))
    problem = MacroProblem(
        u, [field], bcs=[fem.dirichletbc(np.zeros(2), clamped, V)],
        external=ufl.inner(force, ufl.TestFunction(V)) * ufl.dx,
    )  # fmt: skip

    def apply_load(time: float) -> None:
        force.value[1] = load(time)

    owned = V.dofmap.index_map.size_local * V.dofmap.index_map_bs
    increments = run_increments(problem, apply_load, list(times), predictor=make(owned))
    return field.tally.updates, u.x.array.copy(), increments


if __name__ == "__main__":
    main()
