"""Rotated Materials against rotated tensors, scipy's rotations and isotropy."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from contract import Batch, check_consistent, check_contract, check_sensitivity

from fesurrogate.data.sampling import stretches
from fesurrogate.errors import InputError
from fesurrogate.kinematics import Array, Kinematics
from fesurrogate.laws import J2Plasticity, Linear, NeoHookean, Rotated, isotropic_stiffness
from fesurrogate.laws.rotation import rotation_matrix
from fesurrogate.material import Material, Response

KINEMATICS = [Kinematics(d, m) for d in (2, 3) for m in ("small", "finite", "gradient")]
every_kinematics = pytest.mark.parametrize("kinematics", KINEMATICS, ids=str)
STEEL: dict[str, float] = {"young": 200e3, "poisson": 0.3, "yield_stress": 250.0}


def world() -> Any:
    """Return the world communicator where mpi4py is installed."""
    try:
        from mpi4py import MPI
    except ImportError:
        return None
    return MPI.COMM_WORLD


def strains_for(kinematics: Kinematics, samples: int = 12) -> Array:  # (n, m)
    """Return strains of the envelope ±0.1, at finite strain with some rotation in them."""
    strain = stretches(kinematics, samples, 0.1, seed=7)[:, 0]
    if kinematics.measure == "finite":
        strain = strain + np.random.default_rng(8).uniform(-0.05, 0.05, strain.shape)
    return strain


def orientations(gdim: int, samples: int = 12) -> Array:  # (n, q)
    """Return angles or rotation vectors up to about ±3, the first of them tiny."""
    values = np.random.default_rng(9).uniform(-1.8, 1.8, (samples, 1 if gdim == 2 else 3))
    values[0] *= 1e-5
    return values


def full_matrix(size: int) -> Array:  # (size, size)
    """Return a matrix without any symmetry."""
    return np.random.default_rng(size).standard_normal((size, size)) + size * np.eye(size)


def fibres(kinematics: Kinematics) -> Linear:
    """Return σ = (e₁ · ε e₁) e₁ ⊗ e₁, or what it is at another measure: stiff along e₁ alone."""
    stiffness = np.zeros((kinematics.size, kinematics.size))
    stiffness[0, 0] = 1.0
    return Linear(kinematics, stiffness)


@pytest.mark.mpi
@every_kinematics
def test_contract_of_a_law_without_any_symmetry(kinematics: Kinematics) -> None:
    law, strain = Linear(kinematics, full_matrix(kinematics.size)), strains_for(kinematics)
    turns = orientations(kinematics.gdim)
    check_contract(Rotated(law), strain, world(), parameters=turns)
    fixed = turns[3, 0] if kinematics.gdim == 2 else turns[3]
    check_contract(Rotated(law, fixed), strain, world())


@pytest.mark.mpi
@pytest.mark.parametrize("gdim", [2, 3])
def test_contract_of_finite_elasticity_and_of_plasticity(gdim: Any) -> None:
    soft = Rotated(NeoHookean(gdim, shear_modulus=1.3, lame=2.1))
    turns = orientations(gdim)
    check_contract(
        soft, strains_for(soft.kinematics), world(), parameters=turns, objective=True
    )  # fmt: skip
    hard = Rotated(J2Plasticity(gdim, **STEEL, hardening=2000.0))
    flowing = 0.1 * strains_for(hard.kinematics)
    check_contract(hard, flowing, world(), parameters=turns, step=2e-4)


@every_kinematics
def test_the_stiffness_is_the_rotated_tensor(kinematics: Kinematics) -> None:
    """C_ijkl = Q_ia Q_jb Q_kc Q_ld C⁰_abcd, written out with full tensors."""
    gdim, size = kinematics.gdim, kinematics.size
    inner = full_matrix(size)
    turns = orientations(gdim)
    answer = Rotated(Linear(kinematics, inner)).evaluate(
        np.tile(kinematics.rest, (len(turns), 1)), parameters=turns
    )
    basis = kinematics.unpack(np.eye(size))
    for turn, tangent in zip(turns, answer.tangent, strict=True):
        q = scipy_rotation(turn)
        if kinematics.measure == "gradient":
            expected = q @ inner @ q.T
        else:
            tensor = np.einsum("mij,mn,nkl->ijkl", basis, inner, basis)
            turned = np.einsum("ia,jb,kc,ld,abcd->ijkl", q, q, q, q, tensor, optimize=True)
            expected = np.einsum("mij,ijkl,nkl->mn", basis, turned, basis)
        np.testing.assert_allclose(tangent, expected, rtol=0, atol=1e-13 * size**2)


def scipy_rotation(turn: Array) -> Array:  # (1,) or (3,) -> (d, d)
    """Return the rotation by a library of its own."""
    from scipy.spatial.transform import Rotation

    if len(turn) == 3:
        return np.array(Rotation.from_rotvec(turn).as_matrix())
    return np.array(Rotation.from_rotvec([0.0, 0.0, turn[0]]).as_matrix())[:2, :2]


@pytest.mark.parametrize("measure", ["small", "finite", "gradient"])
@pytest.mark.parametrize("gdim", [2, 3])
def test_the_first_axis_turns_counterclockwise(gdim: Any, measure: Any) -> None:
    """Fibres along n = (cos θ, sin θ) answer a stretch of e_x by cos²θ n ⊗ n (flux: cos θ n)."""
    kinematics, angle = Kinematics(gdim, measure), np.deg2rad(30.0)
    along = np.array([np.cos(angle), np.sin(angle), 0.0])[:gdim]
    strain = kinematics.rest[None].copy()
    strain[0, 0] += 0.1
    turned = Rotated(fibres(kinematics), angle if gdim == 2 else [0.0, 0.0, angle])
    if measure == "gradient":
        expected = 0.1 * along[0] * along
    else:
        expected = kinematics.pack(0.1 * along[0] ** 2 * np.outer(along, along)[None])[0]
    np.testing.assert_allclose(turned.evaluate(strain).stress[0], expected, atol=1e-15)


@every_kinematics
def test_an_isotropic_law_is_unchanged(kinematics: Kinematics) -> None:
    strain, turns = strains_for(kinematics), orientations(kinematics.gdim)
    if kinematics.measure == "gradient":
        law: Material = Linear(kinematics, 2.0 * np.eye(kinematics.gdim))
    elif kinematics.measure == "finite":
        law = NeoHookean(kinematics.gdim, shear_modulus=1.3, lame=2.1)
    else:
        law = Linear(kinematics, isotropic_stiffness(kinematics, young=3.0, poisson=0.3))
    plain = law.evaluate(strain)
    turned = Rotated(law).evaluate(strain, parameters=turns, sensitivity=True)
    np.testing.assert_allclose(turned.stress, plain.stress, atol=1e-13)
    np.testing.assert_allclose(turned.tangent, plain.tangent, atol=1e-13)
    np.testing.assert_allclose(turned.report["energy"], plain.report["energy"], rtol=1e-12)
    assert turned.sensitivity is not None
    assert np.abs(turned.sensitivity).max() < 1e-12


def test_history_lives_on_the_axes_of_the_material() -> None:
    """A path of J2: the stress does not turn, the plastic strain of the state does."""
    law = J2Plasticity(3, **STEEL, hardening=2000.0)
    turns = orientations(3)
    path = np.cumsum(2e-3 * np.random.default_rng(2).standard_normal((6, 12, 6)), axis=0)
    turned, state, plain = Rotated(law), None, None
    for strain in path:
        answer = turned.evaluate(strain, state, parameters=turns)
        expected = law.evaluate(strain, plain)
        np.testing.assert_allclose(answer.stress, expected.stress, rtol=0, atol=1e-10)
        np.testing.assert_allclose(answer.tangent, expected.tangent, rtol=0, atol=1e-6)
        state, plain = answer.state, expected.state
    assert state is not None and plain is not None
    assert (plain[:, 6] > 1e-3).all()
    rotation = np.array([scipy_rotation(turn) for turn in turns])
    tensor = law.kinematics.unpack(plain[:, :6])
    on_axes = law.kinematics.pack(rotation.swapaxes(1, 2) @ tensor @ rotation)
    np.testing.assert_allclose(state[:, :6], on_axes, atol=1e-15)


@pytest.mark.parametrize("gdim", [2, 3])
def test_tangent_and_sensitivity_with_history(gdim: Any) -> None:
    """Where flow has left its mark on the axes, an isotropic law too feels that they turn."""
    law = Rotated(J2Plasticity(gdim, **STEEL, hardening=2000.0))
    turns, n = orientations(gdim), 12
    first = 0.01 * np.random.default_rng(3).standard_normal((n, law.kinematics.size))
    state = law.evaluate(first, parameters=turns).state
    second = first + 0.01 * np.random.default_rng(4).standard_normal(first.shape)
    batch = Batch(second, state, 1.0, turns, np.zeros((n, 0)))
    check_consistent(law, batch, 1e-12, 2e-5)
    check_sensitivity(law, batch, 1e-12)
    answer = law.evaluate(second, state, parameters=turns, sensitivity=True)
    assert answer.sensitivity is not None
    assert np.linalg.norm(answer.sensitivity) > 10.0  # MPa per radian: not the zero of isotropy


def test_rotations_are_those_of_scipy_and_their_slope_converges_at_any_size() -> None:
    direction = np.random.default_rng(1).standard_normal((13, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    angles = np.array([0.0, 1e-160, 1e-12, 1e-8, 1e-4, 0.03, 0.5, 0.999999, 1.000001, 2, 3, 3.2, 9])
    vectors = angles[:, None] * direction
    matrix, slope = rotation_matrix(vectors)
    expected = np.array([scipy_rotation(vector) for vector in vectors])
    np.testing.assert_allclose(matrix, expected, rtol=0, atol=4e-15)
    step = 1e-4  # Richardson extrapolation of central differences: error of order step⁴ = 1e-16
    for k, unit in enumerate(np.eye(3)):

        def difference(h: float, unit: Array = unit) -> Array:
            ends = [rotation_matrix(vectors + sign * h * unit)[0] for sign in (1, -1)]
            return (ends[0] - ends[1]) / (2 * h)

        derivative = (4 * difference(step) - difference(2 * step)) / 3
        # round-off of the difference: about 1e-15 / step
        np.testing.assert_allclose(slope[..., k], derivative, rtol=0, atol=5e-11)


def test_the_series_of_small_angles_meets_the_closed_form() -> None:
    """On both sides of an angle of 1 the slope is the same to round-off; fewer terms are not."""
    for below in (1.0 - 1e-13, 1.0):
        vectors = np.array([[below, 0, 0], [1.0 + 1e-13, 0, 0]])
        slope = rotation_matrix(vectors)[1]
        np.testing.assert_allclose(slope[0], slope[1], rtol=0, atol=1e-12)


class Recorder(Material):
    """A Linear law that remembers what it was told."""

    def __init__(self, kinematics: Kinematics) -> None:
        self.law = Linear(kinematics, full_matrix(kinematics.size))
        self.kinematics = kinematics
        self.accepted: list[tuple[Array, Response]] = []
        self.asked: list[tuple[Array, Response]] = []

    def respond(self, strain: Array, state: Array, dt: float, **options: Any) -> Response:
        """Answer the Linear law."""
        answer = self.law.respond(strain, state, dt, **options)
        self.asked.append((strain, answer))
        return answer

    def accept(self, strain: Array, response: Response) -> None:
        """Remember."""
        self.accepted.append((strain, response))

    def snapshot(self) -> dict:
        """Return how often."""
        return {"count": np.array(len(self.accepted))}

    def restore(self, arrays: Any) -> None:
        """Forget."""
        self.accepted = self.accepted[: int(arrays["count"])]


@every_kinematics
def test_what_is_accepted_reaches_the_material_on_its_axes(kinematics: Kinematics) -> None:
    inner, strain = Recorder(kinematics), strains_for(kinematics)
    law, turns = Rotated(inner), orientations(kinematics.gdim)
    answer = law.evaluate(strain, parameters=turns, sensitivity=True)
    np.testing.assert_array_equal(answer.report["orientation"], turns)
    before = law.snapshot()
    law.accept(strain, answer)
    (asked, own), (got, response) = inner.asked[0], inner.accepted[0]
    np.testing.assert_allclose(got, asked, rtol=0, atol=1e-14)
    np.testing.assert_allclose(response.stress, own.stress, rtol=0, atol=1e-13)
    np.testing.assert_allclose(response.tangent, own.tangent, rtol=0, atol=1e-12)
    assert response.report.keys() == own.report.keys()
    assert response.sensitivity is not None and response.sensitivity.shape[2] == 0
    law.restore(before)
    assert inner.accepted == []
    law.accept(strain, replace(answer, tangent=None, sensitivity=None))
    assert inner.accepted[0][1].tangent is None


@every_kinematics
def test_a_point_without_an_orientation_fails_alone(kinematics: Kinematics) -> None:
    law = Rotated(Linear(kinematics, full_matrix(kinematics.size)))
    strain, turns = strains_for(kinematics), orientations(kinematics.gdim)
    clean = law.evaluate(strain, parameters=turns, sensitivity=True)
    turns[[1, 4]] = np.array([[np.nan], [np.inf]])
    answer = law.evaluate(strain, parameters=turns, sensitivity=True)
    failed = np.isin(np.arange(12), [1, 4])
    np.testing.assert_array_equal(answer.ok, ~failed)
    for name in ("stress", "tangent", "sensitivity"):
        assert np.isnan(getattr(answer, name)[failed]).all()
        np.testing.assert_array_equal(getattr(answer, name)[~failed], getattr(clean, name)[~failed])


def test_wrong_orientations_are_refused() -> None:
    plane, solid = fibres(Kinematics(2)), fibres(Kinematics(3))
    for law, orientation in [
        (plane, [0.1, 0.2, 0.3]),
        (plane, np.nan),
        (solid, 0.1),
        (solid, [1.0, np.inf, 0.0]),
    ]:
        with pytest.raises(InputError, match="Rotated: orientation is .* expected"):
            Rotated(law, orientation)
    with pytest.raises(InputError, match="has the parameter angle already"):
        Rotated(Rotated(plane))
    assert Rotated(Rotated(plane, 0.1)).parameter_names == ("angle",)
