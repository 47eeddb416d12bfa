"""An autoencoder of snapshots: few numbers a snapshot, from which a decoder makes it again.

Around the principal components, so that it begins as they are and can only come nearer.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from fesurrogate.errors import InputError
from fesurrogate.kinematics import Array


@dataclass(frozen=True)
class Decoder:
    """y = offset + linear z + second tanh(first z + bias), with the z of every snapshot.

    Attributes:
        latents: (N, d), z.
        arrays: ``offset`` (R,), ``linear`` (R, d), ``second`` (R, h), ``first`` (h, d), ``bias``
            (h,).
    """

    latents: Array
    arrays: dict[str, Array]


def fit_autoencoder(
    snapshots: Array,  # (N, R)
    latents: int,
    hidden: int,
    *,
    seed: int = 0,
    iterations: int = 500,
) -> Decoder:
    """Return a decoder and the latents of the snapshots, trained together by L-BFGS.

    The encoder is of the decoder's kind; it is needed in training alone, in which it sees that
    near snapshots have near latents.

    Args:
        snapshots: One a row.
        latents: d, numbers a snapshot is made of.
        hidden: h, width of the hidden layers of encoder and decoder.
        seed: Of the weights.
        iterations: Of L-BFGS, at most.

    Raises:
        InputError: There are no more snapshots, or numbers in one, than latents.
    """
    count, size = snapshots.shape
    if not 0 < latents < min(count, size):
        raise InputError(
            f"latents is {latents}; expected 1 or more, and fewer than the {count} snapshots and "
            f"the {size} numbers in each"
        )
    data = torch.from_numpy(snapshots).to(torch.float64)
    mean = data.mean(0)
    scale = (data - mean).square().mean().sqrt().clamp_min(1e-300)
    x = (data - mean) / scale
    right = torch.linalg.svd(x, full_matrices=False)[2][:latents]  # (d, R)
    spread = (x @ right.T).square().mean(0).sqrt().clamp_min(1e-12)
    draw = torch.Generator().manual_seed(seed)

    def drawn(rows: int, columns: int, by: float) -> Tensor:
        return by * torch.randn(rows, columns, generator=draw, dtype=torch.float64)

    weights = [
        right / spread[:, None], drawn(latents, hidden, 1e-2), drawn(hidden, size, size**-0.5),
        right.T * spread, drawn(size, hidden, 1e-2), drawn(hidden, latents, 1.0),
        torch.zeros(size, dtype=torch.float64), drawn(1, hidden, 1.0)[0],
    ]  # fmt: skip
    weights = [weight.contiguous().requires_grad_(True) for weight in weights]
    ahead, outer, inner, linear, second, first, offset, bias = weights

    def encode() -> Tensor:  # (N, d)
        return x @ ahead.T + torch.tanh(x @ inner.T) @ outer.T

    def decode(z: Tensor) -> Tensor:  # (N, R)
        return offset + z @ linear.T + torch.tanh(z @ first.T + bias) @ second.T

    optimizer = torch.optim.LBFGS(
        weights, max_iter=iterations, history_size=50, tolerance_grad=1e-14,
        tolerance_change=1e-16, line_search_fn="strong_wolfe",
    )  # fmt: skip

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = (decode(encode()) - x).square().mean()
        loss.backward()
        return loss

    optimizer.step(closure)
    with torch.no_grad():
        z = encode()
        arrays = {
            "offset": offset * scale + mean, "linear": linear * scale, "second": second * scale,
            "first": first, "bias": bias,
        }  # fmt: skip
    return Decoder(z.numpy(), {name: array.detach().numpy() for name, array in arrays.items()})
