"""What a learned guess of the cell knows: polynomials, their derivatives, and turns."""

from __future__ import annotations

import numpy as np
import pytest

from fesurrogate.chebyshev import degrees_of, derivatives, term_count, values
from fesurrogate.data.sampling import stretches
from fesurrogate.errors import InputError
from fesurrogate.kinematics import Array, Kinematics
from fesurrogate.micro.objectivity import spins, with_rotations
from fesurrogate.warmstart import FluctuationModes, fit_modes
from fesurrogate.warmstart.modes import strain_directions, strain_inputs

RNG = np.random.default_rng(11)
NONE = np.zeros(0)


def rotation(d: int) -> Array:
    """A proper rotation."""
    Q = np.linalg.qr(RNG.normal(size=(d, d)))[0]
    return np.asarray(
        Q * np.sign(np.linalg.det(Q)) if d == 3 else Q @ np.diag([1, np.linalg.det(Q)])
    )


def law(kinematics: Kinematics, degree: int, unknowns: int = 12) -> FluctuationModes:
    """A guess with random coefficients, the true one of the tests."""
    inputs = len(strain_directions(kinematics))
    degrees = degrees_of(inputs, degree)[1:]
    modes = np.linalg.qr(RNG.normal(size=(unknowns, unknowns)))[0]
    return FluctuationModes(
        kinematics, degrees, RNG.normal(size=(len(degrees), unknowns)), modes=modes,
        centre=np.zeros(inputs), scale=np.full(inputs, 0.2),
    )  # fmt: skip


def test_terms_are_products_of_cosines() -> None:
    """T_k(cos a) = cos(k a); and there are as many as binomial coefficients say."""
    degrees = degrees_of(2, 5)
    assert len(degrees) == term_count(2, 5) == 21 and degrees.sum(axis=1).max() == 5
    angle = RNG.uniform(0, np.pi, (7, 2))
    exact = np.prod(np.cos(angle[:, None] * degrees), axis=2)
    np.testing.assert_allclose(values(np.cos(angle), degrees), exact, atol=1e-14)


def test_derivatives_are_those_of_the_values() -> None:
    """Central differences err by their square: half the step, a quarter of the error."""
    degrees, x, errors = degrees_of(3, 4), RNG.uniform(-1, 1, (5, 3)), []
    exact = derivatives(x, degrees, 2)
    assert exact.shape == (5, 2, len(degrees))
    for step in (1e-3, 5e-4):
        moved = [
            values(x + step * unit, degrees) - values(x - step * unit, degrees)
            for unit in np.eye(3)[:2]
        ]
        errors.append(np.abs(np.stack(moved, axis=1) / (2 * step) - exact).max())
    assert 1.9 < np.log2(errors[0] / errors[1]) < 2.1


@pytest.mark.parametrize("gdim", [2, 3])
def test_a_polynomial_is_learned_exactly(gdim: int) -> None:
    """From as many values as it has terms and a few more, one in eight of them being unseen."""
    kinematics = Kinematics(gdim, "finite")
    true = law(kinematics, 3)
    F = stretches(kinematics, 180, 0.2)[:, 0]
    known, unseen = np.split(true.fluctuation(F, np.zeros((180, 0))), [160])
    guess = fit_modes(kinematics, F[:160], known)
    found = guess.fluctuation(F[160:], np.zeros((20, 0)))
    np.testing.assert_allclose(found, unseen, rtol=0, atol=1e-8 * np.abs(unseen).max())
    assert not guess.fluctuation(kinematics.rest[None], np.zeros((1, 0))).any()


@pytest.mark.parametrize("gdim", [2, 3])
def test_derivatives_stand_for_samples(gdim: int) -> None:
    """Points with derivatives learn more terms than there are points; without them they cannot."""
    kinematics = Kinematics(gdim, "finite")
    degree, count = (4, 28) if gdim == 2 else (3, 60)
    true = law(kinematics, degree)
    assert len(true.degrees) > count
    F = np.array([u.reshape(gdim, gdim) for u in stretches(kinematics, count + 10, 0.2)[:, 0]])
    F = np.array([rotation(gdim) @ u for u in F]).reshape(len(F), -1)
    q = true.fluctuation(F, np.zeros((len(F), 0)))
    S = np.stack([exact_relaxation(true, f) for f in F])
    with_slopes = fit_modes(kinematics, F[:count], q[:count], relaxations=S[:count])
    without = fit_modes(kinematics, F[:count], q[:count])
    errors = [
        np.linalg.norm(guess.fluctuation(F[count:], np.zeros((10, 0))) - q[count:])
        / np.linalg.norm(q[count:])
        for guess in (with_slopes, without)
    ]
    assert errors[0] < 1e-8 and errors[1] > 1e-2


