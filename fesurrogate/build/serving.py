"""Which ranks evaluate a network, and on which device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fesurrogate.config.material import NetworkSettings


@dataclass(frozen=True)
class Serving:
    """What a rank does about a network.

    Attributes:
        device: Of torch, where this rank evaluates; None where another rank does so for it.
        gathered: Whether some rank evaluates for another.
    """

    device: str | None = "cpu"
    gathered: bool = False


def serving_of(wanted: NetworkSettings | None, comm: Any, *, gather: bool) -> Serving:
    """Return what this rank does about a network. Collective.

    With ``device = "cuda"`` (or ``"auto"``, where every rank sees a GPU) the ranks that share a GPU
    are served by one of them, the k-th server of a node by GPU k; ``servers`` says how many ranks
    of a node serve, on any device.

    Args:
        wanted: ``[material.network]``.
        comm: An mpi4py communicator; None works alone.
        gather: Whether ranks may evaluate for others; else each evaluates on its GPU alone.
    """
    wanted = wanted or NetworkSettings()
    device, gpus, ranks = wanted.device, 0, 1 if comm is None else comm.size
    if device in ("auto", "cuda"):
        gpus = _visible_gpus(comm)
        device = "cuda" if gpus or device == "cuda" else "cpu"
    servers = wanted.servers or (max(gpus, 1) if device.startswith("cuda") else ranks)
    number: int | None = 0
    if ranks > 1:
        from fesurrogate.combine import server_number

        number = server_number(comm, servers if gather else ranks)
    gathered = ranks > 1 and comm.allreduce(int(number is None)) > 0
    if number is None:
        return Serving(None, gathered)
    return Serving(f"cuda:{number % gpus}" if device == "cuda" and gpus else device, gathered)


def _visible_gpus(comm: Any) -> int:
    """Return how many GPUs torch sees on every rank. Collective."""
    import torch

    seen = int(torch.cuda.device_count()) if torch.cuda.is_available() else 0
    if comm is None:
        return seen
    from mpi4py import MPI

    return int(comm.allreduce(seen, op=MPI.MIN))
