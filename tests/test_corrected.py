"""A surrogate set right at one strain: the reference's stress and tangent, and nearly its curve."""

import numpy as np
import pytest
from contract import check_contract
from mpi4py import MPI

from fesurrogate import Kinematics
from fesurrogate.combine import Corrected
from fesurrogate.kinematics import Array
from fesurrogate.laws import J2Plasticity, NeoHookean
from fesurrogate.material import Material

pytestmark = pytest.mark.mpi
SURROGATE = NeoHookean(2, shear_modulus=1.0, lame=1.5)
REFERENCE = NeoHookean(2, shear_modulus=1.1, lame=1.45)


def strains(count: int) -> np.ndarray:
    rng = np.random.default_rng(2)
    return Kinematics(2, "finite").rest + rng.uniform(-0.1, 0.1, (count, 4))


METAL = J2Plasticity(2, young=70.0, poisson=0.3, yield_stress=0.3, hardening=5.0)
OTHER = J2Plasticity(2, young=77.0, poisson=0.28, yield_stress=0.33, hardening=4.0)


def test_contract() -> None:
    check_contract(Corrected(SURROGATE), strains(6), MPI.COMM_WORLD)


def test_contract_with_history() -> None:
    small = 0.01 * np.random.default_rng(4).standard_normal((6, 3))
    check_contract(Corrected(METAL), small, MPI.COMM_WORLD)


def lines(corrected: Corrected, reference: Material, strain: Array, states: list[Array]) -> Array:
    """States in which it answers as the reference does, both being in states of their own."""
    there, own = (
        m.evaluate(strain, s) for m, s in zip((reference, corrected), states, strict=True)
    )
    return corrected.with_lines(states[1], corrected.lines(strain, there, own))


def test_it_meets_the_reference_along_a_path() -> None:
    """Through yield and back, each with a history of its own, which the line does not change."""
    corrected, rng = Corrected(OTHER), np.random.default_rng(5)
    states = [METAL.initial_state(5), corrected.initial_state(5)]
    strain = np.zeros((5, 3))
    for _ in range(6):
        strain = strain + 4e-3 * rng.standard_normal(strain.shape)
        led = lines(corrected, METAL, strain, states)
        there, got = METAL.evaluate(strain, states[0]), corrected.evaluate(strain, led)
        np.testing.assert_allclose(got.stress, there.stress, rtol=0, atol=1e-13)
        np.testing.assert_allclose(got.tangent, there.tangent, rtol=0, atol=1e-11)
        own = OTHER.evaluate(strain, states[1][:, : OTHER.num_state])
        np.testing.assert_array_equal(got.state[:, : OTHER.num_state], own.state)
        states = [there.state, corrected.with_lines(got.state, None)]
    assert (states[0][:, 6] > 0.0).all()  # all have flowed


def test_it_meets_the_reference_and_follows_it_to_second_order() -> None:
    corrected, strain = Corrected(SURROGATE), strains(5)
    there = REFERENCE.evaluate(strain)
    states = lines(corrected, REFERENCE, strain, [np.zeros((5, 0)), corrected.initial_state(5)])
    got = corrected.evaluate(strain, states)
    np.testing.assert_allclose(got.stress, there.stress, rtol=0, atol=1e-14)
    np.testing.assert_allclose(got.tangent, there.tangent, rtol=0, atol=1e-13)
    np.testing.assert_array_equal(got.state, states)
    direction = np.random.default_rng(3).uniform(-1.0, 1.0, strain.shape)
    errors, taylor = [], []
    for step in (2e-2, 1e-2, 5e-3):
        want = REFERENCE.evaluate(strain + step * direction).stress
        errors.append(
            np.abs(corrected.evaluate(strain + step * direction, states).stress - want).max()
        )
        straight = there.stress + step * np.einsum("nij,nj->ni", there.tangent, direction)
        taylor.append(np.abs(straight - want).max())
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    assert (orders > 1.8).all() and (orders < 2.3).all()
    # only the constants' share of the curvature is missing: a tenth of it
    assert (np.array(errors) < 0.25 * np.array(taylor)).all()