def exact_relaxation(guess: FluctuationModes, F: Array) -> Array:  # (unknowns, m)
    """Return dg/dF with what turns of F add."""
    q = guess.fluctuation(F[None], np.zeros((1, 0)))[0]
    return with_rotations(guess.relaxation(F, NONE, NONE), guess.kinematics, F, q=q)


@pytest.mark.parametrize(
    "kinematics", [Kinematics(2), Kinematics(2, "finite"), Kinematics(3, "finite")]
)
def test_the_relaxation_is_the_derivative_of_the_guess(kinematics: Kinematics) -> None:
    """By any change of the strain, turns included; central differences err by their square."""
    guess, direction, errors = law(kinematics, 3), RNG.normal(size=kinematics.size), []
    strain = kinematics.rest + 0.1 * RNG.uniform(-1, 1, kinematics.size)
    if kinematics.measure == "finite":
        d = kinematics.gdim
        strain = (rotation(d) @ strain.reshape(d, d)).ravel()
    exact = exact_relaxation(guess, strain) @ direction
    for step in (1e-3, 5e-4):
        pair = strain + step * np.outer([1, -1], direction)
        ahead, behind = guess.fluctuation(pair, np.zeros((2, 0)))
        errors.append(np.linalg.norm((ahead - behind) / (2 * step) - exact))
    assert errors[0] < 1e-3 * np.linalg.norm(exact)
    assert 1.9 < np.log2(errors[0] / errors[1]) < 2.1


def test_turns_are_put_right_and_stretches_left_alone() -> None:
    """Whatever is wrong in the directions Ω F is mended; the directions R dU keep their columns."""
    kinematics = Kinematics(3, "finite")
    guess = law(kinematics, 2)
    F = (rotation(3) @ stretches(kinematics, 1, 0.2)[0, 0].reshape(3, 3)).ravel()
    exact = exact_relaxation(guess, F)
    q = guess.fluctuation(F[None], np.zeros((1, 0)))[0]
    _, (R,) = strain_inputs(kinematics, F[None])
    moved = (R @ strain_directions(kinematics).reshape(-1, 3, 3)).reshape(-1, 9)
    turned = (spins(3) @ F.reshape(3, 3)).reshape(-1, 9)
    blind = np.linalg.inv(np.concatenate([moved, turned]))[:, len(moved) :]  # (9, 3), to R dU
    wrong = exact + RNG.normal(size=(len(q), 3)) @ blind.T
    assert np.abs(wrong - exact).max() > 0.1
    mended = with_rotations(wrong, kinematics, F, q=q)
    np.testing.assert_allclose(mended, exact, rtol=0, atol=1e-12 * np.abs(exact).max())


def test_what_cannot_be_learned_from_is_refused() -> None:
    F = stretches(Kinematics(2, "finite"), 16, 0.2)[:, 0]
    q = RNG.normal(size=(16, 6))
    with pytest.raises(InputError, match=r"relaxations have shape .*expected \(16, 6, 4\)"):
        fit_modes(Kinematics(2, "finite"), F, q, relaxations=np.zeros((16, 6, 3)))
    q[3, 2] = np.nan
    with pytest.raises(InputError, match="not finite"):
        fit_modes(Kinematics(2, "finite"), F, q)
    good = law(Kinematics(2), 2)
    with pytest.raises(InputError, match="do not fit"):
        FluctuationModes(
            Kinematics(2), good.degrees, good.coefficients[:-1],
            modes=good.modes, centre=good.centre, scale=good.scale,
        )  # fmt: skip
    with pytest.raises(InputError, match="do not fit"):
        FluctuationModes(
            Kinematics(2), good.degrees * 10**6, good.coefficients,
            modes=good.modes, centre=good.centre, scale=good.scale,
        )  # fmt: skip
