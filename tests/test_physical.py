"""Networks of material points: the laws inside, their derivatives, thermodynamics, training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from contract import check_contract

from fesurrogate.config.train import PhysicalSettings, PointPhaseSettings, TrainSettings
from fesurrogate.data.dataset import Dataset
from fesurrogate.errors import InputError
from fesurrogate.kinematics import Array, Kinematics
from fesurrogate.laws import J2Plasticity, isotropic_stiffness

torch = pytest.importorskip("torch")

from fesurrogate.surrogate import NetworkMaterial, load_model, save_model  # noqa: E402
from fesurrogate.surrogate.physical import PhysicalNetwork, PointPhase  # noqa: E402
from fesurrogate.surrogate.plasticity import PlasticConstants, radial_return  # noqa: E402
from fesurrogate.train import fit  # noqa: E402
from fesurrogate.train.sequence import follow, mean_path_error  # noqa: E402

METALS = {
    "voce": {"hardening": 0.5, "saturation": 0.2, "rate": 60.0},
    "linear": {"hardening": 5.0},
    "perfect": {},
}
BASE = {"young": 70.0, "poisson": 0.33, "yield_stress": 0.3}
FIBRE = PlasticConstants(young=400.0, poisson=0.2)


def walks(gdim: int, paths: int, increments: int, *, seed: int, step: float = 2e-3) -> Array:
    """Return random walks (N, T, m); first yield is near a strain of 0.004."""
    shape = (paths, increments, Kinematics(gdim).size)
    return np.cumsum(step * np.random.default_rng(seed).standard_normal(shape), axis=1)


def make_network(gdim: int = 2, points: int = 5, seed: int = 0) -> PhysicalNetwork:
    metal = PlasticConstants(**BASE, **METALS["voce"])
    phases = [PointPhase(metal, points, 0.6), PointPhase(FIBRE, 2, 0.4)]
    return PhysicalNetwork(Kinematics(gdim), phases, seed=seed)


def one_point(gdim: int, constants: dict[str, float]) -> PhysicalNetwork:
    """Return a network of one point of volume 1 under the macro strain itself."""
    network = PhysicalNetwork(Kinematics(gdim), [PointPhase(PlasticConstants(**constants), 1, 1.0)])
    with torch.no_grad():
        network.encoders[0].copy_(torch.eye(network.kinematics.size))
    return network


@pytest.mark.parametrize("name", METALS)
@pytest.mark.parametrize("gdim", [2, 3])
def test_one_point_is_the_law(gdim: int, name: str) -> None:
    """Stress, tangent, internal variables and energies are those of laws.J2Plasticity."""
    constants = {**BASE, **METALS[name]}
    law, material = J2Plasticity(gdim, **constants), NetworkMaterial(one_point(gdim, constants))
    states = law.initial_state(50), material.initial_state(50)
    columns = [0, 1, 5, 6] if gdim == 2 else list(range(7))
    for strain in walks(gdim, 50, 12, seed=1).swapaxes(0, 1):
        exact, got = law.evaluate(strain, states[0]), material.evaluate(strain, states[1])
        np.testing.assert_allclose(got.stress, exact.stress, rtol=0, atol=1e-10)
        np.testing.assert_allclose(got.tangent, exact.tangent, rtol=0, atol=1e-10)
        np.testing.assert_allclose(got.state, exact.state[:, columns], rtol=0, atol=1e-10)
        for energy in ("energy", "dissipation"):
            np.testing.assert_allclose(got.report[energy], exact.report[energy], atol=1e-10)
        states = exact.state, got.state
    assert (states[0][:, 6] > 0.0).all()  # all have flowed


@pytest.mark.parametrize("gdim", [2, 3])
def test_elastic_points_are_one_stiffness(gdim: int) -> None:
    network = PhysicalNetwork(Kinematics(gdim), [PointPhase(FIBRE, 3, 1.0)])
    law = torch.from_numpy(isotropic_stiffness(network.kinematics, young=400.0, poisson=0.2))
    encoder, volume = network.encoders[0], torch.nn.functional.softplus(network.volumes[0])
    expected = sum(w * a.T @ law @ a for w, a in zip(volume, encoder, strict=True))
    answer = NetworkMaterial(network).evaluate(walks(gdim, 4, 1, seed=0)[:, 0])
    np.testing.assert_allclose(answer.tangent[2], expected.detach().numpy(), rtol=1e-13)


@pytest.mark.parametrize("gdim", [2, 3])
def test_tangent_is_that_of_automatic_differentiation(gdim: int) -> None:
    network = make_network(gdim)
    path = torch.from_numpy(walks(gdim, 6, 5, seed=2))
    state = network.initial_state(6)
    for increment in path.unbind(1):
        with torch.no_grad():
            answer = network(increment, state)

        def stress(row: torch.Tensor, before: torch.Tensor) -> torch.Tensor:
            return network(row[None], before[None], tangent=False).stress[0]

        for k in range(6):
            exact = torch.autograd.functional.jacobian(
                lambda row, k=k, before=state: stress(row, before[k]), increment[k]
            )
            torch.testing.assert_close(answer.tangent[k], exact, rtol=1e-11, atol=1e-10)
        state = answer.state


def test_gradients_by_weights_pass_through_the_state() -> None:
    """The implicit derivative of Newton's root is exact: against central differences."""
    network = make_network(points=2)
    path = torch.from_numpy(walks(2, 3, 6, seed=3))
    raw = network.encoders[0]
    (gradient,) = torch.autograd.grad(follow(network, path).square().sum(), raw)
    direction = torch.randn(raw.shape, generator=torch.Generator().manual_seed(0)).double()
    start, step, values = raw.detach().clone(), 1e-6, []
    with torch.no_grad():
        for sign in (1.0, -1.0):
            raw.copy_(start + sign * step * direction)
            values.append(float(follow(network, path).square().sum()))
    assert (values[0] - values[1]) / (2 * step) == pytest.approx(
        float((gradient * direction).sum()), rel=1e-6
    )


