"""Deep ensembles: the mean and the disagreement of any networks, calibrated."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from contract import check_contract
from test_train import sampled

from fesurrogate.config import TrainSettings
from fesurrogate.data.sampling import stretches
from fesurrogate.errors import InputError
from fesurrogate.kinematics import Kinematics

torch = pytest.importorskip("torch")

from fesurrogate.surrogate import (  # noqa: E402
    EnergyNetwork,
    NetworkMaterial,
    load_model,
    save_model,
)
from fesurrogate.surrogate.architectures import empty_network  # noqa: E402
from fesurrogate.surrogate.ensemble import Ensemble  # noqa: E402
from fesurrogate.surrogate.recurrent import RecurrentNetwork  # noqa: E402
from fesurrogate.train import errors_on, fit  # noqa: E402
from fesurrogate.train.calibration import calibrate, coverage  # noqa: E402
from fesurrogate.train.sequence import follow  # noqa: E402

FINITE = Kinematics(2, "finite")


def energies(members: int = 3) -> Ensemble:
    return Ensemble([EnergyNetwork(FINITE, (6, 5), seed=seed) for seed in range(members)])


def memories(members: int = 3) -> Ensemble:
    return Ensemble([RecurrentNetwork(Kinematics(2), 5 + k, seed=k) for k in range(members)])


def test_mean_and_deviation_are_what_they_say() -> None:
    ensemble, strain = energies(4), stretches(FINITE, 7, 0.2)[:, 0]
    ensemble.deviation_factor.fill_(1.7)
    answer = NetworkMaterial(ensemble).evaluate(strain)
    alone = [NetworkMaterial(member).evaluate(strain) for member in ensemble.members]
    for name in ("stress", "tangent"):
        mean = np.mean([getattr(one, name) for one in alone], axis=0)
        np.testing.assert_allclose(getattr(answer, name), mean, rtol=0, atol=1e-13)
    energy = np.mean([one.report["energy"] for one in alone], axis=0)
    np.testing.assert_allclose(answer.report["energy"], energy, atol=1e-14)
    spread = np.array([one.stress for one in alone]) - answer.stress
    expected = 1.7 * np.sqrt((spread**2).sum((0, 2)) / 3)
    np.testing.assert_allclose(answer.report["standard_deviation"], expected, rtol=1e-12)


def test_members_keep_their_own_histories() -> None:
    ensemble = memories()
    path = torch.from_numpy(np.random.default_rng(0).uniform(-1.0, 1.0, (4, 6, 3)))
    with torch.no_grad():
        together = follow(ensemble, path)
        alone = torch.stack([follow(member, path) for member in ensemble.members])
    torch.testing.assert_close(together, alone.mean(0), rtol=0, atol=1e-14)
    assert ensemble.num_state == 3 * 3 + 5 + 6 + 7


def test_contracts() -> None:
    check_contract(NetworkMaterial(energies()), stretches(FINITE, 6, 0.1)[:, 0], objective=True)
    strain = np.random.default_rng(0).uniform(-1.0, 1.0, (6, 3))
    check_contract(NetworkMaterial(memories()), strain)


def test_intervals_cover_what_they_say_on_1500_unseen_points() -> None:
    settings = TrainSettings(ensemble=3, hidden=(8,), iterations=60)
    network = fit(sampled(200), settings).network
    assert isinstance(network, Ensemble)
    unseen = sampled(1500, seed=99)
    # the mean is no worse than a member
    members = [errors_on(member, unseen).stress for member in network.members]
    assert errors_on(network, unseen).stress <= np.mean(members)
    assert coverage(network, unseen) > 0.80  # from 20 held-out points: a rough factor
    calibrate(network, sampled(1000, seed=50))
    # two deviations of a coverage from 1,000 points, seen through 1,500: 0.0178
    assert 0.93 <= coverage(network, unseen) <= 0.97
    again = calibrate(network, sampled(1000, seed=50))
    assert again == pytest.approx(float(network.deviation_factor))
    assert 0.93 <= coverage(network, unseen) <= 0.97


def test_few_samples_train_but_say_that_nothing_is_calibrated(
    caplog: pytest.LogCaptureFixture,
) -> None:
    settings = TrainSettings(ensemble=2, hidden=(4,), iterations=3, validation=0.4)
    with caplog.at_level("WARNING"):
        few = fit(sampled(60), settings)  # 12 calibrate
    assert isinstance(few.network, Ensemble) and float(few.network.deviation_factor) == 1.0
    assert few.calibrated is False and "12 points" in caplog.text and "uncalibrated" in caplog.text
    caplog.clear()
    enough = fit(sampled(96), settings)  # 19
    assert enough.calibrated is True and not caplog.text
    assert isinstance(enough.network, Ensemble) and float(enough.network.deviation_factor) != 1.0


def test_model_file(tmp_path: Path) -> None:
    pytest.importorskip("safetensors")
    for number, ensemble in enumerate((energies(), memories())):
        ensemble.deviation_factor.fill_(2.5)
        save_model(tmp_path / str(number), ensemble, {"units": "GPa"})
        again, card = load_model(tmp_path / str(number))
        assert isinstance(again, Ensemble) and card["units"] == "GPa"
        strain = 0.1 * np.random.default_rng(0).uniform(-1.0, 1.0, (5, ensemble.kinematics.size))
        strain += ensemble.kinematics.rest
        one, two = (NetworkMaterial(net).evaluate(strain) for net in (ensemble, again))
        np.testing.assert_array_equal(one.stress, two.stress)
        np.testing.assert_array_equal(
            one.report["standard_deviation"], two.report["standard_deviation"]
        )


def test_unusable_members_are_named() -> None:
    small = EnergyNetwork(Kinematics(2), (4,))
    with pytest.raises(InputError, match="1 members"):
        Ensemble([small])
    with pytest.raises(InputError, match="2 kinds"):
        Ensemble([small, EnergyNetwork(FINITE, (4,))])
    with pytest.raises(InputError, match="no ensembles"):
        Ensemble([energies(), energies()])
    facts = {"network": "Ensemble", "kinematics": {"gdim": 2, "measure": "finite"}}
    nested = facts
    for _ in range(50):
        nested = {**facts, "architecture": {"members": [nested, nested]}}
    with pytest.raises(InputError, match="no ensembles"):
        empty_network(nested)
