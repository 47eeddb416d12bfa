"""Polyconvex networks: elliptic at every strain for any weights, free of stress at rest."""

from __future__ import annotations

import numpy as np
import pytest
from contract import check_contract

from fesurrogate.config.train import EnergySettings, TrainSettings
from fesurrogate.data.generate import generate
from fesurrogate.data.sampling import stretches
from fesurrogate.errors import InputError
from fesurrogate.kinematics import Array, Kinematics
from fesurrogate.laws import NeoHookean

torch = pytest.importorskip("torch")

from networks import assert_derivatives_of_energy, random_energy  # noqa: E402

from fesurrogate.surrogate import (  # noqa: E402
    NetworkMaterial,
    PolyconvexNetwork,
    load_model,
    save_model,
)
from fesurrogate.surrogate.convex import ConvexPerceptron  # noqa: E402
from fesurrogate.train import errors_on, fit  # noqa: E402

KINEMATICS = [Kinematics(2, "finite"), Kinematics(3, "finite")]
each = pytest.mark.parametrize("kinematics", KINEMATICS, ids=str)


def random_polyconvex(kinematics: Kinematics, *, seed: int = 0) -> PolyconvexNetwork:
    """Return a network with random weights, and scales that are not one."""
    network = PolyconvexNetwork(kinematics, (8, 7), seed=seed)
    generator = torch.Generator().manual_seed(seed)
    network.scale.copy_(0.2 + 0.2 * torch.rand(network.scale.shape, generator=generator))
    network.energy_scale.fill_(0.3)
    return network


def wild(kinematics: Kinematics, n: int, *, seed: int = 0) -> Array:
    """Return deformation gradients far from rest, with det F > 0."""
    d = kinematics.gdim
    f = np.eye(d) + np.random.default_rng(seed).normal(0.0, 0.6, (20 * n, d, d))
    return f[np.linalg.det(f) > 0.05][:n].reshape(n, -1)


def lowest_along_rank_one(network, kinematics: Kinematics) -> float:
    """Return the smallest a_i b_J A_iJkL a_k b_L over strains and directions, over the largest."""
    d, generator = kinematics.gdim, np.random.default_rng(1)
    tangent = NetworkMaterial(network).evaluate(wild(kinematics, 200)).tangent
    a, b = generator.standard_normal((2, 200, 50, d))
    rank_one = np.einsum("ndi,ndj->ndij", a, b).reshape(200, 50, -1)
    rank_one /= np.linalg.norm(rank_one, axis=2, keepdims=True)
    values = np.einsum("ndi,nij,ndj->nd", rank_one, tangent, rank_one)
    return float(values.min() / np.abs(values).max())


@each
def test_derivatives_are_those_of_automatic_differentiation(kinematics: Kinematics) -> None:
    assert_derivatives_of_energy(random_polyconvex(kinematics), 1e-11)


@each
def test_laws_of_materials(kinematics: Kinematics) -> None:
    network = random_polyconvex(kinematics)
    strain = stretches(kinematics, 12, 0.15)[:, 0]
    check_contract(NetworkMaterial(network), strain, tolerance=1e-11, step=0.03, objective=True)


@pytest.mark.parametrize("seed", range(4))
@each
def test_elliptic_for_any_weights(kinematics: Kinematics, seed: int) -> None:
    assert lowest_along_rank_one(random_polyconvex(kinematics, seed=seed), kinematics) > -1e-14


@each
def test_other_energies_are_not_elliptic(kinematics: Kinematics) -> None:
    assert lowest_along_rank_one(random_energy(kinematics), kinematics) < -1e-4


@each
def test_convex_along_rank_one_lines(kinematics: Kinematics) -> None:
    """By energies alone: no second difference along F + t a ⊗ b is negative while det F > 0."""
    network, d = random_polyconvex(kinematics), kinematics.gdim
    generator = np.random.default_rng(2)
    lengths = np.linspace(-1.0, 1.0, 41)
    for f in wild(kinematics, 20, seed=3):
        a, b = generator.standard_normal((2, d))
        line = f + lengths[:, None] * np.outer(a, b).ravel()
        energy = NetworkMaterial(network).evaluate(line).report["energy"]
        bends = np.diff(energy, 2)[~np.isnan(np.diff(energy, 2))]
        assert bends.size == 0 or bends.min() >= -1e-12 * np.nanmax(np.abs(energy))


@pytest.mark.parametrize("seed", range(4))
@each
def test_rest_is_free_of_energy_and_stress_and_is_stable(kinematics: Kinematics, seed: int) -> None:
    answer = NetworkMaterial(random_polyconvex(kinematics, seed=seed)).evaluate(
        kinematics.rest[None]
    )
    np.testing.assert_allclose(answer.stress, 0.0, atol=1e-14)
    assert abs(answer.report["energy"][0]) <= 1e-14
    assert np.linalg.eigvalsh(answer.tangent[0]).min() > -1e-12


@each
def test_the_energy_grows_without_bound_as_the_volume_vanishes(kinematics: Kinematics) -> None:
    """As -w g ln J: equal steps of the logarithm add equal energies."""
    network, d = random_polyconvex(kinematics), kinematics.gdim
    volumes = np.array([1e-4, 1e-5, 1e-6])  # J² is known to 1e-16
    strain = np.array([(np.eye(d) * v ** (1.0 / d)).ravel() for v in volumes])
    energy = NetworkMaterial(network).evaluate(strain).report["energy"]
    g = float(torch.nn.functional.softplus(network.growth.detach())) * float(network.energy_scale)
    np.testing.assert_allclose(np.diff(energy), g * np.log(10.0), rtol=0.05)


def test_the_perceptron_is_convex_and_does_not_decrease() -> None:
    network = ConvexPerceptron(5, (6, 7, 4), seed=3)
    x = torch.randn(5, 30, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    _, gradient, hessian = network(3.0 * x)
    assert float(gradient.min()) > 0.0
    assert float(torch.linalg.eigvalsh(hessian.permute(2, 0, 1)).min()) > -1e-14


def test_training_learns_a_law_that_is_polyconvex() -> None:
    """Bars of accuracy are for other energies; this one must be far better than linear."""
    law = NeoHookean(2, shear_modulus=1.0, lame=0.5)
    settings = TrainSettings(
        hidden=(12, 12), iterations=150, energy=EnergySettings(polyconvex=True), suspicious="keep"
    )
    result = fit(generate(law, stretches(law.kinematics, 48, 0.15)), settings)
    unseen = generate(law, stretches(law.kinematics, 100, 0.15, seed=9))
    errors = errors_on(result.network, unseen)
    assert errors.stress < 0.03
    assert lowest_along_rank_one(result.network, law.kinematics) > -1e-14


def test_the_model_file_gives_it_back(tmp_path) -> None:
    pytest.importorskip("safetensors")
    network = random_polyconvex(KINEMATICS[0])
    save_model(tmp_path / "model", network)
    again, _ = load_model(tmp_path / "model")
    strain = torch.from_numpy(stretches(KINEMATICS[0], 3, 0.1)[:, 0])
    assert torch.equal(again(strain).stress, network(strain).stress)


def test_small_strain_is_refused() -> None:
    with pytest.raises(InputError, match="finite strain"):
        PolyconvexNetwork(Kinematics(2, "small"))
