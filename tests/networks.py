"""Networks with random weights and scales that are not one, for tests of what holds for any."""

from __future__ import annotations

from typing import Any

import torch

from fesurrogate.kinematics import Kinematics
from fesurrogate.surrogate import EnergyNetwork


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
