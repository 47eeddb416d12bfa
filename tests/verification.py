"""Answers from outside the cell's finite elements, and cells to hold against them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from dolfinx import mesh
from mpi4py import MPI

from fesurrogate.kinematics import Array, Kinematics
from fesurrogate.material import Material, Response
from fesurrogate.micro import Cell, make_cell

CELL_TYPES = {
    "triangle": mesh.CellType.triangle,
    "quadrilateral": mesh.CellType.quadrilateral,
    "tetrahedron": mesh.CellType.tetrahedron,
    "hexahedron": mesh.CellType.hexahedron,
}


def tagged_cell(
    cell_type: str,
    counts: Sequence[int],
    phase_of: Callable[[Array], Array],  # midpoints in the unit cell (cells, d) -> (cells,) names
    *,
    lattice: Array | None = None,  # (d, d), rows are the lattice vectors
) -> Cell:
    """Return a regular mesh of the unit cell, with phases by midpoint, carried onto a lattice."""
    make = mesh.create_unit_square if len(counts) == 2 else mesh.create_unit_cube
    unit = make(MPI.COMM_SELF, *counts, CELL_TYPES[cell_type])
    d = len(counts)
    cells = np.arange(unit.topology.index_map(d).size_local, dtype=np.int32)
    names = phase_of(mesh.compute_midpoints(unit, d, cells)[:, :d])
    if lattice is not None:
        unit.geometry.x[:, :d] = unit.geometry.x[:, :d] @ lattice
    return make_cell(unit, {str(name): cells[names == name] for name in np.unique(names)})


def rotation(gdim: int, angle: float, axis: Sequence[float] = (1.0, 2.0, -0.5)) -> Array:
    """Return the rotation (d, d) by an angle, in 3D about an axis (Rodrigues)."""
    if gdim == 2:
        return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    x, y, z = np.array(axis) / np.linalg.norm(axis)
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def jump_modes(
    kinematics: Kinematics,
    normal: Array,  # (d,)
) -> Array:  # (m, d); (m, 1) for a gradient
    """Return B with B a the components of the jump a ⊗ n (its symmetric part at small strain)."""
    if kinematics.measure == "gradient":
        return normal[:, None]
    tensors = np.einsum("kj,i->jki", np.eye(kinematics.gdim), normal)
    return kinematics.pack(tensors).T


def laminated(
    tangents: Array,  # (k, m, m), of the layers
    fractions: Array,  # (k,)
    modes: Array,  # (m, d)
) -> Array:  # (m, m)
    """Return the stiffness of a laminate of any number of layers.

    The strain of layer k is E + B a_k with Σ f_k a_k = 0 and Bᵀ σ_k alike in all layers. With
    K = Bᵀ C B, brackets for means over the layers, and the traction eliminated:

    C* = <C> - <C B K⁻¹ Bᵀ C> + <C B K⁻¹> <K⁻¹>⁻¹ <K⁻¹ Bᵀ C>

    Source: Milton, The Theory of Composites (2002), chapter 9, in the components used here.
    """
    mean = np.zeros_like(tangents[0])
    middle, right, left = (np.zeros(s) for s in ((modes.shape[1],) * 2, modes.T.shape, modes.shape))
    for C, f in zip(tangents, fractions, strict=True):
        inverse = np.linalg.inv(modes.T @ C @ modes)
        mean += f * (C - C @ modes @ inverse @ modes.T @ C)
        left += f * C @ modes @ inverse
        middle += f * inverse
        right += f * inverse @ modes.T @ C
    return mean + left @ np.linalg.solve(middle, right)


@dataclass(frozen=True)
class Laminate:
    """Layers of Materials, solved as d equations for the jumps instead of by finite elements."""

    laws: Sequence[Material]
    fractions: Array  # (k,)
    normal: Array  # (d,)

    def evaluate(
        self,
        strain: Array,  # (m,)
        states: Sequence[Array] | None = None,  # (1, s) of each layer
    ) -> tuple[Array, Array, list[Response]]:  # (m,), (m, m), of the layers
        """Return stress, tangent and what the layers answer, by Newton on the tractions."""
        B = jump_modes(self.laws[0].kinematics, self.normal)
        d, layers = B.shape[1], len(self.laws)
        held = [None] * layers if states is None else states
        jumps = np.zeros((layers, d))
        for _ in range(50):
            answers = [
                law.evaluate((strain + B @ a)[None], state)
                for law, state, a in zip(self.laws, held, jumps, strict=True)
            ]
            traction = [B.T @ answer.stress[0] for answer in answers]
            stiffness = [B.T @ answer.tangent[0] @ B for answer in answers]
            # unknowns: the jumps and the common traction t; K_k δa_k - t = -t_k, Σ f_k a_k = 0
            size = d * (layers + 1)
            matrix, right = np.zeros((size, size)), np.zeros(size)
            for k, (K, t, f) in enumerate(zip(stiffness, traction, self.fractions, strict=True)):
                rows = slice(k * d, (k + 1) * d)
                matrix[rows, rows], matrix[rows, -d:] = K, -np.eye(d)
                matrix[-d:, rows] = f * np.eye(d)
                right[rows] = -t
            right[-d:] = -self.fractions @ jumps
            step = np.linalg.solve(matrix, right)[:-d].reshape(layers, d)
            jumps += step
            if np.abs(step).max() < 1e-14 * max(1.0, np.abs(strain).max()):
                break
        else:
            raise AssertionError("the laminate's Newton did not converge")
        stress = sum(f * r.stress[0] for f, r in zip(self.fractions, answers, strict=True))
        tangents = np.stack([answer.tangent[0] for answer in answers])
        return stress, laminated(tangents, self.fractions, B), answers
