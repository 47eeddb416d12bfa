"""Cells of a matrix with round inclusions or holes, meshed by gmsh.

All have edges of length 1 (the rectangle of the hexagonal packing: 1 and √3) and phases ``matrix``
and ``fibre`` (2D), ``inclusion`` (3D) or ``void``. The radius is corrected until the *meshed*
inclusions have the wanted fraction, so that it is exact whatever the resolution. Equal arguments
give equal cells, on one version of gmsh.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from fesurrogate.errors import InputError
from fesurrogate.kinematics import Array
from fesurrogate.micro.cells.cell import Cell, cell_from_arrays
from fesurrogate.micro.cells.gmsh_mesh import CELLS, gmsh_session, mesh_inclusions
from fesurrogate.micro.cells.packings import BALL, random_packing
from fesurrogate.micro.cells.resize import inclusion_fraction, resized

FILLED = 0.98  # of the radius at which inclusions touch: beyond, the mesh between them suffers


def square_packing(volume_fraction: float, *, resolution: int = 16, degree: int = 1) -> Cell:
    """Return a unit square with one centred fibre: fibres on a square grid.

    Args:
        volume_fraction: Of the fibre, below π/4.
        resolution: Elements along each edge.
        degree: Of the geometry: 2 curves the elements at the interface.

    Raises:
        InputError: An argument is out of range.
        MissingPackageError: gmsh is not installed.
    """
    return _arranged(
        volume_fraction,
        np.full((1, 2), 0.5),
        lattice=np.eye(2),
        resolution=resolution,
        degree=degree,
    )


def hexagonal_packing(
    volume_fraction: float,
    *,
    cell: Literal["rectangle", "rhombus"] = "rectangle",
    resolution: int = 16,
    degree: int = 1,
) -> Cell:
    """Return a cell of fibres of which each has six nearest neighbours, at distance 1.

    Args:
        volume_fraction: Of the fibres, below π/√12.
        cell: ``rectangle``, 1 by √3 with fibres in the corners and in the middle, or the smaller
            ``rhombus`` with one in the middle.
        resolution: Elements along an edge of length 1.
        degree: Of the geometry: 2 curves the elements at the interface.

    Raises:
        InputError: An argument is out of range.
        MissingPackageError: gmsh is not installed.
    """
    height = math.sqrt(3)
    shapes = {
        "rectangle": (np.diag([1.0, height]), np.array([[0.0, 0.0], [0.5, height / 2]])),
        "rhombus": (np.array([[1.0, 0.0], [0.5, height / 2]]), np.array([[0.75, height / 4]])),
    }
    if cell not in shapes:
        raise InputError(f"cell is {cell!r}; expected 'rectangle' or 'rhombus'")
    lattice, centres = shapes[cell]
    return _arranged(
        volume_fraction, centres, lattice=lattice, resolution=resolution, degree=degree
    )


def hole(volume_fraction: float, *, gdim: int = 2, resolution: int = 16, degree: int = 1) -> Cell:
    """Return a unit square (cube) of ``matrix`` with one round hole in the middle, ``void``.

    Args:
        volume_fraction: Of the hole, below π/4 (2D) or π/6 (3D).
        gdim: 2, a perforated plate, or 3, a spherical pore.
        resolution: Elements along each edge.
        degree: Of the geometry: 2 curves the elements at the hole.

    Raises:
        InputError: An argument is out of range.
        MissingPackageError: gmsh is not installed.
    """
    if gdim not in (2, 3):
        raise InputError(f"gdim is {gdim}; expected 2 or 3")
    return _arranged(
        volume_fraction,
        np.full((1, gdim), 0.5),
        lattice=np.eye(gdim),
        resolution=resolution,
        degree=degree,
        hollow=True,
    )


def random_fibres(
    volume_fraction: float,
    count: int,
    seed: int,
    *,
    gap: float = 0.1,
    resolution: int | None = None,
    degree: int = 1,
) -> Cell:
    """Return a unit square of equal fibres at random; see :mod:`fesurrogate.micro.cells.packings`.

    Args:
        volume_fraction: Of the fibres.
        count: Of fibres.
        seed: Of the random numbers.
        gap: Smallest distance between two fibres, in radii. (That of the meshed fibres is up to
            twice the correction of the radius smaller.)
        resolution: Elements along each edge; four along a radius if None.
        degree: Of the geometry: 2 curves the elements at the interface.

    Raises:
        InputError: An argument is out of range, or the fraction is not reached.
        MissingPackageError: gmsh is not installed.
    """
    packing = random_packing(volume_fraction, count, gdim=2, seed=seed, gap=gap)
    return _made(
        volume_fraction,
        packing.centres,
        lattice=np.eye(2),
        touching=packing.radius * (1 + gap / 2),
        resolution=resolution or math.ceil(4 / packing.radius),
        degree=degree,
    )


def placed_fibres(
    volume_fraction: float,
    centres: ArrayLike,  # (count, 2)
    *,
    resolution: int | None = None,
    degree: int = 1,
) -> Cell:
    """Return a unit square of equal fibres about given centres, and their periodic images.

    The family of a packing whose fibres grow: the centres stay where the volume fraction changes.
    Place the origin so that no fibre of the family grazes an edge; elements there are flat.

    Args:
        volume_fraction: Of the fibres, below that at which two of them touch.
        centres: Of the fibres.
        resolution: Elements along each edge; four along a radius if None.
        degree: Of the geometry: 2 curves the elements at the interface.

    Raises:
        InputError: An argument is out of range, or fibres of the fraction overlap.
        MissingPackageError: gmsh is not installed.
    """
    places = np.asarray(centres, dtype=np.float64)
    if places.ndim != 2 or places.shape[1] != 2 or not len(places):
        raise InputError(f"centres have shape {places.shape}; expected (count, 2), count >= 1")
    apart = places[:, None] - places  # (count, count, 2)
    apart = np.linalg.norm(apart - np.round(apart), axis=-1)
    np.fill_diagonal(apart, 1.0)  # of a fibre and its own image
    return _arranged(
        volume_fraction,
        places % 1.0,
        lattice=np.eye(2),
        touching=float(apart.min()) / 2,
        resolution=resolution,
        degree=degree,
    )


def random_spheres(
    volume_fraction: float,
    count: int,
    seed: int,
    *,
    gap: float = 0.1,
    resolution: int | None = None,
    degree: int = 1,
) -> Cell:
    """Return a unit cube of equal spheres at random, ``inclusion``; as :func:`random_fibres`.

    Args:
        volume_fraction: Of the spheres.
        count: Of spheres.
        seed: Of the random numbers.
        gap: Smallest distance between two spheres, in radii.
        resolution: Elements along each edge; three along a radius if None.
        degree: Of the geometry: 2 curves the elements at the interface.

    Raises:
        InputError: An argument is out of range, or the fraction is not reached.
        MissingPackageError: gmsh is not installed.
    """
    packing = random_packing(volume_fraction, count, gdim=3, seed=seed, gap=gap)
    return _made(
        volume_fraction,
        packing.centres,
        lattice=np.eye(3),
        touching=packing.radius * (1 + gap / 2),
        resolution=resolution or math.ceil(3 / packing.radius),
        degree=degree,
    )


def _arranged(
    volume_fraction: float,
    centres: Array,  # (count, d)
    *,
    lattice: Array,  # (d, d)
    resolution: int | None,
    degree: int,
    touching: float = 0.5,
    hollow: bool = False,
) -> Cell:
    """Return the cell of an arrangement, whose inclusions touch at a radius.

    The resolution is that of four elements along a radius if None.
    """
    d = len(lattice)
    share = len(centres) * BALL[d] / np.linalg.det(lattice)  # of inclusions of radius 1
    largest = share * (FILLED * touching) ** d
    if not 0 < volume_fraction <= largest:
        raise InputError(
            f"volume_fraction is {volume_fraction:g}; expected a number > 0 and at most "
            f"{largest:.3f}, where the round inclusions nearly touch"
        )
    if resolution is None:
        resolution = math.ceil(4 / (volume_fraction / share) ** (1 / d))
    return _made(
        volume_fraction,
        centres,
        lattice=lattice,
        touching=touching,
        resolution=resolution,
        degree=degree,
        hollow=hollow,
    )


def _made(
    volume_fraction: float,
    centres: Array,  # (count, d)
    *,
    lattice: Array,  # (d, d)
    touching: float,
    resolution: int,
    degree: int,
    hollow: bool = False,
) -> Cell:
    """Mesh with a radius that is corrected until the mesh has the fraction."""
    if resolution < 2:
        raise InputError(f"resolution is {resolution}; expected at least 2 elements along an edge")
    if degree not in (1, 2):
        raise InputError(f"degree is {degree}; expected 1 (straight edges) or 2 (curved ones)")
    d, volume = len(lattice), np.linalg.det(lattice)
    mesh_with = partial(
        mesh_inclusions, lattice=lattice, size=1 / resolution, degree=degree, hollow=hollow
    )
    radius = float((volume_fraction * volume / (len(centres) * BALL[d])) ** (1 / d))
    with gmsh_session() as gmsh:
        mesh = mesh_with(gmsh, centres, radius)
        radius *= (volume_fraction / inclusion_fraction(mesh, lattice)) ** (1 / d)
        if radius < touching:
            mesh = mesh_with(gmsh, centres, radius)
            mesh = resized(mesh, centres, radius, lattice=lattice, fraction=volume_fraction)
    if radius >= touching:
        curved = ", or curved elements (degree 2, in a TOML geometry_degree = 2)"
        raise InputError(
            f"resolution {resolution} is too coarse for volume_fraction {volume_fraction:g}: "
            "inclusions that keep it as meshed would touch; take a larger resolution"
            f"{curved if degree == 1 else ''}"
        )
    phases = {"matrix": np.flatnonzero(~mesh.inside)}
    if not hollow:
        phases["fibre" if d == 2 else "inclusion"] = np.flatnonzero(mesh.inside)
    return cell_from_arrays(
        CELLS[d],
        mesh.points,
        mesh.cells,
        phases=phases,
        degree=degree,
        lattice=lattice,
        void="void" if hollow else None,
    )
