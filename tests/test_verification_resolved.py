"""FE² against the whole body resolved, cell by cell: the error falls as the cells shrink."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from dolfinx import fem, mesh
from mpi4py import MPI
from verification import tagged_cell

from fesurrogate.fem import MacroProblem, MaterialField, strain_of
from fesurrogate.kinematics import Array, Kinematics
from fesurrogate.laws import Linear, isotropic_stiffness
from fesurrogate.material import Material
from fesurrogate.micro import RVEMaterial

KINEMATICS = Kinematics(2)
LAWS = {
    "soft": Linear(KINEMATICS, isotropic_stiffness(KINEMATICS, young=1.0, poisson=0.3)),
    "stiff": Linear(KINEMATICS, isotropic_stiffness(KINEMATICS, young=10.0, poisson=0.2)),
}
ELEMENTS = 4  # along an edge of a cell, in the cell of FE² and in the body alike
LIFT = 0.1


def phase_of(x: Array) -> Array:
    """A stiff square in the middle of each unit of x."""
    return np.where(np.abs(x % 1.0 - 0.5).max(axis=1) < 0.26, "stiff", "soft")


def lifting_force(height: int, laws: Mapping[str, Material], cells: int = 0) -> float:
    """Return the force that lifts the right edge of a plate of 2 by 1, its left edge held.

    Args:
        height: Elements over the height of the plate.
        laws: Material of each phase, or of the whole plate.
        cells: Cells over the height, where the plate is resolved.
    """
    domain = mesh.create_rectangle(
        MPI.COMM_SELF, [[0.0, 0.0], [2.0, 1.0]], [2 * height, height], mesh.CellType.quadrilateral
    )
    u = fem.Function(fem.functionspace(domain, ("Lagrange", 2, (2,))))
    V, strain = u.function_space, strain_of(u, KINEMATICS)
    elements = np.arange(domain.topology.index_map(2).size_local, dtype=np.int32)
    names = phase_of(mesh.compute_midpoints(domain, 2, elements)[:, :2] * cells)
    fields = [
        MaterialField(
            law, strain, degree=4, cells=elements[names == name] if len(laws) > 1 else None
        )
        for name, law in laws.items()
    ]
    sides = [
        mesh.locate_entities_boundary(domain, 1, lambda x, at=at: np.isclose(x[0], at))
        for at in (0.0, 2.0)
    ]
    bcs = [
        fem.dirichletbc(np.array(value), fem.locate_dofs_topological(V, 1, side), V)
        for side, value in zip(sides, [(0.0, 0.0), (0.0, LIFT)], strict=True)
    ]
    problem = MacroProblem(u, fields, bcs=bcs)
    assert problem.solve().converged
    return float(problem.reaction(sides[1])[1])


def composite() -> RVEMaterial:
    """The cell of FE²."""
    cell = tagged_cell("quadrilateral", [ELEMENTS] * 2, phase_of)
    return RVEMaterial(cell, LAWS, KINEMATICS)


def test_fe2_is_the_limit_of_many_cells() -> None:
    """The force is that of the resolved plate, up to a layer of one cell along its edges: order 1.

    FE² of linear phases is its stiffness at every point (seen on a coarse mesh); the fine plate
    carries that stiffness, so that what is left is the error of separating the scales.
    """
    rve = composite()
    rest = np.zeros((1, 3))
    effective = Linear(KINEMATICS, rve.evaluate(rest).tangent[0])
    coarse = [lifting_force(2, {"all": law}) for law in (rve, effective)]
    assert abs(coarse[0] - coarse[1]) < 1e-8 * abs(coarse[1])
    homogenised = lifting_force(32, {"all": effective})
    errors = [lifting_force(n * ELEMENTS, LAWS, n) / homogenised - 1 for n in (2, 4, 8)]
    orders = np.log2(np.array(errors[:-1]) / np.array(errors[1:]))
    assert -0.01 < errors[-1] < 0.0  # the soft rim of the resolved plate
    assert ((orders > 0.9) & (orders < 1.6)).all()
    shares = rve.cell.volume_fractions()
    mean = Linear(KINEMATICS, sum(shares[name] * law.stiffness for name, law in LAWS.items()))
    assert lifting_force(16, {"all": mean}) > 2 * homogenised  # no other stiffness would do
