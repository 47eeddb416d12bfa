"""A scalar multilayer perceptron with hand-written first and second derivatives.

Points lie on the last axis: every elementwise operation then runs over contiguous memory, and the
derivatives by the inputs are matrix products with the weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor, nn

from fesurrogate.surrogate.workspace import Workspace


@final
class Perceptron(nn.Module):
    """N(x) = w · a_L, a_l = tanh(W_l a_(l-1) + b_l), a_0 = x.

    With z_l the argument of the l-th tanh, J_l = ∂z_l/∂x and g_l = ∂N/∂a_l, the chain rule gives

    ∂N/∂x = W_1ᵀ (g_1 ⊙ tanh' z_1),   ∂²N/∂x² = Σ_l J_lᵀ diag(g_l ⊙ tanh'' z_l) J_l.

    Args:
        inputs: q, number of inputs.
        hidden: Widths of the hidden layers.
        seed: Seed of the initial weights; the global generator is left alone.
    """

    def __init__(self, inputs: int, hidden: Sequence[int], *, seed: int = 0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)

        def normal(*shape: int) -> nn.Parameter:
            values = torch.randn(*shape, generator=generator, dtype=torch.float64)
            return nn.Parameter(values / shape[-1] ** 0.5)

        widths = [inputs, *hidden]
        self.weights = nn.ParameterList(
            normal(out, into) for into, out in zip(widths[:-1], widths[1:], strict=True)
        )
        self.biases = nn.ParameterList(
            nn.Parameter(0.5 * torch.randn(out, 1, generator=generator, dtype=torch.float64))
            for out in hidden
        )
        self.output = normal(1, hidden[-1])
        self._work = Workspace()

    def forward(
        self,
        x: Tensor,  # (q, n)
        *,
        second: int | None = None,
    ) -> tuple[Tensor, Tensor, Tensor | None]:  # (n,), (q, n), (r, r, n)
        """Return value, gradient and the Hessian by the first ``second`` = r inputs, if any."""
        points = x.shape[1]
        activations: list[Tensor] = []
        slopes: list[Tensor] = []
        one = torch.ones((), dtype=x.dtype, device=x.device)
        a = x
        for k, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            shape = (len(weight), points)
            z = torch.addmm(bias, weight, a, out=self._work(f"z{k}", x, *shape))
            a = torch.tanh(z, out=self._work(f"a{k}", x, *shape))
            out = self._work(f"slope{k}", x, *shape)
            slopes.append(torch.addcmul(one, a, a, value=-1.0, out=out))  # 1 - tanh²
            activations.append(a)
        value = (self.output @ a)[0]
        adjoint = self.output.T  # (h, 1), ∂N/∂a_L: the same at every point
        curvatures: list[Tensor] = []  # -½ g_l ⊙ tanh'' z_l = g_l ⊙ tanh z_l ⊙ tanh' z_l
        for k in reversed(range(len(self.weights))):
            shape = slopes[k].shape
            backward = torch.mul(adjoint, slopes[k], out=self._work("backward", x, *shape))
            if second is not None:
                out = self._work(f"curvature{k}", x, *shape)
                curvatures.insert(0, torch.mul(backward, activations[k], out=out))
            adjoint = self.weights[k].T @ backward
        hessian = None if second is None else self._hessian(slopes, curvatures, second)
        return value, adjoint, hessian

    def _hessian(
        self,
        slopes: list[Tensor],  # tanh' z_l, (h, n)
        curvatures: list[Tensor],  # -½ g_l tanh'' z_l, (h, n)
        inputs: int,  # r
    ) -> Tensor:  # (r, r, n)
        first = self.weights[0][:, :inputs]  # J_1, the same at every point
        points = slopes[0].shape[1]
        rows, columns = torch.triu_indices(inputs, inputs)
        upper = (first[:, rows] * first[:, columns]).T @ curvatures[0]  # (q(q+1)/2, n)
        jacobian = first[:, :, None]  # (h, q, 1 or n)
        for k, curvature in enumerate(curvatures[1:]):
            weight, slope = self.weights[k + 1], slopes[k]
            wide, tall = (len(slope), inputs, points), (len(weight), inputs, points)
            scaled = torch.mul(slope[:, None], jacobian, out=self._work("scaled", slope, *wide))
            flat = self._work("jacobian", slope, len(weight), inputs * points)
            jacobian = torch.mm(weight, scaled.reshape(len(slope), -1), out=flat).reshape(tall)
            weighted = torch.mul(
                curvature[:, None], jacobian, out=self._work("weighted", slope, *tall)
            )
            pieces = []
            for i in range(inputs):
                out = self._work("product", slope, len(weight), inputs - i, points)
                pieces.append(torch.mul(weighted[:, i, None], jacobian[:, i:], out=out).sum(0))
            upper = upper + torch.cat(pieces)
        place = torch.zeros(inputs, inputs, dtype=torch.long, device=upper.device)
        place[rows, columns] = place[columns, rows] = torch.arange(len(rows), device=upper.device)
        return (-2.0 * upper)[place.reshape(-1)].reshape(inputs, inputs, points)
