"""Sampling covers the envelope; a dataset survives its file; the farm is the serial answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from contract import watchdog
from test_contract import world

from fesurrogate.data.dataset import Dataset
from fesurrogate.data.generate import generate
from fesurrogate.data.sampling import stretches
from fesurrogate.errors import InputError
from fesurrogate.kinematics import Array, Kinematics
from fesurrogate.laws import NeoHookean
from fesurrogate.material import Material, Response

h5py = pytest.importorskip("h5py")

LAW = NeoHookean(2, shear_modulus=1.0, lame=2.0)


class Memory(Material):
    """Stress = strain + state, the state counts increments weighted by dt; fails beyond 0.5."""

    kinematics = Kinematics(2)
    num_state = 1

    def respond(
        self,
        strain: Array,
        state: Array,
        dt: float,
        *,
        parameters: Array,
        hint: Array,
        tangent: bool,
        sensitivity: bool,
    ) -> Response:
        """Answer."""
        n = len(strain)
        ok = (np.abs(strain) < 0.5).all(axis=1)
        stress = np.where(ok[:, None], strain + state, np.nan)
        moduli = np.where(ok[:, None, None], np.tile(np.eye(3), (n, 1, 1)), np.nan)
        return Response(stress, moduli if tangent else None, state + dt, hint.copy(), ok)


@pytest.mark.parametrize("measure", ["small", "finite", "gradient"])
@pytest.mark.parametrize("gdim", [2, 3])
def test_samples_fill_the_envelope(gdim: int, measure: str) -> None:
    kinematics = Kinematics(gdim, measure)
    strain = stretches(kinematics, 512, 0.2, seed=3)
    assert strain.shape == (512, 1, kinematics.size)
    offset = kinematics.unpack(strain[:, 0] - kinematics.rest)
    assert np.abs(offset).max() <= 0.2 + 1e-15
    # every octant of the Sobol cube holds samples: each component reaches both ends
    assert (offset.max(axis=0) > 0.19).all() and (offset.min(axis=0) < -0.19).all()
    assert np.abs(offset.mean(axis=0)).max() < 0.005  # far below the 0.2/sqrt(3*512) of chance
    if measure == "finite":
        np.testing.assert_array_equal(offset, np.swapaxes(offset, 1, 2))
        assert np.linalg.eigvalsh(offset + np.eye(gdim)).min() > 0.0


def test_sampling_is_seeded_and_extends() -> None:
    kinematics = Kinematics(2)
    long = stretches(kinematics, 100, 0.1, seed=5)
    np.testing.assert_array_equal(long, stretches(kinematics, 100, 0.1, seed=5))
    np.testing.assert_array_equal(long[:30], stretches(kinematics, 30, 0.1, seed=5))
    assert not np.array_equal(long, stretches(kinematics, 100, 0.1, seed=6))


@pytest.mark.parametrize(
    ("samples", "stretch", "named"), [(0, 0.1, "samples"), (4, -0.1, "stretch"), (4, 0.5, "1/2")]
)
def test_bad_envelopes_are_refused(samples: int, stretch: float, named: str) -> None:
    with pytest.raises(InputError, match=named):
        stretches(Kinematics(2, "finite"), samples, stretch)


def test_file_round_trip(tmp_path: Path) -> None:
    dataset = generate(LAW, stretches(LAW.kinematics, 10, 0.2), meta={"seed": 0, "units": "MPa"})
    path = tmp_path / "data.h5"
    dataset.save(path)
    again = Dataset.load(path, LAW.kinematics)
    for name in ("strain", "stress", "tangent", "ok", "parameters"):
        np.testing.assert_array_equal(getattr(again, name), getattr(dataset, name))
    assert again.kinematics == dataset.kinematics
    assert again.fingerprint == dataset.fingerprint
    assert again.meta["units"] == "MPa"
    assert [file.name for file in tmp_path.iterdir()] == ["data.h5"]


def test_failed_points_survive_the_file(tmp_path: Path) -> None:
    strain = stretches(Kinematics(2), 6, 0.2)
    strain[2] = 0.9
    dataset = generate(Memory(), strain)
    dataset.save(tmp_path / "data.h5")
    again = Dataset.load(tmp_path / "data.h5")
    np.testing.assert_array_equal(again.ok[:, 0], [True, True, False, True, True, True])
    assert np.isnan(again.stress[2]).all() and again.failed == 1


def test_foreign_and_damaged_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "data.h5"
    dataset = generate(LAW, stretches(LAW.kinematics, 10, 0.2))
    dataset.save(path)
    with pytest.raises(InputError, match="made under"):
        Dataset.load(path, Kinematics(3))
    with pytest.raises(InputError, match="does not exist"):
        Dataset.load(tmp_path / "other.h5")
    whole = path.read_bytes()
    damaged = tmp_path / "damaged.h5"
    for length in (0, 100, len(whole) // 2, len(whole) - 1):
        damaged.write_bytes(whole[:length])
        with pytest.raises(InputError, match="damaged.h5"):
            Dataset.load(damaged)
    edits: list[tuple[str, Any]] = [
        ("format", "another 3"), ("convention", "Voigt"), ("measure", "small"),
        ("checksum", "0" * 64), ("meta", "{"), ("gdim", 7),
    ]  # fmt: skip
    for name, value in edits:
        dataset.save(damaged)
        with h5py.File(damaged, "r+") as file:
            file.attrs[name] = value
        with pytest.raises(InputError):
            Dataset.load(damaged)
    dataset.save(damaged)
    with h5py.File(damaged, "r+") as file:
        file["stress"][3, 0, 1] += 1e-9
    with pytest.raises(InputError, match="checksum"):
        Dataset.load(damaged)


def test_wrong_shapes_are_refused() -> None:
    kinematics = Kinematics(2)
    with pytest.raises(InputError, match="strain"):
        Dataset(kinematics, np.zeros((4, 3)), np.zeros((4, 3)), None, np.ones((4, 1), bool))
    with pytest.raises(InputError, match="stress"):
        Dataset(kinematics, np.zeros((4, 1, 3)), np.zeros((4, 1, 4)), None, np.ones((4, 1), bool))
    with pytest.raises(InputError, match="strains"):
        generate(LAW, np.zeros((4, 1, 3)))


def test_split_is_a_seeded_partition() -> None:
    dataset = generate(LAW, stretches(LAW.kinematics, 20, 0.2))
    training, held_out = dataset.split(0.25, seed=1)
    assert (len(training), len(held_out)) == (15, 5)
    both = np.concatenate([training.strain, held_out.strain])[:, 0]
    np.testing.assert_array_equal(
        both[np.lexsort(both.T)], dataset.strain[:, 0][np.lexsort(dataset.strain[:, 0].T)]
    )
    assert training.fingerprint == dataset.split(0.25, seed=1)[0].fingerprint
    assert training.fingerprint != dataset.split(0.25, seed=2)[0].fingerprint
    with pytest.raises(InputError, match="at least one path"):
        dataset.split(0.01, seed=1)


@pytest.mark.mpi
def test_farm_gives_the_serial_answer_in_order() -> None:
    strain = stretches(LAW.kinematics, 50, 0.2)
    exact = LAW.evaluate(strain[:, 0])
    for chunk in (None, 1, 7, 1000):
        dataset = generate(LAW, strain, world(), chunk=chunk)
        np.testing.assert_allclose(dataset.stress[:, 0], exact.stress, rtol=0.0, atol=1e-14)
        np.testing.assert_allclose(dataset.tangent[:, 0], exact.tangent, rtol=0.0, atol=1e-13)
        assert dataset.ok.all()
    assert generate(LAW, strain, world(), tangents=False).tangent is None


@pytest.mark.mpi
def test_farm_follows_history_and_stops_at_failure() -> None:
    times = np.array([[1.0, 2.0, 0.5], [0.5, 0.5, 0.5], [1.0, 1.0, 1.0], [3.0, 2.0, 1.0]])
    strain = np.full((4, 3, 3), 0.1)
    strain[2, 1] = 0.9
    dataset = generate(Memory(), strain, world(), dt=times, chunk=1)
    before = np.cumsum(times, axis=1) - times  # state at the last accepted increment
    expected = strain + before[:, :, None]
    np.testing.assert_array_equal(dataset.ok[2], [True, False, False])
    np.testing.assert_allclose(dataset.stress[dataset.ok], expected[dataset.ok], rtol=1e-15)
    assert np.isnan(dataset.stress[2, 1:]).all() and dataset.failed == 2
    np.testing.assert_array_equal(dataset.dt, times)


class Raises(Material):
    """Raises where the first component is above a bound."""

    kinematics = Kinematics(2)

    def respond(self, strain: Array, *arguments: Any, **options: Any) -> Response:
        """Answer or raise."""
        if (strain[:, 0] > 0.15).any():
            raise ArithmeticError("the micro solver broke")
        n = len(strain)
        return Response(
            strain.copy(), np.zeros((n, 3, 3)), np.zeros((n, 0)), np.zeros((n, 0)),
            np.ones(n, dtype=bool),
        )  # fmt: skip


@pytest.mark.mpi
def test_an_exception_on_one_rank_reaches_all() -> None:
    strain = stretches(Kinematics(2), 32, 0.1)
    strain[17] = 0.2  # one path, on one rank
    with watchdog(60.0), pytest.raises((ArithmeticError, RuntimeError), match="broke"):
        generate(Raises(), strain, world(), chunk=2)


def test_plain_progress_lines(capsys: pytest.CaptureFixture[str]) -> None:
    strain = stretches(LAW.kinematics, 64, 0.2)
    generate(LAW, strain, chunk=8, progress=True)
    lines = capsys.readouterr().err.splitlines()
    assert "8/64" in lines[0] and "64/64" in lines[-1] and "left" in lines[0]
    generate(LAW, strain, chunk=8)
    assert capsys.readouterr().err == ""