@pytest.mark.parametrize("gdim", [2, 3])
def test_contract(gdim: int) -> None:
    material = NetworkMaterial(make_network(gdim))
    flowing = walks(gdim, 6, 1, seed=4, step=0.015)[:, 0]
    check_contract(material, flowing, step=2e-4)
    assert material.evaluate(flowing).report["dissipation"].min() > 0.0


def test_float32_declares_its_error() -> None:
    network, flowing = make_network(), walks(2, 6, 1, seed=4, step=0.015)[:, 0]
    single = NetworkMaterial(network, dtype="float32").evaluate(flowing)
    double = NetworkMaterial(network).evaluate(flowing)
    error = np.abs(single.tangent - double.tangent).max() / np.abs(double.tangent).max()
    assert 0.0 < error < NetworkMaterial(network, dtype="float32").tangent_error


def test_work_is_stored_or_dissipated_whatever_the_weights() -> None:
    """Trapezoidal work along a path of steps h is energy + dissipation up to O(h²)."""
    material = NetworkMaterial(make_network(seed=3))
    corners = np.concatenate([np.zeros((4, 1, 3)), walks(2, 4, 4, seed=5, step=0.01)], axis=1)
    corners[:, -1] = 0.0  # closed cycles of strain
    errors = []
    for parts in (20, 40):
        state, work = material.initial_state(4), np.zeros(4)
        stress, before, lost = np.zeros((4, 3)), corners[:, 0], np.zeros(4)
        gap = 0.0
        for corner in range(4):
            for part in np.arange(1, parts + 1) / parts:
                strain = (1 - part) * corners[:, corner] + part * corners[:, corner + 1]
                answer = material.evaluate(strain, state)
                work += 0.5 * np.einsum("ni,ni->n", stress + answer.stress, strain - before)
                assert (answer.report["dissipation"] >= lost).all()
                lost = answer.report["dissipation"]
                state, stress, before = answer.state, answer.stress, strain
                eigenvalues = np.linalg.eigvalsh(answer.tangent)
                assert (eigenvalues > 0).all()
            gap = max(gap, np.abs(work - answer.report["energy"] - lost).max())
        assert (work > 0.0).all()
        errors.append(gap / work.max())
    assert errors[1] < 2e-3 and errors[1] < 0.35 * errors[0]


