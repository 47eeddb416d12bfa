"""Engineering constants out of stiffnesses that were made from them."""

import numpy as np
import pytest

from fesurrogate import InputError, Kinematics
from fesurrogate.homogenize.engineering import (
    anisotropy,
    conductivities,
    hill_moduli,
    nearest_isotropic,
    orthotropic_constants,
    orthotropy_departure,
    plane_strain_constants,
    small_strain_stiffness,
    transversely_isotropic,
    transversely_isotropic_constants,
)
from fesurrogate.laws import NeoHookean, isotropic_stiffness

SOLID, PLANE = Kinematics(3, "small"), Kinematics(2, "small")
ORTHOTROPIC = {
    "E1": 140.0, "E2": 12.0, "E3": 9.0, "G23": 3.5, "G13": 4.5, "G12": 5.5,
    "nu23": 0.42, "nu13": 0.31, "nu12": 0.27,
}  # fmt: skip
COPPER = {"C11": 168.4, "C12": 121.4, "C44": 75.4}  # GPa


def orthotropic(constants: dict[str, float]) -> np.ndarray:
    """Invert the textbook compliance, engineering shear, then scale to Mandel."""
    S = np.zeros((6, 6))
    for i in range(3):
        S[i, i] = 1 / constants[f"E{i + 1}"]
    for i, j in ((1, 2), (0, 2), (0, 1)):
        S[i, j] = S[j, i] = -constants[f"nu{i + 1}{j + 1}"] / constants[f"E{i + 1}"]
    S[3, 3], S[4, 4], S[5, 5] = (1 / constants[name] for name in ("G23", "G13", "G12"))
    scale = np.array([1.0, 1.0, 1.0, *[np.sqrt(2.0)] * 3])
    return np.linalg.inv(S) * np.outer(scale, scale)


def rotated(stiffness: np.ndarray, rotation: np.ndarray) -> np.ndarray:
    """Rotate a stiffness through the tensors of the Mandel basis."""
    kinematics = SOLID if len(stiffness) == 6 else PLANE
    basis = kinematics.unpack(np.eye(kinematics.size))
    R = kinematics.pack(rotation @ basis @ rotation.T).T
    return R @ stiffness @ R.T


def turn(angle: float, axis: int = 2) -> np.ndarray:
    c, s = np.cos(angle), np.sin(angle)
    i, j = (axis + 1) % 3, (axis + 2) % 3
    R = np.eye(3)
    R[[i, i, j, j], [i, j, i, j]] = [c, -s, s, c]
    return R


def cubic(C11: float, C12: float, C44: float) -> np.ndarray:
    C = np.diag([C11 - C12] * 3 + [2 * C44] * 3)
    C[:3, :3] += C12
    return C


def test_orthotropic_round_trip() -> None:
    found = orthotropic_constants(orthotropic(ORTHOTROPIC))
    for name, value in ORTHOTROPIC.items():
        assert found[name] == pytest.approx(value, rel=1e-12), name
    for i, j in ((1, 2), (1, 3), (2, 3)):  # νij / Ei = νji / Ej
        assert found[f"nu{j}{i}"] == pytest.approx(
            found[f"nu{i}{j}"] * found[f"E{j}"] / found[f"E{i}"]
        )
    assert found["orthotropy_departure"] == 0.0


def test_departure_from_orthotropy_is_what_the_couplings_weigh() -> None:
    C = orthotropic(ORTHOTROPIC)
    off_axis = rotated(C, turn(0.3))
    norm = np.linalg.norm(off_axis)
    coupling = np.sqrt(2 * (off_axis[:3, 3:] ** 2).sum() + 2 * off_axis[3, 4] ** 2)
    assert orthotropy_departure(off_axis) == pytest.approx(coupling / norm, rel=1e-12)
    assert coupling / norm > 0.1
    assert orthotropy_departure(rotated(C, turn(np.pi / 2))) < 1e-14


def test_isotropic_solid_and_plane_strain() -> None:
    E, nu = 210.0, 0.3
    G, bulk = E / (2 * (1 + nu)), E / (3 * (1 - 2 * nu))
    C = isotropic_stiffness(SOLID, young=E, poisson=nu)
    found = orthotropic_constants(C)
    assert [found[k] for k in ("E1", "E2", "E3")] == pytest.approx([E] * 3, rel=1e-12)
    assert [found[k] for k in ("G23", "G13", "G12")] == pytest.approx([G] * 3, rel=1e-12)
    assert [found[k] for k in ("nu12", "nu21", "nu31")] == pytest.approx([nu] * 3, rel=1e-12)
    assert nearest_isotropic(C) == pytest.approx((bulk, G, 0.0), abs=1e-12 * E)
    index = anisotropy(C)
    assert abs(index["universal"]) < 1e-12 and index["isotropy_departure"] < 1e-14
    assert index["zener"] == pytest.approx(1.0, rel=1e-12)

    flat = isotropic_stiffness(PLANE, young=E, poisson=nu)
    plane = plane_strain_constants(flat)
    assert plane["E1_plane_strain"] == pytest.approx(E / (1 - nu**2), rel=1e-12)
    assert plane["nu12_plane_strain"] == pytest.approx(nu / (1 - nu), rel=1e-12)
    assert plane["G12"] == pytest.approx(G, rel=1e-12)
    assert plane["K12_plane_strain"] == pytest.approx(bulk + G / 3, rel=1e-12)
    assert anisotropy(flat)["zener"] == pytest.approx(1.0, rel=1e-12)
    assert "universal" not in anisotropy(flat)


