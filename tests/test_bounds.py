"""Bounds against textbook numbers, their limits, each other, and cells that were solved."""

import numpy as np
import pytest

from fesurrogate import InputError, Kinematics
from fesurrogate.homogenize.bounds import (
    conduction_bounds,
    fibre_bounds,
    hashin_shtrikman,
    reuss,
    solid_bounds,
    voigt,
)
from fesurrogate.laws import isotropic_stiffness
from fesurrogate.micro import RVEMaterial, laminate_cell, linear_elastic

SOLID = Kinematics(3, "small")
GLASS, EPOXY = {"young": 74.0, "poisson": 0.2}, {"young": 3.35, "poisson": 0.35}


def moduli(young: float, poisson: float) -> tuple[float, float]:
    return young / (3 * (1 - 2 * poisson)), young / (2 * (1 + poisson))


def isotropic(bulk: float, shear: float) -> np.ndarray:
    unit = np.array([1.0, 1, 1, 0, 0, 0])
    return 2 * shear * np.eye(6) + (bulk - 2 * shear / 3) * np.outer(unit, unit)


def smallest(matrix: np.ndarray) -> float:
    return float(np.linalg.eigvalsh((matrix + matrix.T) / 2)[0])


def test_numbers_of_the_rock_physics_handbook() -> None:
    """Mavko, Mukerji and Dvorkin, section 4.1: quartz, calcite and 27 % water (GPa)."""
    found = solid_bounds([36.0, 75.0, 2.2], [45.0, 31.0, 0.0], [0.584, 0.146, 0.27])
    assert found["K"] == pytest.approx((7.10, 26.9), abs=0.05)
    assert found["G"] == pytest.approx((0.0, 24.6), abs=0.05)


def test_two_phases_in_hashins_own_form() -> None:
    """The formulas of Hashin and Shtrikman (1963) and Hashin (1965) for two phases."""
    (K1, G1), (K2, G2) = moduli(**EPOXY), moduli(**GLASS)
    f = 0.6
    K = K1 + f / (1 / (K2 - K1) + 3 * (1 - f) / (3 * K1 + 4 * G1))
    G = G1 + f / (1 / (G2 - G1) + 6 * (1 - f) * (K1 + 2 * G1) / (5 * G1 * (3 * K1 + 4 * G1)))
    found = solid_bounds([K1, K2], [G1, G2], [1 - f, f])
    assert (found["K"][0], found["G"][0]) == pytest.approx((K, G), rel=1e-12)
    k1, k2 = K1 + G1 / 3, K2 + G2 / 3
    k = k1 + f / (1 / (k2 - k1) + (1 - f) / (k1 + G1))
    m = G1 + f / (1 / (G2 - G1) + (1 - f) * (k1 + 2 * G1) / (2 * G1 * (k1 + G1)))
    p = G1 * (G1 * (1 - f) + G2 * (1 + f)) / (G1 * (1 + f) + G2 * (1 - f))
    lower = {
        name: low
        for name, (low, _) in fibre_bounds([k1, k2], [G1, G2], [G1, G2], [1 - f, f]).items()
    }
    assert lower == pytest.approx({"K_across": k, "G_across": m, "G_along": p}, rel=1e-12)


def test_conduction_is_maxwells_and_in_2d_dual() -> None:
    k1, k2, f = 1.0, 7.0, 0.3
    maxwell = k1 * (k2 + 2 * k1 + 2 * f * (k2 - k1)) / (k2 + 2 * k1 - f * (k2 - k1))
    low, high = conduction_bounds([k1, k2], [1 - f, f], gdim=3)["k"]
    assert low == pytest.approx(maxwell, rel=1e-12)
    flat = conduction_bounds([k1, k2], [0.5, 0.5], gdim=2)["k"]
    assert flat[0] * flat[1] == pytest.approx(k1 * k2, rel=1e-12)  # Keller's theorem
    assert low < high


def test_equal_phases_and_one_phase_are_themselves() -> None:
    K, G = moduli(**GLASS)
    for found in (solid_bounds([K, K], [G, G], [0.3, 0.7]), solid_bounds([K, 0], [G, 0], [1, 0])):
        assert found["K"] == pytest.approx((K, K)) and found["G"] == pytest.approx((G, G))


def test_bounds_of_a_porous_solid() -> None:
    """Lower bounds vanish; the upper one of G is Hashin's for pores."""
    K, G = moduli(**GLASS)
    f = 0.25
    found = solid_bounds([K, 0.0], [G, 0.0], [1 - f, f])
    assert found["K"][0] == found["G"][0] == 0.0
    assert found["K"][1] == pytest.approx(4 * K * G * (1 - f) / (3 * K * f + 4 * G), rel=1e-12)
    shear = G * (1 - f) * (9 * K + 8 * G) / (9 * K + 8 * G + 6 * f * (K + 2 * G))
    assert found["G"][1] == pytest.approx(shear, rel=1e-12)
    C = isotropic_stiffness(SOLID, **GLASS)
    np.testing.assert_array_equal(reuss([C, 0 * C], [1 - f, f]), np.zeros((6, 6)))
    np.testing.assert_allclose(voigt([C, 0 * C], [1 - f, f]), 0.75 * C)
    assert fibre_bounds([K, 0], [G, 0], [G, 0], [0.5, 0.5])["G_along"] == (
        0.0,
        pytest.approx(G / 3),
    )


