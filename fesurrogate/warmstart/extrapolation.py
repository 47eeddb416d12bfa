"""The unknown of the next increment, extrapolated from the increments before it."""

from __future__ import annotations

from typing import final

import numpy as np

from fesurrogate.errors import InputError
from fesurrogate.kinematics import Array


@final
class Extrapolation:
    """The polynomial in time through the last accepted unknowns.

    With fewer accepted than the order asks for, as at the start of a run or of the rest of one
    that was stopped, the order is what they allow; of one alone there is no guess.

    Args:
        order: 1, a straight line, or 2, a parabola.

    Raises:
        InputError: Another order.
    """

    def __init__(self, order: int) -> None:
        if order not in (1, 2):
            raise InputError(f"order is {order}; expected 1 (linear) or 2 (quadratic)")
        self._order = order
        self._known: list[tuple[float, Array]] = []  # times, and (unknowns,)

    def accept(
        self,
        time: float,
        unknown: Array,  # (unknowns,)
    ) -> None:
        """Remember the unknown that was accepted at a time."""
        before = [pair for pair in self._known if pair[0] < time]
        self._known = [*before, (time, unknown.copy())][-self._order - 1 :]

    def predict(self, time: float) -> Array | None:  # (unknowns,)
        """Return the guess at a time, by Lagrange's formula; None if nothing is known."""
        if len(self._known) < 2:
            return None
        times = np.array([known for known, _ in self._known])
        guess = np.zeros_like(self._known[-1][1])
        for k, (known, unknown) in enumerate(self._known):
            others = np.delete(times, k)
            guess += np.prod((time - others) / (known - others)) * unknown
        return guess
