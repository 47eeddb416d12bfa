"""A surrogate set right at one strain: the reference's stress and tangent, and nearly its curve."""

import numpy as np
import pytest
from contract import check_contract
from mpi4py import MPI

from fesurrogate import Kinematics
from fesurrogate.combine import Corrected
from fesurrogate.errors import InputError
from fesurrogate.laws import J2Plasticity, NeoHookean

pytestmark = pytest.mark.mpi
SURROGATE = NeoHookean(2, shear_modulus=1.0, lame=1.5)
REFERENCE = NeoHookean(2, shear_modulus=1.1, lame=1.45)


def strains(count: int) -> np.ndarray:
    rng = np.random.default_rng(2)
    return Kinematics(2, "finite").rest + rng.uniform(-0.1, 0.1, (count, 4))


def test_contract() -> None:
    check_contract(Corrected(SURROGATE), strains(6), MPI.COMM_WORLD)


def test_it_meets_the_reference_and_follows_it_to_second_order() -> None:
    corrected, strain = Corrected(SURROGATE), strains(5)
    there = REFERENCE.evaluate(strain)
    lines = corrected.lines(strain, there)
    got = corrected.evaluate(strain, lines)
    np.testing.assert_allclose(got.stress, there.stress, rtol=0, atol=1e-14)
    np.testing.assert_allclose(got.tangent, there.tangent, rtol=0, atol=1e-13)
    np.testing.assert_array_equal(got.state, lines)
    direction = np.random.default_rng(3).uniform(-1.0, 1.0, strain.shape)
    errors, taylor = [], []
    for step in (2e-2, 1e-2, 5e-3):
        want = REFERENCE.evaluate(strain + step * direction).stress
        errors.append(
            np.abs(corrected.evaluate(strain + step * direction, lines).stress - want).max()
        )
        straight = there.stress + step * np.einsum("nij,nj->ni", there.tangent, direction)
        taylor.append(np.abs(straight - want).max())
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    assert (orders > 1.8).all() and (orders < 2.3).all()
    # only the constants' share of the curvature is missing: a tenth of it
    assert (np.array(errors) < 0.25 * np.array(taylor)).all()


def test_history_is_refused() -> None:
    metal = J2Plasticity(2, young=1.0, poisson=0.3, yield_stress=1.0)
    with pytest.raises(InputError, match="without history"):
        Corrected(metal)
