"""Energy networks through the machine code of :mod:`fesurrogate.surrogate.kernels`.

Numba brings its own compiler, so that the user needs none. What it compiled it keeps beside the
module, or in the user's cache where the installation cannot be written to; NUMBA_CACHE_DIR names
another place.
"""

from __future__ import annotations

import logging
import math
import time
from typing import Literal, final

import numpy as np
import torch

from fesurrogate import machine_code
from fesurrogate.kinematics import SYMMETRIC_PAIRS, Array
from fesurrogate.surrogate.energy import EnergyNetwork
from fesurrogate.surrogate.network import Network

logger = logging.getLogger(__name__)

Precision = Literal["float64", "float32"]
HALVES = {
    "float64": (6.93147180369123816490e-01, 1.90821492927058770002e-10),
    "float32": (6.9313812256e-01, 9.0580006145e-06),
}
"""ln 2 as a number that ends in zero bits, and the rest (FreeBSD msun, e_exp.c and e_expf.c)."""
TAYLOR = (-1 / 3, 2 / 15, -17 / 315, 62 / 2835, -1382 / 155925, 21844 / 6081075,
          -929569 / 638512875, 6404582 / 10854718875)  # fmt: skip
"""Coefficients of v³, v⁵ ... in tanh v (DLMF 4.33.3)."""


def obstacle(network: Network, device: torch.device) -> str:
    """Return why the kernel cannot serve a network; empty where it can."""
    if not isinstance(network, EnergyNetwork):
        return f"there is none for a {type(network).__name__}"
    if network.invariants is not None or network.ridges is not None:
        return "it covers neither material symmetry nor exponentials"
    if device.type != "cpu":
        return f"it runs on the CPU, and the device is {device}"
    return machine_code.obstacle()


def tanh_table(dtype: Precision) -> Array:  # (14,), of the dtype
    """Return the constants of :func:`~fesurrogate.surrogate.kernels.tanh`."""
    high, low = HALVES[dtype]
    limit = 20.0 if dtype == "float64" else 10.0  # tanh is 1 to round-off from 19.1 and 9.1 on
    rounder = math.ldexp(1.5, int(np.finfo(dtype).nmant))
    constants = (limit, 2.0 / math.log(2.0), rounder, 0.5 * high, 0.5 * low, 1.0)
    return np.array([*constants, *TAYLOR], dtype=dtype)


@final
class CompiledEnergy:
    """The kernel with the weights of one network, a copy of them.

    Args:
        network: One without :func:`obstacle`, in float64.
        dtype: Of the perceptron; the closed form and the strain are float64 in either case.
    """

    def __init__(self, network: EnergyNetwork, dtype: Precision) -> None:
        from fesurrogate.surrogate.kernels.blocks import TILE
        from fesurrogate.surrogate.kernels.closed_form import ClosedForm
        from fesurrogate.surrogate.kernels.perceptron import Weights

        def padded(count: int) -> int:
            return -(-count // TILE) * TILE

        def cast(array: Array) -> Array:
            return np.ascontiguousarray(array, dtype=dtype)

        kinematics, part = network.kinematics, network.perceptron
        self._ready, self._rest = False, kinematics.rest
        self._centre = _plain(network.scaling.centre)[:, 0]
        self._width = _plain(network.scaling.width)[:, 0]
        q, scale = len(network.scale), _plain(network.scale)
        matrices = [_plain(weight) for weight in part.weights]  # (h_l, h_(l-1))
        matrices[0][:, :q] /= scale.T
        sizes = [padded(matrices[0].shape[1]), *(padded(len(matrix)) for matrix in matrices)]
        wide, depth = max(sizes), len(matrices)
        stack, biases = np.zeros((depth, wide, wide)), np.zeros((depth, wide))
        for k, (matrix, bias) in enumerate(zip(matrices, part.biases, strict=True)):
            stack[k, : matrix.shape[0], : matrix.shape[1]] = matrix
            biases[k, : len(bias)] = _plain(bias)[:, 0]
        output = np.zeros(wide)
        output[: len(matrices[-1])] = _plain(network.energy_scale) * _plain(part.output)[0]
        rows, columns = np.triu_indices(q)
        pairs = np.zeros((padded(len(rows)), wide))
        pairs[: len(rows)] = (stack[0][:, rows] * stack[0][:, columns]).T
        digits, integer = np.finfo(dtype).nmant, np.dtype(f"i{np.dtype(dtype).itemsize}")
        unit = np.array(1.0, dtype=dtype).view(integer)  # the exponent of 1 in its place
        self._net = Weights(
            np.array(sizes, dtype=np.int64),
            np.cumsum([0, *sizes[:-1]]),
            cast(stack),
            cast(stack.swapaxes(1, 2)),
            cast(biases),
            cast(output),
            cast(pairs),
            tanh_table(dtype),
            np.array([digits, unit], dtype=integer),
        )
        finite = kinematics.measure == "finite"
        corners = SYMMETRIC_PAIRS[kinematics.gdim] if finite else ((0, 0),) * q
        self._form = ClosedForm(
            kinematics.gdim,
            finite,
            np.array(corners, dtype=np.int64),
            np.array([1.0 if i == j else math.sqrt(2.0) for i, j in corners]),
            _plain(network.stiffness),
            _plain(network.growth),
        )

    def __call__(
        self,
        strain: Array,  # (n, m)
        parameters: Array,  # (n, p)
        *,
        tangent: bool,
    ) -> dict[str, Array]:
        """Return ``stress`` (n, m), ``energy`` (n,) and, if asked for, ``tangent`` (n, m, m).

        Args:
            strain: Admissible strains.
            parameters: Finite parameters.
            tangent: Whether the tangent is wanted.
        """
        from fesurrogate.surrogate.kernels.energy import evaluate

        n, m = strain.shape
        answer = {"stress": np.empty((n, m)), "energy": np.empty(n)}
        moduli = np.empty((n if tangent else 0, m, m))
        fresh, begin = not self._ready, time.perf_counter()
        known = len(evaluate.signatures) if fresh else 0
        if fresh and not known:
            logger.info("Loading the kernel of energy networks; compiling it takes some 10 s, once")
        scaled = (parameters - self._centre) / self._width
        evaluate(
            _usual(strain), self._rest, _usual(scaled), self._net, self._form,
            answer["stress"], moduli, answer["energy"],
        )  # fmt: skip
        self._ready = True
        if fresh and len(evaluate.signatures) > known:
            logger.info("The kernel is there after %.1f s", time.perf_counter() - begin)
        return answer | ({"tangent": moduli} if tangent else {})


def _plain(tensor: torch.Tensor) -> Array:
    """Return a copy of a tensor at the seam."""
    return np.array(tensor.detach().cpu().numpy(), dtype=np.float64)


def _usual(array: Array) -> Array:
    """Return an array of the one kind that the kernel is compiled for; Numba tells them apart."""
    return np.require(array, requirements=["C", "W", "A"])
