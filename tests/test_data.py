"""A dataset holds together; the farm is the serial answer, whatever the ranks."""

from __future__ import annotations

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
