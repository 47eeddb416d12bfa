"""The representative cell, and where it comes from."""

from fesurrogate.micro.cells.cell import Cell, cell_from_arrays, make_cell, read_cell
from fesurrogate.micro.cells.crack import cracked_cell
from fesurrogate.micro.cells.grid import strut_lattice
from fesurrogate.micro.cells.image import image_cell
from fesurrogate.micro.cells.inclusions import (
    hexagonal_packing,
    hole,
    placed_fibres,
    random_fibres,
    random_spheres,
    square_packing,
)
from fesurrogate.micro.cells.laminate import laminate_cell
from fesurrogate.micro.cells.refine import refined

__all__ = [
    "Cell",
    "cell_from_arrays",
    "cracked_cell",
    "hexagonal_packing",
    "hole",
    "image_cell",
    "laminate_cell",
    "make_cell",
    "placed_fibres",
    "random_fibres",
    "random_spheres",
    "read_cell",
    "refined",
    "square_packing",
    "strut_lattice",
]
