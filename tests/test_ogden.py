"""Ogden's law against incompressible rubber, neo-Hookean and Mooney forms, and Taylor tests."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from contract import Batch, check_consistent, check_contract

from fesurrogate.data.sampling import stretches
from fesurrogate.errors import InputError
from fesurrogate.kinematics import Array, Kinematics
from fesurrogate.laws import TRELOAR_RUBBER, Ogden, isotropic_stiffness

gdims = pytest.mark.parametrize("gdim", [2, 3])


def rubber(gdim: Any = 3, bulk_modulus: float = 2.0) -> Ogden:
    return Ogden(gdim, terms=TRELOAR_RUBBER, bulk_modulus=bulk_modulus)


def rotations(gdim: int, n: int, seed: int) -> Array:  # (n, d, d)
    rotation = np.linalg.qr(np.random.default_rng(seed).standard_normal((n, gdim, gdim)))[0]
    rotation[:, :, 0] *= np.sign(np.linalg.det(rotation))[:, None]
    return rotation


def some_strains(gdim: int, n: int = 12) -> Array:  # (n, m)
    kinematics = Kinematics(gdim, "finite")
    strain = stretches(kinematics, n, 0.25, seed=5)[:, 0]
    return strain + np.random.default_rng(6).uniform(-0.1, 0.1, strain.shape)


def equal_stretches(gdim: int) -> Array:  # (n, m)
    """Return gradients with two or three stretches that are equal, exactly or nearly, turned."""
    values = [[1, 1, 1], [1.3, 1.3, 1.3], [0.8, 0.8, 1.4], [1.4, 0.8, 0.8], [1, 1, 1.2]]
    values += [[1.2, 1.2 * (1 + gap), 0.9] for gap in (1e-15, 1e-12, 1e-9, 1e-7, 1e-5, 1e-3)]
    diagonal = np.array(values)[:, :gdim, None] * np.eye(gdim)
    n = len(diagonal)
    turned = rotations(gdim, n, 1) @ diagonal @ rotations(gdim, n, 2)
    plain = np.concatenate([diagonal, turned])
    return plain.reshape(2 * n, gdim**2)


@pytest.mark.mpi
@gdims
def test_contract(gdim: Any) -> None:
    try:
        from mpi4py import MPI
    except ImportError:
        comm = None
    else:
        comm = MPI.COMM_WORLD
    check_contract(rubber(gdim), some_strains(gdim), comm, objective=True)
    check_contract(rubber(gdim), equal_stretches(gdim), comm, objective=True)


@gdims
def test_the_tangent_at_each_equal_stretch_alone(gdim: Any) -> None:
    """One point at a time: a wrong one cannot hide behind the others."""
    law = rubber(gdim)
    for strain in equal_stretches(gdim):
        check_consistent(
            law, Batch(strain[None], np.zeros((1, 0)), 1.0, np.zeros((1, 0)), np.zeros((1, 0))),
            1e-12, 0.02,
        )  # fmt: skip


@gdims
def test_the_tangent_is_continuous_across_equal_stretches(gdim: Any) -> None:
    """Stretches that differ by 1e-15 to 1e-3 move the tangent by no more than they differ."""
    law = rubber(gdim)
    gaps = np.array([0.0, 1e-15, 1e-13, 1e-11, 1e-9, 1e-7, 1e-5, 1e-3])
    strain = np.tile(np.eye(gdim) * 1.2, (len(gaps), 1, 1))
    strain[:, 0, 0] += gaps
    tangent = law.evaluate(strain.reshape(len(gaps), -1)).tangent
    assert tangent is not None
    change = np.abs(tangent - tangent[0]).max(axis=(1, 2))
    assert (change <= 20 * gaps + 1e-13).all(), change


def incompressible(kind: str, stretch: Array) -> Array:
    """Return the nominal stress of the incompressible solid (Ogden 1972)."""
    last = {"uniaxial": -0.5, "equibiaxial": -2.0, "pure shear": -1.0}[kind]
    return sum(m * (stretch ** (a - 1) - stretch ** (last * a - 1)) for m, a in TRELOAR_RUBBER)


def pull(kind: str, stretch: float, law: Ogden) -> float:
    """Return the nominal stress, the free stretches found by Newton on their stress."""
    prescribed, free, guess = {
        "uniaxial": ([0], [1, 2], stretch**-0.5),
        "equibiaxial": ([0, 1], [2], stretch**-2.0),
        "pure shear": ([0], [2], 1 / stretch),
    }[kind]
    diagonal = np.ones(3)
    diagonal[prescribed], diagonal[free] = stretch, guess
    for _ in range(30):
        answer = law.evaluate(np.diag(diagonal).reshape(1, 9))
        assert answer.ok.all() and answer.tangent is not None
        stress = answer.stress.reshape(3, 3)[free, free]
        tangent = answer.tangent.reshape(3, 3, 3, 3)
        block = np.array([[tangent[i, i, j, j] for j in free] for i in free])
        step = np.linalg.solve(block, stress)
        diagonal[free] -= step
        if np.abs(step).max() < 1e-13:
            break
    else:
        pytest.fail("Newton did not converge")
    return float(law.evaluate(np.diag(diagonal).reshape(1, 9)).stress[0, 0])


@pytest.mark.parametrize(
    ("kind", "largest"), [("uniaxial", 7.0), ("equibiaxial", 4.5), ("pure shear", 5.0)]
)
def test_treloars_rubber_as_it_becomes_incompressible(kind: str, largest: float) -> None:
    """The error is of first order in μ/κ, and vanishes in the limit, over Treloar's range."""
    stretch = np.linspace(1.1, largest, 8)
    expected = incompressible(kind, stretch)
    bulk_moduli = 0.4225 * np.array([1e3, 1e4, 1e5])
    errors = []
    for bulk_modulus in bulk_moduli:
        got = np.array([pull(kind, value, rubber(3, bulk_modulus)) for value in stretch])
        errors.append(np.abs(got / expected - 1).max())
    orders = -np.diff(np.log10(errors))
    assert np.abs(orders - 1).max() < 0.05, errors
    assert errors[-1] < 1e-3


