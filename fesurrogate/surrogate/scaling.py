"""Per-point parameters as a network takes them: centred, and of size one."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn


@final
class Scaling(nn.Module):
    """z = (p - centre) / width.

    Args:
        count: p, number of parameters; may be 0.

    Attributes:
        centre: Buffer (p, 1).
        width: Buffer (p, 1), positive.
    """

    centre: Tensor
    width: Tensor

    def __init__(self, count: int) -> None:
        super().__init__()
        self.register_buffer("centre", torch.zeros(count, 1, dtype=torch.float64))
        self.register_buffer("width", torch.ones(count, 1, dtype=torch.float64))

    def forward(
        self,
        parameters: Tensor | None,  # (n, p)
        like: Tensor,  # (..., n)
    ) -> Tensor:  # (p, n)
        """Return scaled parameters in the dtype of another tensor; no rows where there are none."""
        if parameters is None or not len(self.centre):
            return like.new_zeros(0, like.shape[-1])
        return (parameters.T.to(like.dtype) - self.centre) / self.width

    @property
    def terms(self) -> int:
        """Number of :meth:`quadratics`."""
        p = len(self.centre)
        return 1 + p + p * (p + 1) // 2

    @staticmethod
    def quadratics(
        z: Tensor,  # (p, n)
    ) -> tuple[Tensor, Tensor]:  # (f, n), (f, p, n)
        """Return 1, z_i and z_i z_j (i <= j), in this order, and their derivatives by z."""
        p = len(z)
        rows, columns = torch.triu_indices(p, p, device=z.device)
        unit = torch.eye(p, dtype=z.dtype, device=z.device)
        values = torch.cat([z.new_ones(1, z.shape[1]), z, z[rows] * z[columns]])
        linear = unit[:, :, None].expand(p, p, z.shape[1])
        square = unit[rows][:, :, None] * z[columns][:, None]
        square = square + unit[columns][:, :, None] * z[rows][:, None]
        slopes = torch.cat([z.new_zeros(1, p, z.shape[1]), linear, square])
        return values, slopes

    def fit(
        self,
        parameters: Tensor,  # (k, p)
    ) -> None:
        """Take centre and width from the middle and half the range of data."""
        low, high = parameters.min(0).values, parameters.max(0).values
        half = 0.5 * (high - low)
        with torch.no_grad():
            self.centre[:, 0] = 0.5 * (low + high)
            self.width[:, 0] = torch.where(half > 0.0, half, torch.ones_like(half))
