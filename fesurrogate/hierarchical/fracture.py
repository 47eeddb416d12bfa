"""The energy that the growth of a crack in a cell releases."""

from __future__ import annotations

from dataclasses import dataclass

import basix
import numpy as np
import ufl
from dolfinx import fem, mesh
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from fesurrogate.errors import InputError
from fesurrogate.fem.compat import evaluate_expression
from fesurrogate.hierarchical.solved import SolvedCell
from fesurrogate.kinematics import Array
from fesurrogate.micro import Cell
from fesurrogate.micro.cells.faces import exterior_facets

SAME = 1e-9
"""Of the size of a cell: what lies closer is in one place."""


@dataclass(frozen=True)
class Tip:
    """An end of a crack.

    Attributes:
        place: (2,).
        ahead: (2,), the unit vector along which the crack would grow.
        reach: Distance within which there is nothing but this tip and its straight crack.
    """

    place: Array
    ahead: Array
    reach: float


def energy_release_rate(cell: SolvedCell) -> Array:  # (tips, m, m)
    """Return the quadratic form of the energy release rate of each tip: G = ε · M ε.

    G is the energy that is freed where the tip moves straight ahead, per length and per unit of
    thickness, under a macro strain ε that is held. It is the J-integral, as an integral over a
    domain around the tip in which a weight q falls from 1 at the tip to 0,

    G = ∫ (σ_ij ∂u_i/∂x_1 - W δ_1j) ∂q/∂x_j dA,

    which is bilinear in the fields of the unit strains. Tips are sorted by place. The crack is a
    slit: facets of the mesh that lie on each other without sharing nodes. It is taken to be open:
    where the strain presses its faces together, G is not to be used.

    Raises:
        InputError: The cell is no plane one with a crack, or a tip is where phases meet.
        ConvergenceError: The cell cannot be solved.

    Source: Rice (1968), J. Appl. Mech. 35, 379; as a domain integral Li, Shih and Needleman (1985),
    Eng. Fract. Mech. 21, 405, equation 13.
    """
    tips = crack_tips(cell.solid.cell)
    return np.stack([_form(cell, tip) for tip in tips])


def _form(cell: SolvedCell, tip: Tip) -> Array:  # (m, m)
    """Return the quadratic form of one tip."""
    body = cell.solid.cell
    phase, weight = _around(body, tip)
    fields = cell.at_points(phase)
    degree = cell.solid.problem.assembly.measures[phase].metadata()["quadrature_degree"]
    points, _ = basix.make_quadrature(body.mesh.basix_cell(), degree)
    slope = fem.Expression(ufl.grad(weight), points)
    slopes = evaluate_expression(slope, body.mesh, body.phase_cells[phase], 2)  # (q, 2), ∂q/∂x_j
    slopes = slopes * fields.weights[:, None]
    q, size, m = fields.stress.shape
    rows = np.moveaxis(fields.stress, 2, 1).reshape(-1, size)
    stress = cell.solid.kinematics.unpack(rows).reshape(q, m, 3, 3)
    along = np.einsum("qikm,k->qmi", fields.gradient[:, :, :2], tip.ahead)  # ∂u_i/∂x_1
    pull = np.einsum("qmij,qj->qmi", stress[..., :2], slopes)
    first = np.einsum("qmi,qni->mn", pull, along)
    second = np.einsum("qim,qin,qj,j->mn", fields.stress, fields.strain, slopes, tip.ahead)
    return np.asarray(0.5 * (first + first.T) - 0.25 * (second + second.T))


def _around(body: Cell, tip: Tip) -> tuple[str, fem.Function]:
    """Return the phase about a tip, and the weight: 1 at the tip and 0 beyond."""
    space = fem.functionspace(body.mesh, ("Lagrange", 1))
    distance = np.linalg.norm(space.tabulate_dof_coordinates()[:, :2] - tip.place, axis=1)
    weight, reach = fem.Function(space), tip.reach / 2
    nodes = {name: space.dofmap.list[cells] for name, cells in body.phase_cells.items()}
    near = [n for n, rows in nodes.items() if distance[rows].min() < SAME * tip.reach]
    if len(near) > 1:
        raise InputError(
            f"energy_release_rate: at the tip near {tip.place.round(6).tolist()} the phases "
            f"{' and '.join(near)} meet; expected a tip within one phase"
        )
    while True:
        weight.x.array[:] = np.clip(2 * (1 - distance / reach), 0, 1)
        touched = [name for name, rows in nodes.items() if weight.x.array[rows].any()]
        if touched == near:
            return near[0], weight
        reach /= 2


def crack_tips(body: Cell) -> list[Tip]:
    """Return the tips of the cracks of a plane cell, sorted by place.

    Raises:
        InputError: The cell is not plane, or has no crack that ends inside of it.
    """
    if body.mesh.topology.dim != 2:
        raise InputError("energy_release_rate: the cell is solid; expected a plane one")
    ends = _slits(body)  # (s, 2, 2)
    size = float(np.linalg.norm(body.lattice, axis=1).max())
    keys = np.round(ends.reshape(-1, 2) / (SAME * size)).astype(np.int64)
    _, first, count = np.unique(keys, axis=0, return_index=True, return_counts=True)
    fractional = (ends.reshape(-1, 2) - body.origin) @ np.linalg.inv(body.lattice)
    inside = np.minimum(fractional, 1 - fractional).min(axis=1) > 1e-6
    found = [k for k, n in zip(first, count, strict=True) if n == 1 and inside[k]]
    if not found:
        raise InputError(
            "energy_release_rate: the cell has no crack that ends inside of it; expected a slit: "
            "facets of the mesh in one place that share no nodes, as kind 'crack' makes them"
        )
    places = ends.reshape(-1, 2)
    normals = np.linalg.inv(body.lattice).T  # row k is normal to the k-th pair of faces
    widths = 1 / np.linalg.norm(normals, axis=1)
    tips = []
    for k in sorted(found, key=lambda k: tuple(places[k])):
        place, ahead = places[k], places[k] - places[k ^ 1]
        ahead = ahead / np.linalg.norm(ahead)
        away = places - place
        beside = np.abs(away @ np.array([-ahead[1], ahead[0]])) > SAME * size
        others = np.zeros(len(places), dtype=bool)
        others[found] = True
        others[k] = False
        near = np.append(np.linalg.norm(away[beside | others], axis=1), np.inf).min()
        to_faces = np.minimum(fractional[k], 1 - fractional[k]) * widths
        tips.append(Tip(place, ahead, float(min(near, to_faces.min()))))
    return tips


def _slits(body: Cell) -> NDArray[np.float64]:  # (s, 2 ends, 2)
    """Return the facets that lie on each other, one of each pair."""
    facets, on_face = exterior_facets(body)
    facets = facets[~on_face]
    if not len(facets):
        return np.zeros((0, 2, 2))
    middles = mesh.compute_midpoints(body.mesh, 1, facets)[:, :2]
    size = float(np.linalg.norm(body.lattice, axis=1).max())
    pairs = cKDTree(middles).query_pairs(SAME * size, output_type="ndarray")
    nodes = mesh.entities_to_geometry(body.mesh, 1, facets[pairs[:, 0]])[:, :2]
    return np.asarray(body.mesh.geometry.x[nodes][:, :, :2])