def test_reuss_of_regular_phases_and_of_a_fluid() -> None:
    one, two = isotropic_stiffness(SOLID, **GLASS), isotropic_stiffness(SOLID, **EPOXY)
    expected = np.linalg.inv(0.6 * np.linalg.inv(one) + 0.4 * np.linalg.inv(two))
    np.testing.assert_allclose(reuss([one, two], [0.6, 0.4]), expected, rtol=0, atol=1e-10)
    mixed = reuss([isotropic(40.0, 20.0), isotropic(2.0, 0.0)], [0.7, 0.3])  # Wood's equation
    wood = 1 / (0.7 / 40.0 + 0.3 / 2.0)
    np.testing.assert_allclose(mixed, isotropic(wood, 0.0), atol=1e-10)


def test_order_of_the_bounds_for_three_phases() -> None:
    K, G = np.array([3.0, 40.0, 12.0]), np.array([1.0, 30.0, 9.0])
    f = [0.5, 0.2, 0.3]
    matrices = [isotropic(*pair) for pair in zip(K, G, strict=True)]
    found = solid_bounds(K, G, f)
    (K_low, K_high), (G_low, G_high) = found["K"], found["G"]
    chain = [reuss(matrices, f), isotropic(K_low, G_low), isotropic(K_high, G_high)]
    chain.append(voigt(matrices, f))
    for softer, stiffer in zip(chain, chain[1:], strict=False):
        assert smallest(stiffer - softer) > 1e-3


def test_solved_laminate_lies_between_voigt_and_reuss_in_2d_and_3d() -> None:
    fractions = {"glass": 0.5, "epoxy": 0.5}
    for gdim in (2, 3):
        kinematics = Kinematics(gdim, "small")
        phases = {"glass": linear_elastic(**GLASS), "epoxy": linear_elastic(**EPOXY)}
        rve = RVEMaterial(
            laminate_cell(gdim, fractions, resolution=2), phases, kinematics, degree=1
        )
        C = rve.evaluate(kinematics.rest[None]).tangent[0]
        parts = [isotropic_stiffness(kinematics, **law) for law in (GLASS, EPOXY)]
        low, high = reuss(parts, [0.5, 0.5]), voigt(parts, [0.5, 0.5])
        tolerance = 1e-9 * high.max()  # a laminate attains both: in series, and in parallel
        assert smallest(C - low) > -tolerance and smallest(high - C) > -tolerance
        assert abs(smallest(C - low)) < tolerance


def test_which_bounds_apply_is_said() -> None:
    glass, epoxy = isotropic_stiffness(SOLID, **GLASS), isotropic_stiffness(SOLID, **EPOXY)
    shares = {"fibre": 0.6, "matrix": 0.4}
    found, note = hashin_shtrikman({"fibre": glass, "matrix": epoxy}, shares)
    assert set(found) == {"K", "G"} and note == "bounds on a composite that is isotropic"
    found, note = hashin_shtrikman({"fibre": glass, "matrix": epoxy}, shares, prismatic=True)
    assert set(found) == {"K_across", "G_across", "G_along"} and "in the plane" in note

    carbon = glass.copy()
    carbon[2, 2] *= 3
    found, note = hashin_shtrikman({"fibre": carbon, "matrix": epoxy}, shares)
    assert found == {} and note == "none: fibre is not isotropic"
    assert hashin_shtrikman({"fibre": carbon, "matrix": epoxy}, shares, prismatic=True)[0]
    carbon[0, 0] *= 3
    found, note = hashin_shtrikman({"fibre": carbon, "matrix": epoxy}, shares, prismatic=True)
    assert found == {} and "fibre is not isotropic in the plane" in note

    crossed = {"fibre": isotropic(1.0, 3.0), "matrix": isotropic(2.0, 1.0)}
    assert "not the best" in hashin_shtrikman(crossed, shares)[1]
    poor = {"fibre": np.diag([1.0, 2.0]), "matrix": np.eye(2)}
    assert hashin_shtrikman(poor, shares, conduction=True)[0] == {}


def test_fractions_that_are_none_are_refused() -> None:
    with pytest.raises(InputError, match="of sum 1"):
        voigt([np.eye(3), np.eye(3)], [0.5, 0.6])
    with pytest.raises(InputError, match="none below 0"):
        solid_bounds([1.0, -1.0], [1.0, 1.0], [0.5, 0.5])
