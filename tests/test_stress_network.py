"""Stress networks: derivatives, laws, training of laws that have no energy, symmetric tangents."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from contract import check_contract

from fesurrogate.config.train import StressSettings, TrainSettings
from fesurrogate.data.dataset import Dataset
from fesurrogate.data.generate import generate
from fesurrogate.data.sampling import stretches
from fesurrogate.errors import InputError
from fesurrogate.kinematics import Array, Kinematics
from fesurrogate.laws import Linear

torch = pytest.importorskip("torch")

from fesurrogate.surrogate import NetworkMaterial, StressNetwork, load_model, save_model  # noqa: E402
from fesurrogate.train import errors_on, fit  # noqa: E402

KINEMATICS = [Kinematics(2, "small"), Kinematics(3, "small"), Kinematics(2, "gradient")]
NAMES = ("volume", "modulus")


def random_stress(kinematics: Kinematics, *, seed: int = 0, **options) -> StressNetwork:
    """Return a network with random weights, and scales that are not one."""
    network = StressNetwork(kinematics, (8, 7), seed=seed, **options)
    generator = torch.Generator().manual_seed(seed)
    network.stiffness.copy_(torch.randn(network.stiffness.shape, generator=generator))
    network.scale.copy_(0.1 + 0.1 * torch.rand(network.scale.shape, generator=generator))
    network.stress_scale.fill_(0.05)
    network.scaling.width.mul_(0.7)
    return network


@pytest.mark.parametrize("kinematics", KINEMATICS, ids=str)
def test_derivatives_are_those_of_automatic_differentiation(kinematics: Kinematics) -> None:
    network = random_stress(kinematics, parameter_names=NAMES)
    strain = torch.from_numpy(stretches(kinematics, 5, 0.2)[:, 0])
    parameters = torch.rand(5, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))

    def stress(row: torch.Tensor, parameter: torch.Tensor) -> torch.Tensor:
        return network(row[None], parameters=parameter[None], tangent=False).stress[0]

    answer = network(strain, parameters=parameters, sensitivity=True)
    both = torch.func.vmap(torch.func.jacrev(stress, argnums=(0, 1)))(strain, parameters)
    torch.testing.assert_close(answer.tangent, both[0], rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(answer.sensitivity, both[1], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("names", [(), NAMES])
@pytest.mark.parametrize("kinematics", KINEMATICS, ids=str)
def test_laws_of_materials(kinematics: Kinematics, names: tuple[str, ...]) -> None:
    material = NetworkMaterial(random_stress(kinematics, parameter_names=names), chunk=5)
    parameters = np.random.default_rng(0).uniform(0.2, 1.5, (12, len(names)))
    strain = stretches(kinematics, 12, 0.1)[:, 0]
    check_contract(material, strain, parameters=parameters, tolerance=1e-11, step=0.05)
    rest = np.zeros((12, kinematics.size))
    np.testing.assert_allclose(material.evaluate(rest, parameters=parameters).stress, 0, atol=1e-14)


def swirling(strain: Array) -> tuple[Array, Array]:
    """Return a flux with no potential, and its derivative: g + |g|² turned by 90 degrees."""
    turned = strain @ np.array([[0.0, 1.0], [-1.0, 0.0]])
    square = (strain**2).sum(1)[:, None]
    flux = strain + 3.0 * square * turned
    turn = np.array([[0.0, -1.0], [1.0, 0.0]])
    moduli = np.eye(2) + 3.0 * square[:, :, None] * turn
    return flux, moduli + 6.0 * turned[:, :, None] * strain[:, None, :]


def swirling_data(samples: int, *, seed: int = 0) -> Dataset:
    kinematics = Kinematics(2, "gradient")
    strain = stretches(kinematics, samples, 0.3, seed=seed)
    stress, tangent = swirling(strain[:, 0])
    ok = np.ones((samples, 1), dtype=bool)
    return Dataset(kinematics, strain, stress[:, None], tangent[:, None], ok)


SETTINGS = TrainSettings(model="stress", hidden=(16,), iterations=120, suspicious="keep")


def test_a_law_without_an_energy_is_learned() -> None:
    """The energy network cannot: what is left is at least the skew part of the tangent."""
    data, unseen = swirling_data(40), swirling_data(100, seed=9)
    errors = errors_on(fit(data, SETTINGS).network, unseen)
    energy = errors_on(fit(data, replace(SETTINGS, model="energy")).network, unseen)
    tangent = unseen.tangent[:, 0]
    skew = 0.5 * (tangent - np.swapaxes(tangent, 1, 2))
    bound = np.linalg.norm(skew) / np.linalg.norm(tangent)
    assert errors.stress < 0.01 and errors.tangent < 0.03
    assert bound > 0.05
    assert energy.tangent >= bound * (1.0 - 1e-12)


def test_a_symmetric_tangent_declares_what_it_leaves_out() -> None:
    settings = replace(SETTINGS, stress=StressSettings(symmetric=True), iterations=60)
    network = fit(swirling_data(40), settings).network
    material = NetworkMaterial(network)
    assert 0.05 < material.tangent_error < 2.0
    strain = stretches(network.kinematics, 12, 0.2)[:, 0]
    tangent = material.evaluate(strain).tangent
    np.testing.assert_array_equal(tangent, np.swapaxes(tangent, 1, 2))
    check_contract(material, strain, tolerance=1e-11)  # the bound on the tangent's error, too


@pytest.mark.parametrize("kinematics", KINEMATICS, ids=str)
def test_a_linear_law_is_learned_exactly(kinematics: Kinematics) -> None:
    stiffness = np.random.default_rng(0).standard_normal((kinematics.size, kinematics.size))
    data = generate(Linear(kinematics, stiffness), stretches(kinematics, 40, 0.1))
    assert fit(data, replace(SETTINGS, iterations=1)).errors.stress < 1e-8


def test_finite_strain_is_refused_with_advice() -> None:
    with pytest.raises(InputError, match="model = 'energy'"):
        StressNetwork(Kinematics(2, "finite"))


def test_the_model_file_gives_it_back(tmp_path) -> None:
    pytest.importorskip("safetensors")
    network = random_stress(Kinematics(2), symmetric=True, parameter_names=NAMES)
    network.asymmetry.fill_(0.01)
    save_model(tmp_path / "model", network)
    again, _ = load_model(tmp_path / "model")
    assert again.tangent_error() == 0.02 and again.parameter_names == NAMES
    strain = torch.from_numpy(stretches(Kinematics(2), 3, 0.1)[:, 0])
    parameters = torch.ones(3, 2, dtype=torch.float64)
    assert torch.equal(
        again(strain, parameters=parameters).tangent, network(strain, parameters=parameters).tangent
    )
