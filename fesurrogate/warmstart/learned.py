"""What learned guesses of the cell have in common: a point goes on from what it was."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np

from fesurrogate.kinematics import Array, Kinematics
from fesurrogate.micro.guess import InitialGuess


class LearnedGuess(InitialGuess):
    """The guess q + g(ε) - g(ε') with a learned g, where q was the fluctuation at a strain ε'.

    What g lacks cancels for the most part. Where there is no q yet the guess is g(ε).

    Attributes:
        kinematics: Of the cell.
    """

    kinematics: Kinematics

    @abstractmethod
    def fluctuation(
        self,
        strain: Array,  # (n, m)
        parameters: Array,  # (n, p)
    ) -> Array:  # (n, unknowns)
        """Return what is learned of the fluctuation: g."""

    def num_hint(self, unknowns: int) -> int:
        """Return the columns of a fluctuation and its strain."""
        return unknowns + self.kinematics.size

    def start(
        self,
        strain: Array,  # (n, m)
        parameters: Array,  # (n, p)
        hint: Array,  # (n, num_hint)
        unknowns: int,
    ) -> tuple[Array, Array | None]:  # (n, unknowns), twice
        """Return the previous fluctuation, and the guess."""
        n, q, before = len(strain), hint[:, :unknowns], hint[:, unknowns:] + self.kinematics.rest
        warm = np.flatnonzero(q.any(axis=1))
        asked = np.concatenate([strain, before[warm]])
        guess = self.fluctuation(asked, np.concatenate([parameters, parameters[warm]]))
        if len(warm):
            guess[warm] += q[warm] - guess[n:]
        return q, guess[:n]

    def keep(
        self,
        strain: Array,  # (m,)
        q: Array,  # (unknowns,)
        relaxation: Array | None,  # (unknowns, m)
    ) -> Array:  # (num_hint,)
        """Keep the fluctuation and its strain."""
        return np.concatenate([q, strain - self.kinematics.rest])
