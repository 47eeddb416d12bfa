"""The fields of a phase at the quadrature points of a cell, under unit strains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import basix
import numpy as np
import ufl
from dolfinx import fem

from fesurrogate.fem.compat import evaluate_expression
from fesurrogate.fem.strain import pack
from fesurrogate.kinematics import Array
from fesurrogate.micro import RVEMaterial
from fesurrogate.micro.strain import displacement_gradient, strain_tensor


@dataclass(frozen=True)
class PointFields:
    """A phase at its q points, under each of m unit strains; the solid's six Mandel components.

    Attributes:
        coordinates: (q, d), of the points.
        weights: (q,), the volume (2D: area) that each stands for.
        stress: (q, 6, m).
        strain: (q, 6, m).
        gradient: (q, 3, 3, m), of the displacement: ∂u_i/∂x_j at [i, j].
    """

    coordinates: Array
    weights: Array
    stress: Array
    strain: Array
    gradient: Array


def point_fields(
    rve: RVEMaterial,
    phase: str,
    displacements: Sequence[Array],  # m of (nodes * components,)
    amplitude: float,
) -> PointFields:
    """Return the fields of a phase for nodal unknowns, divided by an amplitude.

    Args:
        rve: The cell under the kinematics of the solid at small strain, virgin.
        phase: Name of the phase.
        displacements: Nodal unknowns in equilibrium under each strain.
        amplitude: Of the strains.
    """
    assembly, kinematics, mesh = rve.problem.assembly, rve.kinematics, rve.cell.mesh
    cells, d = rve.cell.phase_cells[phase], mesh.geometry.dim
    degree = assembly.measures[phase].metadata()["quadrature_degree"]
    points, weights = basix.make_quadrature(mesh.basix_cell(), degree)
    gradient = displacement_gradient(assembly.u, kinematics)
    strain = ufl.variable(strain_tensor(assembly.u, kinematics))
    read = [gradient[i, j] for i in range(3) for j in range(3)]
    read += [*pack(kinematics, strain)]
    if phase in assembly.energies:
        read += [*pack(kinematics, ufl.diff(assembly.energies[phase](strain), strain))]
    x = ufl.SpatialCoordinate(mesh)
    place = [*(x[k] for k in range(d)), abs(ufl.JacobianDeterminant(mesh))]
    where = evaluate_expression(
        fem.Expression(ufl.as_vector(place), points), mesh, cells, len(place)
    )
    expression, columns = fem.Expression(ufl.as_vector(read), points), []
    for values in displacements:
        rve.problem.set_displacement(values)
        found = evaluate_expression(expression, mesh, cells, len(read))
        if phase in assembly.fields:
            found = np.concatenate([found, _answered(rve, phase)], axis=1)
        columns.append(found / amplitude)
    fields = np.stack(columns, axis=2)  # (q, 21, m)
    return PointFields(
        where[:, :d],
        where[:, d] * np.tile(weights, len(cells)),
        fields[:, 15:],
        fields[:, 9:15],
        fields[:, :9].reshape(-1, 3, 3, len(columns)),
    )


def _answered(rve: RVEMaterial, phase: str) -> Array:  # (q, 6)
    """Return the stress of a phase that is a Material, where the cell's displacement is set."""
    assembly = rve.problem.assembly
    assembly.start_increment(assembly.initial_state(), 1.0)
    field = assembly.fields[phase]
    field.update(1.0)
    assert field.response is not None
    return field.response.stress
