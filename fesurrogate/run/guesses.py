"""What became of the initial guesses of a run's cells, and what they saved."""

from __future__ import annotations

from collections.abc import Sequence

from mpi4py import MPI

from fesurrogate.fem.tally import Tally

COUNTED = ("taken", "refused", "repeated", "compared")


def guesses_of(tallies: Sequence[Tally], comm: MPI.Intracomm) -> dict[str, int]:
    """Return how many guesses had which fate, and the iterations they ``saved``. Collective.

    What a guess saves is known of those solves that were made from the classical guess too, to be
    compared: their mean is that of all that were taken. It is 0 where none was compared, and
    negative where guesses cost iterations.

    Args:
        tallies: Of the fields of this rank.
        comm: All ranks.
    """
    counts = {
        name: int(comm.allreduce(sum(tally.counts[f"guess_{name}"] for tally in tallies)))
        for name in (*COUNTED, "saved")
    }
    counts["saved"] = round(counts["taken"] * counts["saved"] / max(1, counts["compared"]))
    return counts
