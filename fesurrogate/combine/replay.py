"""A Material with history, led along strain paths that were recorded without it."""

from __future__ import annotations

from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from fesurrogate.errors import InputError
from fesurrogate.kinematics import Array, BoolArray
from fesurrogate.material import Material, Response, masked

COUNTS = {"rve_solves", "micro_iterations"}
"""Reports of what an answer took, which that of the way there is added to."""


@final
class Replay:
    """Answers of a Material for points of which only the path of strains is known.

    A path row holds the number of increments and, for each, strain, parameters and dt. The hint
    holds the Material's own hint, and how far along the path its state has come, with that state:
    a point that goes on along its path is led on from there.

    Args:
        material: A Material with history.
        max_increments: Increments that a row has room for. A longer path fails.
        comm: The ranks, where the Material is collective.

    Raises:
        InputError: No room, or a collective Material without its ranks.
    """

    def __init__(self, material: Material, max_increments: int, comm: Any = None) -> None:
        if max_increments < 1:
            raise InputError(f"max_increments is {max_increments}; expected at least 1")
        if material.collective and comm is None:
            raise InputError("a reference with history that is collective needs comm=")
        self.material, self.max_increments, self.comm = material, max_increments, comm
        self._width = material.kinematics.size + len(material.parameter_names) + 1
        self.num_state = 1 + max_increments * self._width
        self.num_hint = material.num_hint + 1 + material.num_state

    def initial_state(self, n: int) -> Array:  # (n, 1 + max_increments * width)
        """Return n paths without an increment."""
        return np.zeros((n, self.num_state))

    def longer(
        self,
        path: Array,  # (n, ...)
        strain: Array,  # (n, m)
        parameters: Array,  # (n, p)
        dt: float,
    ) -> Array:  # (n, ...)
        """Return the paths with one more increment; one without room counts on, and fails."""
        answer = path.copy()
        step = np.concatenate([strain, parameters, np.full((len(strain), 1), dt)], axis=1)
        place = path[:, 0].astype(np.int64)
        room = np.flatnonzero(place < self.max_increments)
        columns = 1 + place[room, None] * self._width + np.arange(self._width)
        answer[room[:, None], columns] = step[room]
        answer[:, 0] += 1
        return answer

    def evaluate(
        self,
        strain: Array,  # (n, m)
        path: Array,  # (n, ...)
        dt: float,
        *,
        parameters: Array,  # (n, p)
        hint: Array,  # (n, ...)
        tangent: bool,
        sensitivity: bool,
    ) -> Response:
        """Return the Material's response after the path; its state stays in the hint.

        Collective where the Material is.
        """
        h = self.material.num_hint
        length = path[:, 0].astype(np.int64)
        ok: BoolArray = length <= self.max_increments
        own, done, state = hint[:, :h].copy(), hint[:, h].astype(np.int64), hint[:, h + 1 :].copy()
        fresh = (done <= 0) | (done > length)
        done[fresh], state[fresh] = 0, self.material.initial_state(int(fresh.sum()))
        first, last = self._span(done[ok], length[ok])
        spent: dict[str, NDArray] = {}
        for k in range(first, last):
            rows = np.flatnonzero(ok & (done <= k) & (k < length))
            self._step(path, k, rows, state, own, ok, spent)
        response = self.material.evaluate(
            strain, state, dt, parameters=parameters, hint=own,
            tangent=tangent, sensitivity=sensitivity,
        )  # fmt: skip
        reached = np.where(ok, length, 0)[:, None]
        kept = np.concatenate([response.hint, reached, state], axis=1)
        answer = masked(response, ok)
        report = {**answer.report}
        for name in spent.keys() & report.keys():
            report[name] = report[name] + spent[name]
        return Response(
            answer.stress, answer.tangent, answer.state, kept, answer.ok,
            answer.sensitivity, report,
        )  # fmt: skip

    def _step(
        self,
        path: Array,
        k: int,
        rows: NDArray[np.integer],
        state: Array,
        hint: Array,
        ok: BoolArray,
        spent: dict[str, NDArray],
    ) -> None:
        """Lead the given rows through increment k of their paths.

        State, hint and ok change, and what it took is added.
        """
        m, p = self.material.kinematics.size, len(self.material.parameter_names)
        step = path[rows, 1 + k * self._width : 1 + (k + 1) * self._width]
        lengths = self._lengths(step[:, -1])
        for dt in lengths:
            chosen = step[:, -1] == dt
            some = rows[chosen]
            answer = self.material.evaluate(
                step[chosen, :m], state[some], dt,
                parameters=step[chosen, m : m + p], hint=hint[some], tangent=False,
            )  # fmt: skip
            state[some], hint[some] = answer.state, answer.hint
            ok[some] &= answer.ok
            for name in COUNTS & answer.report.keys():
                counts = spent.setdefault(name, np.zeros(len(path), dtype=np.int64))
                counts[some] += answer.report[name]

    def _span(self, done: NDArray[np.integer], length: NDArray[np.integer]) -> tuple[int, int]:
        """Return the increments that any point on any rank has to be led through."""
        behind = done < length
        first = int(done[behind].min(initial=self.max_increments))
        last = int(length[behind].max(initial=0))
        if self.comm is None:
            return first, last
        spans = self.comm.allgather((first, last))
        return min(span[0] for span in spans), max(span[1] for span in spans)

    def _lengths(self, dt: Array) -> list[float]:
        """Return the different lengths of increments on all ranks; the same list on each."""
        found: set[float] = {float(each) for each in dt}
        if self.comm is not None:
            found = set().union(*self.comm.allgather(found))
        return sorted(found)
