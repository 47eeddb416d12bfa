"""The image of a cell for a field network, taken from its mesh."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from dolfinx import geometry
from numpy.typing import NDArray

from fesurrogate.errors import InputError
from fesurrogate.kinematics import Array
from fesurrogate.micro import RVEMaterial
from fesurrogate.micro.cells import Cell
from fesurrogate.micro.strain import num_fluctuating
from fesurrogate.surrogate.cell_image import CellImage
from fesurrogate.warmstart.increments import Sensitivity

RAYS = {2: 3, 3: 2}
"""Places along each edge of a pixel that are asked for their phase."""
EXACT = 1e-12  # a prolongation that only repeats values holds ones


def image_of(
    material: RVEMaterial,
    points: int,
    *,
    laws: str,
    parameters: Mapping[str, float] | None = None,
) -> CellImage:
    """Return the image of a cell; its linear response is solved for, at rest.

    Args:
        material: The cell.
        points: Of the grid along each edge.
        laws: What the laws of its phases and its boundary are known by.
        parameters: Values by name at which the linear response is taken; of each that it has.

    Raises:
        InputError: Its fluctuations are not periodic, a parameter has no value, or it cannot be
            solved at rest.
    """
    cell, problem = material.cell, material.problem
    nodes, fixed = _nodes(material)
    dimension = cell.mesh.geometry.dim
    size = cell.volume ** (1 / dimension)
    x = problem.assembly.u.function_space.tabulate_dof_coordinates()[:, :dimension]
    places = (x - cell.origin) @ np.linalg.inv(cell.lattice)
    rest, m = material.kinematics.rest, material.kinematics.size
    sensed = material.beginning_with(Sensitivity(material.kinematics))
    given, names = dict(parameters or {}), material.parameter_names
    if not set(names) <= set(given):
        raise InputError(
            f"values are given of the parameters {', '.join(given) or 'none'}; expected one of "
            f"each of the cell's: {', '.join(names)}"
        )
    values = [given[name] for name in names]
    answer = sensed.evaluate(rest[None], parameters=np.array([values], dtype=np.float64))
    if not answer.ok[0]:
        raise InputError("the cell cannot be solved at rest; mend the constants of its phases")
    unknowns = material.num_unknowns
    linear = answer.hint[0, unknowns + m :].reshape(unknowns, m)
    return CellImage(
        material.kinematics,
        tuple(sorted(cell.phase_cells)),
        phase_image(cell, points),
        places[nodes],
        places[fixed],
        linear,
        cell.lattice / size,
        float(size),
        dict(zip(names, values, strict=True)),
        laws,
        material.fingerprint,
    )


def phase_image(cell: Cell, points: int) -> Array:  # (P, *grid)
    """Return the share of each phase, by name, in pixels about the points of a periodic grid."""
    dimension = cell.mesh.geometry.dim
    rays = RAYS[dimension]
    edge = (((np.arange(points * rays) + 0.5) / rays - 0.5) / points) % 1.0
    places = np.stack(np.meshgrid(*[edge] * dimension, indexing="ij"), axis=-1)
    x = np.zeros((edge.size**dimension, 3))
    x[:, :dimension] = places.reshape(-1, dimension) @ cell.lattice + cell.origin
    tree = geometry.bb_tree(cell.mesh, dimension, padding=1e-10 * cell.volume ** (1 / dimension))
    candidates = geometry.compute_collisions_points(tree, x)
    found = geometry.compute_colliding_cells(cell.mesh, candidates, x)
    met = np.diff(found.offsets) > 0
    holder = found.array[found.offsets[:-1][met]]
    shares = []
    for name in sorted(cell.phase_cells):
        inside = np.zeros(len(x))
        inside[met] = np.isin(holder, cell.phase_cells[name])
        blocks = inside.reshape([points, rays] * dimension)
        shares.append(blocks.mean(axis=tuple(range(1, 2 * dimension, 2))))
    image = np.stack(shares)
    if cell.void is None:  # of places between two cells, by rounding
        image /= np.maximum(image.sum(axis=0), 1 / rays**dimension)
    return image


def _nodes(material: RVEMaterial) -> tuple[NDArray[np.integer], NDArray[np.integer]]:
    """Return the node of each vector of unknowns, and those of which none is free.

    Raises:
        InputError: A fluctuation is not that of one node, repeated on its images.
    """
    T = material.problem.prolongation.tocsc()
    components = num_fluctuating(material.kinematics)
    block = material.problem.assembly.u.function_space.dofmap.index_map_bs
    if np.abs(T.data - 1.0).max(initial=0.0) > EXACT:
        raise InputError(
            "a field network is for fluctuations that are periodic; take boundary 'periodic' or "
            "'linear'"
        )
    first = T.indices[T.indptr[:-1]].reshape(-1, components)[:, 0] // block
    free = np.diff(T.tocsr().indptr).reshape(-1, block)[:, 0] > 0
    return first, np.flatnonzero(~free)