def test_splitting_an_increment_changes_little() -> None:
    """Increments of a yield strain in random directions: backward Euler, whatever the weights."""
    network, path = make_network(), torch.from_numpy(walks(2, 20, 5, seed=6))
    before = torch.cat([torch.zeros_like(path[:, :1]), path[:, :-1]], dim=1)
    with torch.no_grad():
        fine = _split(network, before, path, 16)
        errors = [
            float((_split(network, before, path, parts) - fine).norm() / fine.norm())
            for parts in (1, 2, 4, 8)
        ]
    assert errors[0] < 0.03
    assert errors == sorted(errors, reverse=True) and errors[3] < errors[0] / 5


def _split(network, before, path, parts: int):  # type: ignore[no-untyped-def]
    shares = torch.arange(1, parts + 1, dtype=torch.float64) / parts
    fine = before[:, :, None] + shares[:, None] * (path - before)[:, :, None]
    return follow(network, fine.reshape(len(path), -1, path.shape[2]))[:, parts - 1 :: parts]


def test_learns_a_mixture_of_its_own_kind_from_8_paths() -> None:
    """Data of another network of the same kind, far from its start."""
    truth = make_network(seed=7, points=2)
    strains = walks(2, 40, 8, seed=8)
    with torch.no_grad():
        stress = follow(truth, torch.from_numpy(strains)).numpy()
    data = Dataset(Kinematics(2), strains, stress, None, np.ones((40, 8), dtype=bool))
    table = PhysicalSettings(
        phases={
            "metal": PointPhaseSettings(**BASE, **METALS["voce"], points=4, fraction=0.6),
            "fibre": PointPhaseSettings(young=400.0, poisson=0.2, points=2, fraction=0.4),
        }
    )
    settings = TrainSettings(model="physical", physical=table, iterations=30)
    start = mean_path_error(make_network(points=4), data)
    result = fit(data.take(slice(0, 10)), settings)
    assert result.network.phases == make_network(points=4).phases
    unseen = mean_path_error(result.network, data.take(slice(10, 40)))
    assert start > 0.3 and unseen < 0.02
    assert min(result.history["stress"]) < 0.02


def test_model_file(tmp_path: Path) -> None:
    pytest.importorskip("safetensors")
    network, path = make_network(3), walks(3, 4, 3, seed=9)
    save_model(tmp_path / "model", network)
    again, _ = load_model(tmp_path / "model")
    with torch.no_grad():
        tensors = [follow(net, torch.from_numpy(path)) for net in (network, again)]
    assert torch.equal(*tensors) and again.phases == network.phases


def test_unusable_arguments_are_named() -> None:
    metal = PointPhase(PlasticConstants(**BASE), 1, 1.0)
    with pytest.raises(InputError, match="small strain"):
        PhysicalNetwork(Kinematics(2, "finite"), [metal])
    with pytest.raises(InputError, match="at least one phase"):
        PhysicalNetwork(Kinematics(2), [])
    with pytest.raises(InputError, match="fraction"):
        PointPhase(metal.constants, 1, 0.0)
    with pytest.raises(InputError, match="points"):
        PointPhase(metal.constants, 0, 1.0)
    for wrong in ({"young": -1.0}, {"poisson": 0.5}, {"saturation": 1.0}, {"hardening": -1.0}):
        with pytest.raises(InputError, match="constants"):
            PlasticConstants(**{**BASE, **wrong})


def test_radial_return_on_the_surface_stays_elastic() -> None:
    """A state at the end of a plastic step, loaded no further, does not flow again."""
    constants = PlasticConstants(**BASE, **METALS["voce"])
    strain = torch.from_numpy(walks(3, 20, 1, seed=10, step=0.01)[:, 0].T.copy())
    nothing = torch.zeros_like(strain), torch.zeros(20, dtype=torch.float64)
    once = radial_return(constants, strain, *nothing)
    twice = radial_return(constants, strain, once.plastic, once.accumulated)
    assert bool((once.accumulated > 0).any())
    assert torch.equal(twice.accumulated, once.accumulated)