def test_plane_strain_constants_are_those_of_the_solid_held_across() -> None:
    """Rows and columns of the solid; the ratio of the plane test by its own definition."""
    C = orthotropic(ORTHOTROPIC)[np.ix_([0, 1, 5], [0, 1, 5])]
    found = plane_strain_constants(C)
    strain = np.linalg.solve(C, [1.0, 0.0, 0.0])
    assert found["E1_plane_strain"] == pytest.approx(1 / strain[0], rel=1e-12)
    assert found["nu12_plane_strain"] == pytest.approx(-strain[1] / strain[0], rel=1e-12)
    strain = np.linalg.solve(C, [0.0, 1.0, 0.0])
    assert found["E2_plane_strain"] == pytest.approx(1 / strain[1], rel=1e-12)
    assert found["nu21_plane_strain"] == pytest.approx(-strain[0] / strain[1], rel=1e-12)
    nu13, E3 = ORTHOTROPIC["nu13"], ORTHOTROPIC["E3"]  # S11 - S13²/S33, Lekhnitskii
    E1 = ORTHOTROPIC["E1"]
    assert found["E1_plane_strain"] == pytest.approx(1 / (1 / E1 - nu13**2 * E3 / E1**2), rel=1e-12)


def test_universal_index_of_a_cubic_crystal_in_any_axes() -> None:
    """Ranganathan and Ostoja-Starzewski: A^U = 6/5 (√A - 1/√A)² with Zener's A."""
    C = cubic(**COPPER)
    A = 2 * COPPER["C44"] / (COPPER["C11"] - COPPER["C12"])
    expected = 1.2 * (np.sqrt(A) - 1 / np.sqrt(A)) ** 2
    found = anisotropy(C)
    assert found["zener"] == pytest.approx(A, rel=1e-12)
    assert found["universal"] == pytest.approx(expected, rel=1e-12)
    off_axis = anisotropy(rotated(C, turn(0.4, 0) @ turn(0.7)))
    assert off_axis["universal"] == pytest.approx(expected, rel=1e-12)
    assert off_axis["zener"] is None  # not cubic in these axes


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_transverse_isotropy_about_each_axis(axis: int) -> None:
    along, across, shear, nu_along, nu_across = 74.0, 12.0, 5.0, 0.25, 0.4
    about_z = {
        "E1": across, "E2": across, "E3": along, "G12": across / (2 * (1 + nu_across)),
        "G13": shear, "G23": shear, "nu12": nu_across,
        "nu13": nu_along * across / along, "nu23": nu_along * across / along,
    }  # fmt: skip
    C = orthotropic(about_z)
    to_axis = {2: np.eye(3), 0: turn(np.pi / 2, 1), 1: turn(np.pi / 2, 0)}[axis]
    C = rotated(C, turn(0.3, axis) @ to_axis)
    found = transversely_isotropic_constants(C)
    assert found["axis"] == axis + 1
    assert found["departure"] < 1e-14
    wanted = {"E_along": along, "E_across": across, "G_along": shear, "nu_along": nu_along}
    wanted |= {"nu_across": nu_across, "G_across": about_z["G12"]}
    for name, value in wanted.items():
        assert found[name] == pytest.approx(value, rel=1e-12), name
    k = found["K_across"]  # Hill's connection: 4/E = 1/k + 1/m + 4 ν²/E_along
    hill = 1 / k + 1 / found["G_across"] + 4 * nu_along**2 / along
    assert 4 / across == pytest.approx(hill, rel=1e-12)


def test_transversely_isotropic_fit_is_the_mean_over_rotations_and_measures_the_rest() -> None:
    C = orthotropic(ORTHOTROPIC)
    angles = 2 * np.pi * np.arange(8) / 8  # exact for harmonics up to 4
    mean = np.mean([rotated(C, turn(angle)) for angle in angles], axis=0)
    near, axis, distance = transversely_isotropic(C, 2)
    np.testing.assert_allclose(near, mean, atol=1e-12 * C.max())
    assert distance == pytest.approx(np.linalg.norm(C - mean) / np.linalg.norm(C), rel=1e-10)
    assert transversely_isotropic(C)[1] == 0  # stiff along 1
    np.testing.assert_allclose(hill_moduli(C), hill_moduli(near), rtol=1e-12)


def test_finite_strain_tangent_at_rest_is_the_small_strain_stiffness() -> None:
    for gdim in (2, 3):
        kinematics = Kinematics(gdim, "finite")
        law = NeoHookean(gdim, shear_modulus=2.0, lame=3.0)
        found = small_strain_stiffness(kinematics, law.evaluate(kinematics.rest[None]).tangent[0])
        E, nu = 2.0 * (3 * 3.0 + 2 * 2.0) / 5.0, 3.0 / 10.0
        expected = isotropic_stiffness(Kinematics(gdim, "small"), young=E, poisson=nu)
        np.testing.assert_allclose(found, expected, atol=1e-12)


def test_conductivities() -> None:
    c, s = np.cos(0.5), np.sin(0.5)
    R = np.array([[c, -s], [s, c]])
    found = conductivities(R @ np.diag([5.0, 2.0]) @ R.T)
    assert found["principal1"] == pytest.approx(5.0) and found["principal2"] == pytest.approx(2.0)
    assert found["k1"] == pytest.approx(5 * c**2 + 2 * s**2)
    assert found["orthotropy_departure"] > 0.1
    assert conductivities(np.diag([1.0, 2.0, 3.0]))["principal1"] == 3.0


@pytest.mark.parametrize(
    ("stiffness", "said"),
    [
        (np.eye(3), r"expected \(6, 6\)"),
        (np.diag([1.0, 1, 1, 1, 1, 0]), "no compliance"),
        (np.eye(6) + np.eye(6, k=1), "symmetric"),
    ],
)
def test_what_has_no_constants_is_refused(stiffness: np.ndarray, said: str) -> None:
    with pytest.raises(InputError, match=said):
        orthotropic_constants(stiffness)
