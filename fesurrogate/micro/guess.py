"""Where Newton's method begins in the cell: the interface, and what it does by default."""

from __future__ import annotations

from typing import Protocol, final

import numpy as np

from fesurrogate.kinematics import Array


class InitialGuess(Protocol):
    """Guesses the fluctuations of a batch of points from what they keep in their hints.

    A hint that was never kept is a row of zeros. A guess may be as bad as it likes: it is taken
    only where its residual is finite and below that of the classical one, and what fails from it is
    solved again from the classical one. The others are in :mod:`fesurrogate.warmstart`.

    Attributes:
        guesses_relaxation: Whether :meth:`relaxation` may have something to say.
    """

    guesses_relaxation: bool = False

    def num_hint(self, unknowns: int) -> int:
        """Return h, the columns of a hint of a cell with so many unknowns."""

    def start(
        self,
        strain: Array,  # (n, m)
        parameters: Array,  # (n, p)
        hint: Array,  # (n, h)
        unknowns: int,
    ) -> tuple[Array, Array | None]:  # (n, unknowns), twice
        """Return the classical guesses, and those to be tried before them, if any."""

    def relaxation(
        self,
        strain: Array,  # (m,)
        parameters: Array,  # (p,)
        hint: Array,  # (h,)
    ) -> Array | None:  # (unknowns, m)
        """Return a guess of dq/dstrain at a point, or None.

        A good one spares the factorisation of a point whose tangent is asked for. At finite strain
        the cell itself knows what belongs to turns of the strain.
        """
        return None

    def keep(
        self,
        strain: Array,  # (m,)
        q: Array,  # (unknowns,)
        relaxation: Array | None,  # (unknowns, m)
    ) -> Array:  # (h,)
        """Return the hint of a point that was solved.

        Args:
            strain: Of the point.
            q: Its fluctuation.
            relaxation: dq/dstrain there, where a tangent was asked for.
        """


@final
class Previous(InitialGuess):
    """The fluctuation of the last Newton iterate: the hint is the fluctuation itself."""

    def num_hint(self, unknowns: int) -> int:
        """Return the number of unknowns."""
        return unknowns

    def start(
        self,
        strain: Array,  # (n, m)
        parameters: Array,  # (n, p)
        hint: Array,  # (n, unknowns)
        unknowns: int,
    ) -> tuple[Array, Array | None]:  # (n, unknowns), None
        """Return the hints."""
        return hint, None

    def keep(
        self,
        strain: Array,  # (m,)
        q: Array,  # (unknowns,)
        relaxation: Array | None,  # (unknowns, m)
    ) -> Array:  # (unknowns,)
        """Return the fluctuation."""
        return np.asarray(q)
