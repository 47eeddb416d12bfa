"""Transversely isotropic stiffness against its engineering constants, read off by pulling."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fesurrogate.errors import InputError
from fesurrogate.kinematics import Array, Kinematics
from fesurrogate.laws import (
    Linear,
    Rotated,
    TransverselyIsotropic,
    isotropic_stiffness,
)

CARBON: dict[str, Any] = {  # of the order of a carbon fibre, GPa
    "young_along": 230.0,
    "young_across": 15.0,
    "shear_along": 24.0,
    "poisson_along": 0.2,
    "poisson_across": 0.3,
}
SOLID, PLANE = Kinematics(3), Kinematics(2)


def tensor_compliance(axis: Array, constants: dict[str, float]) -> Array:  # (6, 6), Mandel
    """Return the compliance about an axis n as sum over invariant tensors, with no rotation.

    S = (1 + ν23)/E2 I - ν23/E2 1⊗1 + a (n⊗n⊗1 + 1⊗n⊗n) + b n⊗n⊗n⊗n + c I_n with
    I_n : ε = n⊗n ε + ε n⊗n; a, b and c from a pull across, a pull along and a shear along n.
    """
    e1, e2 = constants["young_along"], constants["young_across"]
    n12, n23 = constants["poisson_along"], constants["poisson_across"]
    unit, nn = np.eye(3), np.outer(axis, axis)
    trace, fibre = SOLID.pack(unit[None])[0], SOLID.pack(nn[None])[0]
    shear = 1 / (2 * constants["shear_along"]) - (1 + n23) / e2  # Mandel: 1/(2 G12) - 1/(2 G23)
    basis = SOLID.unpack(np.eye(6))
    around = SOLID.pack(nn @ basis + basis @ nn).T
    cross = -n12 / e1 + n23 / e2
    along = 1 / e1 - (1 + n23) / e2 + n23 / e2 - 2 * cross - 2 * shear
    return (
        (1 + n23) / e2 * np.eye(6)
        - n23 / e2 * np.outer(trace, trace)
        + cross * (np.outer(fibre, trace) + np.outer(trace, fibre))
        + along * np.outer(fibre, fibre)
        + shear * around
    )


@pytest.mark.parametrize("direction", [[1, 0, 0], [0, 0, 3], [1, 1, 0], [0.3, -2.0, 0.7]])
def test_it_is_the_inverse_of_the_compliance(direction: list[float]) -> None:
    axis = np.array(direction) / np.linalg.norm(direction)
    stiffness = TransverselyIsotropic(SOLID, **CARBON, direction=direction).stiffness
    product = stiffness @ tensor_compliance(axis, CARBON)
    np.testing.assert_allclose(product, np.eye(6), atol=1e-13)
    np.testing.assert_allclose(stiffness, stiffness.T, atol=1e-13)


def test_pulling_shows_the_engineering_constants() -> None:
    compliance = np.linalg.inv(
        TransverselyIsotropic(SOLID, **CARBON, direction=[1, 0, 0]).stiffness
    )
    along, across = compliance[:, 0], compliance[:, 1]
    np.testing.assert_allclose(along, [1 / 230, -0.2 / 230, -0.2 / 230, 0, 0, 0], atol=1e-16)
    np.testing.assert_allclose(across, [-0.2 / 230, 1 / 15, -0.3 / 15, 0, 0, 0], atol=1e-16)
    shear = 1 / (2 * np.diag(compliance)[3:])  # G23, G13, G12
    np.testing.assert_allclose(shear, [15 / 2.6, 24, 24], rtol=1e-13)


@pytest.mark.parametrize("measure", ["small", "finite"])
def test_plane_strain_is_the_block_of_the_solid(measure: Any) -> None:
    plane, solid = Kinematics(2, measure), Kinematics(3, measure)
    columns = [0, 1, 5] if measure == "small" else [0, 1, 3, 4]
    for short, long in [([1, 2], [1, 2, 0]), ([0, -1], [0, -1, 0]), ([0, 0, 1], [0, 0, 1])]:
        flat = TransverselyIsotropic(plane, **CARBON, direction=short).stiffness
        full = TransverselyIsotropic(solid, **CARBON, direction=long).stiffness
        np.testing.assert_allclose(flat, full[np.ix_(columns, columns)], atol=1e-12)


def test_fibres_out_of_the_plane_leave_isotropy_in_it() -> None:
    """C = k 1⊗1 + 2 G23 dev with Hill's plane-strain bulk modulus, whatever the angle."""
    stiffness = TransverselyIsotropic(PLANE, **CARBON, direction=[0, 0, -2]).stiffness
    bulk = 1 / (2 * (1 - 0.3) / 15 - 4 * 0.2**2 / 230)
    shear, trace = 15 / 2.6, np.array([1, 1, 0])
    expected = (bulk - shear) * np.outer(trace, trace) + 2 * shear * np.eye(3)
    np.testing.assert_allclose(stiffness, expected, atol=1e-13)


