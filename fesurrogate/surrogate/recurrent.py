"""Recurrent networks for history: a cell that integrates a rate, and the plain gated one.

The minimal cell follows the idea of C. Bonatti and D. Mohr, On the importance of self-consistency
in recurrent neural network models representing elasto-plastic solids, J. Mech. Phys. Solids 158
(2022) 104697: the hidden state decays along the length of the strain increment, so that its
response converges as increments are split, whatever the weights. The gated recurrent unit (K. Cho
et al., arXiv:1406.1078, 2014, as torch writes it) has no such limit: a split increment is read as
two.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, final

import torch
from torch import Tensor, nn

from fesurrogate.errors import InputError
from fesurrogate.kinematics import Kinematics
from fesurrogate.surrogate.network import LARGEST_LAYER, Network, NetworkResponse

SMALLEST_LENGTH = 1e-5
"""Scaled strain increment below which direction and length fade, so that a tangent exists there.

It is that of the unchanged hidden state: elastic, where Newton's method starts an increment.
"""

SLOWNESS = 10.0
"""Typical increments in which a hidden unit of raw rate 1 turns to its goal, before training."""

Cell = Literal["minimal", "gated"]


@dataclass(frozen=True)
class _Step:
    """Hidden state at the end (n, h), and its derivative by the scaled strain (n, h, m)."""

    hidden: Tensor
    slope: Tensor | None


@final
class RecurrentNetwork(Network):
    """σ = C0 ε + stress_scale [R(h) - R(0)],  h = cell(h_n, ε_n, ε),  R(h) = W tanh(V h + b).

    The tangent is exact, by the chain rule through the step. Stress vanishes at rest in the virgin
    state. With the minimal cell, r being the length and ν the direction of the scaled increment,

    h = b + exp(-r g) (h_n - b),   g = softplus(G z), b = tanh(B z), z = tanh(Z [ε_n, h_n, ν])

    and a state row holds [ε_n, h_n]. With the gated cell C0 is zero, and a row holds h_n.

    Args:
        kinematics: Small strain or a gradient.
        hidden: h, width of the hidden state and of the layers.
        cell: ``minimal`` or ``gated``.
        seed: Seed of the initial weights.

    Attributes:
        stiffness: Buffer (m, m), C0; set from data before training.
        scale: Buffer (), typical strain.
        increment_scale: Buffer (), typical strain increment.
        stress_scale: Buffer ().

    Raises:
        InputError: Finite strain, an unknown cell, or a width out of range.
    """

    stiffness: Tensor
    scale: Tensor
    increment_scale: Tensor
    stress_scale: Tensor

    def __init__(
        self, kinematics: Kinematics, hidden: int = 48, *, cell: Cell = "minimal", seed: int = 0
    ) -> None:
        super().__init__()
        if kinematics.measure == "finite" or cell not in ("minimal", "gated"):
            raise InputError(
                f"RecurrentNetwork: {kinematics} and cell {cell!r}; expected small strain or a "
                "gradient, and 'minimal' or 'gated'"
            )
        if not isinstance(hidden, int) or not 0 < hidden <= LARGEST_LAYER:
            raise InputError(f"hidden is {hidden!r}; expected a width from 1 to {LARGEST_LAYER}")
        self.kinematics, self.hidden, self.cell = kinematics, hidden, cell
        m, generator = kinematics.size, torch.Generator().manual_seed(seed)
        self.memory: nn.Module
        if cell == "minimal":
            self.memory = MinimalCell(m, hidden, generator)
            self.num_state = m + hidden
        else:
            self.memory = GatedCell(m, hidden, generator)
            self.num_state = hidden
        self.layer = _linear(hidden, hidden, generator)
        self.readout = _linear(hidden, m, generator)
        self.register_buffer("stiffness", torch.zeros(m, m, dtype=torch.float64))
        for name in ("scale", "increment_scale", "stress_scale"):
            self.register_buffer(name, torch.ones((), dtype=torch.float64))

    def forward(
        self,
        strain: Tensor,  # (n, m)
        state: Tensor | None = None,  # (n, s)
        dt: float = 1.0,
        *,
        parameters: Tensor | None = None,
        tangent: bool = True,
        sensitivity: bool = False,
    ) -> NetworkResponse:
        """Return stress, tangent and state; ``dt`` has no influence."""
        dtype, m = self.stiffness.dtype, self.kinematics.size
        assert state is not None
        x, memory = strain.to(dtype) / self.scale, state.to(dtype)
        if self.cell == "minimal":
            before = memory[:, :m]
            ratio = self.scale / self.increment_scale
            step = self.memory(x, before, memory[:, m:], ratio, tangent)
            after = torch.cat([x, step.hidden], dim=1)
        else:
            step = self.memory(x, memory, tangent)
            after = step.hidden
        activation = torch.tanh(self.layer(step.hidden))
        offset = torch.tanh(self.layer.bias) @ self.readout.weight.T
        elastic = strain.to(dtype) @ self.stiffness.T
        stress = elastic + self.stress_scale * (activation @ self.readout.weight.T - offset)
        moduli = None
        if step.slope is not None:
            inner = (1.0 - activation**2)[:, :, None] * (self.layer.weight @ step.slope)
            moduli = self.readout.weight @ inner * (self.stress_scale / self.scale) + self.stiffness
        return NetworkResponse(stress, moduli, None, after)

    def architecture(self) -> dict[str, Any]:
        """Return the constructor's arguments but the Kinematics and the seed."""
        return {"hidden": self.hidden, "cell": self.cell}

    @classmethod
    def from_architecture(
        cls, kinematics: Kinematics, facts: Mapping[str, Any]
    ) -> RecurrentNetwork:
        """Return a network that waits for its weights."""
        return cls(kinematics, facts["hidden"], cell=facts["cell"])


