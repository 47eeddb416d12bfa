"""Energy networks: derivatives against automatic differentiation, laws by construction, files."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import numpy as np
import pytest

from fesurrogate.data.sampling import stretches
from fesurrogate.errors import InputError
from fesurrogate.kinematics import Kinematics
from fesurrogate.laws import Linear

torch = pytest.importorskip("torch")

from networks import assert_derivatives_of_energy, random_energy  # noqa: E402

from fesurrogate.surrogate import (  # noqa: E402
    EnergyNetwork,
    NetworkMaterial,
    load_model,
    load_network_material,
    save_model,
)

KINEMATICS = [Kinematics(d, m) for d in (2, 3) for m in ("small", "finite", "gradient")]


@pytest.mark.parametrize("hidden", [(6,), (8, 7), (5, 6, 7)])
@pytest.mark.parametrize("kinematics", KINEMATICS, ids=str)
def test_derivatives_are_those_of_automatic_differentiation(
    kinematics: Kinematics, hidden: tuple[int, ...]
) -> None:
    assert_derivatives_of_energy(random_energy(kinematics, hidden), 1e-12)


@pytest.mark.parametrize("kinematics", KINEMATICS, ids=str)
def test_same_numbers_with_and_without_a_graph(kinematics: Kinematics) -> None:
    network = random_energy(kinematics, (5, 6, 7))
    strain = torch.from_numpy(stretches(kinematics, 9, 0.2)[:, 0])
    with_graph = network(strain)
    with torch.no_grad():
        for rows in (slice(0, 9), slice(0, 4), slice(0, 9)):  # buffers shrink and grow again
            bare = network(strain[rows])
            torch.testing.assert_close(bare.stress, with_graph.stress[rows], rtol=0, atol=1e-13)
            torch.testing.assert_close(bare.tangent, with_graph.tangent[rows], rtol=0, atol=1e-12)


@pytest.mark.parametrize("kinematics", KINEMATICS, ids=str)
def test_rest_is_free_of_energy_and_stress_for_any_weights(kinematics: Kinematics) -> None:
    material = NetworkMaterial(random_energy(kinematics, seed=4))
    answer = material.evaluate(kinematics.rest[None])
    assert abs(answer.report["energy"][0]) <= 1e-15
    np.testing.assert_allclose(answer.stress, 0.0, atol=1e-14)
    strain = stretches(kinematics, 7, 0.2)[:, 0]
    tangent = material.evaluate(strain).tangent
    np.testing.assert_allclose(tangent, np.swapaxes(tangent, 1, 2), rtol=0.0, atol=1e-12)


def test_small_strains_keep_their_digits() -> None:
    """Green-Lagrange strain from F - I: no cancellation, so the linear law holds at 1e-9."""
    kinematics = Kinematics(2, "finite")
    network = random_energy(kinematics)
    at_rest = NetworkMaterial(network).evaluate(kinematics.rest[None]).tangent[0]
    offset = 1e-9 * np.random.default_rng(0).standard_normal((5, 4))
    for dtype, tolerance in (("float64", 1e-6), ("float32", 1e-5)):
        stress = NetworkMaterial(network, dtype=dtype).evaluate(kinematics.rest + offset).stress
        expected = Linear(kinematics, at_rest).evaluate(kinematics.rest + offset).stress
        if dtype == "float64":
            np.testing.assert_allclose(stress, expected, atol=tolerance * np.abs(expected).max())
        else:
            assert np.isfinite(stress).all()


@pytest.mark.parametrize("kinematics", KINEMATICS, ids=str)
def test_float32_stays_close(kinematics: Kinematics) -> None:
    network = random_energy(kinematics, (32, 32))
    strain = stretches(kinematics, 100, 0.2)[:, 0]
    double = NetworkMaterial(network).evaluate(strain)
    single = NetworkMaterial(network, dtype="float32").evaluate(strain)
    for name in ("stress", "tangent"):
        exact = getattr(double, name)
        error = np.abs(getattr(single, name) - exact).max() / np.abs(exact).max()
        assert 0.0 < error < 5e-6  # some tens of units in the last place, 1.2e-7


def test_material_is_a_copy_and_leaves_torch_alone() -> None:
    kinematics = Kinematics(2)
    network = random_energy(kinematics)
    material = NetworkMaterial(network, threads=1)
    strain = stretches(kinematics, 5, 0.2)[:, 0]
    before, state = material.evaluate(strain).stress, torch.random.get_rng_state()
    threads = torch.get_num_threads()
    with torch.no_grad():
        network.perceptron.output.mul_(2.0)
    np.testing.assert_array_equal(material.evaluate(strain).stress, before)
    random_energy(kinematics)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.get_num_threads() == threads
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_seeds_make_networks() -> None:
    one, same, other = (EnergyNetwork(Kinematics(2), seed=seed) for seed in (1, 1, 2))
    assert torch.equal(one.perceptron.output, same.perceptron.output)
    assert not torch.equal(one.perceptron.output, other.perceptron.output)


def test_read_only_strains_are_welcome() -> None:
    kinematics = Kinematics(2)
    strain = stretches(kinematics, 5, 0.2)[:, 0].copy()
    strain.flags.writeable = False
    assert NetworkMaterial(random_energy(kinematics)).evaluate(strain).ok.all()


@pytest.mark.parametrize(
    ("options", "named"),
    [({"dtype": "float16"}, "dtype"), ({"chunk": 0}, "chunk"), ({"threads": 0}, "threads"),
     ({"device": "abacus"}, "abacus")],
)  # fmt: skip
def test_bad_options_are_named(options: dict, named: str) -> None:
    with pytest.raises(InputError, match=named):
        NetworkMaterial(random_energy(Kinematics(2)), **options)
    with pytest.raises(InputError, match="hidden"):
        EnergyNetwork(Kinematics(2), ())


class TestModelFile:
    """A model file gives the same Material back, or one message."""

    @pytest.fixture(autouse=True)
    def _needs_safetensors(self) -> None:
        pytest.importorskip("safetensors")

    @pytest.mark.parametrize("kinematics", KINEMATICS, ids=str)
    def test_round_trip(self, tmp_path: Path, kinematics: Kinematics) -> None:
        network, path = random_energy(kinematics), tmp_path / "model.safetensors"
        save_model(path, network, {"units": "MPa", "errors": {"stress": 1e-3}})
        again, card = load_model(path)
        strain = stretches(kinematics, 6, 0.2)[:, 0]
        np.testing.assert_array_equal(
            NetworkMaterial(again).evaluate(strain).stress,
            NetworkMaterial(network).evaluate(strain).stress,
        )
        assert card["units"] == "MPa" and card["kinematics"]["measure"] == kinematics.measure
        material = load_network_material(path, kinematics, dtype="float32")
        assert material.kinematics == kinematics and material.tangent_error > 0.0
        save_model(path, again, card)  # replaces
        assert [file.name for file in tmp_path.iterdir()] == ["model.safetensors"]

    def test_foreign_kinematics_is_refused(self, tmp_path: Path) -> None:
        save_model(tmp_path / "model", random_energy(Kinematics(2)))
        with pytest.raises(InputError, match="trained under another Kinematics"):
            load_network_material(tmp_path / "model", Kinematics(2, "finite"))

    def test_missing_model_says_how_to_train_one(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="fesurrogate train CONFIG"):
            load_model(tmp_path / "model")

    def test_every_truncation_and_flipped_byte_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "model"
        save_model(path, random_energy(Kinematics(2), (3, 2)))
        whole = path.read_bytes()
        generator = np.random.default_rng(0)
        for length in generator.integers(0, len(whole), 30):
            path.write_bytes(whole[:length])
            with pytest.raises(InputError, match="model"):
                load_model(path)
        for position in generator.integers(0, len(whole), 60):
            flipped = bytearray(whole)
            flipped[position] ^= 1 << int(generator.integers(8))
            path.write_bytes(bytes(flipped))
            with pytest.raises(InputError, match="model"):
                load_model(path)

    def test_weights_of_another_shape_are_refused(self, tmp_path: Path) -> None:
        """A card that lies, with a right checksum."""
        from safetensors.numpy import load, save

        from fesurrogate.surrogate.weights_file import checksum

        path = tmp_path / "model"
        save_model(path, random_energy(Kinematics(2), (3, 2)))
        arrays, (_, card) = load(path.read_bytes()), load_model(path)
        lies = [
            ("architecture", {"hidden": [3, 4]}), ("architecture", {"hidden": [10**9, 2]}),
            ("architecture", {"hidden": []}), ("architecture", {}), ("network", "os.system"),
            ("kinematics", {"gdim": 3, "measure": "small"}), ("kinematics", [2]),
            ("format", "fesurrogate model 2"),
        ]  # fmt: skip
        for key, value in lies:
            lie = {**copy.deepcopy(card), key: value}
            lie["checksum"] = checksum(lie, arrays)
            path.write_bytes(save(arrays, metadata={"card": json.dumps(lie)}))
            with pytest.raises(InputError, match="model"):
                load_model(path)
        poisoned = {**arrays, "perceptron.output": np.full((1, 2), np.nan)}
        lie = {**card, "checksum": checksum(card, poisoned)}
        path.write_bytes(save(poisoned, metadata={"card": json.dumps(lie)}))
        with pytest.raises(InputError, match="not finite"):
            load_model(path)
