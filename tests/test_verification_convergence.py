"""Orders of convergence of a smooth cell: effective stiffness 2p, fluctuation p + 1, gradient p."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import ufl
from dolfinx import fem
from verification import jump_modes, rotation, tagged_cell

from fesurrogate.kinematics import Array, Kinematics
from fesurrogate.laws import isotropic_stiffness
from fesurrogate.micro import Cell, Phase, RVEMaterial, linear_elastic

SMALL = Kinematics(2)
UNIT = linear_elastic(young=1.0, poisson=0.3)


def scaled(factor: Any) -> Phase:
    """Return the elastic phase of Young's modulus 1, times a UFL expression of the position."""
    return Phase(
        lambda strain, **constants: factor * UNIT.energy(strain, **constants), UNIT.constants
    )


def homogeneous(kind: str, count: int, lattice: Array | None = None) -> Cell:
    return tagged_cell(kind, [count, count], lambda x: np.full(len(x), "all"), lattice=lattice)


def last_orders(errors: list[float]) -> Array:
    """Return the orders between successive halvings of the elements."""
    return np.log2(np.array(errors[:-1]) / np.array(errors[1:]))


@pytest.mark.parametrize("kind", ["triangle", "quadrilateral"])
@pytest.mark.parametrize("degree", [1, 2])
def test_orders_against_a_closed_form(kind: str, degree: int) -> None:
    """A wave of stiffness E = 1 / (1 + ½ cos 2πs) across a turned cell, oblique to its elements.

    With C the stiffness of E = 1, n the normal of the wave and B a the components of a ⊗ n, the
    traction t = Bᵀ C ε is that of E = 1 since <1/E> = 1, so that the gradient of the fluctuation
    is ½ cos(2πs) a ⊗ n, a = (Bᵀ C B)⁻¹ t, and C* = <E> (C - M) + M with <E> = 1/√(1 - ¼) and
    M = C B (Bᵀ C B)⁻¹ Bᵀ C.
    """
    lattice = np.array([[1.0, 0.2], [0.0, 0.8]]) @ rotation(2, 0.4).T
    wave = np.linalg.inv(lattice) @ np.array([1.0, 1.0])  # s = wave · x, periodic on the lattice
    n, length = wave / np.linalg.norm(wave), np.linalg.norm(wave)
    C, B = isotropic_stiffness(SMALL, young=1.0, poisson=0.3), jump_modes(SMALL, n)
    M = C @ B @ np.linalg.solve(B.T @ C @ B, B.T @ C)
    exact = (C - M) / np.sqrt(0.75) + M
    strain = np.array([0.01, -0.02, 0.015])
    amplitude = np.linalg.solve(B.T @ C @ B, B.T @ C @ strain)
    stiffness, values, gradients = [], [], []
    for count in (6, 12, 24):
        cell = homogeneous(kind, count, lattice)
        x = ufl.SpatialCoordinate(cell.mesh)
        s = wave[0] * x[0] + wave[1] * x[1]
        phase = scaled(1 / (1 + 0.5 * ufl.cos(2 * np.pi * s)))
        rve = RVEMaterial(cell, {"all": phase}, SMALL, degree=degree)
        answer = rve.evaluate(strain[None])
        stiffness.append(np.linalg.norm(answer.tangent[0] - exact))
        q, assembly = answer.hint[0], rve.problem.assembly
        assembly.u.x.array[:] = rve.problem.prolongation @ q
        a, w = ufl.as_vector(amplitude), assembly.u
        fluctuation = ufl.sin(2 * np.pi * s) / (4 * np.pi * length) * a
        slope = 0.5 * ufl.cos(2 * np.pi * s) * ufl.outer(a, ufl.as_vector(n))
        dx = ufl.dx(metadata={"quadrature_degree": 8})
        drift = [
            fem.assemble_scalar(fem.form((w - fluctuation)[i] * dx)) / cell.volume for i in range(2)
        ]
        off = w - fluctuation - ufl.as_vector(drift)  # a node is held, not the mean
        values.append(np.sqrt(fem.assemble_scalar(fem.form(ufl.inner(off, off) * dx))))
        off = ufl.grad(w) - slope
        gradients.append(np.sqrt(fem.assemble_scalar(fem.form(ufl.inner(off, off) * dx))))
    assert last_orders(stiffness)[-1] == pytest.approx(2 * degree, abs=0.25)
    assert last_orders(values)[-1] == pytest.approx(degree + 1, abs=0.25)
    assert last_orders(gradients)[-1] == pytest.approx(degree, abs=0.25)


@pytest.mark.parametrize("boundary", ["periodic", "linear", "traction"])
@pytest.mark.parametrize("degree", [1, 2])
def test_stiffness_of_a_cell_that_varies_in_both_directions(degree: int, boundary: str) -> None:
    """Against elements of degree 4."""
    stiffnesses = []
    for count, p in [(8, degree), (16, degree), (32, degree), (12, 4)]:
        cell = homogeneous("triangle", count)
        x, y = ufl.SpatialCoordinate(cell.mesh)
        hill = ufl.exp(ufl.sin(2 * np.pi * x) * ufl.cos(2 * np.pi * y) + ufl.sin(2 * np.pi * y) / 2)
        rve = RVEMaterial(cell, {"all": scaled(hill)}, SMALL, degree=p, boundary=boundary)
        stiffnesses.append(rve.evaluate(np.zeros((1, 3))).tangent[0])
    finest = stiffnesses.pop()
    errors = [np.linalg.norm(C - finest) for C in stiffnesses]
    assert errors[-1] < {1: 0.05, 2: 2e-3}[degree] * np.linalg.norm(finest)
    assert last_orders(errors)[-1] == pytest.approx(2 * degree, abs=0.35)
