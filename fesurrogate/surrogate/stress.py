"""The stress network: stresses without an energy, for laws at small strain that have none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, final

import torch
from torch import Tensor, nn

from fesurrogate.errors import InputError
from fesurrogate.kinematics import Kinematics
from fesurrogate.surrogate.network import (
    Network,
    NetworkResponse,
    checked_flag,
    checked_names,
    checked_widths,
)
from fesurrogate.surrogate.scaling import Scaling


@final
class StressNetwork(Network):
    """σ(ε, p) = C0 ε + w [N(x, z) - N(0, z)],  x = ε / scale: a vector of m components.

    The stress vanishes at rest by construction. It has no energy. If ``symmetric``, the tangent is
    the symmetric part of the derivative of the stress (for solvers that need it), and
    :meth:`tangent_error` tells how far that is from the derivative. Small strain and gradients
    only: of F the stress would not be objective.

    Args:
        kinematics: The strain measure.
        hidden: Widths of the hidden layers.
        symmetric: Answer a symmetric tangent.
        parameter_names: Names of the p parameters.
        seed: Seed of the initial weights.

    Attributes:
        stiffness: Buffer (f, m, m), C0 as coefficients of the f quadratics of z.
        scale: Buffer (m, 1), typical size of each strain component in the data.
        stress_scale: Buffer (), w.
        asymmetry: Buffer (), largest relative skew part of the derivative where it was trained.
        scaling: Of the parameters.

    Raises:
        InputError: A width is not positive, or finite strain.
    """

    stiffness: Tensor
    scale: Tensor
    stress_scale: Tensor
    asymmetry: Tensor

    def __init__(
        self,
        kinematics: Kinematics,
        hidden: Sequence[int] = (32, 32),
        *,
        symmetric: bool = False,
        parameter_names: Sequence[str] = (),
        seed: int = 0,
    ) -> None:
        super().__init__()
        if not hidden or not all(isinstance(width, int) and width > 0 for width in hidden):
            raise InputError(f"hidden is {hidden!r}; expected one or more widths > 0")
        if kinematics.measure == "finite":
            raise InputError(
                "a stress network of the deformation gradient is not objective; at finite strain "
                "take an energy network: model = 'energy'"
            )
        self.kinematics, self.symmetric = kinematics, symmetric
        self.hidden, self.parameter_names = tuple(hidden), tuple(parameter_names)
        m, p = kinematics.size, len(parameter_names)
        generator = torch.Generator().manual_seed(seed)
        widths = [m + p, *hidden, m]
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        for into, out in zip(widths[:-1], widths[1:], strict=True):
            values = torch.randn(out, into, generator=generator, dtype=torch.float64)
            self.weights.append(nn.Parameter(values / into**0.5))
        for out in hidden:
            values = torch.randn(out, 1, generator=generator, dtype=torch.float64)
            self.biases.append(nn.Parameter(0.5 * values))
        self.scaling = Scaling(p)
        self.register_buffer("stiffness", torch.zeros(self.scaling.terms, m, m).double())
        self.register_buffer("scale", torch.ones(m, 1, dtype=torch.float64))
        self.register_buffer("stress_scale", torch.ones((), dtype=torch.float64))
        self.register_buffer("asymmetry", torch.zeros((), dtype=torch.float64))

    def forward(
        self,
        strain: Tensor,  # (n, m)
        state: Tensor | None = None,
        dt: float = 1.0,
        *,
        parameters: Tensor | None = None,  # (n, p)
        tangent: bool = True,
        sensitivity: bool = False,
    ) -> NetworkResponse:
        """Return stress and derivatives."""
        e = strain.T.contiguous().to(self.stiffness.dtype)  # (m, n)
        m, z = len(e), self.scaling(parameters, e)
        factors, slopes = self.scaling.quadratics(z)  # (f, n), (f, p, n)
        moduli = torch.tensordot(self.stiffness, factors, ([0], [0]))  # (m, m, n)
        x = torch.cat([e / self.scale, z])
        value, jacobian = self._learned(x, m + len(z) if sensitivity else m if tangent else 0)
        rest = torch.cat([torch.zeros_like(e), z])
        value0, jacobian0 = self._learned(rest, m + len(z) if sensitivity else 0)
        stress = (moduli * e).sum(1) + self.stress_scale * (value - value0)
        tangents = None
        if tangent:
            tangents = moduli + self.stress_scale * jacobian[:, :m] / self.scale
            if self.symmetric:
                tangents = 0.5 * (tangents + tangents.transpose(0, 1))
            tangents = tangents.permute(2, 0, 1).contiguous()
        found = None
        if sensitivity:
            change = torch.tensordot(self.stiffness, slopes, ([0], [0]))  # (m, m, p, n)
            found = (change * e[:, None]).sum(1) + self.stress_scale * (jacobian - jacobian0)[:, m:]
            found = (found / self.scaling.width).permute(2, 0, 1).contiguous()
        return NetworkResponse(stress.T.contiguous(), tangents, sensitivity=found)

    def _learned(
        self,
        x: Tensor,  # (m + p, n)
        inputs: int,  # r, leading inputs by which the derivative is wanted
    ) -> tuple[Tensor, Tensor]:  # (m, n), (m, r, n)
        """Return N and its derivative, layer by layer: J_l = W_l diag(tanh') J_(l-1)."""
        points = x.shape[1]
        a = x
        jacobian = torch.eye(len(x), dtype=x.dtype, device=x.device)[:, :inputs, None]
        for weight, bias in zip(self.weights, self.biases, strict=False):
            a = torch.tanh(bias + weight @ a)
            jacobian = torch.tensordot(weight, jacobian, 1) * (1.0 - a**2)[:, None]
        last = self.weights[-1]
        return last @ a, torch.tensordot(last, jacobian, 1).expand(len(last), inputs, points)

    def tangent_error(self) -> float:
        """Return twice the largest skew part seen, relative to the tangent, if it is left out."""
        return 2.0 * float(self.asymmetry) if self.symmetric else 0.0

    def architecture(self) -> dict[str, Any]:
        """Return the constructor's arguments but the Kinematics and the seed."""
        return {
            "hidden": list(self.hidden),
            "symmetric": self.symmetric,
            "parameters": list(self.parameter_names),
        }

    @classmethod
    def from_architecture(cls, kinematics: Kinematics, facts: Mapping[str, Any]) -> StressNetwork:
        """Return a network that waits for its weights."""
        return cls(
            kinematics,
            checked_widths(facts),
            symmetric=checked_flag(facts, "symmetric"),
            parameter_names=checked_names(facts),
        )
