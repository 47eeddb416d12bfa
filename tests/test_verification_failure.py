"""A cell that cannot be solved costs a cut of the macro step, not the run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import numpy as np
import pytest
from dolfinx import fem
from mpi4py import MPI
from petsc4py import PETSc

from fesurrogate.fem import MacroProblem, MaterialField, run_increments, strain_of
from fesurrogate.fem.mesh import rectangle
from fesurrogate.kinematics import Array, Kinematics
from fesurrogate.material import Material, Response
from fesurrogate.micro import RVEMaterial, laminate_cell, neo_hookean
from fesurrogate.micro.rve import partial_strain


@final
class Watched(Material):
    """Keeps the strains that were possible, but at which the cell could not be solved."""

    def __init__(self, rve: RVEMaterial) -> None:
        self.rve, self.kinematics, self.num_hint = rve, rve.kinematics, rve.num_hint
        self.failed: list[Array] = []

    def respond(
        self,
        strain: Array,
        state: Array,
        dt: float,
        *,
        parameters: Array,
        hint: Array,
        tangent: bool,
        sensitivity: bool,
    ) -> Response:
        """Answer as the cell does."""
        answer = self.rve.evaluate(strain, state, dt, hint=hint, tangent=tangent)
        self.failed += list(strain[~answer.ok & self.kinematics.admissible(strain)])
        return answer


def cushioned(prefix: str = "micro_") -> RVEMaterial:
    """A thin soft layer between stiff ones: pressed, it takes nearly all of the strain."""
    cell = laminate_cell(2, {"soft": 0.1, "stiff": 0.9}, resolution=2)
    phases = {
        "soft": neo_hookean(shear_modulus=1.0, lame=1.0),
        "stiff": neo_hookean(shear_modulus=100.0, lame=100.0),
    }
    return RVEMaterial(cell, phases, Kinematics(2, "finite"), degree=1, prefix=prefix)


def hasty() -> RVEMaterial:
    """The same cell, whose Newton may take two iterations only."""
    PETSc.Options()["hasty_snes_max_it"] = 2
    try:
        return cushioned("hasty_")
    finally:
        PETSc.Options().delValue("hasty_snes_max_it")


def pressed(material: Material, times: Sequence[float]) -> tuple[Array, int]:
    """Press and shear a plate between its left and right edge; its reaction, the increments."""
    plate = rectangle(MPI.COMM_WORLD, upper=(2.0, 1.0), cells=(2, 2))
    V = fem.functionspace(plate.mesh, ("Lagrange", 1, (2,)))
    u = fem.Function(V)
    field = MaterialField(material, strain_of(u, material.kinematics), degree=2)
    moved = fem.Constant(plate.mesh, np.zeros(2))
    bcs = [
        fem.dirichletbc(value, fem.locate_dofs_topological(V, 1, plate.facets(side)), V)
        for side, value in {"left": np.zeros(2), "right": moved}.items()
    ]
    problem = MacroProblem(u, [field], bcs=bcs)

    def apply_load(time: float) -> None:
        moved.value[:] = [-0.1 * time, 0.1 * time]

    increments = run_increments(problem, apply_load, times)
    return problem.reaction(plate.facets("right")), len(increments)


@pytest.mark.mpi
def test_a_cell_that_fails_cuts_the_step_and_the_answer_is_that_of_small_ones() -> None:
    """Newton in the cell may take two iterations only: it meets small increments, no large ones.

    The strains at which it fails are possible, and were applied in sixteenths too.
    """
    expected, count = pressed(cushioned(), [0.25, 0.5, 0.75, 1.0])
    assert count == 4
    watched = Watched(hasty())
    got, increments = pressed(watched, [1.0])
    assert MPI.COMM_WORLD.allreduce(len(watched.failed)) > 0
    assert increments > 4
    np.testing.assert_allclose(got, expected, rtol=1e-6)
    some = np.array(watched.failed[:2]).reshape(-1, 4)
    assert cushioned().evaluate(some).ok.all()  # with more iterations there is an answer


def test_a_strain_is_applied_in_parts_that_are_halved_where_they_fail() -> None:
    cell = hasty()
    strain = cell.kinematics.rest + 0.04 * np.array([-1.0, 0.0, 1.0, 0.0])
    q, _, half = cell.problem.equilibrate(
        partial_strain(cell.kinematics, strain, 0.5), np.zeros(cell.num_hint)
    )
    assert half and not cell.problem.equilibrate(strain, q)[2]  # two halves do not do
    got, expected = cell.evaluate(strain[None]), cushioned().evaluate(strain[None])
    assert got.ok.all()
    np.testing.assert_allclose(got.stress, expected.stress, rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(got.tangent, expected.tangent, rtol=1e-6, atol=1e-6)
