"""Training that starts from the model of another cell: what is kept, what it is worth, refusals."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fesurrogate.config.train import TrainSettings, TransferSettings
from fesurrogate.data.dataset import Dataset
from fesurrogate.data.generate import generate
from fesurrogate.data.sampling import stretches
from fesurrogate.errors import InputError
from fesurrogate.kinematics import Kinematics
from fesurrogate.laws import Ogden

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from networks import random_energy  # noqa: E402

from fesurrogate.surrogate import load_model, save_model  # noqa: E402
from fesurrogate.train import errors_on, fit  # noqa: E402
from fesurrogate.train.pictures import draw_training, stress_names, stresses  # noqa: E402
from fesurrogate.train.result import parts_of  # noqa: E402

SETTINGS = TrainSettings(hidden=(10, 10), iterations=140, suspicious="keep")


def data(samples: int, *, exponent: float = 4.0, seed: int = 0) -> Dataset:
    """Return data of a rubber-like law."""
    law = Ogden(2, terms=((0.6, exponent), (-0.1, -3.0)), bulk_modulus=1.0)
    return generate(law, stretches(law.kinematics, samples, 0.2, seed=seed))


def test_a_model_of_another_cell_saves_samples(tmp_path: Path) -> None:
    """Twelve samples of a law that stiffens more: less than half the error from nothing."""
    source = fit(data(64), SETTINGS).network
    save_model(tmp_path / "source", source)
    few, unseen = data(12, exponent=5.0, seed=3), data(200, exponent=5.0, seed=99)
    transfer = TransferSettings(model=tmp_path / "source")
    scratch = errors_on(fit(few, SETTINGS).network, unseen)
    moved = errors_on(fit(few, replace(SETTINGS, transfer=transfer)).network, unseen)
    assert moved.stress < 0.5 * scratch.stress


def test_what_is_frozen_is_kept_bit_for_bit(tmp_path: Path) -> None:
    source = fit(data(16), replace(SETTINGS, iterations=40)).network
    save_model(tmp_path / "source", source)
    transfer = TransferSettings(model=tmp_path / "source", freeze=("perceptron.weights.0",))
    settings = replace(SETTINGS, transfer=transfer, iterations=40)
    network = fit(data(48, exponent=5.0), settings).network
    assert torch.equal(network.perceptron.weights[0], source.perceptron.weights[0])
    assert not torch.equal(network.perceptron.weights[1], source.perceptron.weights[1])
    assert torch.equal(network.scale, source.scale)
    assert all(weight.requires_grad for weight in network.parameters())


@pytest.mark.parametrize(
    ("freeze", "named"), [(("perceptron.weight0",), "perceptron.weights.0"), (("perc",), "leaves")]
)
def test_freezing_nothing_or_all_is_refused(tmp_path: Path, freeze, named: str) -> None:
    save_model(tmp_path / "source", random_energy(Kinematics(2, "finite")))
    transfer = TransferSettings(model=tmp_path / "source", freeze=freeze)
    with pytest.raises(InputError, match=named):
        fit(data(12), replace(SETTINGS, transfer=transfer))


def test_another_kind_of_start_is_refused(tmp_path: Path) -> None:
    for network, named in (
        (random_energy(Kinematics(3, "finite")), "kinematics"),
        (random_energy(Kinematics(2, "finite"), parameter_names=("volume",)), "parameters"),
    ):
        save_model(tmp_path / "source", network)
        settings = replace(SETTINGS, transfer=TransferSettings(model=tmp_path / "source"))
        with pytest.raises(InputError, match=named):
            fit(data(12), settings)
    with pytest.raises(InputError, match="does not exist"):
        fit(
            data(12),
            replace(SETTINGS, transfer=TransferSettings(model=tmp_path / "nowhere")),
        )


def test_energies_in_the_loss_are_learned() -> None:
    """From energies and few stresses alone, no tangents: the weight of the energy pays."""
    made = replace(data(12), tangent=None)
    network = random_energy(Kinematics(2, "finite"))
    answer = network(torch.from_numpy(made.strain[:, 0]))
    energy, stress = answer.energy.detach().numpy(), answer.stress.detach().numpy()
    made = replace(made, stress=stress[:, None], reports={"energy": energy[:, None]})
    settings = replace(SETTINGS, iterations=60)
    errors = {}
    for weight in (0.0, 1.0):
        fitted = fit(made, replace(settings, energy_weight=weight))
        found = fitted.network(torch.from_numpy(made.strain[:, 0])).energy.detach().numpy()
        errors[weight] = np.linalg.norm(found - energy) / np.linalg.norm(energy)
    assert errors[1.0] < 0.5 * errors[0.0]


def test_the_picture_shows_what_the_errors_say(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    made = data(24)
    fitted = fit(made, replace(SETTINGS, iterations=20))
    judging = parts_of(made, SETTINGS.validation, seed=SETTINGS.seed).judging
    exact, predicted = stresses(fitted.network, judging)
    error = np.linalg.norm(predicted - exact) / np.linalg.norm(exact)
    assert error == pytest.approx(fitted.errors.stress, rel=1e-12)
    draw_training(tmp_path / "training.png", fitted, judging)
    assert (tmp_path / "training.png").stat().st_size > 10_000


def test_components_are_named_in_their_order() -> None:
    """A tensor whose entries are all different says which is which."""
    tensor = np.arange(4.0).reshape(1, 2, 2)
    entries = {a + b: tensor[0, i, j] for i, a in enumerate("xy") for j, b in enumerate("xy")}
    finite = Kinematics(2, "finite")
    assert [entries[name] for name in stress_names(finite)] == finite.pack(tensor)[0].tolist()
    assert stress_names(Kinematics(3)) == ("xx", "yy", "zz", "√2 yz", "√2 xz", "√2 xy")
    assert stress_names(Kinematics(2, "gradient")) == ("x", "y")


def test_the_start_is_read_only(tmp_path: Path) -> None:
    save_model(tmp_path / "source", random_energy(Kinematics(2, "finite")))
    before = (tmp_path / "source").read_bytes()
    transfer = TransferSettings(model=tmp_path / "source")
    fit(data(12), replace(SETTINGS, transfer=transfer, iterations=1))
    assert (tmp_path / "source").read_bytes() == before
    load_model(tmp_path / "source")
