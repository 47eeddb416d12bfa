"""The surface of a solid mesh as coloured faces, seen from above the corner of largest coordinates.

Faces are gathered from all ranks, so that what is drawn does not depend on their number.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from dolfinx import fem
from dolfinx import mesh as meshes
from dolfinx.mesh import Mesh
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize, to_rgb
from mpl_toolkits.mplot3d.art3d import Poly3DCollection
from scipy.spatial import cKDTree

from fesurrogate.errors import InputError
from fesurrogate.fem.compat import geometry_dofmap
from fesurrogate.fem.values import nodal_values, owned_cell_values
from fesurrogate.kinematics import Array, BoolArray

ELEVATION, AZIMUTH = 28.0, 35.0  # of the viewer, in degrees
SOLID_AXES = {"projection": "3d", "proj_type": "ortho", "computed_zorder": False}
NOTHING = "#d5d5d5"  # of faces without a value
_CORNERS = {"tetrahedron": [0, 1, 2], "hexahedron": [0, 1, 3, 2]}  # of a face, around it
_LIGHT = np.array([0.88, 0.84, 1.0])  # how bright faces normal to x, y and z are


@dataclass(frozen=True)
class Surface:
    """Faces of a solid that are turned to the viewer.

    Attributes:
        faces: (f, corners, 3), deformed.
        values: (f,), those of the cells behind; or colours (f, 3).
        seen: (f,), whether no other face hides the middle.
    """

    faces: Array
    values: Array
    seen: BoolArray


def gather_surface(
    mesh: Mesh,
    values: Array | fem.Function,  # (owned cells,), or colours (owned cells, 3)
    *,
    displacement: fem.Function | None = None,
    scale: float = 1.0,
) -> Surface | None:
    """Gather the deformed faces in sight and one value each on rank 0; None elsewhere. Collective.

    Args:
        mesh: Of tetrahedra or hexahedra.
        values: One for each owned cell, or a piecewise constant Function.
        displacement: Moves the corners.
        scale: By which it is magnified.

    Raises:
        InputError: The mesh is of other cells, or there is another number of values.
    """
    name = mesh.topology.cell_name()
    if name not in _CORNERS:
        raise InputError(
            f"a mesh of {name} cells cannot be drawn as a solid; expected tetrahedra or hexahedra. "
            "Open the .xdmf file in ParaView"
        )
    x = mesh.geometry.x
    moved = x if displacement is None else x + scale * nodal_values(mesh, displacement)
    every = _with_ghosts(mesh, owned_cell_values(mesh, values))
    mesh.topology.create_connectivity(2, 3)
    facets = meshes.exterior_facet_indices(mesh.topology)
    behind = mesh.topology.connectivity(2, 3)
    cell = np.array([behind.links(facet)[0] for facet in facets], dtype=np.int64)
    nodes = np.zeros((0, len(_CORNERS[name])), dtype=np.int32)
    if len(facets):  # entities_to_geometry ends the process on a rank without cells
        nodes = meshes.entities_to_geometry(mesh, 2, facets)[:, _CORNERS[name]]
    middle = moved[geometry_dofmap(mesh)[cell]].mean(axis=1)
    parts = mesh.comm.gather((x[nodes].mean(axis=1), moved[nodes], middle, every[cell]), root=0)
    if parts is None:
        return None
    rest, faces, inside, colours = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    size = float(np.ptp(rest, axis=0).max())
    order = np.lexsort((rest / size).round(9).T)
    faces, inside, colours = faces[order], inside[order], colours[order]
    normal = _normals(faces)
    outward = np.einsum("fi,fi->f", normal, faces.mean(axis=1) - inside) > 0.0
    towards = np.where(outward, 1.0, -1.0) * (normal @ _viewer()) > 0.0
    return Surface(faces[towards], colours[towards], unhidden(faces[towards]))


def seen_range(surface: Surface) -> Normalize | None:
    """Return the colour scale of what is seen; None if no face in sight has a value."""
    return known_range(surface.values[surface.seen])


def known_range(
    values: Array,  # (k,)
) -> Normalize | None:
    """Return the colour scale of the values that are known; None if none is."""
    known = values[np.isfinite(values)]
    return Normalize(known.min(), known.max()) if len(known) else None


def draw_surface(axes: Any, surface: Surface, norm: Normalize | None) -> ScalarMappable:
    """Draw faces shaded by their direction, and the names of the axes; return the colour scale.

    Args:
        axes: Made with :data:`SOLID_AXES`.
        surface: What is drawn; faces whose value is NaN are grey.
        norm: Of the values; None if they are colours, or if none is known.
    """
    scale = ScalarMappable(norm, "viridis")
    if surface.values.ndim == 2:
        colours = surface.values
    else:
        colours = np.tile(to_rgb(NOTHING), (len(surface.values), 1))
        known = np.isfinite(surface.values)
        colours[known] = scale.to_rgba(surface.values[known])[:, :3]
    shaded = colours * (_normals(surface.faces) ** 2 @ _LIGHT)[:, None]
    axes.add_collection3d(
        Poly3DCollection(surface.faces, facecolors=shaded, edgecolors=shaded, linewidths=0.2)
    )
    lower, upper = (bound(surface.faces, axis=(0, 1)) for bound in (np.min, np.max))
    axes.set(xlim=(lower[0], upper[0]), ylim=(lower[1], upper[1]), zlim=(lower[2], upper[2]))
    axes.set_box_aspect(upper - lower)
    axes.view_init(elev=ELEVATION, azim=AZIMUTH)
    axes.set_axis_off()
    middle, size = (lower + upper) / 2, float((upper - lower).max())
    ends = {"x": (0, 1), "y": (1, 0), "z": (2, 0)}  # along which axis, and beside which face
    for name, (axis, beside) in ends.items():
        place = lower.copy()
        place[axis], place[beside] = middle[axis], upper[beside] + 0.08 * size
        axes.text(*place, name, ha="center", va="center")
    return scale


def screen(
    points: Array,  # (..., 3)
) -> Array:  # (..., 3)
    """Return coordinates to the right, upwards and towards the viewer."""
    towards = _viewer()
    right = np.array([-np.sin(np.deg2rad(AZIMUTH)), np.cos(np.deg2rad(AZIMUTH)), 0.0])
    turned: Array = points @ np.stack([right, np.cross(towards, right), towards], axis=1)
    return turned


def _viewer() -> Array:  # (3,)
    elevation, azimuth = np.deg2rad([ELEVATION, AZIMUTH])
    flat = np.cos(elevation)
    return np.array([flat * np.cos(azimuth), flat * np.sin(azimuth), np.sin(elevation)])


def _normals(
    faces: Array,  # (f, corners, 3)
) -> Array:  # (f, 3), of length 1
    """Return the normals, on either side."""
    normal = np.cross(faces[:, 1] - faces[:, 0], faces[:, -1] - faces[:, 0])
    return np.asarray(normal / np.linalg.norm(normal, axis=1, keepdims=True))


def unhidden(
    faces: Array,  # (f, corners, 3), turned to the viewer
) -> BoolArray:  # (f,)
    """Return whether no other face lies between the middle of a face and the viewer."""
    corners = screen(faces)
    middle = corners.mean(axis=1)
    reach = np.linalg.norm(corners[..., :2] - middle[:, None, :2], axis=2).max(initial=0.0)
    seen = np.ones(len(faces), dtype=np.bool_)
    tree = cKDTree(middle[:, :2])
    for k, near in enumerate(tree.query_ball_point(middle[:, :2], reach)):
        others = np.array([other for other in near if other != k], dtype=np.int64)
        around = corners[others, :, :2] - middle[k, :2]  # (o, corners, 2)
        after = np.roll(around, -1, axis=1)
        turns = around[..., 0] * after[..., 1] - around[..., 1] * after[..., 0]
        covers = (turns > 0.0).all(axis=1) | (turns < 0.0).all(axis=1)
        seen[k] = not (middle[others[covers], 2] > middle[k, 2]).any()
    return seen


def _with_ghosts(
    mesh: Mesh,
    values: Array,  # (owned cells,) or (owned cells, k)
) -> Array:  # (local cells,) or (local cells, k)
    """Return values of the owned cells with those of ghosts. Collective."""
    space = fem.functionspace(mesh, ("DG", 0, values.shape[1:]))
    function, dofs = fem.Function(space), space.dofmap.list[:, 0]
    rows = function.x.array.reshape(-1, *values.shape[1:])
    rows[dofs[: len(values)]] = values
    function.x.scatter_forward()
    return np.asarray(rows[dofs])