@final
class MinimalCell(nn.Module):
    """One exponential step of dh/dr = g ⊙ (b - h), with g and b frozen at its start."""

    def __init__(self, m: int, hidden: int, generator: torch.Generator) -> None:
        super().__init__()
        self.features = _linear(2 * m + hidden, hidden, generator)
        self.rate = _linear(hidden, hidden, generator)
        self.goal = _linear(hidden, hidden, generator)

    def forward(
        self,
        strain: Tensor,  # (n, m), scaled
        before: Tensor,  # (n, m), scaled
        hidden: Tensor,  # (n, h)
        ratio: Tensor,  # (), scaled increment over scaled strain
        tangent: bool,
    ) -> _Step:
        """Return the state at the end of the increment."""
        x = (strain - before) * ratio
        length = torch.sqrt((x * x).sum(1, keepdim=True) + SMALLEST_LENGTH**2)  # (n, 1)
        direction = x / length
        travelled = (x * direction).sum(1, keepdim=True)
        z = torch.tanh(self.features(torch.cat([before, hidden, direction], dim=1)))
        raw = self.rate(z)
        rate, goal = nn.functional.softplus(raw) / SLOWNESS, torch.tanh(self.goal(z))
        decay = torch.exp(-travelled * rate)
        end = goal + decay * (hidden - goal)
        if not tangent:
            return _Step(end, None)
        m = strain.shape[1]
        identity = torch.eye(m, dtype=x.dtype, device=x.device)
        turning = (identity - direction[:, :, None] * direction[:, None]) / length[:, :, None]
        inner = (1.0 - z**2)[:, :, None] * (self.features.weight[:, -m:] @ turning)  # (n, h, m)
        goal_slope = (1.0 - goal**2)[:, :, None] * (self.goal.weight @ inner)
        rate_slope = (torch.sigmoid(raw) / SLOWNESS)[:, :, None] * (self.rate.weight @ inner)
        faster = (2.0 - travelled / length) * direction  # (n, m), of the length by x
        exponent = rate[:, :, None] * faster[:, None] + travelled[:, :, None] * rate_slope
        slope = (1.0 - decay)[:, :, None] * goal_slope
        slope = slope - ((hidden - goal) * decay)[:, :, None] * exponent
        return _Step(end, slope * ratio)


@final
class GatedCell(nn.Module):
    """h = (1 - z) ⊙ c + z ⊙ h_n, c = tanh(A x + r ⊙ (B h_n + d)), r, z = sigmoid(P [x, h_n])."""

    def __init__(self, m: int, hidden: int, generator: torch.Generator) -> None:
        super().__init__()
        self.gates = _linear(m + hidden, 2 * hidden, generator)
        self.new = _linear(m, hidden, generator)
        self.kept = _linear(hidden, hidden, generator)

    def forward(
        self,
        strain: Tensor,  # (n, m), scaled
        hidden: Tensor,  # (n, h)
        tangent: bool,
    ) -> _Step:
        """Return the state at the end of the increment."""
        gates = torch.sigmoid(self.gates(torch.cat([strain, hidden], dim=1)))
        reset, update = gates.chunk(2, dim=1)
        kept = self.kept(hidden)
        candidate = torch.tanh(self.new(strain) + reset * kept)
        end = candidate + update * (hidden - candidate)
        if not tangent:
            return _Step(end, None)
        m = strain.shape[1]
        opening = (gates * (1.0 - gates))[:, :, None] * self.gates.weight[:, :m]
        reset_slope, update_slope = opening.chunk(2, dim=1)
        inner = self.new.weight + kept[:, :, None] * reset_slope
        slope = ((1.0 - update) * (1.0 - candidate**2))[:, :, None] * inner
        return _Step(end, slope + (hidden - candidate)[:, :, None] * update_slope)


def _linear(inputs: int, outputs: int, generator: torch.Generator) -> nn.Linear:
    """Return a layer whose entries are normal, of variance 1 / inputs."""
    layer = nn.Linear(inputs, outputs, dtype=torch.float64)
    with torch.no_grad():
        for values in (layer.weight, layer.bias):
            noise = torch.randn(values.shape, generator=generator, dtype=torch.float64)
            values.copy_(noise / math.sqrt(inputs))
    return layer
