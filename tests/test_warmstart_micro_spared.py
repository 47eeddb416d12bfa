"""Points that need no factorisation: what their guess knows of the tangent spares it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np
import pytest
from contract import check_contract
from test_micro_solver import layers

from fesurrogate.data.sampling import stretches
from fesurrogate.kinematics import Array
from fesurrogate.micro import RVEMaterial
from fesurrogate.micro import solver as solver_module
from fesurrogate.micro.conjugate import conjugate_gradients
from fesurrogate.micro.factor import SymmetricFactor
from fesurrogate.warmstart import FluctuationModes, Sensitivity, learn_modes

RNG = np.random.default_rng(5)
FAR = (100.0, 0.0)  # steps of the start that a factorisation is said to cost, whatever the cell


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small cells are solved as large solid ones are."""
    monkeypatch.setattr(solver_module, "PATIENCE", {2: FAR, 3: FAR})


@pytest.fixture
def factorised(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Counts the factorisations."""
    count, set_up = [0], SymmetricFactor.setUp

    def counted(self: SymmetricFactor, pc: object) -> None:
        count[0] += 1
        set_up(self, pc)  # type: ignore[arg-type]

    monkeypatch.setattr(SymmetricFactor, "setUp", counted)
    yield count


@cache
def learned(gdim: int) -> FluctuationModes:
    """A guess of the layers, from fluctuations and their derivatives."""
    rve = layers(gdim=gdim)
    return learn_modes(rve, stretches(rve.kinematics, 60, 0.1)[:, 0])


def unseen(rve: RVEMaterial, n: int) -> Array:
    """Strains that were not learned from, each turned."""
    d = rve.kinematics.gdim
    U = stretches(rve.kinematics, 60 + n, 0.09)[60:, 0].reshape(n, d, d)
    Q = np.linalg.qr(RNG.normal(size=(n, d, d)))[0]
    Q *= np.linalg.det(Q)[:, None, None] if d == 3 else 1.0
    if d == 2:
        Q[:, :, 1] *= np.linalg.det(Q)[:, None]
    return np.asarray((Q @ U).reshape(n, -1))


@pytest.mark.parametrize("gdim", [2, 3])
def test_a_learned_guess_spares_every_factorisation(gdim: int, factorised: list[int]) -> None:
    """The answers are those of factorised points: stresses to rtol², tangents to rtol."""
    rve = layers(gdim=gdim)
    F, warm = unseen(rve, 4), rve.beginning_with(learned(gdim))
    cold = rve.evaluate(F)
    factorised[0] = 0
    got = warm.evaluate(F)
    assert got.ok.all() and factorised[0] == 0
    assert np.isnan(got.report["negative_pivots"]).all()
    assert cold.tangent is not None and got.tangent is not None
    scale = np.abs(cold.tangent).max()
    np.testing.assert_allclose(got.stress, cold.stress, rtol=0, atol=1e-13 * scale)
    np.testing.assert_allclose(got.tangent, cold.tangent, rtol=0, atol=1e-7 * scale)


def test_where_a_factorisation_is_cheap_it_is_not_waited_for(
    factorised: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It costs no step of the start: each point has its own, and the same answer."""
    rve = layers(gdim=2)
    F, warm = unseen(rve, 4), rve.beginning_with(learned(2))
    spared = warm.evaluate(F)
    monkeypatch.setattr(rve.problem.solver, "_patience", 0.0)
    factorised[0] = 0
    got = warm.evaluate(F)
    assert factorised[0] == len(F) and not got.report["negative_pivots"].any()
    scale = np.abs(got.stress).max()
    np.testing.assert_allclose(got.stress, spared.stress, rtol=0, atol=1e-13 * scale)


def test_contract_of_spared_points() -> None:
    """Taylor's test and frame indifference among them; the tolerance is that of the cell."""
    rve = layers(gdim=2).beginning_with(learned(2))
    check_contract(rve, unseen(rve, 4), tolerance=1e-7, objective=True)


def test_near_the_last_iterate_its_derivative_spares_the_factorisation(
    factorised: list[int],
) -> None:
    """As at the end of Newton's method on the macro scale; further away it is of no use."""
    rve = layers().beginning_with(Sensitivity(layers().kinematics))
    F = unseen(rve, 3)
    first = rve.evaluate(F)
    factorised[0] = 0
    moved = F + 1e-4 * RNG.normal(size=F.shape)
    near = rve.evaluate(moved, hint=first.hint)
    assert factorised[0] == 0
    exact = layers().evaluate(moved)
    assert near.tangent is not None and exact.tangent is not None
    scale = np.abs(exact.tangent).max()
    np.testing.assert_allclose(near.stress, exact.stress, rtol=0, atol=1e-13 * scale)
    np.testing.assert_allclose(near.tangent, exact.tangent, rtol=0, atol=1e-7 * scale)


class Misleading:
    """A learned guess whose derivative is wrong."""

    guesses_relaxation = True

    def __init__(self, kind: str) -> None:
        self._kind, self._modes = kind, learned(2)

    def num_hint(self, unknowns: int) -> int:
        return self._modes.num_hint(unknowns)

    def start(
        self, strain: Array, parameters: Array, hint: Array, unknowns: int
    ) -> tuple[Array, Array | None]:
        return self._modes.start(strain, parameters, hint, unknowns)

    def relaxation(self, strain: Array, parameters: Array, hint: Array) -> Array | None:
        good = self._modes.relaxation(strain, parameters, hint)
        assert good is not None
        return {
            "none": None,
            "nan": np.full_like(good, np.nan),
            "random": RNG.normal(size=good.shape),
            "rough": good + 0.3 * np.abs(good).max() * RNG.normal(size=good.shape),
        }[self._kind]

    def keep(self, strain: Array, q: Array, relaxation: Array | None) -> Array:
        return self._modes.keep(strain, q, relaxation)


@pytest.mark.parametrize("kind", ["none", "nan", "random", "rough"])
def test_no_derivative_changes_a_tangent(kind: str) -> None:
    rve = layers()
    F = unseen(rve, 3)
    cold, got = rve.evaluate(F), rve.beginning_with(Misleading(kind)).evaluate(F)
    assert got.ok.all() and cold.tangent is not None and got.tangent is not None
    scale = np.abs(cold.tangent).max()
    np.testing.assert_allclose(got.stress, cold.stress, rtol=0, atol=1e-13 * scale)
    np.testing.assert_allclose(got.tangent, cold.tangent, rtol=0, atol=1e-7 * scale)


def spectrum(eigenvalues: Array) -> Array:
    vectors = np.linalg.qr(RNG.normal(size=(len(eigenvalues),) * 2))[0]
    return np.asarray(vectors * eigenvalues @ vectors.T)


def test_as_many_steps_as_eigenvalues_solve_all_columns() -> None:
    """One that depends on others costs nothing, and one of zeros stays so."""
    matrix = spectrum(np.repeat([0.5, 1.0, 4.0], 12))
    rhs = RNG.normal(size=(36, 5))
    rhs[:, 3], rhs[:, 4] = rhs[:, 0] - 2 * rhs[:, 1], 0.0
    seen = []

    def precondition(residual: Array) -> Array:
        seen.append(residual.shape[1])
        return residual

    found = conjugate_gradients(matrix, precondition, rhs, tolerance=1e-10, most=60)
    assert found is not None and found[1] == 3 and max(seen) == 3
    np.testing.assert_allclose(matrix @ found[0], rhs, rtol=0, atol=1e-10)


def test_a_cell_may_have_fewer_unknowns_than_its_strain_has_components() -> None:
    """Three unknowns, as of a laminate of two elements in space, and nine columns."""
    matrix, rhs = spectrum(np.array([1.0, 2.0, 3.0])), RNG.normal(size=(3, 9))
    found = conjugate_gradients(matrix, lambda residual: residual, rhs, tolerance=1e-10, most=9)
    assert found is not None
    np.testing.assert_allclose(matrix @ found[0], rhs, rtol=0, atol=1e-9)


def test_conjugate_gradients_say_where_they_are_of_no_use() -> None:
    """At once where the matrix is indefinite, and early where too many steps would be needed."""
    rhs, calls = RNG.normal(size=(60, 2)), [0]

    def precondition(residual: Array) -> Array:
        calls[0] += 1
        return residual

    negative = spectrum(np.where(np.arange(60) < 30, -1.0, 1.0))
    assert conjugate_gradients(negative, precondition, rhs, tolerance=1e-8, most=50) is None
    stiff = spectrum(np.logspace(0, 6, 60))
    calls[0] = 0
    assert conjugate_gradients(stiff, precondition, rhs, tolerance=1e-8, most=20) is None
    assert calls[0] < 10
    assert conjugate_gradients(stiff, precondition, 0 * rhs, tolerance=1e-8, most=20) is not None
