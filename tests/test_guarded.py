"""The surrogate where it is trusted, the reference elsewhere: the same laws as any Material."""

import numpy as np
import pytest
from contract import check_contract
from mpi4py import MPI

from fesurrogate import Kinematics
from fesurrogate.build.guard import guard_of
from fesurrogate.combine import Balanced, Guarded
from fesurrogate.combine.replay import Replay
from fesurrogate.errors import InputError
from fesurrogate.laws import J2Plasticity, NeoHookean, Rotated
from fesurrogate.micro import RVEMaterial, laminate_cell, linear_elastic, neo_hookean
from fesurrogate.trust import FixedMeasure, Novelty, Trust, Violation

pytestmark = pytest.mark.mpi
COMM = MPI.COMM_WORLD
FINITE = Kinematics(2, "finite")
SMALL = Kinematics(2, "small")
METAL = {"young": 200.0, "poisson": 0.3, "yield_stress": 1.0, "hardening": 20.0}
SOFT = NeoHookean(2, shear_modulus=1.0, lame=1.0)


def near_rest(kinematics: Kinematics, radius: float, *, scale: float = 1.0) -> Trust:
    """Trust strains close to rest: samples on a ring, and a distance to them in their spacing."""
    rest = Novelty(kinematics, np.zeros((1, 3)) + [[1e-9], [-1e-9]])
    rest.width[:] = radius
    rest.__dict__["_spacing"] = 1.0
    return Trust([FixedMeasure(rest, 1.0), FixedMeasure(Violation(kinematics, scale))], 0.01)


def laminate_rve() -> RVEMaterial:
    cell = laminate_cell(2, {"soft": 0.5, "stiff": 0.5}, resolution=2)
    phases = {
        "soft": neo_hookean(shear_modulus=1.0, lame=1.0),
        "stiff": neo_hookean(shear_modulus=5.0, lame=5.0),
    }
    return RVEMaterial(cell, phases, FINITE, degree=1, rtol=1e-11)


def plastic_rve() -> RVEMaterial:
    cell = laminate_cell(2, {"metal": 0.5, "fibre": 0.5}, resolution=2)
    phases = {"metal": J2Plasticity(2, **METAL), "fibre": linear_elastic(young=400.0, poisson=0.2)}
    return RVEMaterial(cell, phases, SMALL, degree=1, rtol=1e-11)


def strains(count: int, size: float, *, seed: int = 0) -> np.ndarray:
    """Alternately close to rest and far from it."""
    rng = np.random.default_rng(seed)
    far = np.where(np.arange(count)[:, None] % 2, size, 0.1 * size)
    return FINITE.rest + far * rng.choice([-1.0, 1.0], (count, 4)) * rng.uniform(0.8, 1, (count, 4))


def test_each_point_is_answered_by_the_one_that_must() -> None:
    rve, strain = laminate_rve(), strains(8 if COMM.rank != 1 else 0, 0.1)
    guarded = Guarded(SOFT, Balanced(laminate_rve(), COMM), near_rest(FINITE, 0.06))
    got = guarded.evaluate(strain)
    away = np.arange(len(strain)) % 2 == 1
    assert got.report["fallback"].tolist() == away.tolist()
    assert got.report["reason"].tolist() == away.tolist()  # the first measure
    for rows, truth in ((away, rve), (~away, SOFT)):
        want = truth.evaluate(strain[rows])
        np.testing.assert_allclose(got.stress[rows], want.stress, rtol=0, atol=1e-9)
        np.testing.assert_allclose(got.tangent[rows], want.tangent, rtol=0, atol=1e-7)
    again = guarded.evaluate(strain, hint=got.hint)  # the reference's hints are kept
    assert not again.report["micro_iterations"].any()
    # points that the surrogate serves never travel
    assert (got.report["rve_solves"] == away).all()
    assert not got.report["moved"][~away].any()


def test_contract() -> None:
    guarded = Guarded(SOFT, Balanced(laminate_rve(), COMM), near_rest(FINITE, 0.06))
    check_contract(guarded, strains(8, 0.1), COMM, tolerance=1e-9, step=2e-3)


def test_contract_with_history() -> None:
    softer = J2Plasticity(2, **{**METAL, "yield_stress": 0.8})
    guarded = Guarded(
        softer, Balanced(plastic_rve(), COMM), near_rest(SMALL, 0.02), max_increments=3, comm=COMM
    )
    rng = np.random.default_rng(1)
    strain = np.array([0.03, -0.01, 0.0]) * np.where(np.arange(6) % 2, 1.0, 0.3)[:, None]
    check_contract(guarded, strain + 1e-3 * rng.uniform(-1, 1, (6, 3)), COMM, tolerance=1e-8,
                   step=5e-4)  # fmt: skip


def test_a_choice_lasts_for_an_increment() -> None:
    guarded = Guarded(SOFT, laminate_rve(), near_rest(FINITE, 0.06))
    near, far = strains(4, 0.1)[[0, 2]], strains(4, 0.1)[[1, 3]]
    first = guarded.evaluate(far)
    back = guarded.evaluate(near, hint=first.hint)
    assert back.report["fallback"].tolist() == [1, 1]
    assert back.report["reason"].tolist() == [-1, -1]
    np.testing.assert_allclose(back.stress, laminate_rve().evaluate(near).stress, atol=1e-9)
    kept = guarded.snapshot()
    guarded.accept(near, back)
    following = guarded.evaluate(near, hint=back.hint)
    assert following.report["fallback"].tolist() == [0, 0]
    guarded.restore(kept)
    again = guarded.evaluate(near, hint=first.hint)
    assert again.report["fallback"].tolist() == [1, 1]


