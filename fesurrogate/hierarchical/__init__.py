"""Quantities of interest of cells: computed once, stored small, looked up fast.

:mod:`~fesurrogate.hierarchical.family` solves the cells and needs DOLFINx; what looks up does not.
"""

from fesurrogate.hierarchical.axes import Axis
from fesurrogate.hierarchical.file import check_cell, read_tabulation, write_tabulation
from fesurrogate.hierarchical.table import Table
from fesurrogate.hierarchical.tabulation import Tabulation

__all__ = ["Axis", "Table", "Tabulation", "check_cell", "read_tabulation", "write_tabulation"]
