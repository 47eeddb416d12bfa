"""A Fourier neural operator from the image of a cell and a strain to a field in the cell.

It gives what is not linear in the strain of the periodic fluctuation of the cell, on a regular
grid; the linear part is known of every cell without learning.

Source: Li et al. (2021), Fourier neural operator for parametric partial differential equations,
ICLR, arXiv:2010.08895.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, final

import torch
from torch import Tensor, nn

from fesurrogate.errors import InputError
from fesurrogate.surrogate.fourier import SpectralConvolution


@dataclass(frozen=True)
class FieldShape:
    """Sizes of a field operator.

    Attributes:
        dimension: d of the grid, 2 or 3.
        phases: P, channels of the image.
        strains: Inputs that are components of strain; the field vanishes with them.
        inputs: i, all inputs: parameters, too.
        components: c of the field.
        width: Channels of a layer.
        waves: Most waves along an edge in a layer.
        layers: How many.

    Raises:
        InputError: A size is out of range.
    """

    dimension: int
    phases: int
    strains: int
    inputs: int
    components: int
    width: int = 16
    waves: int = 8
    layers: int = 3

    def __post_init__(self) -> None:
        most = {
            "dimension": 3, "phases": 64, "strains": 9, "inputs": 512, "components": 3,
            "width": 512, "waves": 64, "layers": 16,
        }  # fmt: skip
        for name, value in asdict(self).items():
            least = {"dimension": 2, "inputs": self.strains}.get(name, 1)
            if not (isinstance(value, int) and least <= value <= most[name]):
                raise InputError(f"{name} is {value!r}; expected {least} to {most[name]}")


@final
class FieldOperator(nn.Module):
    """y(s; image, z) = w |ε| N(image, z)(s),  z = (inputs - centre) / extent, ε the strains of z.

    N lifts image and inputs to channels at each point of the grid, adds L layers
    h ← h + silu(K h + W h + b), K a :class:`SpectralConvolution`, and projects to the components.

    Args:
        shape: Its sizes.
        seed: Of the initial weights; the global generator is left alone.

    Attributes:
        centre: Buffer (i,).
        extent: Buffer (i,), positive.
        size: Buffer (), w.
    """

    centre: Tensor
    extent: Tensor
    size: Tensor

    def __init__(self, shape: FieldShape, *, seed: int = 0) -> None:
        super().__init__()
        self.shape = shape
        generator = torch.Generator().manual_seed(seed)
        width = shape.width

        def normal(out: int, into: int) -> nn.Parameter:
            values = torch.randn(out, into, generator=generator, dtype=torch.float64)
            return nn.Parameter(values / into**0.5)

        def zeros(out: int) -> nn.Parameter:
            return nn.Parameter(torch.zeros(out, 1, dtype=torch.float64))

        self.image_weight, self.input_weight = (
            normal(width, shape.phases),
            normal(width, shape.inputs),
        )
        self.lift_weight = normal(width, width)
        self.weights = nn.ParameterList(normal(width, width) for _ in range(shape.layers))
        self.biases = nn.ParameterList(zeros(width) for _ in range(shape.layers + 2))
        self.convolutions = nn.ModuleList(
            SpectralConvolution(width, shape.waves, shape.dimension, generator=generator)
            for _ in range(shape.layers)
        )
        self.hidden_weight, self.hidden_bias = normal(2 * width, width), zeros(2 * width)
        self.output_weight = normal(shape.components, 2 * width)
        self.register_buffer("centre", torch.zeros(shape.inputs, dtype=torch.float64))
        self.register_buffer("extent", torch.ones(shape.inputs, dtype=torch.float64))
        self.register_buffer("size", torch.ones((), dtype=torch.float64))

    def forward(
        self,
        image: Tensor,  # (P, *grid)
        inputs: Tensor,  # (n, i)
    ) -> Tensor:  # (n, c, *grid)
        """Return the field of each point."""
        n, grid = len(inputs), image.shape[1:]
        z = (inputs - self.centre) / self.extent
        first, second, *biases = self.biases
        seen = self.image_weight @ image.reshape(len(image), -1) + first  # (w, points)
        asked = self.input_weight @ z.T  # (w, n)
        h = nn.functional.silu(seen[:, None] + asked[:, :, None])
        h = (self.lift_weight @ h.flatten(1) + second).reshape(-1, n, *grid)
        for weight, bias, convolution in zip(self.weights, biases, self.convolutions, strict=True):
            beside = (weight @ h.flatten(1) + bias).reshape(h.shape)
            h = h + nn.functional.silu(convolution(h) + beside)
        hidden = nn.functional.silu(self.hidden_weight @ h.flatten(1) + self.hidden_bias)
        field = (self.output_weight @ hidden).reshape(-1, n, *grid).transpose(0, 1)
        return self.factor(inputs).reshape(-1, *(1,) * (len(grid) + 1)) * field

    def factor(
        self,
        inputs: Tensor,  # (n, i)
    ) -> Tensor:  # (n,)
        """Return w |ε|: how large the field is about."""
        strains = self.shape.strains
        return self.size * (inputs[:, :strains] / self.extent[:strains]).norm(dim=1)

    def architecture(self) -> dict[str, Any]:
        """Return what :meth:`from_architecture` needs, as JSON."""
        return asdict(self.shape)

    @classmethod
    def from_architecture(cls, facts: Mapping[str, Any]) -> FieldOperator:
        """Return an operator that waits for its weights; the facts come from a file.

        Raises:
            InputError: Facts that are out of range: nothing large is made before they are checked.
        """
        return cls(FieldShape(**facts))
