"""A surrogate where it is trusted, the reference elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal, final, get_args

import numpy as np
from numpy.typing import NDArray

from fesurrogate.combine.replay import Replay
from fesurrogate.errors import InputError
from fesurrogate.kinematics import Array, BoolArray
from fesurrogate.material import Material, Response, masked
from fesurrogate.trust import Trust

Policy = Literal["fallback", "cutback", "warn", "error"]
"""What becomes of a point whose surrogate is not trusted."""

LATCHED = -1
"""Reason of a point that fell back earlier in the increment."""


@final
class Guarded(Material):
    """Each point by the surrogate where that is trusted, by the reference where it is not.

    The choice is made anew in every increment; within one, a point that has fallen back stays with
    the reference, so that Newton sees one smooth law as soon as the choice has settled. The
    surrogate is asked everywhere: its state follows the strain also where the reference answers.
    Where the two carry history, a point's strain path is kept in its state, and a point that falls
    back is led along it by the reference first (:class:`~fesurrogate.combine.replay.Replay`).

    ``report`` adds ``fallback`` (1 where the reference answered), ``reason`` (0 where trusted,
    k for the k-th measure of the trust, -1 where an earlier iterate of the increment fell back) and
    ``doubt_NAME`` of every measure; with another policy than ``fallback`` also ``untrusted`` (1
    where the surrogate is not believed), and with ``error``, ``fatal`` where nothing but another
    setting helps.

    Args:
        surrogate: The cheap Material.
        reference: The exact one, of the same kinematics and parameters; may spread its points over
            ranks (:class:`~fesurrogate.combine.balanced.Balanced`).
        trust: Which answers are believed.
        policy: ``fallback`` asks the reference; ``cutback`` fails the point, so that the step is
            cut; ``error`` fails it for good; ``warn`` takes the surrogate's answer all the same.
        max_increments: Increments of a path that are kept, where there is history.
        comm: The ranks, needed where the reference is collective and there is history.

    Raises:
        InputError: Materials that do not match.

    Note:
        The tolerance of this Material is that of the trust: a hint may change an answer by it.
    """

    def __init__(
        self,
        surrogate: Material,
        reference: Material,
        trust: Trust,
        *,
        policy: Policy = "fallback",
        max_increments: int = 100,
        comm: Any = None,
    ) -> None:
        if policy not in get_args(Policy):
            raise InputError(f"policy is {policy!r}; expected one of {', '.join(get_args(Policy))}")
        _check_match(surrogate, reference)
        self.surrogate, self.reference, self.trust = surrogate, reference, trust
        self.policy = policy
        self.kinematics = surrogate.kinematics
        self.parameter_names = surrogate.parameter_names
        self.collective = surrogate.collective or reference.collective
        self.tangent_error = max(surrogate.tangent_error, reference.tangent_error)
        self._replay = Replay(reference, max_increments, comm) if surrogate.num_state else None
        extra = self._replay.num_state if self._replay else 0
        self.num_state = surrogate.num_state + extra
        below = self._replay.num_hint if self._replay else reference.num_hint
        self.num_hint = 1 + surrogate.num_hint + below
        self._increment = 0

    def initial_state(self, n: int) -> Array:
        """Return the surrogate's, with an empty path behind it."""
        states = [self.surrogate.initial_state(n)]
        if self._replay:
            states.append(self._replay.initial_state(n))
        return np.concatenate(states, axis=1)

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
        """Ask the surrogate everywhere, and the reference where it must answer. Collective."""
        latch, own_hint, other_hint = np.split(hint, [1, 1 + self.surrogate.num_hint], axis=1)
        own_state, path = np.split(state, [self.surrogate.num_state], axis=1)
        answer = self.surrogate.evaluate(
            strain, own_state, dt, parameters=parameters, hint=own_hint,
            tangent=tangent, sensitivity=sensitivity,
        )  # fmt: skip
        doubts = self.trust.doubts(strain, parameters, answer)
        reason = self.trust.reasons(doubts)
        held = (latch[:, 0] == self._increment + 1) & (reason == 0)
        reason = np.where(held, LATCHED, reason)
        away = (reason != 0) & self.kinematics.admissible(strain)
        report: dict[str, NDArray] = {
            f"doubt_{name}": doubts[:, k] for k, name in enumerate(self.trust.names)
        }
        if self.policy in ("cutback", "error"):
            answer = masked(answer, reason == 0)
        rows = np.flatnonzero(away & (self.policy == "fallback"))
        arguments = {"tangent": tangent, "sensitivity": sensitivity}
        if self._replay:
            given = self._replay.evaluate(
                strain[rows], path[rows], dt,
                parameters=parameters[rows], hint=other_hint[rows], **arguments,
            )  # fmt: skip
        else:
            given = self.reference.evaluate(
                strain[rows], None, dt,
                parameters=parameters[rows], hint=other_hint[rows], **arguments,
            )  # fmt: skip
        after = [answer.state]
        if self._replay:
            after.append(self._replay.longer(path, strain, parameters, dt))
        new_hint = np.concatenate([np.zeros_like(latch), answer.hint, other_hint], axis=1)
        new_hint[rows, 0] = self._increment + 1
        new_hint[rows, 1 + self.surrogate.num_hint :] = given.hint
        report |= {"reason": reason, "fallback": _marked(len(strain), rows)}
        if self.policy != "fallback":
            report["untrusted"] = (reason != 0).astype(np.int64)
        if self.policy == "error":
            report["fatal"] = report["untrusted"]
        return _merged(answer, given, rows, np.concatenate(after, axis=1), new_hint, report)

    def ask_reference(
        self,
        strain: Array,  # (n, m)
        state: Array,  # (n, s)
        dt: float,
        *,
        parameters: Array,  # (n, p)
        hint: Array,  # (n, h)
        tangent: bool = False,
    ) -> Response:
        """Return what the reference answers to an accepted increment.

        The state is the one at the end of the increment. Collective.
        """
        own_hint = hint[:, 1 + self.surrogate.num_hint :]
        if not self._replay:
            return self.reference.evaluate(
                strain, None, dt, parameters=parameters, hint=own_hint, tangent=tangent
            )
        path = state[:, self.surrogate.num_state :].copy()
        path[:, 0] -= 1  # the increment itself is no part of what went before
        return self._replay.evaluate(
            strain, path, dt,
            parameters=parameters, hint=own_hint, tangent=tangent, sensitivity=False,
        )  # fmt: skip

    def accept(self, strain: Array, response: Response) -> None:
        """Begin a new increment, in which every point is judged anew. Collective."""
        self._increment += 1
        m = self.surrogate.num_hint
        own = replace(
            response,
            state=response.state[:, : self.surrogate.num_state],
            hint=response.hint[:, 1 : 1 + m],
        )
        self.surrogate.accept(strain, own)

    def snapshot(self) -> dict[str, NDArray]:
        """Return the increment, and the surrogate's own."""
        mine = {"increment": np.array([self._increment])}
        return mine | {f"surrogate.{k}": v for k, v in self.surrogate.snapshot().items()}

    def restore(self, arrays: Mapping[str, NDArray]) -> None:
        """Return to a snapshot.

        Raises:
            InputError: It is none of a guard.
        """
        try:
            self._increment = int(arrays["increment"][0])
        except (KeyError, IndexError, ValueError) as error:
            raise InputError(f"the guard's increment cannot be read ({error!r})") from error
        begin = "surrogate."
        self.surrogate.restore(
            {k.removeprefix(begin): v for k, v in arrays.items() if k.startswith(begin)}
        )


