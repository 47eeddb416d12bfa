"""Points with a weight count as often as it says, in every loss and by every fitter."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from networks import random_energy

from fesurrogate.config.data import GenerateSettings
from fesurrogate.config.train import (
    EnergySettings,
    TrainSettings,
)
from fesurrogate.data.dataset import Dataset
from fesurrogate.data.generate import generate
from fesurrogate.data.plan import plan_of
from fesurrogate.data.sampling import stretches
from fesurrogate.errors import InputError
from fesurrogate.kinematics import Kinematics
from fesurrogate.laws import IsotropicElastic, J2Plasticity, NeoHookean

torch = pytest.importorskip("torch")
pytest.importorskip("scipy")
from fesurrogate.surrogate.recurrent import RecurrentNetwork  # noqa: E402
from fesurrogate.surrogate.stress import StressNetwork  # noqa: E402
from fesurrogate.train import fit  # noqa: E402
from fesurrogate.train.errors import errors_on, row_errors  # noqa: E402
from fesurrogate.train.history import set_scales  # noqa: E402
from fesurrogate.train.rows import solved_rows  # noqa: E402
from fesurrogate.train.sequence import adam, follow, path_errors, relative_squares, solved_paths  # noqa: E402
from fesurrogate.train.sobolev import SobolevLoss  # noqa: E402
from fesurrogate.train.start import set_closed_form  # noqa: E402
from fesurrogate.train.stress import _set_start as set_stress_start  # noqa: E402

RUBBER = NeoHookean(2, shear_modulus=1.0, lame=2.0)
METAL = J2Plasticity(2, young=100.0, poisson=0.3, yield_stress=1.0, hardening=5.0)


def points(samples: int = 80) -> Dataset:
    return generate(RUBBER, stretches(RUBBER.kinematics, samples, 0.2))


def small_points(samples: int = 80) -> Dataset:
    law = IsotropicElastic(Kinematics(2), young=2.0, poisson=0.3)
    return generate(law, stretches(law.kinematics, samples, 0.02))


def walks(samples: int = 30) -> Dataset:
    wanted = GenerateSettings(path="random_walk", samples=samples, stretch=0.03, increments=12)
    return generate(METAL, plan_of(METAL.kinematics, wanted).strain(np.arange(samples)))


def twice_and_weighted(dataset: Dataset) -> tuple[Dataset, Dataset]:
    """Return a dataset with its first five paths twice, and with a weight of two."""
    weight = np.ones(dataset.ok.shape)
    weight[:5] = 2.0
    paths = np.array([*range(len(dataset)), *range(5)])
    return dataset.take(paths), replace(dataset, weight=weight)


def test_a_weight_of_two_is_a_point_twice() -> None:
    """Losses, errors and the least squares that training starts from."""
    network, dataset = random_energy(RUBBER.kinematics), points()
    dataset = replace(dataset, stress=dataset.stress + dataset.stress**3)  # no closed form has it
    twice, weighted = (solved_rows(data) for data in twice_and_weighted(dataset))
    settings = TrainSettings(energy_weight=0.5)
    losses = [float(SobolevLoss(network, rows, settings)().detach()) for rows in (twice, weighted)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-12)
    one, other = (row_errors(network, rows) for rows in (twice, weighted))
    assert one.stress == pytest.approx(other.stress, rel=1e-12)
    assert one.tangent == pytest.approx(other.tangent, rel=1e-12)
    starts = []
    for rows in (twice, weighted):
        start = random_energy(RUBBER.kinematics)
        set_closed_form(start, rows)
        starts.append(torch.cat([start.stiffness.flatten(), start.growth.flatten()]))
    plain = random_energy(RUBBER.kinematics)
    set_closed_form(plain, solved_rows(dataset))
    without = torch.cat([plain.stiffness.flatten(), plain.growth.flatten()])
    assert (starts[0] - starts[1]).norm() < 1e-9 * starts[0].norm()
    assert (starts[0] - without).norm() > 1e-6 * starts[0].norm()


def test_the_stress_network_starts_from_weighted_least_squares() -> None:
    dataset = small_points()
    dataset = replace(dataset, stress=dataset.stress + 1e3 * dataset.stress**3)
    starts = []
    for data in twice_and_weighted(dataset):
        network = StressNetwork(data.kinematics, (4,), seed=0)
        rows = solved_rows(data)
        set_stress_start(network, rows)
        starts.append(network.stiffness.clone())
    assert (starts[0] - starts[1]).norm() < 1e-9 * starts[0].norm()


def test_a_weight_of_two_is_two_squares_on_paths() -> None:
    """Of one increment; of an error of the whole, which is relative to what is weighted too."""
    dataset = walks(4)
    weight = np.ones(dataset.ok.shape)
    weight[:, 3] = 2.0
    plain, weighted = solved_paths(dataset), solved_paths(replace(dataset, weight=weight))
    wrong = 1.1 * plain.stress
    torch.testing.assert_close(relative_squares(wrong, weighted), torch.full((4,), 0.01).double())
    wrong = plain.stress.clone()
    wrong[:, 3] *= 1.1
    squares = plain.stress.square().sum(2)
    expected = 0.02 * squares[:, 3] / (squares.sum(1) + squares[:, 3])
    torch.testing.assert_close(relative_squares(wrong, weighted), expected)


def test_fits_of_paths_follow_the_weighted_loss() -> None:
    dataset = walks(20)
    weighted = replace(dataset, weight=np.random.default_rng(0).uniform(0.1, 1.0, dataset.ok.shape))
    network = RecurrentNetwork(dataset.kinematics, 4, seed=0)
    set_scales(network, solved_paths(dataset))
    paths = solved_paths(weighted)
    with torch.no_grad():
        expected = float(relative_squares(follow(network, paths.strain), paths).mean())
    loss = next(adam(network, weighted, epochs=1, rate=0.0))  # at the first weights
    assert loss == pytest.approx(expected, rel=1e-12)
    assert loss != pytest.approx(next(adam(network, dataset, epochs=1, rate=0.0)), rel=1e-3)
    for data in (dataset, weighted):
        errors, known = path_errors(network, data), solved_paths(data)
        delta = (follow(network, known.strain) - known.stress).square().sum(2) * known.weight
        size = (known.stress.square().sum(2) * known.weight).sum()
        assert errors.stress == pytest.approx(float((delta.sum() / size).detach()) ** 0.5)


def spoiled(dataset: Dataset) -> Dataset:
    """Return the data with the sign of some stresses turned."""
    stress = dataset.stress.copy()
    stress[::16] *= -1.0
    return replace(dataset, stress=stress)


FITTERS: dict[str, tuple[Any, TrainSettings, float]] = {
    "energy": (points, TrainSettings(hidden=(6,), iterations=40), 0.3),
    "polyconvex": (points, TrainSettings(
        hidden=(6,), iterations=60, energy=EnergySettings(polyconvex=True)), 0.6),
    "stress": (small_points, TrainSettings(model="stress", hidden=(6,), iterations=20), 0.3),
    "polynomial": (points, TrainSettings(model="polynomial"), 0.3),
    "gaussian_process": (points, TrainSettings(model="gaussian_process"), 0.5),
    "ensemble": (lambda: small_points(200), TrainSettings(
        model="stress", hidden=(4,), iterations=20, ensemble=2), 0.3),
}  # fmt: skip


@pytest.mark.parametrize("kind", FITTERS)
def test_every_fitter_counts_weights(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    """What is wrong spoils the model less where it counts for little, and is refused untold."""
    make, settings, ratio = FITTERS[kind]
    clean = make()
    dataset = spoiled(clean)
    with pytest.raises(InputError, match="'drop', 'downweight' or 'keep'"):
        fit(dataset, settings)
    errors = {}
    with caplog.at_level(logging.WARNING):
        for policy in ("downweight", "keep"):
            wanted = replace(settings, suspicious=policy, suspicious_weight=1e-6)
            network = fit(dataset, wanted).network
            errors[policy] = errors_on(network, clean).stress
    assert "counted by a weight of 1e-06" in caplog.text
    assert errors["downweight"] < ratio * errors["keep"]


def test_weights_out_of_range_are_refused() -> None:
    with pytest.raises(InputError, match="suspicious_weight is 1.0; expected a number between"):
        TrainSettings(suspicious="downweight", suspicious_weight=1.0)
    with pytest.raises(InputError, match="weight has shape"):
        replace(points(3), weight=np.ones(3))
