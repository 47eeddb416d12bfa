"""Recurrent networks: derivatives, the contract, split increments, training on paths."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from contract import check_contract

from fesurrogate.config.train import RecurrentSettings, TrainSettings
from fesurrogate.data.dataset import Dataset
from fesurrogate.errors import InputError
from fesurrogate.kinematics import Array, Kinematics
from fesurrogate.laws import J2Plasticity

torch = pytest.importorskip("torch")

from fesurrogate.surrogate import NetworkMaterial, load_model, save_model  # noqa: E402
from fesurrogate.surrogate.recurrent import RecurrentNetwork  # noqa: E402
from fesurrogate.train import fit  # noqa: E402
from fesurrogate.train.history import set_scales  # noqa: E402
from fesurrogate.train.sequence import (  # noqa: E402
    follow,
    mean_path_error,
    path_errors,
    relative_squares,
    solved_paths,
)

LAW = J2Plasticity(2, young=70.0, poisson=0.3, yield_stress=0.3, hardening=5.0)
CELLS = ("minimal", "gated")


def walks(kinematics: Kinematics, paths: int, increments: int, *, seed: int) -> Array:
    """Return random walks (N, T, m)."""
    shape = (paths, increments, kinematics.size)
    return np.cumsum(2e-3 * np.random.default_rng(seed).standard_normal(shape), axis=1)


def sampled(paths: int, increments: int = 8, *, seed: int = 0) -> Dataset:
    """Return what J2 plasticity answers along random walks."""
    strain = walks(LAW.kinematics, paths, increments, seed=seed)
    stress, state = np.empty_like(strain), LAW.initial_state(paths)
    for t in range(increments):
        answer = LAW.evaluate(strain[:, t], state)
        stress[:, t], state = answer.stress, answer.state
    return Dataset(LAW.kinematics, strain, stress, None, np.ones(strain.shape[:2], dtype=bool))


def make_network(
    cell: str, kinematics: Kinematics = LAW.kinematics, hidden: int = 9, seed: int = 0
) -> RecurrentNetwork:
    """Return a network with random weights whose scales suit the walks."""
    network = RecurrentNetwork(kinematics, hidden, cell=cell, seed=seed)
    strain = torch.from_numpy(walks(kinematics, 20, 8, seed=1))
    stress = strain @ (70.0 * torch.eye(kinematics.size, dtype=torch.float64))
    data = Dataset(kinematics, strain.numpy(), stress.numpy(), None, np.ones((20, 8), dtype=bool))
    set_scales(network, solved_paths(data))
    return network


@pytest.mark.parametrize("kinematics", [Kinematics(2), Kinematics(3), Kinematics(2, "gradient")])
@pytest.mark.parametrize("cell", CELLS)
def test_tangent_is_that_of_automatic_differentiation(cell: str, kinematics: Kinematics) -> None:
    network = make_network(cell, kinematics)
    path, state = torch.from_numpy(walks(kinematics, 4, 4, seed=2)), network.initial_state(4)
    for increment in path.unbind(1):
        with torch.no_grad():
            answer = network(increment, state)
        for k in range(4):
            exact = torch.autograd.functional.jacobian(
                lambda row, k=k, before=state: network(row[None], before[k][None]).stress[0],
                increment[k],
            )
            torch.testing.assert_close(answer.tangent[k], exact, rtol=1e-11, atol=1e-10)
        state = answer.state


@pytest.mark.parametrize("cell", CELLS)
def test_contract(cell: str) -> None:
    check_contract(
        NetworkMaterial(make_network(cell)), walks(LAW.kinematics, 6, 1, seed=3)[:, 0], step=1e-3
    )


@pytest.mark.parametrize("cell", CELLS)
def test_virgin_rest_is_free_of_stress_and_has_a_tangent(cell: str) -> None:
    network = make_network(cell)
    answer = NetworkMaterial(network).evaluate(np.zeros((1, 3)))
    if cell == "minimal":  # the gated cell moves at rest: it does not know how long a step is
        np.testing.assert_allclose(answer.stress, 0.0, atol=1e-13)
        np.testing.assert_allclose(answer.tangent[0], network.stiffness.numpy(), rtol=0.2)
    assert np.isfinite(answer.tangent).all()


def _split(network: RecurrentNetwork, strain: Array, parts: int) -> torch.Tensor:
    """Return the stress at the ends of increments that are given in equal parts."""
    path = torch.from_numpy(strain)
    before = torch.cat([torch.zeros_like(path[:, :1]), path[:, :-1]], dim=1)
    shares = torch.arange(1, parts + 1, dtype=torch.float64) / parts
    fine = before[:, :, None] + shares[:, None] * (path - before)[:, :, None]
    with torch.no_grad():
        return follow(network, fine.reshape(len(path), -1, path.shape[2]))[:, parts - 1 :: parts]


@pytest.mark.parametrize("seed", range(3))
def test_split_increments_converge_with_order_one_whatever_the_weights(seed: int) -> None:
    """One increment in 2, 4 and 8 parts changes the minimal cell's stress by less than 2 %."""
    strain = walks(LAW.kinematics, 10, 5, seed=4)
    errors = {}
    for cell in CELLS:
        network = make_network(cell, seed=seed)
        whole = _split(network, strain, 1)
        errors[cell] = [
            float((_split(network, strain, parts) - whole).norm() / whole.norm())
            for parts in (2, 4, 8)
        ]
        if cell == "minimal":
            fine = _split(network, strain, 64)
            left = [float((_split(network, strain, k) - fine).norm()) for k in (2, 4, 8, 16)]
            assert np.polyfit(np.log([2, 4, 8, 16]), np.log(left), 1)[0] < -0.9
    assert max(errors["minimal"]) < 0.02
    assert max(errors["gated"]) > 10.0 * max(errors["minimal"])


