"""Convolution over a periodic grid whose kernel is learned by its lowest Fourier coefficients.

Only coefficients up to a few waves an edge are needed, so the discrete transforms are products with
thin real matrices: exact, differentiable, and for so few waves as fast as a fast transform. The
kernel is a function of waves, not of points: a layer serves grids of any number of points that can
hold its waves, and it commutes with shifts of the grid, so that it does not matter where a periodic
cell is cut.

Source: Li et al. (2021), Fourier neural operator for parametric partial differential equations,
ICLR, arXiv:2010.08895, equations 4 and 5.
"""

from __future__ import annotations

from functools import lru_cache
from typing import final

import torch
from torch import Tensor, nn

from fesurrogate.errors import InputError


@final
class SpectralConvolution(nn.Module):
    """y(s) = Re Σ_k W_k x̂_k exp(2πi k·s), |k_j| ≤ waves, with s in the unit cell.

    Args:
        channels: c, in and out.
        waves: Most waves along an edge that pass.
        dimension: d of the grid, 2 or 3.
        generator: Of the initial weights.

    Attributes:
        weight: (K, 2, c, c), real and imaginary parts of W_k of the K waves of a half space, on
            which x̂_k acts from the left. What the other half would add is their conjugate.
    """

    def __init__(
        self, channels: int, waves: int, dimension: int, *, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.channels, self.waves = channels, waves
        count = (2 * waves + 1) ** (dimension - 1) * (waves + 1)
        shape = (count, 2, channels, channels)
        values = torch.randn(*shape, generator=generator, dtype=torch.float64)
        self.weight = nn.Parameter(values / (2 * channels) ** 0.5)

    def forward(
        self,
        x: Tensor,  # (c, n, *grid)
    ) -> Tensor:  # (c, n, *grid)
        """Return the convolution on the same grid.

        Raises:
            InputError: An edge has too few points for the waves.
        """
        c, n, *grid = x.shape
        if min(grid) <= 2 * self.waves:
            raise InputError(
                f"a grid of {' x '.join(map(str, grid))} points cannot hold {self.waves} waves an "
                f"edge; take at least {2 * self.waves + 1}"
            )
        found = self._spectrum(x)  # (c, n, *waves, 2, k)
        kept = (*found.shape[2:-2], found.shape[-1])
        columns = found.movedim((-2, 0), (-2, -1)).movedim(0, -3)  # (*waves, k, n, 2, c)
        real, imaginary = self.weight.unbind(1)
        upper, lower = torch.cat([real, imaginary], 2), torch.cat([-imaginary, real], 2)
        answer = torch.bmm(columns.reshape(-1, n, 2 * c), torch.cat([upper, lower], 1))
        answer = answer.reshape(*kept, n, 2, c).movedim((-1, -3), (0, 1)).movedim(-1, -2)
        return self._points(answer, grid)

    def _spectrum(self, x: Tensor) -> Tensor:
        """Return x̂ (c, n, *waves, 2, k): real and imaginary parts, the first edge's waves last."""
        g = x.shape[-1]
        cosine, sine = waves_of(g, self.waves, True, x.dtype, x.device)
        found = _times(x, torch.cat([cosine, -sine], 1) / g)
        found = found.reshape(*x.shape[:-1], 2, -1)
        for _ in range(x.dim() - 3):
            last = found.dim() - 1
            inner = range(2, last - 2)
            found = found.permute(0, 1, last, *inner, last - 1, last - 2)  # (..., 2, g)
            g = found.shape[-1]
            cosine, sine = waves_of(g, self.waves, False, x.dtype, x.device)
            upper, lower = torch.cat([cosine, -sine], 1), torch.cat([sine, cosine], 1)
            head = found.shape[:-2]
            found = _times(found.reshape(*head, -1), torch.cat([upper, lower]) / g)
            found = found.reshape(*head, 2, -1)
        return found

    def _points(self, found: Tensor, grid: list[int]) -> Tensor:
        """Return the field of a spectrum: what :meth:`_spectrum` does, backwards."""
        for g in grid[:-1]:
            cosine, sine = waves_of(g, self.waves, False, found.dtype, found.device)
            upper, lower = torch.cat([cosine.T, sine.T], 1), torch.cat([-sine.T, cosine.T], 1)
            head = found.shape[:-2]
            found = _times(found.reshape(*head, -1), torch.cat([upper, lower]))
            found = found.reshape(*head, 2, g)
            last = found.dim() - 1
            inner = range(3, last - 1)
            found = found.permute(0, 1, *inner, last, last - 1, 2)  # (..., g, 2, waves)
        cosine, sine = waves_of(grid[-1], self.waves, True, found.dtype, found.device)
        twice = torch.full_like(cosine[:1], 2.0)
        twice[0, 0] = 1.0
        matrix = torch.cat([(twice * cosine).T, -(twice * sine).T])
        return _times(found.reshape(*found.shape[:-2], -1), matrix)


def _times(
    x: Tensor,  # (..., g)
    matrix: Tensor,  # (g, k)
) -> Tensor:  # (..., k)
    """Return x @ matrix as one product of matrices."""
    return (x.reshape(-1, len(matrix)) @ matrix).reshape(*x.shape[:-1], -1)


@lru_cache(maxsize=32)
def waves_of(
    points: int, waves: int, half: bool, dtype: torch.dtype, device: torch.device
) -> tuple[Tensor, Tensor]:  # (points, k), twice
    """Return cos and sin of 2π k s at equally spaced s; k from 0 (half) or -waves, to waves."""
    k = torch.arange(0 if half else -waves, waves + 1)
    angle = 2 * torch.pi / points * (torch.outer(torch.arange(points), k) % points).double()
    return angle.cos().to(device, dtype), angle.sin().to(device, dtype)
