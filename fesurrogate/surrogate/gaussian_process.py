"""A Gaussian process of the energy, conditioned on stresses: few samples, and a known doubt.

W ~ GP(closed-form energy, k) with k = a² exp(-½ |u|²), u_c = (e_c - e'_c) / length_c. Stress is a
derivative of W and so a Gaussian process, too (C. E. Rasmussen and C. K. I. Williams, Gaussian
Processes for Machine Learning, MIT Press 2006, sect. 9.4):

cov(∂W/∂e_c, ∂W'/∂e'_d) = k (δ_cd - u_c u_d) / (length_c length_d)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, final

import torch
from torch import Tensor

from fesurrogate.errors import InputError
from fesurrogate.kinematics import Kinematics
from fesurrogate.surrogate.energy import EnergyNetwork
from fesurrogate.surrogate.network import Network, NetworkResponse
from fesurrogate.surrogate.objective import component_count, components, push_forward

LARGEST_SYSTEM = 6000
"""Most stress components that may be conditioned on: the factor takes 8 bytes for each pair."""


def stress_covariance(
    left: Tensor,  # (n, q), scaled components e / length
    right: Tensor,  # (k, q)
    length: Tensor,  # (q,)
    amplitude: Tensor,  # ()
) -> Tensor:  # (n, q, k, q)
    """Return the prior covariance of the derivatives by e of the energy."""
    u = left[:, None] - right[None]  # (n, k, q)
    kernel = amplitude**2 * torch.exp(-0.5 * (u * u).sum(2))
    identity = torch.eye(len(length), dtype=left.dtype, device=left.device)
    scaled = u / length
    plain = identity / length**2
    whole = kernel[:, :, None, None] * (plain - scaled[..., :, None] * scaled[..., None, :])
    return whole.permute(0, 2, 1, 3)


@final
class GaussianProcess(Network):
    """Mean and standard deviation of the stress of an energy that stress samples condition.

    The mean energy is that of the base plus Σ_i k(e, e_i) u_i · α_i, less the value and the slope
    of the sum at rest, so that energy and stress vanish there; the tangent is its exact second
    derivative. The base is the closed-form part of an energy network. The report's
    ``standard_deviation`` s, in units of stress, is that of the stress's norm: s² =
    deviation_factor² Σ_i var(stress_i), noise included. Where it is calibrated
    (:func:`fesurrogate.train.calibrate`), |Δstress| ≤ 1.96 s at 95 % of the points.

    It computes in float64 also where float32 is asked for.

    Args:
        kinematics: The strain measure.
        points: N, number of samples.

    Attributes:
        base: An energy network whose perceptron has no weight.
        length: Buffer (q,).
        amplitude: Buffer ().
        noise: Buffer (q,), deviation of a sampled slope of the energy from the smooth one.
        samples: Buffer (N, q), components e_i over length.
        weights: Buffer (N, q), α_i.
        factor: Buffer (N q, N q), inverse of the Cholesky factor of the samples' covariance.
        deviation_factor: Buffer ().

    Raises:
        InputError: More samples than can be factorised, or none.
    """

    length: Tensor
    amplitude: Tensor
    noise: Tensor
    samples: Tensor
    weights: Tensor
    factor: Tensor
    deviation_factor: Tensor

    def __init__(self, kinematics: Kinematics, points: int) -> None:
        super().__init__()
        q = component_count(kinematics)
        if not isinstance(points, int) or not 0 < points * q <= LARGEST_SYSTEM:
            raise InputError(
                f"GaussianProcess: points is {points!r}; expected 1 to {LARGEST_SYSTEM // q} "
                "samples: thin the data, or train a network on so many"
            )
        self.kinematics, self.points = kinematics, points
        self.base = EnergyNetwork(kinematics, (1,)).requires_grad_(False)
        self.base.energy_scale.zero_()
        shapes: dict[str, tuple[int, ...]] = {
            "samples": (points, q),
            "weights": (points, q),
            "factor": (points * q, points * q),
        }
        for name, shape in shapes.items():
            self.register_buffer(name, torch.zeros(shape, dtype=torch.float64))
        for name in ("length", "noise"):
            self.register_buffer(name, torch.ones(q, dtype=torch.float64))
        for name in ("amplitude", "deviation_factor"):
            self.register_buffer(name, torch.ones((), dtype=torch.float64))

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
        """Return energy, stress and tangent of admissible strains, and how sure they are."""
        dtype = self.length.dtype
        base = self.base(strain, tangent=tangent)
        columns = strain.T.contiguous()
        z = components(self.kinematics, columns).to(dtype).T / self.length  # (n, q)
        columns = columns.to(dtype)
        energy, first, second = self._mean(z, second=tangent)
        energy0, first0, _ = self._mean(z.new_zeros(1, z.shape[1]), second=False)
        gradient = ((first - first0) / self.length).T.contiguous()
        moduli = None
        if second is not None:
            moduli = (second / (self.length[:, None] * self.length)).permute(1, 2, 0)
        stress, pushed = push_forward(self.kinematics, columns, gradient, moduli)
        return NetworkResponse(
            base.stress + stress.T,
            None if pushed is None else base.tangent + pushed.permute(2, 0, 1),
            base.energy + energy - energy0 - z @ first0[0],
            report={"standard_deviation": self._deviation(columns, z)},
        )

    def _mean(
        self,
        z: Tensor,  # (n, q)
        *,
        second: bool,
    ) -> tuple[Tensor, Tensor, Tensor | None]:  # (n,), (n, q), (n, q, q)
        """Return what the samples add to the energy, and its derivatives by z."""
        u = z[:, None] - self.samples[None]  # (n, N, q)
        kernel = self.amplitude**2 * torch.exp(-0.5 * (u * u).sum(2))
        weights = self.weights / self.length  # of ∂W/∂z
        along = kernel * torch.einsum("niq,iq->ni", u, weights)
        pulled = torch.einsum("niq,ni->nq", u, along)
        first = kernel @ weights - pulled
        if not second:
            return along.sum(1), first, None
        crossed = torch.einsum("nic,ni,id->ncd", u, kernel, weights)
        outer = torch.einsum("nic,ni,nid->ncd", u, along, u)
        identity = torch.eye(z.shape[1], dtype=z.dtype, device=z.device)
        trace = along.sum(1)[:, None, None] * identity
        return along.sum(1), first, outer - crossed - crossed.mT - trace

    def _deviation(
        self,
        strain: Tensor,  # (m, n)
        z: Tensor,  # (n, q)
    ) -> Tensor:  # (n,)
        """Return the standard deviation of the norm of the stress."""
        n, q = z.shape
        covariance = stress_covariance(z, self.samples, self.length, self.amplitude)
        size = len(self.factor)
        reduced = covariance.reshape(n * q, size) @ self.factor.T
        reduced = reduced.reshape(n, q, size)
        prior = torch.diag(self.amplitude**2 / self.length**2)
        left = prior - reduced @ reduced.mT  # (n, q, q)
        units = torch.eye(q, dtype=z.dtype, device=z.device)
        pushed = [
            push_forward(self.kinematics, strain, unit[:, None].expand(q, n), None)[0]
            for unit in units
        ]
        basis = torch.stack(pushed)  # (q, m, n), d stress / d (∂W/∂e)
        doubt = torch.einsum("amn,nab,bmn->n", basis, left, basis).clamp_min(0.0)  # of rounding
        noise = (basis * self.noise[:, None, None]).square().sum((0, 1))
        return self.deviation_factor * (doubt + noise).sqrt()

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> GaussianProcess:
        """Follow to another device, but stay in float64: weights of opposite sign cancel."""
        return super()._apply(lambda tensor: tensor.to(fn(tensor).device), recurse)

    def architecture(self) -> dict[str, Any]:
        """Return the number of samples."""
        return {"points": self.points}

    @classmethod
    def from_architecture(cls, kinematics: Kinematics, facts: Mapping[str, Any]) -> GaussianProcess:
        """Return a process that waits for its samples."""
        return cls(kinematics, facts["points"])
