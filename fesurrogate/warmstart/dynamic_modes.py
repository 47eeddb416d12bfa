"""The unknown of the next increment, by dynamic mode decomposition of the increments before it."""

from __future__ import annotations

from collections import deque
from typing import final

import numpy as np
from mpi4py import MPI

from fesurrogate.errors import InputError
from fesurrogate.kinematics import Array
from fesurrogate.warmstart.extrapolation import Extrapolation

WINDOW = 20  # increments that are remembered
DELAYS = 2  # increments one after another that make a state
EVEN = 1e-9  # of a time step, by which the steps may differ
DISCARDED = 1e-10  # of the largest eigenvalue of the Gram matrix: what solvers' tolerances leave


@final
class DynamicModes:
    """The linear map that best takes each of the last increments to the next, applied once more.

    A state z_j is made of the increments d_j and d_{j-1} of the unknown. With the matrices Z of the
    states but the last, and Z' of those that follow them, the map is A = Z' Z⁺, and the next state
    A z = Z' c with the c for which Z c comes closest to z. So what decays, grows, oscillates or
    repeats itself in the window goes on as it did: relaxation, cycles.

    The steps must be even, as a load that is cut leaves them not; else, and as long as there are
    too few, the guess is the parabola through the last unknowns.

    Source: J. H. Tu, C. W. Rowley, D. M. Luchtenburg, S. L. Brunton, J. N. Kutz, On dynamic mode
        decomposition: theory and applications, J. Comput. Dyn. 1 (2014) 391-421, definition 1; the
        delays: H. Arbabi, I. Mezić, Ergodic theory, dynamic mode decomposition, and computation of
        spectral properties of the Koopman operator, SIAM J. Appl. Dyn. Syst. 16 (2017) 2096-2126.

    Args:
        comm: The ranks that share the unknown.
        owned: Entries of it that this rank owns; they come first.
        window: Increments that are remembered.

    Raises:
        InputError: The window is too short for a map.

    Note:
        Both methods are collective. Inner products alone travel; what is a combination of vectors
        is one on every rank.
    """

    def __init__(self, comm: MPI.Intracomm, owned: int, *, window: int = WINDOW) -> None:
        if window < DELAYS + 1:
            raise InputError(f"window is {window}; expected {DELAYS + 1} increments or more")
        self._comm, self._owned = comm, owned
        self._parabola = Extrapolation(2)
        self._last: tuple[float, Array] | None = None  # time, and (unknowns,)
        self._steps: deque[float] = deque(maxlen=window)
        self._increments: deque[Array] = deque(maxlen=window)  # each (unknowns,)
        self._products: Array = np.zeros((0, 0))  # of the increments with each other

    def accept(
        self,
        time: float,
        unknown: Array,  # (unknowns,)
    ) -> None:
        """Remember the unknown that was accepted at a time. Collective."""
        self._parabola.accept(time, unknown)
        if self._last is not None and time > self._last[0]:
            before, known = self._last
            self._steps.append(time - before)
            self._increments.append(unknown - known)
            last, owned = self._increments[-1], slice(self._owned)
            mine = [each[owned] @ last[owned] for each in self._increments]
            row = self._comm.allreduce(np.array(mine))  # (k,)
            k = len(row)
            products = np.empty((k, k))
            products[:-1, :-1] = self._products[-(k - 1) :, -(k - 1) :] if k > 1 else 0.0
            products[-1] = products[:, -1] = row
            self._products = products
        self._last = (time, unknown.copy())

    def predict(self, time: float) -> Array | None:  # (unknowns,)
        """Return the guess at a time; None if nothing is known. Collective."""
        if self._last is None:
            return None
        count = self._even(time - self._last[0])
        if count < DELAYS + 1:
            return self._parabola.predict(time)
        weights = self._comm.bcast(following(self._products[-count:, -count:]))
        guess = self._last[1].copy()
        later = list(self._increments)[len(self._increments) - len(weights) :]
        for weight, increment in zip(weights, later, strict=True):
            guess += weight * increment
        return guess

    def _even(self, step: float) -> int:
        """Return how many of the last steps are as long as the one that comes."""
        count = 0
        for known in reversed(self._steps):
            if abs(known - step) > EVEN * step:
                break
            count += 1
        return count


def following(
    products: Array,  # (k, k), of the increments d with each other
) -> Array:  # (k - DELAYS,)
    """Return the weights of the last increments in the one that follows them."""
    k = len(products)
    states = k - DELAYS + 1
    gram = sum(products[j : j + states, j : j + states] for j in range(DELAYS))
    assert isinstance(gram, np.ndarray)
    values, vectors = np.linalg.eigh(gram[:-1, :-1])
    kept = values > DISCARDED * max(float(values[-1]), np.finfo(float).tiny)
    along = vectors[:, kept].T @ gram[:-1, -1] / values[kept]
    return np.asarray(vectors[:, kept] @ along)
