"""Nearly incompressible phases and isochoric flow do not lock the cell's default elements."""

from __future__ import annotations

import numpy as np
import pytest
import ufl
from basix.ufl import element, mixed_element
from dolfinx import fem, mesh
from scipy.sparse.linalg import spsolve
from verification import tagged_cell

from fesurrogate.kinematics import Array, Kinematics
from fesurrogate.laws import J2Plasticity
from fesurrogate.micro import Cell, RVEMaterial, linear_elastic

SMALL = Kinematics(2)
SHEARS = {"matrix": 1.0, "fibre": 10.0}


def fibre_cell(kind: str, count: int) -> Cell:
    return tagged_cell(
        kind,
        [count, count],
        lambda x: np.where(np.abs(x - 0.5).max(axis=1) < 0.26, "fibre", "matrix"),
    )


def poisson_of(name: str) -> float:
    return {"matrix": 0.4999, "fibre": 0.3}[name]


def mixed_shear_moduli(cell: Cell) -> Array:  # (2,)
    """Return σ · ε for two unit shears, with displacement and pressure as unknowns.

    Taylor and Hood's elements, free of locking, under linear displacement of the boundary: the
    Lagrangian ∫ μ ε : ε + p div u - p²/2λ, in bare DOLFINx.
    """
    domain = cell.mesh
    kind = domain.basix_cell()
    pair = mixed_element([element("Lagrange", kind, 2, shape=(2,)), element("Lagrange", kind, 1)])
    W = fem.functionspace(domain, pair)
    (u, p), (v, q) = ufl.TrialFunctions(W), ufl.TestFunctions(W)
    form = 0
    for name, dx in cell.measures(4).items():
        shear = SHEARS[name]
        lame = 2 * shear * poisson_of(name) / (1 - 2 * poisson_of(name))
        form += 2 * shear * ufl.inner(ufl.sym(ufl.grad(u)), ufl.sym(ufl.grad(v))) * dx
        form += (p * ufl.div(v) + q * ufl.div(u) - p * q / lame) * dx
    A = fem.assemble_matrix(fem.form(form)).to_scipy().tocsr()
    V, to_whole = W.sub(0).collapse()
    domain.topology.create_connectivity(1, 2)
    facets = mesh.exterior_facet_indices(domain.topology)
    whole, own = fem.locate_dofs_topological((W.sub(0), V), 1, facets)
    energies = []
    for strain in np.eye(3)[2:], np.array([[1.0, -1.0, 0.0]]) / np.sqrt(2):
        given = fem.Function(V)
        tensor = SMALL.unpack(strain)[0]
        given.interpolate(lambda x, tensor=tensor: tensor @ x[:2])
        solution = np.zeros(A.shape[0])
        solution[whole] = given.x.array[own]
        free = np.setdiff1d(np.arange(A.shape[0]), whole)
        solution[free] = spsolve(A[free][:, free], -(A @ solution)[free])
        energies.append(solution @ A @ solution / cell.volume)
    return np.array(energies)


@pytest.mark.parametrize("kind", ["triangle", "quadrilateral"])
def test_nearly_incompressible_matrix(kind: str) -> None:
    """Effective shear moduli at ν = 0.4999 of the matrix, against a mixed solution.

    It is converged to 1 %. Quadratic elements are as near as the corners of the fibre allow;
    linear ones, with as many unknowns, lock.
    """
    exact = mixed_shear_moduli(fibre_cell(kind, 32))
    phases = {
        name: linear_elastic(young=2 * shear * (1 + poisson_of(name)), poisson=poisson_of(name))
        for name, shear in SHEARS.items()
    }
    errors = []
    for options, count in [({}, 8), ({}, 16), ({"degree": 1}, 32)]:
        rve = RVEMaterial(fibre_cell(kind, count), phases, SMALL, boundary="linear", **options)
        C = rve.evaluate(np.zeros((1, 3))).tangent[0]
        moduli = np.array([C[2, 2], 0.5 * (C[0, 0] + C[1, 1] - C[0, 1] - C[1, 0])])
        errors.append(np.abs(moduli / exact - 1))
    assert errors[1].max() < 0.06 and (errors[1] < 0.5 * errors[0]).all()
    assert (errors[2] > 8 * errors[1]).all()


@pytest.mark.parametrize("kind", ["triangle", "quadrilateral"])
def test_flow_past_a_fibre_reaches_its_limit_load(kind: str) -> None:
    """A perfectly plastic matrix around elastic fibres, small enough that the diagonals miss them.

    The limit of the cell under E = diag(e, -e) is known exactly: slip along 45° bands between the
    fibres dissipates the shear yield stress k = yield_stress / √3 a unit slip, and the uniform
    stress diag(k, -k) is admissible: an upper and a lower bound, both (σ_xx - σ_yy) / 2 = k.
    """
    lattice = np.diag([1.0, 0.5])  # the diagonals of its elements are not at 45 degrees
    law = J2Plasticity(2, young=1000.0, poisson=0.3, yield_stress=np.sqrt(3))
    phases = {"matrix": law, "fibre": linear_elastic(young=1000.0, poisson=0.3)}
    excess, growth = [], []
    for options, count in [({}, 12), ({"degree": 1}, 24)]:
        cell = tagged_cell(
            kind,
            [count, count],
            lambda x: np.where(
                np.linalg.norm((x - 0.5) @ lattice, axis=1) < 0.14, "fibre", "matrix"
            ),
            lattice=lattice,
        )
        rve = RVEMaterial(cell, phases, SMALL, **options)
        state, hint, loads = rve.initial_state(1), None, []
        for stretch in (0.002, 0.008, 0.032, 0.064):
            answer = rve.evaluate(np.array([[stretch, -stretch, 0.0]]), state, hint=hint)
            assert answer.ok.all()
            state, hint = answer.state, answer.hint
            loads.append(0.5 * (answer.stress[0, 0] - answer.stress[0, 1]))
        excess.append(loads[-1] - 1.0)
        growth.append(loads[-1] - loads[-2])
    assert 0 < excess[0] < 0.1 and excess[1] > 4 * excess[0]
    assert growth[0] < 0.01 < 0.1 < growth[1]  # a limit, and none in sight
