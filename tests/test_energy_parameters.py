"""Energy networks whose points have parameters: exact sensitivities, laws, training."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from contract import check_contract

from fesurrogate.config.train import TrainSettings
from fesurrogate.data.dataset import Dataset
from fesurrogate.data.generate import generate
from fesurrogate.data.sampling import stretches
from fesurrogate.errors import InputError
from fesurrogate.kinematics import Kinematics
from fesurrogate.laws import NeoHookean

torch = pytest.importorskip("torch")

from networks import assert_derivatives_of_energy, random_energy  # noqa: E402

from fesurrogate.surrogate import NetworkMaterial, load_network_material, save_model  # noqa: E402
from fesurrogate.train import errors_on, fit  # noqa: E402

KINEMATICS = [Kinematics(2, "finite"), Kinematics(3, "small"), Kinematics(2, "gradient")]
NAMES = ("volume", "modulus")


@pytest.mark.parametrize("symmetry", ["none", "isotropic"])
@pytest.mark.parametrize("kinematics", KINEMATICS, ids=str)
def test_derivatives_are_those_of_automatic_differentiation(
    kinematics: Kinematics, symmetry: str
) -> None:
    network = random_energy(kinematics, parameter_names=NAMES, symmetry=symmetry, exponentials=2)
    assert_derivatives_of_energy(network, 1e-12)


@pytest.mark.parametrize("kinematics", KINEMATICS, ids=str)
def test_laws_of_materials(kinematics: Kinematics) -> None:
    material = NetworkMaterial(random_energy(kinematics, parameter_names=NAMES), chunk=5)
    strain = stretches(kinematics, 12, 0.1)[:, 0]
    parameters = np.random.default_rng(0).uniform(0.2, 1.5, (12, 2))
    finite = kinematics.measure == "finite"
    check_contract(
        material, strain, parameters=parameters, tolerance=1e-11, step=0.05, objective=finite
    )
    single = NetworkMaterial(random_energy(kinematics, parameter_names=NAMES), dtype="float32")
    for name in ("stress", "tangent", "sensitivity"):
        exact, near = (
            getattr(of.evaluate(strain, parameters=parameters, sensitivity=True), name)
            for of in (material, single)
        )
        assert 0.0 < np.abs(near - exact).max() / np.abs(exact).max() < 1e-5


@pytest.mark.parametrize("kinematics", KINEMATICS, ids=str)
def test_rest_is_free_of_stress_whatever_the_parameters(kinematics: Kinematics) -> None:
    material = NetworkMaterial(random_energy(kinematics, parameter_names=NAMES))
    rest = np.tile(kinematics.rest, (4, 1))
    parameters = np.random.default_rng(0).uniform(-2.0, 2.0, (4, 2))
    answer = material.evaluate(rest, parameters=parameters, sensitivity=True)
    for array in (answer.stress, answer.sensitivity, answer.report["energy"]):
        np.testing.assert_allclose(array, 0.0, atol=1e-14)


def test_parameters_that_are_no_numbers_fail_as_data() -> None:
    kinematics = Kinematics(2)
    material = NetworkMaterial(random_energy(kinematics, parameter_names=NAMES))
    strain = stretches(kinematics, 4, 0.1)[:, 0]
    parameters = np.ones((4, 2))
    parameters[1, 0] = np.nan
    answer = material.evaluate(strain, parameters=parameters)
    assert answer.ok.tolist() == [True, False, True, True]
    assert np.isnan(answer.stress[1]).all()


def neo_hookean(samples: int, *, seed: int) -> Dataset:
    """Return data of a law whose two moduli are parameters, of points near to each other."""
    law = NeoHookean(2, shear_modulus=1.0, lame=1.0, parameters=("shear_modulus", "lame"))
    generator = np.random.default_rng(seed)
    parameters = generator.uniform(0.5, 2.0, (samples, 2))
    return generate(law, stretches(law.kinematics, samples, 0.2, seed=seed), parameters=parameters)


def test_a_law_affine_in_its_parameters_is_in_the_closed_form_part() -> None:
    """W = μ ... + λ ...: exact between and beyond the parameters of the samples."""
    result = fit(neo_hookean(40, seed=0), TrainSettings(hidden=(4,), iterations=20))
    beyond = neo_hookean(50, seed=1)
    assert errors_on(result.network, beyond).stress < 1e-7
    answer = NetworkMaterial(result.network).evaluate(
        beyond.strain[:, 0], parameters=beyond.parameters, sensitivity=True
    )
    law = NeoHookean(2, shear_modulus=1.0, lame=1.0, parameters=("shear_modulus", "lame"))
    exact = law.evaluate(beyond.strain[:, 0], parameters=beyond.parameters, sensitivity=True)
    np.testing.assert_allclose(answer.sensitivity, exact.sensitivity, atol=1e-6)


def test_a_law_that_is_not_affine_is_learned_with_its_sensitivity() -> None:
    """Constants exp p: the network without parameters cannot know them, and errs by > 10 %."""
    law = NeoHookean(2, shear_modulus=1.0, lame=1.0, parameters=("shear_modulus",))

    def data(samples: int, seed: int) -> Dataset:
        exponent = np.random.default_rng(seed).uniform(-0.4, 0.4, (samples, 1))
        strains = stretches(law.kinematics, samples, 0.2, seed=seed)
        made = generate(law, strains, parameters=np.exp(exponent))
        return replace(made, parameters=exponent)

    settings = TrainSettings(hidden=(12, 12), iterations=100, suspicious="keep")
    unseen = data(100, seed=5)
    fitted = fit(data(80, seed=0), settings)
    assert errors_on(fitted.network, unseen).stress < 0.01
    blind = replace(data(80, seed=0), parameters=np.zeros((80, 0)), parameter_names=())
    alone = fit(blind, replace(settings, iterations=40))
    nameless = replace(unseen, parameters=np.zeros((100, 0)), parameter_names=())
    assert errors_on(alone.network, nameless).stress > 0.1
    answer = NetworkMaterial(fitted.network).evaluate(
        unseen.strain[:, 0], parameters=unseen.parameters, sensitivity=True
    )
    moduli = np.exp(unseen.parameters)
    exact = law.evaluate(unseen.strain[:, 0], parameters=moduli, sensitivity=True).sensitivity
    exact = exact * moduli[:, None]  # by the chain rule
    error = np.linalg.norm(answer.sensitivity - exact) / np.linalg.norm(exact)
    assert error < 0.05


def test_the_model_file_keeps_names_and_scales(tmp_path) -> None:
    pytest.importorskip("safetensors")
    network = random_energy(Kinematics(2), parameter_names=NAMES)
    save_model(tmp_path / "model", network)
    material = load_network_material(tmp_path / "model", Kinematics(2))
    assert material.parameter_names == NAMES
    strain, parameters = stretches(Kinematics(2), 6, 0.1)[:, 0], np.full((6, 2), 0.3)
    np.testing.assert_array_equal(
        material.evaluate(strain, parameters=parameters).stress,
        NetworkMaterial(network).evaluate(strain, parameters=parameters).stress,
    )
    with pytest.raises(InputError, match="volume, modulus"):
        material.evaluate(strain)
