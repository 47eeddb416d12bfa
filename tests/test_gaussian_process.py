"""Gaussian process of the energy: derivatives, conditioning, calibrated standard deviations."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from contract import check_contract

from fesurrogate.config import TrainSettings
from fesurrogate.data.dataset import Dataset
from fesurrogate.data.sampling import stretches
from fesurrogate.errors import InputError
from fesurrogate.kinematics import Array, Kinematics

torch = pytest.importorskip("torch")

from fesurrogate.surrogate import NetworkMaterial, load_model, save_model  # noqa: E402
from fesurrogate.surrogate.gaussian_process import (  # noqa: E402
    LARGEST_SYSTEM,
    GaussianProcess,
    stress_covariance,
)
from fesurrogate.train.calibration import (  # noqa: E402
    WIDTH,
    calibrate,
    conformal_factor,
    coverage,
    errors_and_deviations,
)
from fesurrogate.train.errors import errors_on  # noqa: E402
from fesurrogate.train.gaussian_process import (  # noqa: E402
    SMALLEST_NOISE,
    fit_gaussian_process,
)

DTYPES = ("float64", "float32")
SETTINGS = TrainSettings(validation=0.2)
ONE = torch.ones((), dtype=torch.float64)


def sampled(kinematics: Kinematics, samples: int, *, seed: int = 0) -> Dataset:
    """Return stresses of W = ½ |e|² + 0.2 sin(4 e_1) cos(3 e_2), with e objective."""
    strain = stretches(kinematics, samples, 0.3 if kinematics.gdim == 2 else 0.2, seed=seed)
    return Dataset(kinematics, strain, stresses(kinematics, strain), None, solved(strain))


def solved(strain: Array) -> np.ndarray:
    return np.ones(strain.shape[:2], dtype=bool)


def stresses(kinematics: Kinematics, strain: Array) -> Array:
    from fesurrogate.surrogate.objective import components

    rows = torch.from_numpy(strain[:, 0].copy()).requires_grad_()
    e = components(kinematics, rows.T)
    wave = 0.2 * torch.sin(4.0 * e[0]) * torch.cos(3.0 * e[1])
    energy = 0.5 * e.square().sum(0) + wave - 0.8 * e[0]  # no stress at rest
    (slope,) = torch.autograd.grad(energy.sum(), rows)
    return slope.numpy()[:, None]


KINEMATICS = [Kinematics(2), Kinematics(2, "finite"), Kinematics(2, "gradient"), Kinematics(3)]


@pytest.fixture(scope="module", params=KINEMATICS, ids=str)
def fitted(request: pytest.FixtureRequest) -> GaussianProcess:
    return fit_gaussian_process(sampled(request.param, 40), SETTINGS).network


def test_covariance_is_the_mixed_derivative_of_the_kernel() -> None:
    length = torch.tensor([0.4, 0.7, 1.3], dtype=torch.float64)
    points = torch.randn(2, 3, generator=torch.Generator().manual_seed(0)).double()

    def kernel(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return 1.7**2 * torch.exp(-0.5 * ((a - b) / length).square().sum())

    (_, mixed), _ = torch.autograd.functional.hessian(kernel, (points[0], points[1]))
    scaled = points / length
    got = stress_covariance(scaled[:1], scaled[1:], length, 1.7 * ONE)[0, :, 0]
    torch.testing.assert_close(got, mixed, rtol=1e-12, atol=1e-13)


def test_derivatives_are_those_of_automatic_differentiation(fitted: GaussianProcess) -> None:
    strain = torch.from_numpy(stretches(fitted.kinematics, 5, 0.2, seed=3)[:, 0].copy())
    answer = fitted(strain)

    def energy(row: torch.Tensor) -> torch.Tensor:
        return fitted(row[None], tangent=False).energy[0]

    for k, row in enumerate(strain):
        slope = torch.autograd.functional.jacobian(energy, row)
        curvature = torch.autograd.functional.hessian(energy, row)
        # weights of opposite sign, up to the root of the condition number, cancel in the energy
        torch.testing.assert_close(answer.stress[k], slope, rtol=1e-6, atol=1e-7)
        torch.testing.assert_close(answer.tangent[k], curvature, rtol=1e-5, atol=1e-6)


def test_contract(fitted: GaussianProcess) -> None:
    strain = stretches(fitted.kinematics, 6, 0.15, seed=3)[:, 0]
    objective = fitted.kinematics.measure == "finite"
    # large weights of opposite sign add up: about 1e-10 of the stress is rounding
    check_contract(NetworkMaterial(fitted), strain, tolerance=1e-9, objective=objective)


def test_float64_is_kept_as_its_weights_cancel(fitted: GaussianProcess) -> None:
    strain = stretches(fitted.kinematics, 6, 0.15, seed=3)[:, 0]
    double, single = (NetworkMaterial(fitted, dtype=d).evaluate(strain) for d in DTYPES)
    np.testing.assert_array_equal(single.stress, double.stress)


def test_rest_is_known(fitted: GaussianProcess) -> None:
    answer = NetworkMaterial(fitted).evaluate(fitted.kinematics.rest[None])
    far = NetworkMaterial(fitted).evaluate(
        stretches(fitted.kinematics, 8, 0.3 if fitted.kinematics.gdim == 2 else 0.2)[:, 0]
    )
    np.testing.assert_allclose(answer.stress, 0.0, atol=1e-13)
    assert abs(answer.report["energy"][0]) < 1e-13
    deviation = answer.report["standard_deviation"][0]
    assert deviation <= far.report["standard_deviation"].min()


def test_samples_are_met_within_the_deviation_and_doubt_grows_away_from_them() -> None:
    kinematics = Kinematics(2)
    data = sampled(kinematics, 40)
    network = fit_gaussian_process(data, SETTINGS).network
    training, _ = data.split(SETTINGS.validation, seed=0)
    error, at_samples = errors_and_deviations(network, training)
    assert float((error <= 3.0 * at_samples).double().mean()) > 0.95
    outside = torch.from_numpy(3.0 * data.strain[:, 0])
    doubt = network(outside, tangent=False).report["standard_deviation"]
    assert float(doubt.median()) > 30.0 * float(at_samples.median())


def test_few_samples_teach_much() -> None:
    unseen = sampled(Kinematics(2), 200, seed=9)
    errors = [
        errors_on(fit_gaussian_process(sampled(Kinematics(2), n), SETTINGS).network, unseen).stress
        for n in (30, 60, 120)
    ]
    network = fit_gaussian_process(sampled(Kinematics(2), 120), SETTINGS).network
    closed_form = errors_on(network.base, unseen).stress
    assert errors[0] < 0.001 * closed_form and errors[2] < 0.1 * errors[0]


def test_left_out_factor_is_that_of_refits() -> None:
    """The shortcut by blocks of the inverse is what refits without each sample give."""
    kinematics = Kinematics(2)
    network = fit_gaussian_process(sampled(kinematics, 30), SETTINGS).network
    q, count = 3, network.points
    length, amplitude = network.length, network.amplitude
    points = network.samples
    prior = stress_covariance(points, points, length, amplitude).reshape(count * q, -1)
    noise = network.noise.repeat(count)
    noise[:q] = SMALLEST_NOISE * amplitude / length  # rest is known
    whole = prior + torch.diag(noise**2)
    values = whole @ network.weights.reshape(-1)
    errors, deviations = [], []
    for i in range(1, count):
        own = slice(i * q, (i + 1) * q)
        rest = [k for k in range(count * q) if not i * q <= k < (i + 1) * q]
        solve = torch.linalg.solve(whole[rest][:, rest], whole[rest][:, own]).T
        errors.append((values[own] - solve @ values[rest]).norm())
        left = whole[own, own] - solve @ whole[rest][:, own]
        deviations.append(left.diagonal().sum().sqrt())
    factor = conformal_factor(torch.stack(errors), torch.stack(deviations))
    assert float(network.deviation_factor) == pytest.approx(factor, rel=1e-3)  # condition 1e12


def test_intervals_cover_what_they_say_on_1500_unseen_points() -> None:
    kinematics = Kinematics(2)
    network = fit_gaussian_process(sampled(kinematics, 50), SETTINGS).network
    unseen = sampled(kinematics, 1500, seed=11)
    alone = coverage(network, unseen)
    assert 0.80 < alone  # 40 left-out residuals: a rough factor
    calibrate(network, sampled(kinematics, 1000, seed=12))
    assert 0.93 <= coverage(network, unseen) <= 0.97


def test_factor_is_that_of_a_normal_variable() -> None:
    """1.96 standard deviations of a normal variable of known deviation: factor 1."""
    generator = torch.Generator().manual_seed(0)
    deviation = torch.rand(20_000, generator=generator, dtype=torch.float64) + 0.1
    error = (deviation * torch.randn(20_000, generator=generator, dtype=torch.float64)).abs()
    # the quantile's own deviation: sqrt(0.95 · 0.05 / k) over the density 0.117, over 1.96
    assert conformal_factor(error, deviation) == pytest.approx(1.0, abs=3 * 0.0067)
    assert conformal_factor(error[:19], deviation[:19]) * WIDTH == pytest.approx(
        float((error[:19] / deviation[:19]).max())
    )
    with pytest.raises(InputError, match="at least 19"):
        conformal_factor(error[:18], deviation[:18])


def test_model_file(tmp_path: Path, fitted: GaussianProcess) -> None:
    pytest.importorskip("safetensors")
    save_model(tmp_path / "model", fitted)
    again, _ = load_model(tmp_path / "model")
    strain = stretches(fitted.kinematics, 5, 0.1)[:, 0]
    one, two = (NetworkMaterial(net).evaluate(strain) for net in (fitted, again))
    np.testing.assert_array_equal(one.stress, two.stress)
    np.testing.assert_array_equal(
        one.report["standard_deviation"], two.report["standard_deviation"]
    )


def test_unusable_arguments_are_named() -> None:
    with pytest.raises(InputError, match="points"):
        GaussianProcess(Kinematics(2), LARGEST_SYSTEM)
    with pytest.raises(InputError, match="at least 19"):
        fit_gaussian_process(sampled(Kinematics(2), 10), SETTINGS)