@pytest.mark.parametrize("gdim", [2, 3])
@pytest.mark.parametrize("measure", ["small", "finite"])
def test_turning_the_direction_is_turning_the_solid(gdim: Any, measure: Any) -> None:
    kinematics, angle = Kinematics(gdim, measure), 0.7
    direction = [np.cos(angle), np.sin(angle), 0.0][:gdim]
    straight = TransverselyIsotropic(
        kinematics, **CARBON, direction=[1.0, 0.0, 0.0][:gdim]
    ).stiffness
    turned = Rotated(Linear(kinematics, straight), angle if gdim == 2 else [0, 0, angle])
    strain = np.random.default_rng(0).uniform(-0.1, 0.1, (5, kinematics.size))
    law = Linear(
        kinematics, TransverselyIsotropic(kinematics, **CARBON, direction=direction).stiffness
    )
    np.testing.assert_allclose(
        law.evaluate(strain).stress, turned.evaluate(strain).stress, atol=1e-12
    )


@pytest.mark.parametrize("gdim", [2, 3])
@pytest.mark.parametrize("measure", ["small", "finite"])
def test_equal_constants_are_isotropic(gdim: Any, measure: Any) -> None:
    kinematics = Kinematics(gdim, measure)
    same = TransverselyIsotropic(
        kinematics,
        young_along=2.6,
        young_across=2.6,
        shear_along=1.0,
        poisson_along=0.3,
        poisson_across=0.3,
        direction=[0.2, 1.0, -0.4][:gdim],
    ).stiffness
    expected = isotropic_stiffness(kinematics, young=2.6, poisson=0.3)
    np.testing.assert_allclose(same, expected, atol=1e-14)


def test_the_bound_of_poissons_ratio_is_where_definiteness_ends() -> None:
    limit = np.sqrt(0.5 * 0.7 * 230 / 15)

    def smallest(ratio: float) -> float:
        constants = {**CARBON, "poisson_along": ratio}
        stiffness = TransverselyIsotropic(SOLID, **constants, direction=[1, 0, 0]).stiffness
        return float(1 / np.linalg.eigvalsh(stiffness).max())

    near, nearer = smallest(limit * (1 - 1e-4)), smallest(limit * (1 - 1e-6))
    assert 0 < nearer < 0.02 * near  # the softest compliance vanishes linearly at the bound
    with pytest.raises(InputError, match=f"poisson_along .*less than {limit:.4f}"):
        smallest(limit * (1 + 1e-9))


@pytest.mark.parametrize(
    ("constants", "named"),
    [
        ({"young_along": 0.0}, "young_along is 0.0; expected a finite number > 0"),
        ({"young_across": np.nan}, "young_across is nan"),
        ({"shear_along": -1.0}, "shear_along is -1.0"),
        ({"poisson_across": 1.0}, r"poisson_across is 1.0; expected a number in \(-1, 1\)"),
        ({"poisson_along": np.nan}, "poisson_along is nan"),
        ({"direction": [0, 0, 0]}, "direction .* not all zero"),
        ({"direction": [1, 0, 0, 0]}, "direction .* 2 .or 3. finite numbers"),
        ({"direction": [np.inf, 0]}, "direction .* finite"),
        ({"direction": [1, 0, 1]}, "direction .* in the plane or along z"),
    ],
)
def test_bad_constants_are_named(constants: dict[str, Any], named: str) -> None:
    with pytest.raises(InputError, match=named):
        TransverselyIsotropic(PLANE, **{**CARBON, "direction": [1, 0], **constants})


def test_solids_and_gradients_are_particular() -> None:
    with pytest.raises(InputError, match="expected 3 finite numbers"):
        TransverselyIsotropic(SOLID, **CARBON, direction=[1, 0])
    with pytest.raises(InputError, match="conductivity"):
        TransverselyIsotropic(Kinematics(2, "gradient"), **CARBON, direction=[1, 0])
