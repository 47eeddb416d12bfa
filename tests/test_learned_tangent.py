"""Exact stress, a surrogate's tangent: the same answer by quasi-Newton, safeguarded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, final

import numpy as np
import pytest
import ufl
from contract import check_contract
from dolfinx import fem
from mpi4py import MPI

from fesurrogate import Kinematics
from fesurrogate.combine import SurrogateTangent
from fesurrogate.errors import InputError
from fesurrogate.fem import MacroProblem, MaterialField, strain_of
from fesurrogate.fem.mesh import rectangle
from fesurrogate.fem.stepping import run_increments
from fesurrogate.kinematics import Array
from fesurrogate.laws import J2Plasticity, Linear, NeoHookean
from fesurrogate.material import Material, Response, masked
from fesurrogate.micro import RVEMaterial, laminate_cell, neo_hookean

WORLD = MPI.COMM_WORLD
pytestmark = pytest.mark.mpi
LAW = NeoHookean(2, shear_modulus=1.0, lame=2.0)
NEAR = NeoHookean(2, shear_modulus=1.05, lame=1.9)
LINEAR = Linear(Kinematics(2), np.array([[3.0, 1.0, 0.0], [1.0, 3.0, 0.0], [0.0, 0.0, 2.0]]))
TIMES = [0.25, 0.5, 0.75, 1.0]


@final
class Scaled(Material):
    """A law whose tangent is wrong by a factor, and NaN where a strain is too large."""

    tangent_error = 10.0

    def __init__(self, law: Material, factor: float, *, largest: float = np.inf) -> None:
        self.law, self.factor, self.largest = law, factor, largest
        self.kinematics = law.kinematics

    def respond(self, strain: Array, state: Array, dt: float, **keywords: Any) -> Response:
        """Answer as the law does, but for the tangent."""
        answer = self.law.evaluate(strain, None, dt, tangent=keywords["tangent"])
        if answer.tangent is None:
            return answer
        far = np.abs(strain - self.kinematics.rest).max(axis=1) > self.largest
        wrong = np.where(far[:, None, None], np.nan, self.factor * answer.tangent)
        return replace(answer, tangent=wrong)


@final
class Partial(Material):
    """A law that has no answer where a point is stretched too far."""

    kinematics = LAW.kinematics

    def respond(self, strain: Array, state: Array, dt: float, **keywords: Any) -> Response:
        """Answer as the law does, or not."""
        answer = LAW.evaluate(strain, tangent=keywords["tangent"])
        return masked(answer, np.abs(strain - self.kinematics.rest).max(axis=1) < 0.5)


def plate(material: Material, **options: Any) -> tuple[MacroProblem, Callable[[float], None]]:
    """A plate that is clamped at its left, under a dead load."""
    tagged = rectangle(WORLD, upper=(2.0, 1.0), cells=(4, 2))
    V = fem.functionspace(tagged.mesh, ("Lagrange", 1, (2,)))
    u = fem.Function(V)
    field = MaterialField(material, strain_of(u, material.kinematics), degree=2)
    force = fem.Constant(tagged.mesh, np.zeros(2))
    clamped = fem.locate_dofs_topological(V, 1, tagged.facets("left"))
    bcs = [fem.dirichletbc(np.zeros(2), clamped, V)]
    external = ufl.inner(force, ufl.TestFunction(V)) * ufl.dx

    def apply_load(time: float) -> None:
        force.value[:] = [0.05 * time, 0.1 * time]

    return MacroProblem(u, [field], bcs=bcs, external=external, options=options), apply_load


def solved(
    material: Material, **options: Any
) -> tuple[Array, list[tuple[float, ...]], MacroProblem]:
    """The last unknown, the residual norms of each increment, and the problem."""
    problem, load = plate(material, **options)
    increments = run_increments(problem, load, TIMES)
    assert [i.time for i in increments] == TIMES  # nothing was cut
    return problem.u.x.array.copy(), [i.residual_norms for i in increments], problem


def counts(problem: MacroProblem) -> tuple[int, int]:
    """Tangents of the surrogate and of the reference, of this rank."""
    (field,) = problem.fields
    found = field.tally.counts
    return found["surrogate_tangents"], found["consistent_tangents"]


def strains(count: int) -> Array:
    rng = np.random.default_rng(2)
    return Kinematics(2, "finite").rest + rng.uniform(-0.1, 0.1, (count, 4))


def laminate() -> RVEMaterial:
    phases = {
        "soft": neo_hookean(shear_modulus=1.0, lame=2.0),
        "stiff": neo_hookean(shear_modulus=8.0, lame=12.0),
    }
    cell = laminate_cell(2, {"soft": 0.6, "stiff": 0.4}, resolution=6)
    return RVEMaterial(cell, phases, Kinematics(2, "finite"), degree=1)


def test_contract() -> None:
    """The moduli of the two laws differ by 5 %."""
    check_contract(SurrogateTangent(LAW, NEAR, tangent_error=0.1), strains(6), WORLD)


def test_contract_of_a_cell() -> None:
    """Its stress alone is exact to its tolerance, 1e-8 of the stress without fluctuation."""
    cell = laminate()
    near = Linear(cell.kinematics, cell.evaluate(cell.kinematics.rest[None]).tangent[0])
    wrapped = SurrogateTangent(cell, near, tangent_error=0.5)
    check_contract(wrapped, strains(6), None, tolerance=1e-7)


def test_a_linear_body_contracts_as_the_tangent_errs() -> None:
    """With a tangent 1 + δ times the true one, δ / (1 + δ) of the residual is left each time."""
    exact, _, _ = solved(LINEAR)
    for factor in (1.25, 0.9):
        u, norms, problem = solved(SurrogateTangent(LINEAR, Scaled(LINEAR, factor)))
        for of in norms:
            ratios = np.array(of[1:]) / of[:-1]
            np.testing.assert_allclose(ratios, abs(1 - 1 / factor), rtol=1e-5)
        np.testing.assert_allclose(u, exact, rtol=0, atol=1e-8)
        assert counts(problem)[1] == 0


def test_the_answer_is_that_of_the_reference() -> None:
    exact, before, _ = solved(LAW)
    u, norms, problem = solved(SurrogateTangent(LAW, NEAR))
    np.testing.assert_allclose(u, exact, rtol=0, atol=1e-8)
    assert counts(problem)[1] == 0
    assert not np.allclose(solved(NEAR)[0], exact, rtol=0, atol=1e-4)
    assert max(map(len, norms)) <= max(map(len, before)) + 4  # 1e-8 at 5 % an iteration


@pytest.mark.parametrize("factor", [0.4, 4.0])
def test_where_the_residual_stalls_the_consistent_tangent_takes_over(factor: float) -> None:
    """0.4 diverges by a factor of 1.5, 4 converges by 0.75: after two steps it is Newton's own."""
    exact, _, _ = solved(LINEAR)
    u, norms, problem = solved(SurrogateTangent(LINEAR, Scaled(LINEAR, factor)))
    np.testing.assert_allclose(u, exact, rtol=0, atol=1e-8)
    # what ends an increment is at hand when the next begins: a consistent tangent, then a wrong one
    assert [len(of) for of in norms] == [4, 2, 4, 2]
    surrogate, consistent = counts(problem)
    assert consistent > 0 and surrogate > 0


