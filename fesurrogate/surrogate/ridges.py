"""Exponential ridges: energies of fibres that stiffen, which a perceptron cannot extrapolate.

R(x) = Σ_r c_r / 2 [exp(t_r²) - 1],  t_r = b_r · x

The energy of a fibre of Holzapfel, Gasser and Ogden (J. Elasticity 61 (2000) 1-48, eq. 62) is one
of them, with t_r in proportion to a · E a. Value and gradient vanish at rest.
"""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn


@final
class ExponentialRidges(nn.Module):
    """R with its derivatives; b and c are trained.

    Args:
        inputs: k, length of x.
        count: Number of ridges.
        seed: Seed of the initial b; all c are 1.
    """

    def __init__(self, inputs: int, count: int, *, seed: int = 0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        values = torch.randn(count, inputs, generator=generator, dtype=torch.float64)
        self.directions = nn.Parameter(0.3 * values / inputs**0.5)  # b, (r, k)
        self.amplitudes = nn.Parameter(torch.ones(count, 1, dtype=torch.float64))  # c, (r, 1)

    def forward(
        self,
        x: Tensor,  # (k, n)
        *,
        second: bool = True,
    ) -> tuple[Tensor, Tensor, Tensor | None]:  # (n,), (k, n), (k, k, n)
        """Return value, gradient and (if asked for) Hessian.

        ∂R/∂x = Σ c exp(t²) t b,  ∂²R/∂x² = Σ c exp(t²) (1 + 2 t²) b ⊗ b
        """
        t = self.directions @ x
        grown = self.amplitudes * torch.exp(t**2)
        value = 0.5 * (grown - self.amplitudes).sum(0)
        gradient = self.directions.T @ (grown * t)
        if not second:
            return value, gradient, None
        pairs = self.directions[:, :, None] * self.directions[:, None]  # (r, k, k)
        return value, gradient, torch.tensordot(pairs, grown * (1.0 + 2.0 * t**2), ([0], [0]))
