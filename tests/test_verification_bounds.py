"""Cells lie between the bounds of Hashin and Shtrikman, written here from the literature."""

from __future__ import annotations

import numpy as np
import pytest
from verification import tagged_cell

from fesurrogate.kinematics import Array, Kinematics
from fesurrogate.laws import isotropic_stiffness
from fesurrogate.micro import RVEMaterial, linear_elastic

PHASES = {"soft": {"young": 1.0, "poisson": 0.4}, "stiff": {"young": 20.0, "poisson": 0.2}}
SOLID = Kinematics(3)


def moduli(name: str) -> tuple[float, float]:
    """Return K and G of a phase."""
    young, poisson = PHASES[name]["young"], PHASES[name]["poisson"]
    return young / (3 * (1 - 2 * poisson)), young / (2 * (1 + poisson))


def effective(cell, kinematics: Kinematics, **options) -> Array:
    laws = {name: linear_elastic(**PHASES[name]) for name in cell.phase_cells}
    rve = RVEMaterial(cell, laws, kinematics, **options)
    tangent = rve.evaluate(np.zeros((1, kinematics.size))).tangent
    assert tangent is not None
    return tangent[0]


def solid_bound(host: str, other: str, share: float) -> tuple[float, float]:
    """K and G with spheres of ``other`` at a share: a lower bound if the host is the soft phase.

    Hashin and Shtrikman (1963), J. Mech. Phys. Solids 11, 127, eqs. 4.1 to 4.4.
    """
    (K1, G1), (K2, G2) = moduli(host), moduli(other)
    K = K1 + share / (1 / (K2 - K1) + 3 * (1 - share) / (3 * K1 + 4 * G1))
    beta = 6 * (K1 + 2 * G1) / (5 * G1 * (3 * K1 + 4 * G1))
    return K, G1 + share / (1 / (G2 - G1) + (1 - share) * beta)


def plane_bound(host: str, other: str, share: float) -> tuple[float, float, float]:
    """Plane bulk modulus and the two shear moduli with fibres of ``other`` in the host.

    Hashin (1965), J. Mech. Phys. Solids 13, 119; Hill (1964), ibid. 12, 199.
    """
    (K1, G1), (K2, G2) = moduli(host), moduli(other)
    k1, k2 = K1 + G1 / 3, K2 + G2 / 3
    k = k1 + share / (1 / (k2 - k1) + (1 - share) / (k1 + G1))
    across = share / (1 / (G2 - G1) + (1 - share) * (k1 + 2 * G1) / (2 * G1 * (k1 + G1)))
    along = share / (1 / (G2 - G1) + (1 - share) / (2 * G1))
    return k, G1 + across, G1 + along


@pytest.mark.parametrize("radius", [0.2, 0.35, 0.45])
@pytest.mark.parametrize("core", ["stiff", "soft"])
def test_hexagonal_fibres(core: str, radius: float) -> None:
    """A rhombus of equilateral triangles: isotropic in its plane to rounding, within the bounds."""
    rim = "soft" if core == "stiff" else "stiff"
    lattice = np.array([[1.0, 0.0], [-0.5, np.sqrt(3) / 2]])
    corners = np.array([[0, 0], [1, 0], [0, 1], [1, 1]]) @ lattice

    def phase_of(x: Array) -> Array:  # a fibre at each corner of the rhombus
        distance = np.linalg.norm((x @ lattice)[:, None] - corners, axis=2).min(axis=1)
        return np.where(distance < radius, core, rim)

    cell = tagged_cell("triangle", [12, 12], phase_of, lattice=lattice)
    C = effective(cell, SOLID)
    k, across, along = (C[0, 0] + C[0, 1]) / 2, C[5, 5] / 2, C[3, 3] / 2
    isotropic = [C[0, 0] - C[1, 1], C[0, 0] - C[0, 1] - C[5, 5], C[3, 3] - C[4, 4], C[0, 5]]
    np.testing.assert_allclose(isotropic, 0.0, atol=1e-10)
    share = cell.volume_fractions()["stiff"]
    lower = plane_bound("soft", "stiff", share)
    upper = plane_bound("stiff", "soft", 1 - share)
    for low, value, high in zip(lower, (k, across, along), upper, strict=True):
        assert low < value < high
    # stiff fibres in a soft matrix lie near the lower bound, and soft ones near the upper
    nearness = (k - lower[0]) / (upper[0] - lower[0])
    assert nearness < 0.2 if core == "stiff" else nearness > 0.8


def averaged(matrix: Array) -> tuple[float, float]:
    """Return bulk and shear modulus of a stiffness averaged over all rotations."""
    size = len(matrix)
    d = 2 if size == 3 else 3
    trace = np.append(np.ones(d), np.zeros(size - d))
    bulk = trace @ matrix @ trace / d  # d K
    return bulk / d, (np.trace(matrix) - bulk) / (2 * (size - 1))


@pytest.mark.parametrize("gdim", [2, 3])
@pytest.mark.parametrize("seed", range(4))
def test_random_cells(gdim: int, seed: int) -> None:
    """Any cell: a polycrystal of it is isotropic, between its averages of Voigt and of Reuss.

    So the former is above the lower bound and the latter below the upper, whatever the cell.
    """
    kinematics = Kinematics(gdim)
    kind, count = ("quadrilateral", 8) if gdim == 2 else ("hexahedron", 4)
    labels = np.random.default_rng(seed).random([count] * gdim) < 0.4

    def phase_of(x: Array) -> Array:
        return np.where(labels[tuple((x * count).astype(int).T)], "stiff", "soft")

    cell = tagged_cell(kind, [count] * gdim, phase_of)
    C = effective(cell, kinematics, **({} if gdim == 2 else {"degree": 1}))
    share = cell.volume_fractions()["stiff"]
    bound = plane_bound if gdim == 2 else solid_bound
    lower, upper = bound("soft", "stiff", share)[:2], bound("stiff", "soft", 1 - share)[:2]
    voigt = averaged(C)
    inverse = averaged(np.linalg.inv(C))
    reuss = (1 / (gdim**2 * inverse[0]), 1 / (4 * inverse[1]))
    assert all(low < value for low, value in zip(lower, voigt, strict=True))
    assert all(value < high for value, high in zip(reuss, upper, strict=True))
    pure = isotropic_stiffness(kinematics, **PHASES["stiff"])  # the averages know a solid
    K, G = moduli("stiff")
    assert averaged(pure) == pytest.approx((K + G / 3 if gdim == 2 else K, G))
