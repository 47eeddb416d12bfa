"""The energy network: a simple closed-form energy and a perceptron that corrects it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, final

import torch
from torch import Tensor

from fesurrogate.errors import InputError
from fesurrogate.kinematics import Kinematics
from fesurrogate.surrogate.growth import growth_terms
from fesurrogate.surrogate.network import Network, NetworkResponse, checked_widths
from fesurrogate.surrogate.objective import component_count, components, push_forward
from fesurrogate.surrogate.perceptron import Perceptron


@final
class EnergyNetwork(Network):
    """W(e) = ½ e · C0 e + U(e) + w [N(x) - N(0) - ∇N(0) · x],  x = e / scale.

    The components e are objective (Green-Lagrange strain at finite strain), so W is. U, at finite
    strain only, is :func:`~fesurrogate.surrogate.growth.growth_terms`. Energy and stress vanish at
    rest, and the tangent is symmetric, by construction and for any weights. No material symmetry
    is assumed.

    Args:
        kinematics: The strain measure.
        hidden: Widths of the hidden layers.
        seed: Seed of the initial weights.

    Attributes:
        stiffness: Buffer (q, q), C0; set from data before training.
        growth: Buffer (2,), coefficients of U; set from data before training.
        scale: Buffer (q, 1), typical size of each component in the data.
        energy_scale: Buffer (), w.

    Raises:
        InputError: A width is not positive.
    """

    stiffness: Tensor
    growth: Tensor
    scale: Tensor
    energy_scale: Tensor

    def __init__(
        self,
        kinematics: Kinematics,
        hidden: Sequence[int] = (32, 32),
        *,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if not hidden or not all(isinstance(width, int) and width > 0 for width in hidden):
            raise InputError(f"hidden is {hidden!r}; expected one or more widths > 0")
        self.kinematics = kinematics
        self.hidden = tuple(hidden)
        q = component_count(kinematics)
        self.perceptron = Perceptron(q, hidden, seed=seed)
        self.register_buffer("stiffness", torch.eye(q, dtype=torch.float64))
        self.register_buffer("growth", torch.zeros(2, dtype=torch.float64))
        self.register_buffer("scale", torch.ones(q, 1, dtype=torch.float64))
        self.register_buffer("energy_scale", torch.ones((), dtype=torch.float64))

    def forward(
        self,
        strain: Tensor,  # (n, m)
        state: Tensor | None = None,
        dt: float = 1.0,
        *,
        parameters: Tensor | None = None,
        tangent: bool = True,
        sensitivity: bool = False,
    ) -> NetworkResponse:
        """Return energy, stress and tangent of admissible strains.

        The components are formed in the dtype of the strain, the rest in that of the weights.
        """
        dtype = self.stiffness.dtype
        columns = strain.T.contiguous()
        e = components(self.kinematics, columns).to(dtype)
        x = e / self.scale
        value, gradient, hessian = self.perceptron(x, second=tangent)
        value0, gradient0, _ = self.perceptron(torch.zeros_like(x[:, :1]), second=False)
        linear = self.stiffness @ e
        energy = 0.5 * (e * linear).sum(0) + self.energy_scale * (
            value - value0 - (gradient0 * x).sum(0)
        )
        first = linear + (gradient - gradient0) * (self.energy_scale / self.scale)
        second = None
        if hessian is not None:
            weight = self.energy_scale / (self.scale * self.scale.T)
            second = self.stiffness[:, :, None] + weight[:, :, None] * hessian
        if self.kinematics.measure == "finite":
            extra, extra_first, extra_second = growth_terms(
                e, self.growth, self.kinematics.gdim, second=tangent
            )
            energy, first = energy + extra, first + extra_first
            second = None if second is None else second + extra_second
        stress, moduli = push_forward(self.kinematics, columns.to(dtype), first, second)
        return NetworkResponse(
            stress.T.contiguous(),
            None if moduli is None else moduli.permute(2, 0, 1).contiguous(),
            energy,
        )

    def architecture(self) -> dict[str, Any]:
        """Return the constructor's arguments but the Kinematics and the seed."""
        return {"hidden": list(self.hidden)}

    @classmethod
    def from_architecture(cls, kinematics: Kinematics, facts: Mapping[str, Any]) -> EnergyNetwork:
        """Return a network that waits for its weights."""
        return cls(kinematics, checked_widths(facts))