@final
class Truth(Material):
    """What the reference of a guarded Material answers to increments that were accepted.

    The state it is given is the one at the end of the increment, and so is the hint. There is no
    tangent.

    Args:
        guarded: Whose reference is asked.
    """

    def __init__(self, guarded: Guarded) -> None:
        self.guarded, self.kinematics = guarded, guarded.kinematics
        self.num_state, self.num_hint = guarded.num_state, guarded.num_hint
        self.parameter_names = guarded.parameter_names
        self.collective = guarded.collective

    def initial_state(self, n: int) -> Array:
        """Return the guarded Material's."""
        return self.guarded.initial_state(n)

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
        """Ask the reference. Collective."""
        return self.guarded.ask_reference(strain, state, dt, parameters=parameters, hint=hint)


def _check_match(surrogate: Material, reference: Material) -> None:
    """Refuse Materials that cannot stand in for each other."""
    for name in ("kinematics", "parameter_names"):
        ours, theirs = getattr(surrogate, name), getattr(reference, name)
        if ours != theirs:
            raise InputError(
                f"Guarded: the surrogate's {name} is {ours}, the reference's {theirs}; "
                "expected the same: train it on data of the reference"
            )
    if bool(surrogate.num_state) != bool(reference.num_state):
        raise InputError(
            f"Guarded: the surrogate has {surrogate.num_state} columns of state and the reference "
            f"{reference.num_state}; expected history in both or in neither: a model without "
            "history cannot stand in for a material that has it"
        )


def _marked(n: int, rows: NDArray[np.integer]) -> NDArray[np.int64]:
    answer = np.zeros(n, dtype=np.int64)
    answer[rows] = 1
    return answer


def _merged(
    answer: Response,  # of the surrogate, n points
    given: Response,  # of the reference, k points
    rows: NDArray[np.integer],  # (k,)
    state: Array,  # (n, s)
    hint: Array,  # (n, h)
    report: dict[str, NDArray],
) -> Response:
    """Return the surrogate's answer with the reference's in the given rows."""
    n = len(answer.stress)

    def put(into: Array | None, values: Array | None) -> Array | None:
        if into is None or values is None:
            return into
        merged = into.copy()
        merged[rows] = values
        return merged

    ok: BoolArray = answer.ok.copy()
    ok[rows] = given.ok
    stress = put(answer.stress, given.stress)
    assert stress is not None
    for name in sorted(set(answer.report) | set(given.report)):
        parts = (answer.report.get(name), given.report.get(name))
        there = [part for part in parts if part is not None]
        dtype = np.result_type(*there)
        whole = np.issubdtype(dtype, np.integer)
        column = np.full((n, *there[0].shape[1:]), 0 if whole else np.nan, dtype=dtype)
        if parts[0] is not None:
            column[:] = parts[0]
        if len(rows):
            column[rows] = (0 if whole else np.nan) if parts[1] is None else parts[1]
        report[name] = column
    return Response(
        stress, put(answer.tangent, given.tangent), state, hint, ok,
        put(answer.sensitivity, given.sensitivity), report,
    )  # fmt: skip