def test_the_published_numbers() -> None:
    """Of the closed form by hand: λ = 4, uniaxial, in kg/cm²."""
    by_hand = 6.3 * (4**0.3 - 4**-1.65) + 0.012 * (4.0**4 - 4**-3.5) - 0.1 * (4.0**-3 - 4.0**0)
    assert incompressible("uniaxial", np.array(4.0)) == pytest.approx(0.1 * by_hand, rel=1e-14)
    assert rubber().shear_modulus == pytest.approx(0.4225, rel=1e-14)


@gdims
def test_one_term_with_exponent_2_is_neo_hookean_and_minus_2_makes_it_mooney(gdim: Any) -> None:
    """W = μ1/2 (Ī1 - 3) - μ2/2 (Ī2 - 3) + κ/2 (J - 1)², differentiated with invariants."""
    first, second, bulk = 1.1, -0.4, 3.0
    law = Ogden(gdim, terms=[(first, 2.0), (second, -2.0)], bulk_modulus=bulk)
    strain = np.concatenate([some_strains(gdim), equal_stretches(gdim)])
    n = len(strain)
    full = np.tile(np.eye(3), (n, 1, 1))
    full[:, :gdim, :gdim] = strain.reshape(n, gdim, gdim)
    jacobian = np.linalg.det(full)[:, None, None]
    inverse = np.linalg.inv(full).swapaxes(1, 2)
    right = full.swapaxes(1, 2) @ full
    one = np.trace(right, axis1=1, axis2=2)[:, None, None]
    two = 0.5 * (one**2 - (right * right).sum((1, 2))[:, None, None])
    stress = first * jacobian ** (-2 / 3) * (full - one / 3 * inverse)
    stress -= second * jacobian ** (-4 / 3) * (one * full - full @ right - 2 / 3 * two * inverse)
    stress += bulk * jacobian * (jacobian - 1) * inverse
    answer = law.evaluate(strain)
    expected = stress[:, :gdim, :gdim].reshape(n, gdim**2)
    np.testing.assert_allclose(answer.stress, expected, rtol=0, atol=1e-13)
    energy = 0.5 * first * (jacobian ** (-2 / 3) * one - 3)
    energy += -0.5 * second * (jacobian ** (-4 / 3) * two - 3) + 0.5 * bulk * (jacobian - 1) ** 2
    np.testing.assert_allclose(answer.report["energy"], energy.ravel(), rtol=1e-12, atol=1e-14)
    if gdim == 2:
        np.testing.assert_allclose(
            answer.report["out_of_plane_stress"], stress[:, 2, 2], atol=1e-13
        )


