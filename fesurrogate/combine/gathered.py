"""A Material on few ranks of a node, which answer for the others: one batch for each GPU."""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

import numpy as np
from mpi4py import MPI
from numpy.typing import NDArray

from fesurrogate.combine.agreement import answered_by_all
from fesurrogate.combine.exchange import Exchange
from fesurrogate.errors import InputError
from fesurrogate.kinematics import Array
from fesurrogate.material import Material, Response

FACTS = ("kinematics", "num_state", "num_hint", "parameter_names", "tangent_error")
"""What of a Material is known on ranks that do not hold it, besides the state of a virgin point."""
ARRAYS = ("stress", "tangent", "state", "hint", "ok", "sensitivity")


def server_number(comm: MPI.Intracomm, servers: int) -> int | None:
    """Return which of the serving ranks of its node this rank is; None where it is none.

    The ranks of a node are cut, in order, into as many parts of equal length as there are
    servers (at most one a rank); the first rank of each part serves. Collective::

        gpu = server_number(comm, torch.cuda.device_count())
        network = None if gpu is None else load_network_material(path, device=f"cuda:{gpu}")
        material = Gathered(network, comm)

    Args:
        comm: All ranks.
        servers: How many of a node serve: as many as it has GPUs.

    Raises:
        InputError: Fewer than one.
    """
    if servers < 1:
        raise InputError(f"servers is {servers}; expected at least 1 rank of a node")
    node = comm.Split_type(MPI.COMM_TYPE_SHARED)
    number = server_numbers(node.size, servers)[node.rank]
    node.Free()
    return number


def server_numbers(ranks: int, servers: int) -> list[int | None]:
    """Return :func:`server_number` of each rank of a node."""
    parts = [rank * min(servers, ranks) // ranks for rank in range(ranks)]
    return [
        part if rank == 0 or part != parts[rank - 1] else None for rank, part in enumerate(parts)
    ]


@final
class Gathered(Material):
    """A Material that some ranks hold and all use: points travel to it as one batch.

    A rank that gives a Material serves itself and the ranks after it on its node, up to the next
    that gives one; :func:`server_number` says which ranks should. The others hold nothing: neither
    the memory of a network nor a context on a GPU. Answers, failures, states, hints and reports are
    those of the Material.

    :meth:`accept` brings the accepted increment to the serving ranks. :meth:`snapshot` and
    :meth:`restore` are the Material's where it is and do nothing elsewhere; the first rank of a
    node always serves.

    Attributes:
        material: On a serving rank the Material, else None.
        wire_bytes: What this rank has sent to others so far.

    Args:
        material: The Material, alike on all ranks that serve, or None. Its virgin points are alike.
        comm: All ranks; they call :meth:`evaluate` and :meth:`accept` together. Building is
            collective, too.

    Raises:
        InputError: On all ranks: the first rank of a node gives no Material.
    """

    collective = True

    def __init__(self, material: Material | None, comm: MPI.Intracomm) -> None:
        self.material, self._comm = material, comm
        node = comm.Split_type(MPI.COMM_TYPE_SHARED)
        serves = np.array(node.allgather(material is not None))
        part, rank = int(serves[: node.rank + 1].sum()), node.rank
        if comm.allreduce(int(not serves[0])):
            node.Free()
            raise InputError(
                "Gathered: the first rank of a node gives no Material; expected one on each rank "
                "for which server_number is not None"
            )
        self._group = node.Split(part, rank)  # the server is the first of it
        node.Free()
        facts = None
        if material is not None:
            facts = [getattr(material, name) for name in FACTS], material.initial_state(1)
        known, self._virgin = self._group.bcast(facts)
        for name, value in zip(FACTS, known, strict=True):
            setattr(self, name, value)
        self.wire_bytes = 0

    def initial_state(self, n: int) -> Array:
        """Return the state of n virgin points, which are alike."""
        return np.repeat(self._virgin, n, axis=0)

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
        """Send the points to the serving rank, and take its answers. Collective."""
        exchange = self._exchange(len(strain))
        rows = {"strain": strain, "state": state, "parameters": parameters, "hint": hint}
        batch = {name: exchange.send(array) for name, array in rows.items()}

        def answer() -> Response:
            if self.material is None:  # here are no points
                return Response(strain[:0], None, state[:0], hint[:0], np.ones(0, dtype=bool))
            return self.material.evaluate(
                batch["strain"], batch["state"], dt,
                parameters=batch["parameters"], hint=batch["hint"],
                tangent=tangent, sensitivity=sensitivity,
            )  # fmt: skip

        answers = _arrays(answered_by_all(self._comm, answer))
        layout = {name: (array.dtype, array.shape[1:]) for name, array in answers.items()}
        own: dict[str, NDArray] = {}
        for name, (dtype, shape) in self._group.bcast(layout).items():
            own[name] = exchange.give_back(answers.get(name, np.empty((0, *shape), dtype)))
        self.wire_bytes += exchange.wire_bytes
        return _response(own)

    def accept(self, strain: Array, response: Response) -> None:
        """Bring the accepted increment to the Material. Collective."""
        exchange = self._exchange(len(strain))
        everyone = exchange.send(strain)
        rows = {name: exchange.send(array) for name, array in _arrays(response).items()}
        self.wire_bytes += exchange.wire_bytes
        if self.material is not None:
            self.material.accept(everyone, _response(rows))

    def snapshot(self) -> dict[str, NDArray]:
        """Return the Material's where it is, else nothing."""
        return {} if self.material is None else self.material.snapshot()

    def restore(self, arrays: Mapping[str, NDArray]) -> None:
        """Return the Material to a snapshot where it is."""
        if self.material is not None:
            self.material.restore(arrays)

    def _exchange(self, n: int) -> Exchange:
        return Exchange(self._group, np.zeros(n, dtype=np.int64))


def _arrays(response: Response) -> dict[str, NDArray]:
    """Return the arrays that are there; reports under a longer name, in an order of their own."""
    named = {name: getattr(response, name) for name in ARRAYS}
    named |= {f"report {name}": response.report[name] for name in sorted(response.report)}
    return {name: array for name, array in named.items() if array is not None}


def _response(
    arrays: Mapping[str, NDArray],  # each (n, ...)
) -> Response:
    """Return what :func:`_arrays` took apart."""
    report = {
        name.removeprefix("report "): array for name, array in arrays.items() if name not in ARRAYS
    }
    return Response(**{name: arrays.get(name) for name in ARRAYS}, report=report)  # type: ignore[arg-type]
