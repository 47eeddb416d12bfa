"""Guesses of the cell from what the point itself was before: nothing, or by its sensitivity."""

from __future__ import annotations

from typing import final

import numpy as np

from fesurrogate.kinematics import Array, Kinematics
from fesurrogate.micro.guess import InitialGuess


@final
class Zero(InitialGuess):
    """No fluctuation: every solve begins cold, and a point keeps nothing."""

    def num_hint(self, unknowns: int) -> int:
        """Return 0."""
        return 0

    def start(
        self,
        strain: Array,  # (n, m)
        parameters: Array,  # (n, p)
        hint: Array,  # (n, 0)
        unknowns: int,
    ) -> tuple[Array, Array | None]:  # (n, unknowns), None
        """Return nothing but rest."""
        return np.zeros((len(strain), unknowns)), None

    def keep(
        self,
        strain: Array,  # (m,)
        q: Array,  # (unknowns,)
        relaxation: Array | None,  # (unknowns, m)
    ) -> Array:  # (0,)
        """Keep nothing."""
        return np.zeros(0)


@final
class Sensitivity(InitialGuess):
    """The previous fluctuation and its derivative by the strain, times the change of the strain.

    q + S (ε - ε'), with S = dq/dε at the previous strain ε', which the condensation of the tangent
    has computed. A hint takes 1 + m times the memory of a fluctuation.

    Args:
        kinematics: Of the cell.
    """

    guesses_relaxation = True

    def __init__(self, kinematics: Kinematics) -> None:
        self._rest = kinematics.rest

    def num_hint(self, unknowns: int) -> int:
        """Return the columns of q, ε' and S."""
        m = len(self._rest)
        return unknowns * (1 + m) + m

    def start(
        self,
        strain: Array,  # (n, m)
        parameters: Array,  # (n, p)
        hint: Array,  # (n, num_hint)
        unknowns: int,
    ) -> tuple[Array, Array | None]:  # (n, unknowns), twice
        """Return the previous fluctuation, and moved on by its derivative."""
        m = len(self._rest)
        q, before, columns = np.split(hint, [unknowns, unknowns + m], axis=1)
        change = strain - self._rest - before
        moved = np.einsum("nqm,nm->nq", columns.reshape(-1, unknowns, m), change)
        return q, q + moved

    def relaxation(
        self,
        strain: Array,  # (m,)
        parameters: Array,  # (p,)
        hint: Array,  # (num_hint,)
    ) -> Array | None:  # (unknowns, m)
        """Return the previous derivative, if there is one."""
        m = len(self._rest)
        unknowns = (len(hint) - m) // (1 + m)
        columns = hint[unknowns + m :].reshape(unknowns, m)
        return columns if columns.any() else None

    def keep(
        self,
        strain: Array,  # (m,)
        q: Array,  # (unknowns,)
        relaxation: Array | None,  # (unknowns, m)
    ) -> Array:  # (num_hint,)
        """Keep the fluctuation, its strain and its derivative; zero where none is known."""
        if relaxation is None:
            relaxation = np.zeros((len(q), len(strain)))
        return np.concatenate([q, strain - self._rest, relaxation.ravel()])