def test_the_reference_is_led_along_the_path() -> None:
    """What falls back late answers as if the reference had been asked all along."""
    path = np.array([[0.004, 0, 0], [0.009, -0.002, 0.001], [0.002, 0, 0.004], [0.03, 0, 0.0]])
    softer, rve = J2Plasticity(2, **{**METAL, "yield_stress": 0.5}), plastic_rve()
    guarded = Guarded(softer, plastic_rve(), near_rest(SMALL, 0.02), max_increments=5)
    state, hint, truth = None, None, None
    for strain in path:
        got = guarded.evaluate(strain[None], state, 0.5, hint=hint)
        want = rve.evaluate(strain[None], truth, 0.5)
        guarded.accept(strain[None], got)
        state, hint, truth = got.state, got.hint, want.state
        assert not got.report["fallback"][0] or np.abs(got.stress - want.stress).max() < 1e-8
    assert got.report["fallback"].tolist() == [1]
    # and goes on from there, solving one increment of the path and its own
    strain = np.array([[0.035, 0.0, 0.001]])
    following = guarded.evaluate(strain, state, hint=hint)
    np.testing.assert_allclose(following.stress, rve.evaluate(strain, truth).stress, atol=1e-8)
    guarded.accept(strain, following)
    full = guarded.evaluate(strain + 1e-3, following.state, hint=following.hint)
    assert full.ok.all()  # the fifth increment had room
    guarded.accept(strain, full)
    beyond = guarded.evaluate(strain, full.state, hint=full.hint)
    assert not beyond.ok.any()  # the sixth has none: the path is not known any more


def test_a_path_that_the_reference_cannot_follow_fails_its_point() -> None:
    replay = Replay(plastic_rve(), 3)
    strain, none = np.zeros((2, 3)), np.zeros((2, 0))
    bad = np.array([[0.01, 0.0, 0.0], [np.nan, 0.0, 0.0]])
    path = replay.longer(replay.initial_state(2), bad, none, 1.0)
    got = replay.evaluate(
        strain, path, 1.0, parameters=none, hint=np.zeros((2, replay.num_hint)),
        tangent=True, sensitivity=False,
    )  # fmt: skip
    assert got.ok.tolist() == [True, False]


@pytest.mark.parametrize("policy", ["cutback", "error", "warn"])
def test_policies(policy: str) -> None:
    guarded = Guarded(SOFT, laminate_rve(), near_rest(FINITE, 0.06), policy=policy)
    strain = strains(4, 0.1)
    got, away = guarded.evaluate(strain), np.arange(4) % 2 == 1
    assert not got.report["fallback"].any()
    if policy == "warn":
        np.testing.assert_array_equal(got.stress, SOFT.evaluate(strain).stress)
    else:
        assert (got.ok == ~away).all() and np.isnan(got.stress[away]).all()
    assert got.report.get("fatal", np.zeros(4)).tolist() == (away * (policy == "error")).tolist()
    assert (got.report["reason"] != 0).tolist() == away.tolist()


def test_where_the_surrogate_fails_the_reference_answers() -> None:
    class Narrow(NeoHookean.__mro__[1]):  # type: ignore[name-defined, misc]
        kinematics = FINITE

        def respond(self, strain, state, dt, **arguments):
            answer = SOFT.evaluate(strain, tangent=arguments["tangent"])
            from fesurrogate.material import masked

            return masked(answer, np.abs(strain[:, 0] - 1.0) < 0.05)

    got = Guarded(Narrow(), laminate_rve(), near_rest(FINITE, 10.0)).evaluate(strains(4, 0.1))
    assert got.ok.all()
    assert got.report["fallback"].tolist() == [0, 1, 0, 1]
    assert got.report["reason"].tolist() == [0, 2, 0, 2]  # the violation


def test_the_reference_of_a_turned_guard_is_asked_on_its_axes() -> None:
    guarded = Guarded(SOFT, laminate_rve(), near_rest(FINITE, 10.0))
    assert guard_of(SOFT) is None
    strain, angle = strains(4, 0.1), np.full((4, 1), 0.4)
    turned = Rotated(guarded)
    got = turned.evaluate(strain, parameters=angle)
    assert not got.report["fallback"].any()
    found = guard_of(turned)
    assert found is not None and found[0] is guarded
    answer = found[1].evaluate(strain, got.state, hint=got.hint, parameters=angle, tangent=False)
    exact = Rotated(laminate_rve()).evaluate(strain, parameters=angle)
    np.testing.assert_allclose(answer.stress, exact.stress, rtol=0, atol=1e-8)
    assert np.abs(answer.stress - got.stress).max() > 0.1
    fixed = guard_of(Rotated(guarded, 0.4))
    assert fixed is not None
    again = fixed[1].evaluate(strain, got.state, hint=got.hint, tangent=False)
    np.testing.assert_allclose(again.stress, answer.stress, rtol=0, atol=1e-12)


def test_pairs_that_cannot_stand_in_are_refused() -> None:
    trust = near_rest(FINITE, 1.0)
    with pytest.raises(InputError, match="kinematics"):
        Guarded(SOFT, plastic_rve(), trust)
    elastic = {name: linear_elastic(young=1.0, poisson=0.3) for name in ("a", "b")}
    cell = laminate_cell(2, {"a": 0.5, "b": 0.5}, resolution=2)
    with pytest.raises(InputError, match="history"):
        Guarded(J2Plasticity(2, **METAL), RVEMaterial(cell, elastic, SMALL, degree=1), trust)
    with pytest.raises(InputError, match="policy"):
        Guarded(SOFT, laminate_rve(), trust, policy="hope")  # type: ignore[arg-type]
