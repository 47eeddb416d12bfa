"""How far a representation of a quantity is from the table it is made of."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import final

import numpy as np

from fesurrogate.errors import InputError
from fesurrogate.hierarchical.representations import Representation
from fesurrogate.hierarchical.representations.forms import Form
from fesurrogate.hierarchical.strains import QUANTITIES as OVER_STRAIN
from fesurrogate.hierarchical.strains import strain_columns
from fesurrogate.hierarchical.tabulation import Kept, Tabulation, misfits
from fesurrogate.kinematics import Array

FINEST = 1e-4
"""Error below which no series goes on."""


@dataclass(frozen=True)
class Candidate:
    """A quantity in another representation, and how far it is from the table.

    Attributes:
        name: Of the representation, as the user says it.
        detail: Its size, in words.
        kept: The quantity.
        entries: Largest error at the entries, as :func:`~.tabulation.misfits` measures it.
        held_out: Largest error at the held-out points; that of the entries where there are none.
        mean_square: Root of the mean square of the same.
    """

    name: str
    detail: str
    kept: Kept
    entries: float
    held_out: float
    mean_square: float

    @property
    def numbers(self) -> int:
        """Numbers that are stored."""
        return self.kept.representation.numbers


@final
class Judge:
    """One quantity of a table, by which its representations are measured.

    Args:
        table: On a grid or scattered.
        name: Of the quantity.

    Attributes:
        table: As given.
        name: As given.
        points: (N, p), where the cell was solved.
        entries: (N, ...), the quantity there.

    Raises:
        InputError: No entry could be computed.
    """

    def __init__(self, table: Tabulation, name: str) -> None:
        self.table, self.name = table, name
        self.points, self.entries = table.computed(name)
        if not len(self.points):
            raise InputError(f"no entry of {name} could be computed; expected some: move the axes")

    def measured(self, name: str, detail: str, kept: Kept) -> Candidate:
        """Return a representation with its errors, at the entries and held out."""
        found = kept.evaluate(self.points)[0]
        at_entries = float(misfits(self.name, found, self.entries).max())
        return replace(self.judged(name, detail, kept), entries=at_entries)

    def judged(self, name: str, detail: str, kept: Kept) -> Candidate:
        """Return a representation with its errors held out alone, where there are such points."""
        points, exact = self._judges
        off = misfits(self.name, kept.evaluate(points)[0], exact)
        largest = float(off.max())
        return Candidate(name, detail, kept, largest, largest, float(np.sqrt((off**2).mean())))

    @cached_property
    def _judges(self) -> tuple[Array, Array]:  # (N, p), (N, ...)
        """Return the held-out points and the quantity there; the entries where there are none."""
        held = self.table.held_out
        if held is not None:
            rows = held.ok & self.table.known(held.points)
            if rows.any():
                return held.points[rows], held.quantities[self.name][rows]
        return self.points, self.entries

    def kept(self, representation: Representation, form: Form) -> Kept:
        """Return the quantity in a representation."""
        return Kept(representation, form, self.table.trailing(self.name))

    @cached_property
    def columns(self) -> tuple[list[int], list[int]]:
        """Return the positions of the axes of parameters, and of those of strain."""
        inner = strain_columns(self.table.kinematics, self.table.axes)
        return [k for k in range(len(self.table.axes)) if k not in inner], sorted(inner)

    def scale(self, array: Array) -> float | None:
        """Return what errors of entries are relative to; None: to themselves."""
        if self.name not in OVER_STRAIN:
            return None
        return float(np.sqrt((array**2).sum(axis=-1).mean()))