def test_learns_plasticity_better_than_the_gated_cell() -> None:
    data, unseen = sampled(60), sampled(60, seed=99)
    elastic = unseen.strain @ make_network("minimal").stiffness.numpy()
    assert np.linalg.norm(elastic - unseen.stress) / np.linalg.norm(unseen.stress) > 0.5
    error = {}
    for cell in CELLS:
        shape = RecurrentSettings(width=24, cell=cell)
        result = fit(data, TrainSettings(model="recurrent", recurrent=shape, iterations=20))
        error[cell] = mean_path_error(result.network, unseen)
        assert result.errors.points == 6 * 8
        best = min(result.history["stress"])
        assert best / 3 < error[cell] < 3 * best  # the held-out part is an honest estimate
    assert error["minimal"] < 0.25 and error["minimal"] < error["gated"]


@pytest.mark.parametrize("cell", CELLS)
def test_a_path_is_followed_as_the_material_follows_it(cell: str) -> None:
    network, strain = make_network(cell), walks(LAW.kinematics, 4, 5, seed=6)
    material = NetworkMaterial(network)
    state, stress = material.initial_state(4), np.empty_like(strain)
    for t in range(5):
        answer = material.evaluate(strain[:, t], state)
        stress[:, t], state = answer.stress, answer.state
    with torch.no_grad():
        followed = follow(network, torch.from_numpy(strain)).numpy()
    np.testing.assert_allclose(followed, stress, rtol=0, atol=1e-12 * np.abs(stress).max())


def test_errors_of_paths_are_what_they_say() -> None:
    network, data = make_network("minimal"), sampled(5)
    ok = data.ok.copy()
    ok[2, 5:] = False
    stress = np.where(ok[:, :, None], data.stress, np.nan)
    broken = Dataset(LAW.kinematics, data.strain, stress, None, ok)
    with torch.no_grad():
        answer = follow(network, torch.from_numpy(data.strain)).numpy()
    delta, exact = (answer - data.stress)[ok], data.stress[ok]
    errors = path_errors(network, broken)
    assert errors.points == 37
    assert errors.stress == pytest.approx(np.linalg.norm(delta) / np.linalg.norm(exact))
    part = np.linalg.norm((answer - data.stress)[2, :5]) / np.linalg.norm(data.stress[2, :5])
    each = relative_squares(torch.from_numpy(answer), solved_paths(broken))
    assert float(each[2]) ** 0.5 == pytest.approx(part)


@pytest.mark.parametrize("cell", CELLS)
def test_model_file(tmp_path: Path, cell: str) -> None:
    pytest.importorskip("safetensors")
    network, strain = make_network(cell), walks(LAW.kinematics, 3, 4, seed=5)
    save_model(tmp_path / "model", network)
    again, _ = load_model(tmp_path / "model")
    with torch.no_grad():
        tensors = [follow(net, torch.from_numpy(strain)) for net in (network, again)]
    assert torch.equal(*tensors)


def test_unusable_arguments_are_named() -> None:
    with pytest.raises(InputError, match="finite"):
        RecurrentNetwork(Kinematics(2, "finite"))
    with pytest.raises(InputError, match="cell"):
        RecurrentNetwork(Kinematics(2), cell="lstm")
    with pytest.raises(InputError, match="hidden"):
        RecurrentNetwork(Kinematics(2), 0)
    data = sampled(10)
    with pytest.raises(InputError, match="unlike length"):
        solved_paths(
            Dataset(LAW.kinematics, data.strain, data.stress, None, data.ok,
                    dt=np.arange(80.0).reshape(10, 8))
        )  # fmt: skip
    with pytest.raises(InputError, match="failed"):
        solved_paths(
            Dataset(LAW.kinematics, data.strain, data.stress, None, np.zeros_like(data.ok))
        )
    with pytest.raises(InputError, match="not finite"):
        solved_paths(Dataset(LAW.kinematics, data.strain, np.nan * data.stress, None, data.ok))
