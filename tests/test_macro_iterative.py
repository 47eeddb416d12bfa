"""Algebraic multigrid in place of the direct solver, with the rigid-body modes."""

import basix.ufl
import numpy as np
import pytest
import ufl
from dolfinx import fem, mesh
from dolfinx.fem import petsc as fem_petsc
from mpi4py import MPI

from fesurrogate import Kinematics
from fesurrogate.fem.field import MaterialField
from fesurrogate.fem.near_null_space import rigid_body_modes
from fesurrogate.fem.problem import MacroProblem
from fesurrogate.fem.strain import strain_of
from fesurrogate.laws import Linear, isotropic_stiffness

MULTIGRID = {"ksp_type": "cg", "pc_type": "gamg"}
LENGTH = 4.0


def bar(dim: int, n: int) -> mesh.Mesh:
    """A bar four times as long as it is thick."""
    cells, comm = [4 * n, n, n][:dim], MPI.COMM_WORLD
    corners = [[0.0] * dim, [LENGTH, 1.0, 1.0][:dim]]
    if dim == 2:
        return mesh.create_rectangle(comm, corners, cells, mesh.CellType.quadrilateral)
    return mesh.create_box(comm, corners, cells, mesh.CellType.hexahedron)


def bent(domain: mesh.Mesh, options: dict | None) -> MacroProblem:
    """A bar held at the left whose right end is moved sideways."""
    dim = domain.geometry.dim
    kinematics = Kinematics(dim, "small")
    V = fem.functionspace(domain, ("Lagrange", 1, (dim,)))
    u = fem.Function(V)
    law = Linear(kinematics, isotropic_stiffness(kinematics, young=70e3, poisson=0.3))
    field = MaterialField(law, strain_of(u, kinematics), degree=2)
    bcs = []
    for x, moved in ((0.0, 0.0), (LENGTH, 0.1)):
        facets = mesh.locate_entities_boundary(domain, dim - 1, lambda p, x=x: np.isclose(p[0], x))
        value = np.eye(dim)[1] * moved
        dofs = fem.locate_dofs_topological(V, dim - 1, facets)
        bcs.append(fem.dirichletbc(value, dofs, V))
    return MacroProblem(u, [field], bcs=bcs, options=options)


@pytest.mark.mpi
@pytest.mark.parametrize(("dim", "sizes"), [(2, (8, 32)), (3, (3, 6))])
def test_multigrid_iterations_do_not_grow_with_the_mesh(dim: int, sizes: tuple[int, int]) -> None:
    counts = []
    for n in sizes:
        domain = bar(dim, n)  # one for both: the next would be spread otherwise over the ranks
        problem, direct = bent(domain, MULTIGRID), bent(domain, None)
        iterations: list[int] = []
        problem.snes.ksp.setMonitor(lambda _, k, norm, kept=iterations: kept.append(k))
        assert problem.solve().converged and direct.solve().converged
        counts.append(max(iterations))
        expected = direct.u.x.array
        # displacement 0.1, ksp_rtol 1e-9; preconditioned, residual and error are of one size
        np.testing.assert_allclose(problem.u.x.array, expected, rtol=0, atol=1e-8)
    assert max(counts) <= 20, counts  # without the modes 25 in 2D and 30 in 3D
    assert counts[1] <= 1.3 * counts[0], counts


@pytest.mark.mpi
@pytest.mark.parametrize("dim", [2, 3])
def test_rigid_body_modes_cost_no_energy(dim: int) -> None:
    domain = bar(dim, 2)
    V = fem.functionspace(domain, ("Lagrange", 2, (dim,)))
    u, v = ufl.TrialFunction(V), ufl.TestFunction(V)
    eps = ufl.sym(ufl.grad(u))
    form = fem.form(ufl.inner(eps, ufl.sym(ufl.grad(v))) * ufl.dx)
    A = fem_petsc.assemble_matrix(form)
    A.assemble()
    space = rigid_body_modes(V)
    assert space is not None
    modes = space.getVecs()
    assert len(modes) == dim * (dim + 1) // 2
    largest = A.norm()
    for k, mode in enumerate(modes):
        image = A.createVecLeft()
        A.mult(mode, image)
        assert image.norm() < 1e-12 * largest
        others = np.array([mode.dot(other) for other in modes])
        np.testing.assert_allclose(others, np.eye(len(modes))[k], atol=1e-12)


def test_other_unknowns_have_no_rigid_body_modes() -> None:
    domain = bar(2, 1)
    vector = basix.ufl.element("P", "quadrilateral", 2, shape=(2,))
    scalar = basix.ufl.element("P", "quadrilateral", 1)
    for element in (scalar, basix.ufl.mixed_element([vector, scalar])):
        assert rigid_body_modes(fem.functionspace(domain, element)) is None


def test_a_direct_solver_needs_none() -> None:
    assert not bent(bar(2, 2), None).matrix.getNearNullSpace().handle
    assert bent(bar(2, 2), MULTIGRID).matrix.getNearNullSpace().handle
