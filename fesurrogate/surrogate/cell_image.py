"""A periodic cell as a field network sees it: phases on a regular grid, and where its nodes lie.

Places in the cell are fractions of its lattice vectors, lengths are in units of its size (the d-th
root of its volume), so that a cell and its enlargement look alike. With the linear response S of
the cell, its fluctuation is q = S (U - 1) + the values of a field at the nodes, and of that field
alone there is anything to learn. Because the linear part is exact on every mesh, what a regular
grid cannot hold (the kinks at interfaces) weighs less by as much as the field is smaller.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fesurrogate.arrays_file import damaged, read_arrays, write_arrays
from fesurrogate.errors import InputError
from fesurrogate.kinematics import Array, Kinematics, polar_decomposition

FORMAT = 1
WHAT = "image of a cell"
ARRAYS = ("image", "points", "fixed", "linear", "lattice")
AGAIN = 'make it with [generate] fields = true and [train] model = "field_network", then: '
MADE = AGAIN + "fesurrogate generate CONFIG"


@dataclass(frozen=True)
class CellImage:
    """A cell with periodic fluctuations.

    Attributes:
        kinematics: Of the cell.
        names: Of the phases, void left out.
        image: (P, *grid), share of each phase about each point of the grid; pixel j of an edge
            lies about the fraction j / (points of the edge).
        points: (k, d), the nodes of the unknowns.
        fixed: (f, d), nodes whose fluctuation is zero.
        linear: (unknowns, m), S, the derivative of the fluctuation by the strain at rest.
        lattice: (d, d), lattice vectors in units of the size.
        size: Unit of lengths.
        parameters: Values of the parameters, by name, at which it is taken.
        laws: What the laws of the phases and the boundary are known by.
        cell: Fingerprint of the RVEMaterial.

    Raises:
        InputError: The arrays do not fit each other, or are not finite.
    """

    kinematics: Kinematics
    names: tuple[str, ...]
    image: Array
    points: Array
    fixed: Array
    linear: Array
    lattice: Array
    size: float
    parameters: Mapping[str, float]
    laws: str
    cell: str

    def __post_init__(self) -> None:
        d = len(self.lattice)
        sizes = {
            "image": (len(self.names), *self.image.shape[1:]), "lattice": (d, d),
            "points": (len(self.points), d), "fixed": (len(self.fixed), d),
            "linear": (len(self.linear), self.kinematics.size),
        }  # fmt: skip
        for name, size in sizes.items():
            array = getattr(self, name)
            if array.shape != size or array.dtype != np.float64 or not np.isfinite(array).all():
                raise InputError(f"{name} has shape {array.shape}; expected {size}, finite numbers")
        if d not in (2, 3) or self.image.ndim != 1 + d or not self.image.size:
            raise InputError(f"an image of shape {self.image.shape} does not fit {d} edges")
        if not len(self.points) or len(self.linear) % len(self.points):
            raise InputError(f"{len(self.linear)} unknowns do not fit {len(self.points)} nodes")
        if not np.isfinite(float(self.size)) or not self.size > 0:
            raise InputError(f"size is {self.size}; expected a positive number")

    @property
    def components(self) -> int:
        """c, of the fluctuation."""
        return len(self.linear) // len(self.points)

    def remainder(
        self,
        strain: Array,  # (n, m)
        fluctuation: Array,  # (n, unknowns)
    ) -> tuple[Array, Array]:  # (n, m), (n, k + f, c)
        """Return U - 1 and what is not linear of the fluctuation, seen by who turns with U."""
        stretch, rotation = polar_decomposition(self.kinematics, strain)
        change = stretch - self.kinematics.rest
        nodal: Array = fluctuation.reshape(len(strain), len(self.points), self.components)
        if rotation is not None:
            nodal = nodal @ rotation  # Rᵀ w
        linear = (change @ self.linear.T).reshape(nodal.shape)
        held = np.zeros((len(strain), len(self.fixed), self.components))
        return change, np.concatenate([(nodal - linear) / self.size, held], axis=1)


def corners(
    points: Array,  # (k, d), fractions of the lattice vectors
    grid: tuple[int, ...],
) -> tuple[NDArray[np.int64], Array]:  # (k, 2**d), twice
    """Return the points of a periodic grid about each point, and their weights.

    Multilinear interpolation: Σ weight · value[index], value one row over the grid.
    """
    scaled = points * np.array(grid)
    lower = np.floor(scaled)
    inside = scaled - lower
    index, weight = [], []
    for corner in np.ndindex(*[2] * len(grid)):
        place = (lower.astype(np.int64) + corner) % grid
        index.append(np.ravel_multi_index(tuple(place.T), grid))
        weight.append(np.where(corner, inside, 1 - inside).prod(axis=1))
    return np.stack(index, axis=1), np.stack(weight, axis=1)


def save_image(path: Path, image: CellImage) -> None:
    """Write a cell image, without pickle and with a checksum."""
    facts = {
        "format": FORMAT,
        "gdim": image.kinematics.gdim,
        "measure": image.kinematics.measure,
        "names": list(image.names),
        "size": image.size,
        "parameters": dict(image.parameters),
        "laws": image.laws,
        "cell": image.cell,
    }
    write_arrays(path, facts, {name: getattr(image, name) for name in ARRAYS})


def load_image(path: Path) -> CellImage:
    """Read a cell image.

    Raises:
        InputError: There is none, or it is damaged.
    """
    facts, arrays = read_arrays(path, ARRAYS, form=FORMAT, what=WHAT, make=MADE)
    try:
        kinematics = Kinematics(facts.pop("gdim"), facts.pop("measure"))
        values = {name: float(value) for name, value in facts.pop("parameters").items()}
        fields: dict[str, Any] = {**arrays, **facts, "parameters": values}
        return CellImage(kinematics, tuple(fields.pop("names")), **fields)
    except Exception as error:  # whatever a hostile file makes of it
        raise damaged(path, error, what=WHAT, make=MADE) from error