@pytest.mark.parametrize(("search", "factor"), [("basic", -0.1), ("bt", -0.001)])
def test_what_fails_is_solved_again_with_consistent_tangents(search: str, factor: float) -> None:
    """Steps are far too long for the law, in a row where they are halved; nothing is cut."""
    exact, _, _ = solved(LAW)
    surrogate = Scaled(LAW, factor)
    u, _, problem = solved(SurrogateTangent(Partial(), surrogate), snes_linesearch_type=search)
    np.testing.assert_allclose(u, exact, rtol=0, atol=1e-8)
    assert counts(problem)[1] > 0


def test_where_the_surrogate_has_no_tangent_the_reference_gives_its_own() -> None:
    """Point by point; both ways are the same law here, and so is the way of Newton's method."""
    exact, before, _ = solved(LAW)
    u, norms, problem = solved(SurrogateTangent(LAW, Scaled(LAW, 1.0, largest=0.1)))
    np.testing.assert_allclose(u, exact, rtol=0, atol=1e-10)
    assert [len(of) for of in norms] == [len(of) for of in before]
    total = [WORLD.allreduce(count) for count in counts(problem)]
    assert min(total) > 0


def test_what_was_accepted_is_no_consistent_tangent() -> None:
    """The answer to the accepted strain is kept for the next increment, unless that asks so."""
    problem, load = plate(SurrogateTangent(LAW, NEAR))
    run_increments(problem, load, TIMES)
    (field,) = problem.fields
    for law in (NEAR, LAW):
        problem.restore()
        assert not problem.update() and field.response is not None
        expected = law.evaluate(field.current_strain()).tangent
        assert field.response.tangent is not None and expected is not None
        np.testing.assert_allclose(field.response.tangent, expected, rtol=0, atol=1e-12)
        assert problem.use_consistent_tangents() == (law is NEAR)


