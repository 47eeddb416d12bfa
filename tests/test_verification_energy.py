"""Work, stored energy and dissipation of cells: nothing is gained on the way."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from verification import tagged_cell

from fesurrogate.kinematics import Array, Kinematics
from fesurrogate.laws import J2Plasticity, Ogden
from fesurrogate.micro import Cell, RVEMaterial, linear_elastic, neo_hookean

every_boundary = pytest.mark.parametrize("boundary", ["periodic", "linear", "traction"])


def inclusion(gdim: int) -> Cell:
    """A stiff block off the middle: no symmetry makes work vanish."""
    kind, count = ("quadrilateral", 4) if gdim == 2 else ("hexahedron", 3)
    corner = np.array([0.2, 0.5, 0.0])[:gdim]
    return tagged_cell(
        kind,
        [count] * gdim,
        lambda x: np.where(((x > corner) & (x < corner + 0.55)).all(axis=1), "stiff", "soft"),
    )


def hyperelastic(gdim: int, boundary: Any, *, materials: bool = False) -> RVEMaterial:
    soft = (
        Ogden(gdim, terms=((1.0, 2.0), (-0.2, -2.0)), bulk_modulus=5.0)
        if materials
        else neo_hookean(shear_modulus=1.0, lame=2.0)
    )
    phases = {"soft": soft, "stiff": neo_hookean(shear_modulus=10.0, lame=15.0)}
    return RVEMaterial(
        inclusion(gdim), phases, Kinematics(gdim, "finite"),
        degree=1, rtol=1e-12, boundary=boundary,
    )  # fmt: skip


def work_along(rve: RVEMaterial, corners: Array, points: int) -> float:
    """Return ∫ P : dF along straight edges, each by Gauss's rule."""
    nodes, weights = np.polynomial.legendre.leggauss(points)
    work = 0.0
    for one, other in zip(corners, corners[1:], strict=False):
        answer = rve.evaluate(one + 0.5 * (1 + nodes[:, None]) * (other - one))
        assert answer.ok.all()
        work += 0.5 * float(weights @ answer.stress @ (other - one))
    return work


@every_boundary
@pytest.mark.parametrize(
    ("gdim", "materials"), [(2, False), (2, True), (3, False)], ids=["plane", "Ogden", "solid"]
)
def test_work_is_the_difference_of_energy_and_a_cycle_does_none(
    gdim: int, boundary: str, *, materials: bool
) -> None:
    """Along a polygon in the space of F; Gauss's rule converges to it exponentially.

    Strains to 0.1: at 0.2 these cells buckle under uniform traction (Tᵀ K T is then no longer
    positive), and have several equilibria.
    """
    rve = hyperelastic(gdim, boundary, materials=materials)
    rng = np.random.default_rng(gdim)
    corners = rve.kinematics.rest + rng.uniform(-0.1, 0.1, (4, rve.kinematics.size))
    closed = np.vstack([corners, corners[:1]])
    edges = np.array([abs(work_along(rve, closed[k : k + 2], 6)) for k in range(4)])
    cycles = [abs(work_along(rve, closed, points)) for points in (1, 3, 6)]
    assert cycles[0] > 1e-4 * edges.max()  # one point does not see the stress bend
    assert cycles[2] < 1e-8 * edges.max() and cycles[2] < 1e-3 * cycles[1] < 1e-4 * cycles[0]
    energy = rve.evaluate(corners[[0, -1]]).report["energy"]
    opened = work_along(rve, corners, 6)
    assert opened == pytest.approx(energy[1] - energy[0], abs=1e-8 * edges.max())
    assert abs(opened) > 0.01 * edges.max()


METAL = {"young": 200.0, "poisson": 0.3, "yield_stress": 1.0, "hardening": 5.0}


def plastic(gdim: int, boundary: Any) -> RVEMaterial:
    phases = {
        "soft": J2Plasticity(gdim, **METAL, saturation=0.5, rate=50.0),
        "stiff": linear_elastic(young=400.0, poisson=0.2),
    }
    return RVEMaterial(
        inclusion(gdim), phases, Kinematics(gdim), degree=1, rtol=1e-11, boundary=boundary
    )


@every_boundary
@pytest.mark.parametrize("gdim", [2, 3])
def test_random_walks_dissipate(gdim: int, boundary: str) -> None:
    """σ_{n+1} : Δε ≥ Δψ + ΔD and ΔD ≥ 0 in every increment, as backward Euler of a convex law has.

    ψ and D are the cell's means of energy and dissipation; σ and ε the macro ones (Hill-Mandel).
    """
    rve = plastic(gdim, boundary)
    walkers, steps = 3, 8
    rng = np.random.default_rng(10 + gdim)
    moves = 6e-3 * rng.standard_normal((steps, walkers, rve.kinematics.size))
    state, before, strain = rve.initial_state(walkers), None, np.zeros_like(moves[0])
    grown = np.zeros(walkers)
    for move in moves:
        strain = strain + move
        answer = rve.evaluate(strain, state)
        assert answer.ok.all()
        energy, dissipation = answer.report["energy"], answer.report["dissipation"]
        if before is not None:
            work = np.einsum("ni,ni->n", answer.stress, move)
            scale = np.abs(work).max()
            assert (dissipation - before[1] >= -1e-12 * scale).all()
            assert (work - (energy - before[0]) - (dissipation - before[1]) >= -1e-9 * scale).all()
            grown += dissipation - before[1]
        before, state = (energy, dissipation), answer.state
    assert (grown > 0.003).all()


@pytest.mark.parametrize("gdim", [2, 3])
def test_work_is_stored_plus_dissipated(gdim: int) -> None:
    """On a smooth path, out and turned back, to the order of the integration.

    Trapezoidal work errs by Δt², and backward Euler's state by Δt, through which the yield stress
    at the end of an increment stands for that during it: order 1 at least.
    """
    rve = plastic(gdim, "periodic")
    one, other = 0.02 * np.random.default_rng(6).standard_normal((2, rve.kinematics.size))
    gaps, spent = [], []
    for count in (8, 16, 32):
        state, hint, work = rve.initial_state(1), None, 0.0
        strain, stress = np.zeros(rve.kinematics.size), np.zeros(rve.kinematics.size)
        for t in np.arange(1, count + 1) / count:
            new = one * np.sin(np.pi * t) + other * (1 - np.cos(np.pi * t)) / 2
            answer = rve.evaluate(new[None], state, hint=hint)
            work += 0.5 * (answer.stress[0] + stress) @ (new - strain)
            strain, stress, state, hint = new, answer.stress[0], answer.state, answer.hint
        spent.append(answer.report["dissipation"][0])
        gaps.append(abs(work - answer.report["energy"][0] - spent[-1]) / work)
    orders = np.log2(np.array(gaps[:-1]) / np.array(gaps[1:]))
    assert gaps[-1] < 0.01 and (orders > 0.9).all(), (gaps, orders)
    assert spent[-1] > 0.2 * work  # it did flow
