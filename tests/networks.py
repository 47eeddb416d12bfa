"""Networks with random weights and scales that are not one, for tests of what holds for any."""

from __future__ import annotations

from typing import Any

import torch

from fesurrogate.data.sampling import stretches
from fesurrogate.kinematics import Kinematics
from fesurrogate.surrogate import EnergyNetwork, Network


def random_energy(
    kinematics: Kinematics, hidden: tuple[int, ...] = (8, 7), *, seed: int = 0, **options: Any
) -> EnergyNetwork:
    """Return an energy network; options are its constructor's."""
    network = EnergyNetwork(kinematics, hidden, seed=seed, **options)
    generator = torch.Generator().manual_seed(seed)
    if network.symmetry == "none":
        root = torch.randn(network.stiffness.shape, generator=generator, dtype=torch.float64)
        network.stiffness.copy_(root @ root.mT)
    network.scale.copy_(0.1 + 0.1 * torch.rand(network.scale.shape, generator=generator))
    network.energy_scale.fill_(0.05)
    growth = torch.rand(network.growth.shape, generator=generator)
    network.growth.copy_(growth + torch.tensor([0.7, 1.9]))
    centre = network.scaling.centre
    network.scaling.centre.copy_(torch.rand(centre.shape, generator=generator))
    network.scaling.width.copy_(0.5 + torch.rand(centre.shape, generator=generator))
    return network


def assert_derivatives_of_energy(network: Network, tolerance: float) -> None:
    """Assert that what is written by hand is what automatic differentiation finds.

    Args:
        network: Of the energy.
        tolerance: Of the stress; second derivatives may err ten times as much.
    """
    count, names = 5, len(network.parameter_names)
    strain = torch.from_numpy(stretches(network.kinematics, count, 0.2)[:, 0])
    parameters = torch.rand(count, names, generator=torch.Generator().manual_seed(1)).double()

    def energy(row: torch.Tensor, parameter: torch.Tensor) -> torch.Tensor:
        return network(row[None], parameters=parameter[None], tangent=False).energy[0]

    answer = network(strain, parameters=parameters, sensitivity=names > 0)
    of = torch.func
    expected = {"stress": of.grad(energy), "tangent": of.hessian(energy)}
    if names:
        expected["sensitivity"] = of.jacrev(of.grad(energy), argnums=1)
    for name, derivative in expected.items():
        exact = of.vmap(derivative)(strain, parameters)
        assert float(exact.abs().max()) > 1e-3
        allowed = tolerance if name == "stress" else 10 * tolerance
        torch.testing.assert_close(getattr(answer, name), exact, rtol=allowed, atol=allowed)
