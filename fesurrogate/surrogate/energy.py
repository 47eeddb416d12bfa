"""The energy network: a simple closed-form energy and a perceptron that corrects it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, final

import torch
from torch import Tensor

from fesurrogate.errors import InputError
from fesurrogate.kinematics import Kinematics
from fesurrogate.surrogate.growth import growth_terms
from fesurrogate.surrogate.network import (
    Network,
    NetworkResponse,
    checked_count,
    checked_names,
    checked_widths,
)
from fesurrogate.surrogate.objective import component_count, components, push_forward
from fesurrogate.surrogate.perceptron import Perceptron
from fesurrogate.surrogate.polynomial import PolynomialMap
from fesurrogate.surrogate.ridges import ExponentialRidges
from fesurrogate.surrogate.scaling import Scaling
from fesurrogate.surrogate.symmetry import Symmetry, invariants


@final
class EnergyNetwork(Network):
    """W(e, p) = ½ e · C0 e + U(e) + w [N(x, z) - N(0, z) - ∂N/∂x(0, z) · x],  x = y(e) / scale.

    The components e are objective (Green-Lagrange strain at finite strain), so W is. y are these
    components themselves, or the invariants of a material symmetry. U, at finite strain only, is
    :func:`~fesurrogate.surrogate.growth.growth_terms`. z are the scaled parameters p of the
    points; C0 and the coefficients of U are quadratic in them. Energy and stress vanish at rest,
    and the tangent is symmetric, by construction and for any weights.

    Args:
        kinematics: The strain measure.
        hidden: Widths of the hidden layers.
        symmetry: Material symmetry, about the coordinate axes.
        direction: (d,), axis of transverse isotropy.
        exponentials: Number of :class:`~fesurrogate.surrogate.ridges.ExponentialRidges` of x,
            which are added to N.
        parameter_names: Names of the p parameters.
        seed: Seed of the initial weights.

    Attributes:
        stiffness: Buffer (f, q, q), C0 as coefficients of the f quadratics of z; set from data
            before training.
        growth: Buffer (f, 2), the same of the coefficients of U.
        scale: Buffer (k, 1), typical size of each of y in the data.
        energy_scale: Buffer (), w.
        scaling: Of the parameters.

    Raises:
        InputError: A width is not positive; or symmetry and direction do not fit.
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
        symmetry: Symmetry = "none",
        direction: Sequence[float] | None = None,
        exponentials: int = 0,
        parameter_names: Sequence[str] = (),
        seed: int = 0,
    ) -> None:
        super().__init__()
        if not hidden or not all(isinstance(width, int) and width > 0 for width in hidden):
            raise InputError(f"hidden is {hidden!r}; expected one or more widths > 0")
        self.kinematics = kinematics
        self.hidden, self.parameter_names = tuple(hidden), tuple(parameter_names)
        self.symmetry, self.direction, self.exponentials = symmetry, direction, exponentials
        q, p = component_count(kinematics), len(parameter_names)
        found = invariants(kinematics, symmetry, direction)
        self.invariants = PolynomialMap(found, q) if found else None
        k = len(found) or q
        self.perceptron = Perceptron(k + p, hidden, seed=seed)
        self.ridges = ExponentialRidges(k, exponentials, seed=seed) if exponentials else None
        self.scaling = Scaling(p)
        f = self.scaling.terms
        stiffness = torch.zeros(f, q, q, dtype=torch.float64)
        stiffness[0] = torch.eye(q)
        self.register_buffer("stiffness", stiffness)
        self.register_buffer("growth", torch.zeros(f, 2, dtype=torch.float64))
        self.register_buffer("scale", torch.ones(k, 1, dtype=torch.float64))
        self.register_buffer("energy_scale", torch.ones((), dtype=torch.float64))

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
        """Return energy, stress and derivatives for admissible strains.

        The components are formed in the dtype of the strain, the rest in that of the weights.
        """
        dtype = self.stiffness.dtype
        columns = strain.T.contiguous()
        e = components(self.kinematics, columns).to(dtype)
        columns = columns.to(dtype)
        z = self.scaling(parameters, e)  # (p, n)
        energy, first, second, slopes = self._learned(e, z, tangent, sensitivity)
        stiffness, growth = self.stiffness[0], self.growth[0]
        linear, moduli = stiffness @ e, stiffness[:, :, None]
        if len(z):
            factors, _ = self.scaling.quadratics(z)  # (f, n)
            growth = self.growth.T @ factors  # (2, n)
            moduli = torch.tensordot(self.stiffness, factors, ([0], [0]))  # (q, q, n)
            linear = (moduli * e).sum(1)
        energy, first = energy + 0.5 * (e * linear).sum(0), first + linear
        second = None if second is None else second + moduli
        if self.kinematics.measure == "finite":
            extra, extra_first, extra_second = growth_terms(
                e, growth, self.kinematics.gdim, second=tangent
            )
            energy, first = energy + extra, first + extra_first
            second = None if second is None else second + extra_second
        stress, tangents = push_forward(self.kinematics, columns, first, second)
        return NetworkResponse(
            stress.T.contiguous(),
            None if tangents is None else tangents.permute(2, 0, 1).contiguous(),
            energy,
            sensitivity=self._sensitivity(columns, e, z, slopes) if sensitivity else None,
        )

    def _learned(
        self,
        e: Tensor,  # (q, n)
        z: Tensor,  # (p, n)
        tangent: bool,
        sensitivity: bool,
    ) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
        """Return the perceptron's energy (n,), its first and second derivatives by e, and by e, z.

        The shapes are (q, n), (q, q, n) and (q, p, n).
        """
        y, jacobian, curvature = e, None, None
        if self.invariants is not None:
            y, jacobian, curvature = self.invariants(e, second=tangent)
        x = y / self.scale
        k, every = len(x), len(x) + len(z)
        wanted = every if sensitivity else k if tangent else None
        value, gradient, hessian = self.perceptron(torch.cat([x, z]), second=wanted)
        rest = x.new_zeros(k, 1)
        if len(z):
            rest = torch.cat([torch.zeros_like(x), z])
        value0, gradient0, hessian0 = self.perceptron(rest, second=every if sensitivity else None)
        energy = value - value0 - (gradient0[:k] * x).sum(0)
        first = (gradient - gradient0)[:k]
        second = hessian[:k, :k] if tangent else None
        if self.ridges is not None:
            ridge, ridge_first, ridge_second = self.ridges(x, second=tangent)
            energy, first = energy + ridge, first + ridge_first
            second = second + ridge_second if tangent else None
        weight = self.energy_scale / self.scale  # (k, 1)
        energy, first = self.energy_scale * energy, weight * first
        second = weight[:, :, None] / self.scale.T[:, :, None] * second if tangent else None
        slopes = weight[:, :, None] * (hessian - hessian0)[:k, k:] if sensitivity else None
        if jacobian is None:
            return energy, first, second, slopes
        if second is not None:
            second = _pulled(_pulled(second, jacobian).transpose(0, 1), jacobian)
            second = second + (first[:, None, None] * curvature).sum(0)
        slopes = None if slopes is None else _pulled(slopes, jacobian)
        return energy, (first[:, None] * jacobian).sum(0), second, slopes

    def _sensitivity(
        self,
        columns: Tensor,  # (m, n)
        e: Tensor,  # (q, n)
        z: Tensor,  # (p, n)
        slopes: Tensor,  # (q, p, n)
    ) -> Tensor:  # (n, m, p)
        """Return d stress / d parameters, of which :meth:`_learned` gave the perceptron's part."""
        found = torch.zeros(len(columns), len(z), e.shape[1]).to(columns)
        _, factors = self.scaling.quadratics(z)  # (f, p, n)
        for j, width in enumerate(self.scaling.width):
            moduli = torch.tensordot(self.stiffness, factors[:, j], ([0], [0]))  # (q, q, n)
            first = slopes[:, j] + (moduli * e).sum(1)
            if self.kinematics.measure == "finite":
                growth, gdim = self.growth.T @ factors[:, j], self.kinematics.gdim
                first = first + growth_terms(e, growth, gdim, second=False)[1]
            found[:, j] = push_forward(self.kinematics, columns, first / width, None)[0]
        return found.permute(2, 0, 1).contiguous()

    def architecture(self) -> dict[str, Any]:
        """Return the constructor's arguments but the Kinematics and the seed."""
        return {
            "hidden": list(self.hidden),
            "symmetry": self.symmetry,
            "direction": None if self.direction is None else list(self.direction),
            "exponentials": self.exponentials,
            "parameters": list(self.parameter_names),
        }

    @classmethod
    def from_architecture(cls, kinematics: Kinematics, facts: Mapping[str, Any]) -> EnergyNetwork:
        """Return a network that waits for its weights."""
        return cls(
            kinematics,
            checked_widths(facts),
            symmetry=facts["symmetry"],
            direction=facts["direction"],
            exponentials=checked_count(facts, "exponentials"),
            parameter_names=checked_names(facts),
        )


def _pulled(
    tensor: Tensor,  # (k, r, n)
    jacobian: Tensor,  # (k, q, n)
) -> Tensor:  # (q, r, n)
    """Return Σ_k jacobian_kq tensor_kr at every point."""
    return (jacobian[:, :, None] * tensor[:, None]).sum(0)
