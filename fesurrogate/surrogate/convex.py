"""A scalar perceptron that is convex and does not decrease in any input, for any weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus


@final
class ConvexPerceptron(nn.Module):
    """N(x) = w · a_L, a_l = softplus(W_l a_(l-1) + b_l), a_0 = x, with w and all W_l positive.

    Source: B. Amos, L. Xu, J. Z. Kolter, Input convex neural networks, ICML (2017), without
    their passthrough, which monotony would restrict to positive weights as well.

    Args:
        inputs: k, number of inputs.
        hidden: Widths of the hidden layers.
        seed: Seed of the initial weights.
    """

    def __init__(self, inputs: int, hidden: Sequence[int], *, seed: int = 0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)

        def normal(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=generator, dtype=torch.float64)

        widths = [inputs, *hidden, 1]
        self.weights = nn.ParameterList()  # of the positive ones = softplus
        self.biases = nn.ParameterList()
        for into, out in zip(widths[:-1], widths[1:], strict=True):
            typical = torch.log(torch.expm1(torch.tensor(1.0 / into, dtype=torch.float64)))
            self.weights.append(nn.Parameter(typical + normal(out, into)))
        for out in hidden:
            self.biases.append(nn.Parameter(normal(out, 1)))

    def forward(
        self,
        x: Tensor,  # (k, n)
        *,
        second: bool = True,
    ) -> tuple[Tensor, Tensor, Tensor | None]:  # (n,), (k, n), (k, k, n)
        """Return value, gradient and (if asked for) Hessian, which is positive semidefinite.

        With J_l = ∂z_l/∂x and g_l = ∂N/∂a_l: ∂²N/∂x² = Σ_l J_lᵀ diag(g_l ⊙ softplus'' z_l) J_l.
        """
        weights = [softplus(weight) for weight in self.weights]
        a, slopes = x, []
        for weight, bias in zip(weights, self.biases, strict=False):
            z = weight @ a + bias
            a = softplus(z)
            slopes.append(torch.sigmoid(z))
        value = (weights[-1] @ a)[0]
        adjoint = weights[-1].T.expand(-1, x.shape[1])
        adjoints: list[Tensor] = []
        for weight, slope in zip(reversed(weights[:-1]), reversed(slopes), strict=True):
            adjoints.insert(0, adjoint)
            adjoint = weight.T @ (adjoint * slope)
        if not second:
            return value, adjoint, None
        hessian = torch.zeros(len(x), *x.shape, dtype=x.dtype, device=x.device)
        jacobian = weights[0][:, :, None]  # (h, k, 1 or n)
        for k, (slope, g) in enumerate(zip(slopes, adjoints, strict=True)):
            curvature = g * slope * (1.0 - slope)  # (h, n)
            wide = jacobian.expand(-1, -1, x.shape[1])
            hessian = hessian + torch.einsum("hn,hkn,hln->kln", curvature, wide, wide)
            if k + 1 < len(slopes):
                jacobian = torch.tensordot(weights[k + 1], slope[:, None] * jacobian, 1)
        return value, adjoint, hessian