def test_where_the_reference_fails_there_is_no_tangent() -> None:
    F = strains(3)
    F[1] *= 2.0
    found = SurrogateTangent(Partial(), NEAR).evaluate(F)
    assert found.tangent is not None and NEAR.evaluate(F).ok.all()
    np.testing.assert_array_equal(found.ok, [True, False, True])
    np.testing.assert_array_equal(np.isnan(found.tangent).all(axis=(1, 2)), ~found.ok)
    np.testing.assert_array_equal(np.isfinite(found.tangent).all(axis=(1, 2)), found.ok)


def test_a_large_cell_factorises_nothing_for_a_stress(monkeypatch: pytest.MonkeyPatch) -> None:
    cell, F = laminate(), strains(6)
    network = Scaled(LAW, 1.0)
    answers = cell.evaluate(F)
    calls: list[int] = []
    solver = cell.problem.solver
    solver._factorisation = 100.0  # what it costs in steps of the start: more than all of these
    update = solver._update_matrix
    monkeypatch.setattr(solver, "_update_matrix", lambda: (calls.append(1), update()))
    found = SurrogateTangent(cell, network).evaluate(F)
    assert not calls
    np.testing.assert_allclose(found.stress, answers.stress, rtol=0, atol=1e-8)
    cell.evaluate(F)
    assert len(calls) >= len(F)


@pytest.mark.parametrize(
    "options",
    [
        {"snes_type": "newtontr"},
        {"snes_type": "newtonls", "snes_linesearch_type": "bt"},
        {"snes_type": "qn", "snes_qn_scale_type": "jacobian"},
    ],
    ids=["trust_region", "backtracking", "quasi_newton"],
)
def test_the_nonlinear_solver_stays_the_users(options: dict[str, Any]) -> None:
    exact, _, _ = solved(LAW)
    settings = {**options, "snes_max_it": 200}
    u, _, problem = solved(SurrogateTangent(LAW, NEAR), **settings)
    assert problem.snes.getType() == options["snes_type"]
    np.testing.assert_allclose(u, exact, rtol=0, atol=1e-7)


def test_materials_that_do_not_match_are_refused() -> None:
    with pytest.raises(InputError, match="kinematics"):
        SurrogateTangent(LAW, LINEAR)
    metal = J2Plasticity(2, young=70.0, poisson=0.3, yield_stress=0.3, hardening=5.0)
    with pytest.raises(InputError, match="without history"):
        SurrogateTangent(metal, metal)
    with pytest.raises(InputError, match="tangent_error is 0"):
        SurrogateTangent(LAW, NEAR, tangent_error=0)
