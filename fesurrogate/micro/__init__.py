"""The microscale: a periodic cell solved in DOLFINx, condensed to stress and tangent."""

from fesurrogate.micro.cells import (
    Cell,
    cell_from_arrays,
    cracked_cell,
    hexagonal_packing,
    hole,
    image_cell,
    laminate_cell,
    make_cell,
    placed_fibres,
    random_fibres,
    random_spheres,
    read_cell,
    square_packing,
    strut_lattice,
)
from fesurrogate.micro.phases import Phase, conductor, linear_elastic, neo_hookean
from fesurrogate.micro.rve import RVEMaterial

__all__ = [
    "Cell",
    "Phase",
    "RVEMaterial",
    "cell_from_arrays",
    "conductor",
    "cracked_cell",
    "hexagonal_packing",
    "hole",
    "image_cell",
    "laminate_cell",
    "linear_elastic",
    "make_cell",
    "neo_hookean",
    "placed_fibres",
    "random_fibres",
    "random_spheres",
    "read_cell",
    "square_packing",
    "strut_lattice",
]
