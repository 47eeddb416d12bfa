"""A network as a Material: where torch meets the float64 NumPy seam."""

from __future__ import annotations

import copy
from typing import Literal, final

import numpy as np
import torch

from fesurrogate.errors import InputError
from fesurrogate.kinematics import Array
from fesurrogate.material import Material, Response, masked
from fesurrogate.surrogate.network import Network

DTYPES = {"float64": torch.float64, "float32": torch.float32}
SINGLE_TANGENT_ERROR = 1e-4


@final
class NetworkMaterial(Material):
    """Evaluates a network in cache-sized chunks, without building a graph.

    Device, dtype and threads are handled here and nowhere else. Points whose strain is not
    admissible fail; whether the strain lies where the network was trained is not checked.

    Args:
        network: The network; a copy is kept, so that training it on changes nothing here.
        dtype: ``float32`` is faster; its tangent then differs from the derivative of its stress
            by up to ``tangent_error``.
        device: A torch device.
        chunk: Points evaluated at once.
        threads: torch threads while evaluating, restored after; None leaves them alone.

    Raises:
        InputError: An unknown dtype, an unusable device, or a chunk or threads below 1.
    """

    def __init__(
        self,
        network: Network,
        *,
        dtype: Literal["float64", "float32"] = "float64",
        device: str = "cpu",
        chunk: int = 2000,
        threads: int | None = None,
    ) -> None:
        if dtype not in DTYPES:
            raise InputError(f"dtype is {dtype!r}; expected 'float64' or 'float32'")
        if chunk < 1 or (threads is not None and threads < 1):
            raise InputError(f"chunk is {chunk} and threads {threads}; expected at least 1")
        self.kinematics = network.kinematics
        self.tangent_error = 0.0 if dtype == "float64" else SINGLE_TANGENT_ERROR
        self._chunk, self._threads = chunk, threads
        try:
            self._device = torch.device(device)
            network = copy.deepcopy(network).to(device=self._device, dtype=DTYPES[dtype])
        except (RuntimeError, AssertionError) as error:
            raise InputError(f"device is {device!r}, which torch cannot use: {error}") from error
        self._network = network.requires_grad_(False).eval()

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
        """Answer in chunks; rows that are not admissible fail."""
        n, size = strain.shape
        ok = self.kinematics.admissible(strain)
        safe = strain if ok.all() else np.where(ok[:, None], strain, self.kinematics.rest)
        stress, energy = np.empty((n, size)), np.empty(n)
        moduli = np.empty((n, size, size)) if tangent else None
        before = torch.get_num_threads()
        if self._threads is not None:
            torch.set_num_threads(self._threads)
        try:
            with torch.no_grad():
                for first in range(0, n, self._chunk):
                    rows = slice(first, first + self._chunk)
                    self._fill(safe[rows], energy[rows], stress[rows], moduli, rows)
        finally:
            if self._threads is not None:
                torch.set_num_threads(before)
        ok &= np.isfinite(energy)
        energy[~ok] = np.nan
        response = Response(
            stress, moduli, state.copy(), hint.copy(), np.ones(n, dtype=bool),
            np.zeros((n, size, 0)) if sensitivity else None, {"energy": energy},
        )  # fmt: skip
        return masked(response, ok)

    def _fill(
        self,
        strain: Array,  # (k, m)
        energy: Array,  # (k,)
        stress: Array,  # (k, m)
        moduli: Array | None,  # (n, m, m)
        rows: slice,
    ) -> None:
        """Evaluate one chunk into the arrays of the whole batch."""
        if not strain.flags.writeable:
            strain = strain.copy()  # torch warns of read-only memory
        answer = self._network(
            torch.from_numpy(strain).to(self._device), tangent=moduli is not None
        )
        energy[:] = answer.energy.cpu().numpy()
        stress[:] = answer.stress.cpu().numpy()
        if moduli is not None:
            moduli[rows] = answer.tangent.cpu().numpy()
