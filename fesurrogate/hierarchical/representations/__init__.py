"""Ways to keep a quantity of a table, each with its derivatives along the axes, by kind."""

from fesurrogate.hierarchical.representations.base import Representation
from fesurrogate.hierarchical.representations.decoder import Decoded
from fesurrogate.hierarchical.representations.energies import Energy
from fesurrogate.hierarchical.representations.gridded import Gridded
from fesurrogate.hierarchical.representations.modes import Modes, decomposed
from fesurrogate.hierarchical.representations.polynomial import Polynomial
from fesurrogate.hierarchical.representations.radial import Radial
from fesurrogate.hierarchical.representations.train import Train

KINDS: dict[str, type[Representation]] = {
    each.kind: each for each in (Gridded, Train, Modes, Polynomial, Radial, Energy)
}

__all__ = [
    "KINDS",
    "Decoded",
    "Energy",
    "Gridded",
    "Modes",
    "Polynomial",
    "Radial",
    "Representation",
    "Train",
    "decomposed",
]
