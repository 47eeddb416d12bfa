"""A network as a Material: where torch meets the float64 NumPy seam."""

from __future__ import annotations

import copy
from typing import Literal, final

import numpy as np
import torch
from torch import Tensor

from fesurrogate.errors import InputError
from fesurrogate.kinematics import Array
from fesurrogate.material import Material, Response, masked
from fesurrogate.surrogate.compiled import CompiledEnergy, obstacle
from fesurrogate.surrogate.energy import EnergyNetwork
from fesurrogate.surrogate.network import Network, NetworkResponse
from fesurrogate.surrogate.threads import torch_threads

DTYPES = {"float64": torch.float64, "float32": torch.float32}
SINGLE_TANGENT_ERROR = 1e-4
NAMES = ("stress", "tangent", "energy", "state", "sensitivity")


@final
class NetworkMaterial(Material):
    """Evaluates a network without building a graph: by a compiled kernel, or by torch in chunks.

    Device, dtype and threads are handled here and nowhere else. Points whose strain is not
    admissible fail; whether the strain lies where the network was trained is not checked.
    Sensitivities come from torch in either case.

    Args:
        network: The network; a copy is kept, so that training it on changes nothing here.
        dtype: ``float32`` is faster; its tangent then differs from the derivative of its stress
            by up to ``tangent_error``.
        device: A torch device.
        chunk: Points that torch evaluates at once.
        threads: torch threads while evaluating, restored after; None leaves them alone. The kernel
            has one.
        backend: ``numba`` for the kernel, ``torch``, or ``auto`` for the kernel where it covers
            the network and Numba is installed.

    Attributes:
        backend: What evaluates, ``numba`` or ``torch``.

    Raises:
        InputError: An unknown dtype or backend, an unusable device, a chunk or threads below 1,
            or a network that the kernel asked for cannot serve.
    """

    def __init__(
        self,
        network: Network,
        *,
        dtype: Literal["float64", "float32"] = "float64",
        device: str = "cpu",
        chunk: int = 4000,
        threads: int | None = None,
        backend: Literal["auto", "numba", "torch"] = "auto",
    ) -> None:
        if dtype not in DTYPES:
            raise InputError(f"dtype is {dtype!r}; expected 'float64' or 'float32'")
        if chunk < 1 or (threads is not None and threads < 1):
            raise InputError(f"chunk is {chunk} and threads {threads}; expected at least 1")
        if backend not in ("auto", "numba", "torch"):
            raise InputError(f"backend is {backend!r}; expected 'auto', 'numba' or 'torch'")
        self.kinematics = network.kinematics
        self.num_state = network.num_state
        self.parameter_names = network.parameter_names
        rounding = 0.0 if dtype == "float64" else SINGLE_TANGENT_ERROR
        self.tangent_error = network.tangent_error() + rounding
        self._chunk, self._threads = chunk, threads
        try:
            self._device = torch.device(device)
            copied = copy.deepcopy(network).to(device=self._device, dtype=DTYPES[dtype])
        except (RuntimeError, AssertionError) as error:
            raise InputError(f"device is {device!r}, which torch cannot use: {error}") from error
        self._network = copied.requires_grad_(False).eval()
        reason = "" if backend == "torch" else obstacle(network, self._device)
        if backend == "numba" and reason:
            raise InputError(
                f"backend is 'numba', but the kernel cannot serve: {reason}; take 'auto' or 'torch'"
            )
        self._compiled: CompiledEnergy | None = None
        if backend != "torch" and not reason:
            assert isinstance(network, EnergyNetwork)
            self._compiled = CompiledEnergy(network, dtype)
        self.backend = "torch" if self._compiled is None else "numba"

    def initial_state(self, n: int) -> Array:  # (n, s)
        """Return the state of n virgin points."""
        if not self.num_state:
            return np.zeros((n, 0))
        return self._network.initial_state(n).cpu().to(torch.float64).numpy()

    def respond(
        self,
        strain: Array,  # (n, m)
        state: Array,  # (n, s)
        dt: float,
        *,
        parameters: Array,  # (n, p)
        hint: Array,  # (n, h)
        tangent: bool,
        sensitivity: bool,
    ) -> Response:
        """Answer in blocks or chunks; rows that are not admissible fail."""
        n = len(strain)
        ok = self.kinematics.admissible(strain) & np.isfinite(parameters).all(axis=1)
        if not ok.all():
            strain = np.where(ok[:, None], strain, self.kinematics.rest)
            parameters = np.where(ok[:, None], parameters, 0.0)
        if self._compiled is not None and not (sensitivity and self.parameter_names):
            parts = self._compiled(strain, parameters, tangent=tangent)
        else:
            parts = self._by_torch(strain, state, dt, parameters, tangent, sensitivity)
        moduli, slope = parts.pop("tangent", None), parts.pop("sensitivity", None)
        if sensitivity and not self.parameter_names:
            slope = np.zeros((*strain.shape, 0))
        stress, after = parts.pop("stress"), parts.pop("state", state.copy())
        ok &= np.isfinite(stress).all(axis=1) & np.isfinite(after).all(axis=1)
        for array in parts.values():
            array[~ok] = np.nan
        after = after if ok.all() else np.where(ok[:, None], after, state)
        return masked(
            Response(stress, moduli, after, hint.copy(), np.ones(n, dtype=bool), slope, parts), ok
        )

    def _by_torch(
        self,
        strain: Array,  # (n, m)
        state: Array,  # (n, s)
        dt: float,
        parameters: Array,  # (n, p)
        tangent: bool,
        sensitivity: bool,
    ) -> dict[str, Array]:  # by name (n, ...)
        """Return what the network answers, chunk after chunk."""
        n, parts = len(strain), dict[str, Array]()
        with torch_threads(self._threads), torch.no_grad():
            for first in range(0, max(n, 1), self._chunk):
                rows = slice(first, first + self._chunk)
                answer = self._network(
                    self._tensor(strain[rows]),
                    self._tensor(state[rows]) if self.num_state else None,
                    dt,
                    parameters=self._tensor(parameters[rows]) if self.parameter_names else None,
                    tangent=tangent,
                    sensitivity=sensitivity,
                )
                _put(answer, parts, rows, n)
        return parts

    def _tensor(
        self,
        array: Array,  # (k, ...)
    ) -> Tensor:  # (k, ...)
        """Return rows where the network lives; torch takes neither read-only nor reversed ones."""
        return torch.from_numpy(np.require(array, requirements=["C", "W"])).to(self._device)


def _put(
    answer: NetworkResponse,  # k points
    parts: dict[str, Array],  # by name (n, ...)
    rows: slice,
    n: int,
) -> None:
    """Copy what a chunk answers into arrays of the whole batch, made by the first chunk."""
    named = {name: getattr(answer, name) for name in NAMES} | dict(answer.report)
    for name, tensor in named.items():
        if tensor is not None:
            if name not in parts:
                parts[name] = np.empty((n, *tensor.shape[1:]))
            parts[name][rows] = tensor.cpu().numpy()
