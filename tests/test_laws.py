"""Closed-form laws against closed forms: energies, small-strain limits, uniaxial tension."""

from __future__ import annotations

import numpy as np
import pytest

from fesurrogate.data.sampling import stretches
from fesurrogate.errors import InputError
from fesurrogate.kinematics import Kinematics
from fesurrogate.laws import Linear, NeoHookean, isotropic_stiffness


@pytest.mark.parametrize("gdim", [2, 3])
def test_isotropic_stiffness_is_hookes_law(gdim: int) -> None:
    young, poisson = 3.0, 0.3
    kinematics = Kinematics(gdim)
    lame = young * poisson / ((1 + poisson) * (1 - 2 * poisson))
    shear = young / (2 * (1 + poisson))
    tensor = np.random.default_rng(0).standard_normal((6, gdim, gdim))
    tensor = tensor + np.swapaxes(tensor, 1, 2)
    trace = np.trace(tensor, axis1=1, axis2=2)[:, None, None]
    expected = kinematics.pack(lame * trace * np.eye(gdim) + 2 * shear * tensor)
    law = Linear(kinematics, isotropic_stiffness(kinematics, young=young, poisson=poisson))
    answer = law.evaluate(kinematics.pack(tensor))
    np.testing.assert_allclose(answer.stress, expected, rtol=1e-13, atol=1e-13)
    work = 0.5 * np.einsum("ni,ni->n", expected, kinematics.pack(tensor))
    np.testing.assert_allclose(answer.report["energy"], work, rtol=1e-13)


def test_uniaxial_stress_gives_young_and_poisson() -> None:
    stiffness = isotropic_stiffness(Kinematics(3), young=7.0, poisson=0.25)
    strain = np.linalg.solve(stiffness, [1.0, 0, 0, 0, 0, 0])
    np.testing.assert_allclose(strain, [1 / 7, -0.25 / 7, -0.25 / 7, 0, 0, 0], atol=1e-15)


@pytest.mark.parametrize("gdim", [2, 3])
def test_finite_stiffness_sees_the_symmetric_part_only(gdim: int) -> None:
    small, finite = Kinematics(gdim), Kinematics(gdim, "finite")
    constants = {"young": 2.0, "poisson": 0.2}
    gradient = np.random.default_rng(1).standard_normal((5, gdim, gdim))
    full = (finite.pack(gradient) @ isotropic_stiffness(finite, **constants)).reshape(
        gradient.shape
    )
    mandel = small.unpack(small.pack(gradient) @ isotropic_stiffness(small, **constants))
    np.testing.assert_allclose(full, mandel, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("gdim", [2, 3])
def test_neo_hookean_at_rest_is_hookes_law(gdim: int) -> None:
    shear, lame = 1.3, 2.1
    law = NeoHookean(gdim, shear_modulus=shear, lame=lame)
    answer = law.evaluate(law.kinematics.rest[None])
    young = shear * (3 * lame + 2 * shear) / (lame + shear)
    hooke = isotropic_stiffness(law.kinematics, young=young, poisson=lame / (2 * (lame + shear)))
    np.testing.assert_allclose(answer.stress, 0.0, atol=1e-15)
    np.testing.assert_allclose(answer.tangent[0], hooke, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("gdim", [2, 3])
def test_neo_hookean_energy_and_its_derivative(gdim: int) -> None:
    shear, lame = 1.3, 2.1
    law = NeoHookean(gdim, shear_modulus=shear, lame=lame)
    strain = stretches(law.kinematics, 8, 0.2, seed=1)[:, 0]
    solid = np.tile(np.eye(3), (8, 1, 1))
    solid[:, :gdim, :gdim] = strain.reshape(8, gdim, gdim)
    first, logarithm = (solid**2).sum((1, 2)), np.log(np.linalg.det(solid))
    energy = shear / 2 * (first - 3 - 2 * logarithm) + lame / 2 * logarithm**2
    answer = law.evaluate(strain)
    np.testing.assert_allclose(answer.report["energy"], energy, rtol=1e-12, atol=1e-14)
    step = 1e-5  # central differences: error about step² = 1e-10
    for k, unit in enumerate(np.eye(gdim**2)):
        plus, minus = (law.evaluate(strain + s * step * unit).report["energy"] for s in (1, -1))
        np.testing.assert_allclose((plus - minus) / (2 * step), answer.stress[:, k], atol=1e-8)


def test_plane_strain_is_the_solid_with_unit_stretch_in_the_third_direction() -> None:
    plane = NeoHookean(2, shear_modulus=1.0, bulk_modulus=2.0)
    solid = NeoHookean(3, shear_modulus=1.0, bulk_modulus=2.0)
    strain = stretches(plane.kinematics, 6, 0.2)[:, 0]
    embedded = np.tile(np.eye(3), (6, 1, 1))
    embedded[:, :2, :2] = strain.reshape(6, 2, 2)
    stress = solid.evaluate(embedded.reshape(6, 9)).stress.reshape(6, 3, 3)[:, :2, :2]
    np.testing.assert_allclose(plane.evaluate(strain).stress, stress.reshape(6, 4), atol=1e-14)


def test_bulk_modulus_is_the_small_strain_one() -> None:
    law = NeoHookean(3, shear_modulus=1.0, bulk_modulus=2.5)
    tangent = law.evaluate(law.kinematics.rest[None]).tangent
    assert tangent is not None
    assert np.eye(3).ravel() @ tangent[0] @ np.eye(3).ravel() / 9 == pytest.approx(2.5)


@pytest.mark.parametrize(
    ("constants", "named"),
    [
        ({"shear_modulus": -1.0, "lame": 1.0}, "shear_modulus"),
        ({"shear_modulus": 0.0, "lame": 1.0}, "shear_modulus"),
        ({"shear_modulus": 1.0, "lame": -1.0}, "lame"),
        ({"shear_modulus": 1.0, "bulk_modulus": 0.0}, "bulk_modulus"),
        ({"shear_modulus": 1.0, "bulk_modulus": 0.5}, "bulk_modulus"),
        ({"shear_modulus": np.nan, "lame": 1.0}, "shear_modulus"),
        ({"shear_modulus": 1.0}, "bulk_modulus and lame"),
        ({"shear_modulus": 1.0, "lame": 1.0, "bulk_modulus": 1.0}, "bulk_modulus and lame"),
    ],
)
def test_bad_moduli_are_named(constants: dict, named: str) -> None:
    with pytest.raises(InputError, match=named):
        NeoHookean(2, **constants)


@pytest.mark.parametrize(
    ("constants", "named"),
    [({"young": -1.0, "poisson": 0.3}, "young"), ({"young": 1.0, "poisson": 0.5}, "poisson")],
)
def test_bad_elastic_constants_are_named(constants: dict, named: str) -> None:
    with pytest.raises(InputError, match=named):
        isotropic_stiffness(Kinematics(2), **constants)


def test_bad_stiffness_is_refused() -> None:
    with pytest.raises(InputError, match=r"\(3, 3\)"):
        Linear(Kinematics(2), np.eye(4))
    with pytest.raises(InputError, match="finite"):
        Linear(Kinematics(2), np.diag([1.0, np.nan, 1.0]))
    with pytest.raises(InputError, match="conductivity"):
        isotropic_stiffness(Kinematics(2, "gradient"), young=1.0, poisson=0.3)
