"""Which series a table allows for one of its quantities."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import final

from fesurrogate.hierarchical.series import fitted, reduced, trains
from fesurrogate.hierarchical.series.grids import Grids
from fesurrogate.hierarchical.series.judge import Candidate, Judge
from fesurrogate.hierarchical.tabulation import Tabulation

TRAINED = ("autoencoder", "network")
"""Series that are trained step by step: only where they are asked for."""


@final
class Candidates:
    """Representations of one quantity of a table, each measured at entries and held-out points.

    Args:
        table: On a grid or scattered.
        name: Of the quantity.

    Attributes:
        judge: What measures them.
        grids: Coarser grids, of which others are made.

    Raises:
        InputError: No entry could be computed.
    """

    def __init__(self, table: Tabulation, name: str) -> None:
        self.judge = Judge(table, name)
        self.grids = Grids(self.judge)

    @property
    def series(self) -> dict[str, Callable[[], Iterator[Candidate]]]:
        """Return those that the table allows, by name."""
        judge, grids = self.judge, self.grids
        if judge.table.samples is not None:
            return {
                "radial_basis": lambda: fitted.radial(judge),
                "polynomial": lambda: fitted.polynomials(judge),
            }
        if not judge.table.ok.all():
            return {"tensor_train": lambda: trains.trains(judge)}
        found: dict[str, Callable[[], Iterator[Candidate]]] = {
            "multilinear": lambda: grids.coarser("multilinear"),
            "spline": lambda: iter(grids.splines),
            "tensor_train": lambda: trains.trains(judge),
            "spline_train": lambda: trains.spline_trains(grids),
            "polynomial": lambda: fitted.polynomials(judge),
        }
        if judge.columns[0]:
            found["pod"] = lambda: reduced.modes(grids)
            if len(judge.entries[0].reshape(-1)) > 1:
                found["autoencoder"] = lambda: reduced.autoencoders(grids)
        if judge.name == "stress":
            found["network"] = lambda: fitted.networks(judge)
        return found