@gdims
def test_energy_and_its_derivatives(gdim: Any) -> None:
    law, strain, step = rubber(gdim), some_strains(gdim), 1e-5
    answer = law.evaluate(strain)
    for k, unit in enumerate(np.eye(gdim**2)):
        plus, minus = (law.evaluate(strain + s * step * unit).report["energy"] for s in (1, -1))
        # central differences: error about step² and round-off / step
        np.testing.assert_allclose((plus - minus) / (2 * step), answer.stress[:, k], atol=2e-9)
    assert answer.tangent is not None
    np.testing.assert_allclose(answer.tangent, answer.tangent.swapaxes(1, 2), atol=1e-13)


@gdims
def test_at_rest_it_is_hookes_law(gdim: Any) -> None:
    law, shear = rubber(gdim), 0.4225
    young = 9 * 2.0 * shear / (3 * 2.0 + shear)
    hooke = isotropic_stiffness(law.kinematics, young=young, poisson=young / (2 * shear) - 1)
    answer = law.evaluate(law.kinematics.rest[None])
    np.testing.assert_allclose(answer.stress, 0.0, atol=1e-15)
    np.testing.assert_allclose(answer.tangent[0], hooke, atol=1e-14)


def test_plane_strain_is_the_solid_with_unit_stretch_in_the_third_direction() -> None:
    strain = np.concatenate([some_strains(2), equal_stretches(2)])
    embedded = np.tile(np.eye(3), (len(strain), 1, 1))
    embedded[:, :2, :2] = strain.reshape(-1, 2, 2)
    flat, full = rubber(2).evaluate(strain), rubber(3).evaluate(embedded.reshape(-1, 9))
    columns = [0, 1, 3, 4]
    assert flat.tangent is not None and full.tangent is not None
    np.testing.assert_allclose(flat.stress, full.stress[:, columns], atol=1e-13)
    np.testing.assert_allclose(flat.report["out_of_plane_stress"], full.stress[:, 8], atol=1e-13)
    block = full.tangent[:, columns][:, :, columns]
    np.testing.assert_allclose(flat.tangent, block, atol=1e-12)


def test_what_overflows_fails_alone() -> None:
    strain = np.tile(np.eye(3).ravel(), (3, 1))
    strain[1, 0] = 1e-200  # λ̄ is 1e67 across: its fifth power overflows
    for tangent in (True, False):
        answer = rubber().evaluate(strain, tangent=tangent)
        np.testing.assert_array_equal(answer.ok, [True, False, True])
        assert np.isnan(answer.report["energy"][1])


@pytest.mark.parametrize(
    ("constants", "named"),
    [
        ({"terms": []}, "terms are .* expected one or more pairs"),
        ({"terms": [(1.0,)]}, "expected one or more pairs"),
        ({"terms": (1.0, 2.0)}, "expected one or more pairs"),
        ({"terms": [(1.0, 2.0), (1.0, 2.0, 3.0)]}, "expected one or more pairs"),
        ({"terms": [(1.0, 0.0)]}, "exponents not 0"),
        ({"terms": [(np.nan, 2.0)]}, "finite numbers"),
        ({"terms": [(1.0, -2.0)]}, "initial shear modulus -1.0"),
        ({"bulk_modulus": 0.0}, "bulk_modulus is 0.0"),
        ({"bulk_modulus": np.inf}, "bulk_modulus is inf"),
    ],
)
def test_bad_constants_are_named(constants: dict[str, Any], named: str) -> None:
    with pytest.raises(InputError, match=f"Ogden: .*{named}"):
        Ogden(3, **{"terms": TRELOAR_RUBBER, "bulk_modulus": 1.0, **constants})
