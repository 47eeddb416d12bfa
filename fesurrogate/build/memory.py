"""How much memory a problem will take, known before it takes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import basix
import numpy as np
from dolfinx import fem
from petsc4py import PETSc

from fesurrogate.fem.footprint import (
    MatrixSize,
    factor_numbers,
    function_bytes,
    matrix_size,
    point_bytes,
)
from fesurrogate.fem.problem import DEFAULT_OPTIONS
from fesurrogate.material import Material
from fesurrogate.memory import MemoryEstimate, resident_bytes
from fesurrogate.micro import RVEMaterial

LATER = 30_000_000
"""Bytes of the libraries that are loaded only to write files and to draw."""

CELL_ENTRIES = {2: 20, 3: 60}
"""Entries in a row of the matrix of a cell, about."""


def estimate_memory(
    V: fem.FunctionSpace,
    regions: Sequence[tuple[Material, int, bool]],
    *,
    degree: int,
    options: Mapping[str, Any],
) -> MemoryEstimate:
    """Return what a problem will need on this rank at its peak. Collective.

    Args:
        V: Space of the unknown.
        regions: The Material, the number of owned cells and whether ``Balanced`` spreads it.
        degree: Quadrature degree.
        options: PETSc options of the macro SNES without their prefix.
    """
    mesh = V.mesh
    _, weights = basix.make_quadrature(mesh.basix_cell(), degree)
    map_of_cells = mesh.topology.index_map(mesh.topology.dim)
    local = (map_of_cells.size_local + map_of_cells.num_ghosts) * len(weights)
    points = sum(
        cells * len(weights) * point_bytes(material, balanced=balanced)
        + local * function_bytes(material)
        for material, cells, balanced in regions
    )
    chosen = str({**DEFAULT_OPTIONS, **options}["pc_type"])
    pc_type = PETSc.Options().getString("macro_pc_type", chosen)
    solved = {id(material): material for material, _, _ in regions}.values()
    return MemoryEstimate(
        process=resident_bytes() + LATER,
        points=points,
        macro=matrix_size(V).bytes(pc_type, mesh.comm.size),
        micro=sum(cell_bytes(material) for material in solved),
    )


def cell_bytes(material: Material) -> int:
    """Return what the factors of a cell take; 0 for a Material without one.

    The cell's matrix is there already. What another Material than an RVE gives as its hint is taken
    for the solution of its cell; a cell with history has no symmetric matrix.
    """
    kinematics = material.kinematics
    unknowns = material.num_unknowns if isinstance(material, RVEMaterial) else material.num_hint
    if unknowns < kinematics.size:
        return 0
    d = kinematics.gdim
    block = 1 if kinematics.measure == "gradient" else d
    factor = factor_numbers(unknowns // block, block, extents=np.ones(d))
    size = MatrixSize(unknowns, CELL_ENTRIES[d] * unknowns, factor)
    return size.bytes("lu" if material.num_state else "cholesky", 1)
