"""What the cell's answer must not depend on: the observer, and the symmetries of its own shape."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from verification import rotation, tagged_cell

from fesurrogate.kinematics import Array, Kinematics
from fesurrogate.laws import J2Plasticity, Ogden
from fesurrogate.micro import Cell, RVEMaterial, linear_elastic, neo_hookean

BOUNDARIES = ("periodic", "linear", "traction")
SPACES = {"plane": (2, 2), "prism": (2, 3), "solid": (3, 3)}  # dimension, gdim
every_boundary = pytest.mark.parametrize("boundary", BOUNDARIES)
spaces = pytest.mark.parametrize(("dimension", "gdim"), SPACES.values(), ids=SPACES)


def inclusion(dimension: int, *, symmetric: bool) -> Cell:
    """A stiff square or cube in the middle of its like, or off it."""
    centre = np.full(dimension, 0.5) - (0 if symmetric else np.array([0.25, 0.0, 0.25])[:dimension])
    kind, count = ("quadrilateral", 4) if dimension == 2 else ("hexahedron", 4)

    def phase_of(x: Array) -> Array:
        return np.where(np.abs(x - centre).max(axis=1) < 0.26, "stiff", "soft")

    return tagged_cell(kind, [count] * dimension, phase_of)


def hyperelastic(dimension: int, gdim: int, *, symmetric: bool, boundary: str) -> RVEMaterial:
    """A Material in an energy: both kinds of phase are asked."""
    phases = {
        "soft": Ogden(gdim, terms=((1.0, 2.0), (-0.2, -2.0)), bulk_modulus=5.0),
        "stiff": neo_hookean(shear_modulus=10.0, lame=15.0),
    }
    return RVEMaterial(
        inclusion(dimension, symmetric=symmetric), phases, Kinematics(gdim, "finite"),
        degree=1, rtol=1e-11, boundary=boundary,
    )  # fmt: skip


@every_boundary
@spaces
def test_frame_indifference_at_large_rotations(dimension: int, gdim: int, boundary: str) -> None:
    """P(QF) = Q P(F), the energy stays, and moduli turn, from 30 degrees to half a turn.

    The points are solved without hint: the fluctuation then grows from rest to a turned one.
    """
    rve = hyperelastic(dimension, gdim, symmetric=False, boundary=boundary)
    rng = np.random.default_rng(1)
    F = np.eye(gdim) + rng.uniform(-0.1, 0.1, (gdim, gdim))
    turns = np.array(
        [rotation(gdim, angle) for angle in np.deg2rad([0.0, 30.0, 90.0, 135.0, 180.0])]
    )
    answer = rve.evaluate((turns @ F).reshape(len(turns), -1))
    assert answer.ok.all()
    stress = answer.stress.reshape(-1, gdim, gdim)
    moduli = answer.tangent.reshape(-1, *[gdim] * 4)
    scale, stiff = np.abs(stress[0]).max(), np.abs(moduli[0]).max()
    np.testing.assert_allclose(stress, turns @ stress[0], rtol=0, atol=1e-8 * scale)
    expected = np.einsum("nia,aJcL,nkc->niJkL", turns, moduli[0], turns)
    np.testing.assert_allclose(moduli, expected, rtol=0, atol=1e-7 * stiff)
    spin = stress[0] @ F.T  # balance of moments: P Fᵀ is symmetric
    np.testing.assert_allclose(spin, spin.T, rtol=0, atol=1e-8 * scale)


@pytest.mark.parametrize("gdim", [2, 3])
def test_what_can_be_solved_does_not_depend_on_the_observer(gdim: int) -> None:
    """A strain that Newton meets only in parts, turned: the same parts, as many iterations.

    Not to the last one: an attempt that fails amplifies rounding.
    """
    phases = {
        "soft": neo_hookean(shear_modulus=1.0, lame=3.0),
        "stiff": neo_hookean(shear_modulus=100.0, lame=300.0),
    }
    wide = tagged_cell(
        "triangle",
        [6, 6],
        lambda x: np.where(np.abs(x - 0.5).max(axis=1) < 0.34, "stiff", "soft"),
    )
    rve = RVEMaterial(wide, phases, Kinematics(gdim, "finite"), degree=1)
    F = np.eye(gdim)
    F[:2, :2] = [[1.3, 0.6], [0.0, 0.7]]
    turns = [rotation(gdim, angle) for angle in np.deg2rad([0.0, 90.0, 135.0, 180.0])]
    answer = rve.evaluate(np.array([(Q @ F).ravel() for Q in turns]))
    assert answer.ok.all()
    iterations = answer.report["micro_iterations"]
    assert iterations.min() > 12 and np.ptp(iterations) <= 0.3 * iterations.min(), iterations
    stress = np.array(
        [Q.T @ P.reshape(gdim, gdim) for Q, P in zip(turns, answer.stress, strict=True)]
    )
    np.testing.assert_allclose(stress - stress[0], 0, atol=1e-6 * np.abs(stress[0]).max())


def symmetries(gdim: int, dimension: int) -> list[Array]:
    """Return the rotations that take a square into itself (also about z, in space) or a cube."""
    signed = [
        np.diag(signs) @ np.eye(dimension)[list(order)]
        for order in itertools.permutations(range(dimension))
        for signs in itertools.product([1.0, -1.0], repeat=dimension)
    ]
    turns = []
    for matrix in signed:
        full = np.eye(gdim)
        full[:dimension, :dimension] = matrix
        if dimension == gdim and np.linalg.det(matrix) < 0:
            continue
        full[-1, -1] *= np.linalg.det(full) if dimension < gdim else 1.0
        turns.append(full)
    return turns


@every_boundary
@spaces
def test_a_square_cell_has_the_symmetry_of_the_square(
    dimension: int, gdim: int, boundary: str
) -> None:
    """P(Q F Qᵀ) = Q P(F) Qᵀ for every Q that takes the cell into itself, and for no other."""
    rve = hyperelastic(dimension, gdim, symmetric=True, boundary=boundary)
    turns = np.array(symmetries(gdim, dimension))
    assert len(turns) == {"22": 4, "23": 8, "33": 24}[f"{dimension}{gdim}"]
    turns = np.append(
        turns[:: max(1, len(turns) // 8)], [rotation(gdim, np.pi / 4, (0, 0, 1))], axis=0
    )
    F = np.eye(gdim) + np.random.default_rng(2).uniform(-0.2, 0.2, (gdim, gdim))
    turned = turns @ F @ turns.transpose(0, 2, 1)
    P = rve.evaluate(F.reshape(1, -1)).stress.reshape(gdim, gdim)
    got = rve.evaluate(turned.reshape(len(turns), -1)).stress.reshape(-1, gdim, gdim)
    apart = np.abs(got - turns @ P @ turns.transpose(0, 2, 1)).max(axis=(1, 2)) / np.abs(P).max()
    assert apart[:-1].max() < 1e-8
    assert apart[-1] > 0.01  # an eighth of a turn takes the square into another


@every_boundary
@pytest.mark.parametrize("gdim", [2, 3])
def test_a_plastic_square_cell_turns_with_its_path(gdim: int, boundary: str) -> None:
    """Stress along a path and along the path turned by a right angle, history and all."""
    kinematics = Kinematics(gdim)
    phases = {
        "soft": J2Plasticity(gdim, young=200.0, poisson=0.3, yield_stress=1.0, hardening=5.0),
        "stiff": linear_elastic(young=400.0, poisson=0.2),
    }
    cell = inclusion(gdim, symmetric=True)
    rve = RVEMaterial(cell, phases, kinematics, degree=1, rtol=1e-11, boundary=boundary)
    turn = rotation(gdim, np.pi / 2, (0, 0, 1))
    corners = 0.02 * np.random.default_rng(4).standard_normal((3, kinematics.size))
    path = np.concatenate([np.linspace(0, a, 3)[1:] for a in corners])
    pairs = np.stack([path, kinematics.pack(turn @ kinematics.unpack(path) @ turn.T)], axis=1)
    state = rve.initial_state(2)
    for pair in pairs:  # the two points of a pair keep histories of their own
        answer = rve.evaluate(pair, state)
        assert answer.ok.all()
        state = answer.state
        plain, turned = kinematics.unpack(answer.stress)
        np.testing.assert_allclose(turned, turn @ plain @ turn.T, rtol=0, atol=1e-8)
    assert np.abs(plain).max() > 0.5
