"""What every network offers to training, to the model file and to NetworkMaterial."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from fesurrogate.kinematics import Kinematics


@dataclass(frozen=True)
class NetworkResponse:
    """Energy (n,), stress (n, m) and tangent (n, m, m), or None where it was not asked for."""

    energy: Tensor
    stress: Tensor
    tangent: Tensor | None


class Network(nn.Module, ABC):
    """A strain energy with its first and second derivatives, differentiable in the weights.

    Attributes:
        kinematics: The strain measure.
    """

    kinematics: Kinematics

    @abstractmethod
    def forward(
        self,
        strain: Tensor,  # (n, m)
        *,
        tangent: bool = True,
    ) -> NetworkResponse:
        """Return energy, stress and tangent of admissible strains."""

    @abstractmethod
    def architecture(self) -> dict[str, Any]:
        """Return what the constructor needs, as JSON: the weights then fit in."""
