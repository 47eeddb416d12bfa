"""The way from a guess into the basin of Newton's method, without assembling a stiffness.

A stiffness that was factorised once, of the cell at rest, serves all points: fixed-point steps with
it, accelerated by Anderson's method, cost a residual and a solve each. They bring the residual down
by some orders; then one factorisation at the point does the rest. Source: Walker and Ni (2011),
SIAM J. Numer. Anal. 49, 1715-1735, the unconstrained form of their equation 2.2.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fesurrogate.kinematics import Array

MEMORY = 6  # differences that are combined


def accelerated_start(
    residual: Callable[[Array], Array],
    precondition: Callable[[Array], Array],
    guess: Array,  # (unknowns,)
    *,
    target: float,
    most: int,
) -> tuple[Array, int]:
    """Return a point whose residual is below that of the guess, and the steps it took.

    Args:
        residual: r(q).
        precondition: An approximate inverse of its derivative, applied.
        guess: Where to start; returned, if nothing better is found.
        target: Norm of the residual at which to stop.
        most: Steps after which to stop.
    """
    best, r = guess, residual(guess)
    norm = float(np.linalg.norm(r))
    if not target < norm < np.inf:
        return guess, 0
    worst, steps = 2 * norm, 0  # a residual beyond it ends the start
    moves, changes = np.zeros((2, MEMORY, len(guess)))  # of q, and of the step that follows
    products = np.identity(MEMORY)  # of the changes
    q, step = guess, -precondition(r)
    while target < norm and steps < most:
        trial = q + step
        if steps:
            known = min(steps, MEMORY)
            gram, wanted = products[:known, :known], changes[:known] @ step
            weight = np.linalg.lstsq(gram, wanted, rcond=None)[0]
            trial -= weight @ moves[:known] + weight @ changes[:known]
        r = residual(trial)
        reached = float(np.linalg.norm(r))
        if not reached < worst:
            break
        if reached < norm:
            best, norm = trial, reached
        following = -precondition(r)
        slot = steps % MEMORY
        moves[slot], changes[slot] = trial - q, following - step
        products[slot] = products[:, slot] = changes @ changes[slot]
        q, step, steps = trial, following, steps + 1
    return best, steps
