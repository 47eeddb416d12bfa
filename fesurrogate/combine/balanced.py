"""An expensive Material whose points are spread over the ranks by what they cost."""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from dataclasses import replace
from typing import final

import numpy as np
from mpi4py import MPI
from numpy.typing import NDArray

from fesurrogate.combine.agreement import answered_by_all
from fesurrogate.combine.exchange import Exchange
from fesurrogate.kinematics import Array
from fesurrogate.material import Material, Response

COST = "micro_iterations"
"""The report that says what a point has cost, besides one unit for what every point costs."""


@final
class Balanced(Material):
    """A Material evaluated where there is time: ranks with costly points give some to others.

    What a point costs is one more than the iterations it took last time; it is kept in the last
    column of the hint, so that runs are reproducible, as wall times would not be. A point stays at
    home unless its rank has more than its share. The answers are those of the Material to
    its tolerance, whatever the split. Ranks without a point of their own help too.

    ``report`` adds ``moved``: whether another rank answered.

    Attributes:
        wire_bytes: What this rank has sent so far: points of its own, and answers to others.

    Args:
        material: The Material, alike on all ranks.
        comm: The ranks that share the work; all call :meth:`evaluate` together.
    """

    collective = True

    def __init__(self, material: Material, comm: MPI.Intracomm) -> None:
        self.material, self.comm = material, comm
        self.kinematics = material.kinematics
        self.num_state, self.num_hint = material.num_state, material.num_hint + 1
        self.parameter_names = material.parameter_names
        self.tangent_error = material.tangent_error
        self.wire_bytes = 0

    def initial_state(self, n: int) -> Array:
        """Return the Material's."""
        return self.material.initial_state(n)

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
        """Send points away, answer those at hand, and take the answers back. Collective."""
        own_hint, cost = hint[:, :-1], 1.0 + np.nan_to_num(np.maximum(hint[:, -1], 0.0))
        everywhere = self.comm.allgather(cost)
        destination = shares(everywhere)[self.comm.rank]
        exchange = Exchange(self.comm, destination)
        own = [exchange.send(rows) for rows in (strain, state, parameters, own_hint)]
        answer = answered_by_all(
            self.comm,
            lambda: self.material.evaluate(
                own[0], own[1], dt,
                parameters=own[2], hint=own[3], tangent=tangent, sensitivity=sensitivity,
            ),
        )  # fmt: skip
        own.clear()  # a state may be large
        report = {name: exchange.give_back(answer.report[name]) for name in sorted(answer.report)}
        new_hint = np.zeros_like(hint)
        new_hint[:, :-1] = exchange.give_back(answer.hint)
        new_hint[:, -1] = report.get(COST, np.zeros(len(strain)))
        response = Response(
            exchange.give_back(answer.stress),
            None if answer.tangent is None else exchange.give_back(answer.tangent),
            exchange.give_back(answer.state),
            new_hint,
            exchange.give_back(answer.ok),
            None if answer.sensitivity is None else exchange.give_back(answer.sensitivity),
        )
        self.wire_bytes += exchange.wire_bytes
        moved = (destination != self.comm.rank).astype(np.int64)
        return replace(response, report={**report, "moved": moved})

    def accept(self, strain: Array, response: Response) -> None:
        """Pass the accepted increment on. Collective."""
        self.material.accept(strain, replace(response, hint=response.hint[:, :-1]))

    def snapshot(self) -> dict[str, NDArray]:
        """Return the Material's."""
        return self.material.snapshot()

    def restore(self, arrays: Mapping[str, NDArray]) -> None:
        """Return the Material to a snapshot."""
        self.material.restore(arrays)


def shares(
    costs: list[Array],  # (n,) of each rank
) -> list[NDArray[np.int64]]:  # (n,) of each rank
    """Return which rank answers each point, so that the ranks' costs are as equal as they can be.

    A rank keeps its first points, up to the mean cost of all ranks; what is over goes, in order, to
    the ranks that lack most. The same on every rank.
    """
    mean = sum(float(cost.sum()) for cost in costs) / len(costs)
    answer: list[NDArray[np.int64]] = []
    spare, lack = [], []
    for rank, cost in enumerate(costs):
        total = np.cumsum(cost)
        kept = int(np.searchsorted(total, mean + 0.5 * float(cost.max(initial=0.0)), side="right"))
        answer.append(np.full(len(cost), rank, dtype=np.int64))
        spare += [(rank, k) for k in range(kept, len(cost))]
        lack.append(mean - (float(total[kept - 1]) if kept else 0.0))
    takers = [(-each, rank) for rank, each in enumerate(lack)]
    heapq.heapify(takers)
    for rank, k in spare:
        most, taker = takers[0]
        answer[rank][k] = taker
        heapq.heapreplace(takers, (most + float(costs[rank][k]), taker))
    return answer
