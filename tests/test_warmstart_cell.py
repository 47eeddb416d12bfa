"""Initial guesses of the cell: they save iterations, and no guess changes an answer."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from dolfinx import mesh
from mpi4py import MPI

from fesurrogate.data.sampling import stretches
from fesurrogate.errors import InputError
from fesurrogate.kinematics import Array, Kinematics
from fesurrogate.laws import J2Plasticity
from fesurrogate.material import Material
from fesurrogate.micro import Phase, RVEMaterial, linear_elastic, make_cell, neo_hookean
from fesurrogate.micro.guess import InitialGuess
from fesurrogate.warmstart import FluctuationModes, Sensitivity, Zero, fit_modes
from fesurrogate.warmstart.file import load_modes, save_modes

PLANE = Kinematics(2, "finite")
RTOL = 1e-8  # of the cell; what is left of its residual enters stresses to second order
RNG = np.random.default_rng(3)


def cell(
    kinematics: Kinematics, phases: dict[str, Phase | Material], count: int = 8
) -> RVEMaterial:
    """A square cell with an inclusion off its centre."""
    unit = mesh.create_unit_square(MPI.COMM_SELF, count, count)
    cells = np.arange(unit.topology.index_map(2).size_local, dtype=np.int32)
    middle = mesh.compute_midpoints(unit, 2, cells)[:, :2]
    inside = np.linalg.norm(middle - [0.45, 0.5], axis=1) < 0.3
    tags = {"matrix": cells[~inside], "inclusion": cells[inside]}
    return RVEMaterial(make_cell(unit, tags), phases, kinematics, degree=1)


@cache
def rubber() -> RVEMaterial:
    """A hyperelastic cell."""
    return cell(
        PLANE,
        {
            "matrix": neo_hookean(shear_modulus=1.0, lame=1.5),
            "inclusion": neo_hookean(shear_modulus=10.0, lame=15.0),
        },
    )


@cache
def plastic() -> RVEMaterial:
    """A cell with history."""
    phases = {
        "matrix": J2Plasticity(2, young=200.0, poisson=0.3, yield_stress=0.5, hardening=20.0),
        "inclusion": linear_elastic(young=400.0, poisson=0.2),
    }
    return cell(Kinematics(2), phases, 4)


@cache
def learned() -> FluctuationModes:
    """A guess from 128 points; tests draw others."""
    F = stretches(PLANE, 128, 0.2)[:, 0]
    return fit_modes(PLANE, F, rubber().evaluate(F, tangent=False).hint)


def unseen(count: int = 6) -> Array:  # (n, 4)
    """Stretches that were not learned from, each turned by another angle."""
    U = stretches(PLANE, 128 + count, 0.18)[128:, 0]
    turned = [_rotation(angle) @ u.reshape(2, 2) for angle, u in enumerate(U)]
    return np.array(turned).reshape(-1, 4)


def _rotation(angle: float) -> Array:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s], [s, c]])


def test_a_learned_guess_saves_most_iterations_and_changes_nothing() -> None:
    F, warm = unseen(), rubber().beginning_with(learned())
    cold, quick = rubber().evaluate(F), warm.evaluate(F)
    for one, other in ((cold.stress, quick.stress), (cold.tangent, quick.tangent)):
        assert one is not None and other is not None
        np.testing.assert_allclose(other, one, rtol=0, atol=RTOL * np.abs(one).max())
    assert quick.report["guess_taken"].all() and not quick.report["guess_refused"].any()
    before, after = (a.report["micro_iterations"].mean() for a in (cold, quick))
    assert after <= before / 3


def test_a_learned_guess_turns_with_the_observer() -> None:
    """w(R U) = R w(U), to rounding; the angle is beyond a right one."""
    U, R = stretches(PLANE, 3, 0.2)[:, 0], _rotation(2.0)
    none = np.zeros((3, 0))
    straight = learned().fluctuation(U, none).reshape(3, -1, 2)
    turned = learned().fluctuation((R @ U.reshape(3, 2, 2)).reshape(3, 4), none)
    np.testing.assert_allclose(turned.reshape(3, -1, 2), straight @ R.T, atol=1e-12)


def test_what_is_learned_gets_better_by_the_sample() -> None:
    """A smooth fluctuation: each doubling of the samples takes more than half of the error."""
    F = unseen()
    exact, errors = rubber().evaluate(F, tangent=False).hint, []
    for count in (32, 64, 128):
        seen = stretches(PLANE, 128, 0.2)[:count, 0]
        guess = fit_modes(PLANE, seen, rubber().evaluate(seen, tangent=False).hint)
        found = guess.fluctuation(F, np.zeros((len(F), 0)))
        errors.append(np.linalg.norm(found - exact) / np.linalg.norm(exact))
    assert errors[1] < errors[0] / 2 and errors[2] < errors[1] / 2
    assert errors[2] < 1e-3 and len(guess.modes) <= 60


def test_the_sensitivity_is_a_guess_of_second_order() -> None:
    """Half the change of strain leaves a quarter of the error of the fluctuation."""
    rve = rubber().beginning_with(Sensitivity(PLANE))
    F = unseen(1)
    hint, direction = rve.evaluate(F).hint, RNG.normal(size=(1, 4))
    errors = []
    for size in (0.02, 0.01):
        moved = F + size * direction
        q, guess = rve.guess.start(moved, np.zeros((1, 0)), hint, rve.num_unknowns)
        assert guess is not None
        exact = rubber().evaluate(moved).hint
        errors.append(np.linalg.norm(guess - exact))
        assert errors[-1] < 0.2 * np.linalg.norm(q - exact)
    assert np.log2(errors[0] / errors[1]) > 1.8


@pytest.mark.parametrize("chosen", ["sensitivity", "modes", "zero"])
def test_along_a_path_guesses_end_in_the_same_answers(chosen: str) -> None:
    """Five increments of 0.03: the answers are the same; what is learned or known saves."""
    guess: InitialGuess = {
        "sensitivity": Sensitivity(PLANE), "modes": learned(), "zero": Zero(),
    }[chosen]  # fmt: skip
    plain, warm = rubber(), rubber().beginning_with(guess)
    hints: list[Array | None] = [None, None]
    counts = np.zeros(2)
    for k in range(1, 6):
        F = np.array([[1 + 0.03 * k, 0.02 * k, 0.0, 1 - 0.01 * k]])
        answers = [m.evaluate(F, hint=h) for m, h in zip((plain, warm), hints, strict=True)]
        hints = [answer.hint for answer in answers]
        counts += [answer.report["micro_iterations"].sum() for answer in answers]
        scale = RTOL * np.abs(answers[0].stress).max()
        np.testing.assert_allclose(answers[1].stress, answers[0].stress, rtol=0, atol=scale)
    assert (counts[1] < 0.8 * counts[0]) == (chosen != "zero")
    assert warm.num_hint == (0 if chosen == "zero" else guess.num_hint(plain.num_unknowns))


class Adversary:
    """A guess that is wrong: random, not finite, inverted, or at first better but misleading."""

    guesses_relaxation = False

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def num_hint(self, unknowns: int) -> int:
        return unknowns

    def start(
        self, strain: Array, parameters: Array, hint: Array, unknowns: int
    ) -> tuple[Array, Array | None]:
        shape = (len(strain), unknowns)
        guess = {
            "random": RNG.normal(size=shape),
            "tiny": 1e-3 * RNG.normal(size=shape),
            "nan": np.full(shape, np.nan),
            "infinite": np.full(shape, np.inf),
            "inverted": np.tile([0.5, -0.5], (*shape[:1], unknowns // 2)) * np.arange(unknowns),
        }[self.kind]
        return hint, guess

    def relaxation(self, strain: Array, parameters: Array, hint: Array) -> Array | None:
        return None

    def keep(self, strain: Array, q: Array, relaxation: Array | None) -> Array:
        return q


@pytest.mark.parametrize("kind", ["random", "tiny", "nan", "infinite", "inverted"])
def test_no_guess_changes_an_answer(kind: str) -> None:
    F = unseen(4)
    bad = rubber().beginning_with(Adversary(kind)).evaluate(F)
    good = rubber().evaluate(F)
    assert bad.ok.all() and bad.report["guess_refused"].all()
    scale = RTOL * np.abs(good.stress).max()
    np.testing.assert_allclose(bad.stress, good.stress, rtol=0, atol=scale)
    np.testing.assert_array_equal(bad.report["micro_iterations"], good.report["micro_iterations"])


def test_what_fails_from_a_guess_is_solved_again_without(monkeypatch: pytest.MonkeyPatch) -> None:
    """The solver is made to fail wherever it does not begin at rest."""
    rve, F = rubber().beginning_with(learned()), unseen(3)
    solver = type(rve.problem.solver)
    solve = solver.solve

    def failing(self: object, guess: Array, **options: object) -> tuple[Array, int, bool]:
        q, iterations, ok = solve(self, guess, **options)  # type: ignore[arg-type]
        return q, iterations, ok and not guess.any()

    monkeypatch.setattr(solver, "solve", failing)
    answer, expected = rve.evaluate(F), rubber().evaluate(F)
    assert answer.ok.all() and answer.report["guess_repeated"].all()
    assert (answer.report["micro_iterations"] > expected.report["micro_iterations"]).all()
    scale = np.abs(expected.stress).max()
    np.testing.assert_allclose(answer.stress, expected.stress, rtol=0, atol=1e-13 * scale)


def test_what_a_guess_saves_is_what_the_classical_one_takes_more() -> None:
    """All points compared: the difference of two runs, point by point, and not a bit of them."""
    F, plain = unseen(), rubber().beginning_with(learned())
    cold, warm = rubber().evaluate(F), plain.evaluate(F)
    got = rubber().beginning_with(learned(), compared=1).evaluate(F)
    assert got.report["guess_compared"].all() and "guess_compared" not in warm.report
    difference = cold.report["micro_iterations"] - warm.report["micro_iterations"]
    assert (difference > 0).all()
    np.testing.assert_array_equal(got.report["guess_saved"], difference)
    for name in ("micro_iterations", "rve_solves", "guess_taken"):
        np.testing.assert_array_equal(got.report[name], warm.report[name])
    np.testing.assert_array_equal(got.stress, warm.stress)
    np.testing.assert_array_equal(got.tangent, warm.tangent)
    refused = rubber().beginning_with(Adversary("random"), compared=1).evaluate(F)
    assert not refused.report["guess_compared"].any() and not refused.report["guess_saved"].any()
    with pytest.raises(InputError, match="compared is -1"):
        rubber().beginning_with(learned(), compared=-1)


def test_what_is_compared_leaves_a_cell_with_history_as_it_was() -> None:
    """Along a plastic path, in which each answer begins from the state and hint of the last."""
    found = []
    for compared in (0, 1):
        rve = plastic().beginning_with(Sensitivity(plastic().kinematics), compared=compared)
        state, hint, rows = None, None, []
        for k in range(1, 4):
            answer = rve.evaluate(2e-3 * k * np.array([[1.0, -0.3, 0.4]]), state, hint=hint)
            state, hint = answer.state, answer.hint
            rows.append(np.concatenate([answer.stress, state, hint], axis=1))
        found.append(np.array(rows))
    assert answer.report["guess_compared"].all()
    np.testing.assert_array_equal(*found)


def test_which_points_are_compared_is_theirs_alone() -> None:
    """One in eight, within three standard deviations; the same in another batch."""
    rve = rubber().beginning_with(learned(), compared=8)
    F = stretches(PLANE, 512, 0.2)[:, 0]
    drawn = rve._drawn(F)
    assert abs(drawn.sum() - 64) <= 3 * np.sqrt(512 / 8 * 7 / 8)
    order = RNG.permutation(512)[:100]
    np.testing.assert_array_equal(rve._drawn(F[order]), drawn[order])


def test_where_equilibrium_is_known_nothing_is_guessed() -> None:
    rve, F = rubber().beginning_with(Adversary("tiny")), unseen(2)
    again = rve.evaluate(F, hint=rve.evaluate(F).hint)
    assert not again.report["micro_iterations"].any()
    assert not again.report["guess_taken"].any() and not again.report["guess_refused"].any()


def test_a_cell_with_history_takes_the_sensitivity() -> None:
    """Along a plastic path the answers agree, and iterations are saved."""
    plain = plastic()
    warm = plain.beginning_with(Sensitivity(plain.kinematics))
    found, counts = {}, {}
    for name, rve in (("plain", plain), ("warm", warm)):
        state, hint, stresses, counts[name] = None, None, [], 0
        for k in range(1, 6):
            strain = 2e-3 * k * np.array([[1.0, -0.3, 0.4]])
            answer = rve.evaluate(strain, state, hint=hint)
            state, hint = answer.state, answer.hint
            stresses.append(answer.stress)
            counts[name] += int(answer.report["micro_iterations"].sum())
        found[name] = np.array(stresses)
    scale = 10 * RTOL * np.abs(found["plain"]).max()
    np.testing.assert_allclose(found["warm"], found["plain"], rtol=0, atol=scale)
    assert counts["warm"] < counts["plain"]


def test_the_file_gives_the_guess_back_to_its_cell_alone(tmp_path: Path) -> None:
    path, F, none = tmp_path / "guess.npz", unseen(3), np.zeros((3, 0))
    save_modes(path, learned(), rubber().fingerprint)
    back = load_modes(path, rubber().fingerprint)
    one, other = learned().fluctuation(F, none), back.fluctuation(F, none)
    np.testing.assert_allclose(other, one, atol=1e-6 * np.abs(one).max())  # float32: 6e-8 a mode
    assert path.stat().st_size < 4 * learned().modes.size + 10 * learned().coefficients.size + 9000
    with pytest.raises(InputError, match="another cell"):
        load_modes(path, "0123456789abcdef")
    whole = bytearray(path.read_bytes())
    for broken in (whole[:100], whole[: len(whole) // 2], _flipped(whole), b"", b"text"):
        path.write_bytes(broken)
        with pytest.raises(InputError, match="damaged"):
            load_modes(path, rubber().fingerprint)
    with pytest.raises(InputError, match="no learned guess"):
        load_modes(tmp_path / "other.npz", rubber().fingerprint)


def _flipped(content: bytearray) -> bytes:
    changed = bytearray(content)
    changed[len(changed) // 2] ^= 1
    return bytes(changed)


def test_guesses_that_do_not_fit_are_refused() -> None:
    F = stretches(PLANE, 128, 0.2)[:, 0]
    with pytest.raises(InputError, match="the cell has"):
        rubber().beginning_with(fit_modes(PLANE, F, RNG.normal(size=(128, 6))))
    with pytest.raises(InputError, match="expected at least 10"):
        fit_modes(PLANE, F[:8], np.zeros((8, 6)))
    with pytest.raises(InputError, match="as many of each"):
        fit_modes(PLANE, F, np.zeros((8, 6)))
    flat = np.tile(F[:1], (20, 1)) + np.outer(np.linspace(0, 0.1, 20), [1, 0, 0, 0])
    with pytest.raises(InputError, match="fill all directions"):
        fit_modes(PLANE, flat, RNG.normal(size=(20, 6)))


def test_what_a_point_was_corrects_what_was_learned() -> None:
    """From few samples g errs; q' + g(F) - g(F') errs in proportion to the step: to first order."""
    F = stretches(PLANE, 128, 0.2)[:16, 0]
    coarse = fit_modes(PLANE, F, rubber().evaluate(F).hint)
    rve, none = rubber().beginning_with(coarse), np.zeros((3, 0))
    before, direction = unseen(3), RNG.normal(size=(3, 4))
    hint, errors = rve.evaluate(before).hint, []
    for size in (4e-3, 2e-3):
        after = before + size * direction
        exact = rubber().evaluate(after).hint
        _, guess = coarse.start(after, none, hint, rve.num_unknowns)
        assert guess is not None
        errors.append(np.linalg.norm(guess - exact))
        assert errors[-1] < 0.3 * np.linalg.norm(coarse.fluctuation(after, none) - exact)
    assert 0.8 < np.log2(errors[0] / errors[1]) < 1.3


def test_a_linear_cell_is_learned_exactly_from_few() -> None:
    """A polynomial holds what is linear."""
    small = Kinematics(2)
    phases: dict[str, Phase | Material] = {
        "matrix": linear_elastic(young=1.0, poisson=0.3),
        "inclusion": linear_elastic(young=10.0, poisson=0.2),
    }
    rve = cell(small, phases, 4)
    strain = RNG.normal(size=(24, 3))
    fluctuations = rve.evaluate(strain).hint
    guess = fit_modes(small, strain[:14], fluctuations[:14])
    assert len(guess.modes) == 3  # one a strain component
    found = guess.fluctuation(strain[14:], np.zeros((10, 0)))
    np.testing.assert_allclose(
        found, fluctuations[14:], atol=1e-6 * np.abs(fluctuations).max(), rtol=0
    )


def test_parameters_of_a_point_are_inputs() -> None:
    """A modulus of the inclusion that differs from point to point."""
    unit = mesh.create_unit_square(MPI.COMM_SELF, 4, 4)
    tags = {"matrix": np.arange(0, 20, dtype=np.int32), "band": np.arange(20, 32, dtype=np.int32)}
    phases = {
        "matrix": neo_hookean(shear_modulus=1.0, lame=1.5),
        "band": neo_hookean(shear_modulus=10.0, lame=15.0),
    }
    rve = RVEMaterial(
        make_cell(unit, tags), phases, PLANE, degree=1, parameters=["band.shear_modulus"]
    )
    F = stretches(PLANE, 104, 0.1)[:, 0]
    moduli = RNG.uniform(5.0, 15.0, size=(104, 1))
    solved = rve.evaluate(F[:96], parameters=moduli[:96])
    guess = fit_modes(PLANE, F[:96], solved.hint, parameters=moduli[:96])
    cold = rve.evaluate(F[96:], parameters=moduli[96:])
    found = guess.fluctuation(F[96:], moduli[96:])
    assert np.linalg.norm(found - cold.hint) < 0.01 * np.linalg.norm(cold.hint)
    other = guess.fluctuation(F[96:], moduli[96:][::-1])
    assert np.linalg.norm(other - cold.hint) > 0.01 * np.linalg.norm(cold.hint)
    warm = rve.beginning_with(guess).evaluate(F[96:], parameters=moduli[96:])
    scale = RTOL * np.abs(cold.stress).max()
    np.testing.assert_allclose(warm.stress, cold.stress, rtol=0, atol=scale)
    saved = warm.report["micro_iterations"].sum() / cold.report["micro_iterations"].sum()
    assert saved < 0.75
