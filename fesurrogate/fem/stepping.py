"""Moves the load from increment to increment, cuts a step that fails, accepts one that holds."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fesurrogate.errors import ConvergenceError
from fesurrogate.fem.problem import MacroProblem

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Increment:
    """An accepted increment.

    Attributes:
        time: Load time at its end.
        dt: Its length.
        iterations: Newton iterations, those of failed attempts included.
        residual_norms: Residual norms of the attempt that converged.
    """

    time: float
    dt: float
    iterations: int
    residual_norms: tuple[float, ...]


def run_increments(
    problem: MacroProblem,
    apply_load: Callable[[float], None],
    times: Sequence[float],
    *,
    start: float = 0.0,
    max_cuts: int = 8,
    on_accept: Callable[[Increment], None] | None = None,
) -> list[Increment]:
    """Solve at each of the given times, with smaller steps where needed. Collective.

    Args:
        problem: The macro problem, in its accepted state at ``start``.
        apply_load: Sets loads and boundary values for a time.
        times: Increasing times that are met exactly.
        start: Time of the accepted state.
        max_cuts: How often a step may be halved before the run is given up.
        on_accept: Called with each accepted increment.

    Returns:
        The accepted increments; each time in ``times`` ends one.

    Raises:
        ConvergenceError: An increment failed at the smallest step; u holds the accepted state.
    """
    increments: list[Increment] = []
    time, cuts = start, 0
    for target in times:
        dt, spent = target - time, 0
        while time < target:
            # the last piece ends on the target itself, whatever rounding says
            end = target if time + 1.5 * dt > target else time + dt
            apply_load(end)
            result = problem.solve(end - time)
            spent += result.iterations
            if not result.converged:
                problem.restore()
                if cuts == max_cuts:
                    apply_load(time)
                    norms = result.residual_norms
                    residual = f"{norms[-1]:.3g}" if norms else "not finite"
                    raise ConvergenceError(
                        f"no convergence at time {end:.6g} after {max_cuts} cuts of the step "
                        f"(PETSc reason {result.reason}, residual {residual}); "
                        "use more increments or a smaller load"
                    )
                cuts, dt = cuts + 1, dt / 2
                logger.info("increment to %.6g failed; step cut to %.3g", end, dt)
                continue
            problem.accept()
            increment = Increment(end, end - time, spent, result.residual_norms)
            increments.append(increment)
            if on_accept is not None:
                on_accept(increment)
            time, spent, cuts = end, 0, max(0, cuts - 1)
            dt = min(2 * dt, target - time) if time < target else dt
    return increments
