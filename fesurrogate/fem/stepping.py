"""Moves the load from increment to increment, cuts a step that fails, accepts one that holds."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from fesurrogate.errors import ConvergenceError, InputError, Interrupted
from fesurrogate.fem.failure import said_of_failures
from fesurrogate.fem.problem import HELD, MacroProblem, SolveResult
from fesurrogate.kinematics import Array

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Position:
    """How far the load has come: all that stepping remembers.

    Attributes:
        time: Of the accepted state.
        cuts: How often the length of an increment is halved at present.
    """

    time: float = 0.0
    cuts: int = 0


class Predictor(Protocol):
    """Guesses the unknown of the next increment (:mod:`fesurrogate.warmstart`)."""

    def accept(self, time: float, unknown: Array) -> None:
        """Take note of an unknown (owned and ghost unknowns,) that was accepted at a time."""

    def predict(self, time: float) -> Array | None:
        """Return a guess (owned and ghost unknowns,); None, on every rank alike, for none.

        The problem is at the accepted unknown, under the load of that time. What moves it returns
        a guess.
        """


Guess = Literal["previous", "taken", "refused", "repeated"]
"""What an increment began from: the accepted unknown, as there was no guess; the guess; not the
guess, as it was no nearer; both, as what began from the guess did not converge."""


@dataclass(frozen=True)
class Increment:
    """An accepted increment.

    Attributes:
        time: Load time at its end.
        dt: Its length.
        iterations: Newton iterations, those of failed attempts included.
        residual_norms: Residual norms of the attempt that converged.
        reached: Where the next one starts.
        guess: What the attempt that converged began from.
    """

    time: float
    dt: float
    iterations: int
    residual_norms: tuple[float, ...]
    reached: Position
    guess: Guess = "previous"


def run_increments(
    problem: MacroProblem,
    apply_load: Callable[[float], None],
    times: Sequence[float],
    *,
    start: float | Position = 0.0,
    max_cuts: int = 8,
    predictor: Predictor | None = None,
    on_accept: Callable[[Increment], None] | None = None,
) -> list[Increment]:
    """Solve at each of the given times, with smaller steps where needed. Collective.

    The way to the next of the times is gone in steps of its length times 2^-cuts. A step that
    fails adds a cut, one that holds takes one back; what is left at the end of the way, if less
    than one and a half steps, is one step.

    Args:
        problem: The macro problem, in its accepted state at ``start``.
        apply_load: Sets loads and boundary values for a time.
        times: Increasing times that are met exactly.
        start: Time of the accepted state, or the position that was reached in another run over the
            same times.
        max_cuts: How often a step may be halved before the run is given up.
        predictor: Guesses the unknown of each increment. Its guess is taken only where it is nearer
            to equilibrium than the accepted unknown, by :meth:`MacroProblem.correction`; the
            tolerance refers to the residual of the latter in any case. What does not converge from
            the guess is solved again from the accepted unknown.
        on_accept: Called with each accepted increment.

    Returns:
        The accepted increments; each time in ``times`` ends one.

    Raises:
        ConvergenceError: An increment failed at the smallest step.
        Interrupted: ``problem.stop`` said so on some rank.
        InputError: The times do not rise.

    Note:
        Whatever is raised, u and the fields hold the accepted state, bitwise.
    """
    at = start if isinstance(start, Position) else Position(start)
    ends = [0.0 if isinstance(start, Position) else start, *times]
    if any(a >= b for a, b in zip(ends, ends[1:], strict=False)):
        raise InputError(f"times {list(times)}, from {ends[0]}: expected rising ones")
    increments: list[Increment] = []
    if predictor is not None:
        predictor.accept(at.time, problem.u.x.array)
    for begin, target in zip(ends, ends[1:], strict=False):
        spent = 0
        while at.time < target:
            step = (target - begin) * 0.5**at.cuts
            # the last piece ends on the target itself, whatever rounding says
            end = target if at.time + 1.5 * step > target else at.time + step
            apply_load(end)
            guess, atol = _begin(problem, predictor, at.time, end)
            result = problem.solve(end - at.time, atol=atol)
            spent += result.iterations
            if guess == "taken" and not (result.converged or result.interrupted):
                problem.restore()
                guess, result = "repeated", problem.solve(end - at.time)
                spent += result.iterations
            if not result.converged:
                problem.restore()
                apply_load(at.time)
                if result.interrupted:
                    raise Interrupted(f"stopped at time {at.time:.6g}")
                if fatal := _fatal(problem):
                    raise ConvergenceError(
                        f"{fatal} points are not trusted at time {end:.6g}, and the policy is "
                        "'error'; train on more samples, or give another policy or tolerance"
                    )
                if at.cuts >= max_cuts:
                    raise ConvergenceError(_said(problem, result, end, max_cuts))
                at = Position(at.time, at.cuts + 1)
                logger.info("increment to %.6g failed; cut to %.3g", end, step / 2)
                continue
            problem.accept()
            dt, at = end - at.time, Position(end, max(0, at.cuts - 1))
            increment = Increment(end, dt, spent, result.residual_norms, at, guess)
            increments.append(increment)
            if predictor is not None:
                predictor.accept(end, problem.u.x.array)
            if on_accept is not None:
                on_accept(increment)
            spent = 0
            if end < times[-1] and problem.stopped():
                raise Interrupted(f"stopped at time {at.time:.6g}")
    return increments


def _begin(
    problem: MacroProblem, predictor: Predictor | None, time: float, end: float
) -> tuple[Guess, float | None]:
    """Set u to what the increment begins from; return what that is and its tolerance. Collective.

    Where nothing is guessed the tolerance is left to the problem.
    """
    if predictor is None:
        return "previous", None
    classical = problem.standing_residual(end - time)
    distance = problem.correction()
    guess = predictor.predict(end)
    if guess is None:
        return "previous", None
    problem.u.x.array[:] = guess
    problem.initial_residual(end - time)
    if problem.correction() < distance:
        held = HELD * problem.largest_residual
        return "taken", max(problem.relative_tolerance * classical, held)
    problem.restore()
    return "refused", None


def _fatal(problem: MacroProblem) -> int:
    """Return how many points failed for good, on all ranks. Collective."""
    mine = sum(field.failure.fatal for field in problem.fields if field.failure is not None)
    return int(problem.u.function_space.mesh.comm.allreduce(mine))


def _said(problem: MacroProblem, result: SolveResult, end: float, cuts: int) -> str:
    """Return why the smallest step failed. Collective."""
    failures = [field.failure for field in problem.fields]
    points = said_of_failures(failures, problem.u.function_space.mesh.comm)
    norms = result.residual_norms
    residual = f"{norms[-1]:.3g}" if norms else "not finite"
    reason = f"PETSc reason {result.reason} {result.word}, residual {residual}"
    return (
        f"no convergence at time {end:.6g} after {cuts} cuts of the step "
        f"({'; '.join(filter(None, (points, reason)))}); use more increments or a smaller load"
    )
