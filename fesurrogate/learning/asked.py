"""The reference, asked along paths that all ranks know."""

from __future__ import annotations

import logging
from typing import final

import numpy as np
from mpi4py import MPI
from numpy.typing import NDArray

from fesurrogate.errors import MaterialError
from fesurrogate.kinematics import Array
from fesurrogate.learning.paths import Paths
from fesurrogate.material import Material

logger = logging.getLogger(__name__)


@final
class Asked:
    """Leads a Material with history along paths; one rank asks, all know what it answers.

    Attributes:
        reference: The Material.
        rve_solves: What it took so far.

    Args:
        reference: With history, without parameters. A collective one spreads the points itself.
        comm: All ranks.
    """

    def __init__(self, reference: Material, comm: MPI.Intracomm) -> None:
        self.reference, self._comm, self.rve_solves = reference, comm, 0

    def from_rest(
        self,
        paths: Paths,
        steps: Array,  # (k, t, m + 1)
    ) -> Paths:
        """Return the paths and new ones, answered from rest to their ends. Collective."""
        known, (k, length, _) = len(paths), steps.shape
        hint = np.zeros((k, self.reference.num_hint))
        paths = paths.with_new(steps, self.reference.initial_state(k), hint)
        for t in range(length):
            rows = np.flatnonzero(paths.length[known:] == t)
            paths = self.led_on(paths, known + rows, steps[rows, t])
        return paths

    def led_on(
        self,
        paths: Paths,
        which: NDArray[np.int64],  # (k,)
        step: Array,  # (k, m + 1), strain and dt, the same of all
    ) -> Paths:
        """Return the paths, some with one more increment. Collective.

        A reference that raises has answered nothing; what one that communicates raises on one rank
        alone is raised here, too, as the others wait inside it.
        """
        if not len(which):
            return paths
        mine = slice(None) if self._comm.rank == 0 else slice(0)
        told = None
        try:
            answer = self.reference.evaluate(
                step[mine, :-1], paths.state[which][mine], float(step[0, -1]),
                hint=paths.hint[which][mine], tangent=False,
            )  # fmt: skip
            solves = answer.report.get("rve_solves", np.zeros(0, dtype=np.int64))
            told = answer.stress, answer.ok, answer.state, answer.hint, int(solves.sum())
        except Exception as error:
            if self.reference.collective and not isinstance(error, MaterialError):
                raise
            logger.warning("learning: the reference raised %s; nothing is learned of it", error)
        told = self._comm.bcast(told, root=0)
        if told is None:
            failed = np.zeros(len(which), dtype=bool)
            blank = np.full((len(which), step.shape[1] - 1), np.nan)
            return paths.longer(which, step, blank, failed, paths.state[which], paths.hint[which])
        stress, ok, state, hint, spent = told
        self.rve_solves += spent
        return paths.longer(which, step, stress, ok, state, hint)
