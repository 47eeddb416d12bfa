"""Cells whose phases are Materials: the same answers as energies, and history at every point."""

import numpy as np
import pytest
from contract import check_contract
from dolfinx import fem
from mpi4py import MPI

from fesurrogate import InputError, Kinematics
from fesurrogate.fem import MacroProblem, MaterialField, run_increments, strain_of
from fesurrogate.fem.compat import geometry_dofmap
from fesurrogate.fem.mesh import rectangle
from fesurrogate.laws import J2Plasticity, NeoHookean, Rotated
from fesurrogate.micro import (
    RVEMaterial,
    cell_from_arrays,
    laminate_cell,
    linear_elastic,
    neo_hookean,
)

SOFT, STIFF = {"shear_modulus": 1.0, "lame": 1.5}, {"shear_modulus": 10.0, "lame": 15.0}
METAL = {"young": 200.0, "poisson": 0.3, "yield_stress": 1.0, "hardening": 20.0}


@pytest.mark.parametrize("gdim", [2, 3])
def test_materials_and_energies_mix_freely(gdim: int) -> None:
    kinematics = Kinematics(gdim, "finite")
    cell = laminate_cell(gdim, {"soft": 0.4, "stiff": 0.6}, resolution=2)
    energies = {"soft": neo_hookean(**SOFT), "stiff": neo_hookean(**STIFF)}
    laws = {"soft": NeoHookean(gdim, **SOFT), "stiff": NeoHookean(gdim, **STIFF)}
    F = kinematics.rest + np.random.default_rng(0).uniform(-0.15, 0.15, (3, kinematics.size))
    expected = RVEMaterial(cell, energies, kinematics).evaluate(F)
    for mixture in (laws, {"soft": laws["soft"], "stiff": energies["stiff"]}):
        got = RVEMaterial(cell, mixture, kinematics).evaluate(F)
        assert got.ok.all()
        np.testing.assert_allclose(got.stress, expected.stress, rtol=0, atol=1e-8)
        np.testing.assert_allclose(got.tangent, expected.tangent, rtol=0, atol=1e-8)


def loading_path(kinematics: Kinematics) -> np.ndarray:  # (T, m)
    """Out past yield along one direction, back, and out along another."""
    one, other = np.random.default_rng(4).standard_normal((2, kinematics.size))
    corners = np.array([0 * one, 0.03 * one, -0.01 * one, 0.02 * other])
    return np.concatenate(
        [np.linspace(a, b, 5)[1:] for a, b in zip(corners, corners[1:], strict=False)]
    )


@pytest.mark.parametrize("gdim", [2, 3])
def test_homogeneous_cell_follows_its_phase_through_loading_and_unloading(gdim: int) -> None:
    kinematics = Kinematics(gdim, "small")
    law = J2Plasticity(gdim, **METAL)
    cell = laminate_cell(gdim, {"metal": 1.0}, resolution=1)
    larger = cell_from_arrays(
        cell.mesh.topology.cell_name(),
        3.0 * cell.mesh.geometry.x[:, :gdim],
        geometry_dofmap(cell.mesh),
        phases={"metal": cell.phase_cells["metal"]},
    )
    assert larger.volume == pytest.approx(3.0**gdim)  # means are means
    rve = RVEMaterial(larger, {"metal": law}, kinematics, degree=1)
    state, law_state, hint = rve.initial_state(1), law.initial_state(1), None
    for strain in loading_path(kinematics):
        got = rve.evaluate(strain[None], state, hint=hint)
        expected = law.evaluate(strain[None], law_state)
        assert got.ok.all()
        np.testing.assert_allclose(got.stress, expected.stress, rtol=0, atol=1e-10)
        np.testing.assert_allclose(got.tangent, expected.tangent, rtol=0, atol=1e-8)
        for report in ("energy", "dissipation", "plastic_strain"):
            mean = got.report[report]
            np.testing.assert_allclose(mean, expected.report[report], rtol=1e-8, atol=1e-14)
        state, hint, law_state = got.state, got.hint, expected.state
    assert law_state[0, -1] > 0.01  # it did flow


def plastic_composite(gdim: int) -> RVEMaterial:
    kinematics = Kinematics(gdim, "small")
    cell = laminate_cell(gdim, {"metal": 0.5, "fibre": 0.5}, resolution=2)
    phases = {
        "metal": J2Plasticity(gdim, **METAL),
        "fibre": linear_elastic(young=400.0, poisson=0.2),
    }
    return RVEMaterial(cell, phases, kinematics, degree=1, rtol=1e-11)


@pytest.mark.parametrize("gdim", [2, 3])
def test_plastic_composite_meets_the_contract(gdim: int) -> None:
    rve = plastic_composite(gdim)
    flowing = loading_path(rve.kinematics)[[2, 3, 10, 11]]
    check_contract(rve, flowing, tolerance=1e-9, step=1e-3)


def test_two_points_of_one_cell_keep_their_histories_apart() -> None:
    rve = plastic_composite(2)
    path = loading_path(rve.kinematics)
    state = rve.initial_state(2)
    alone = [rve.initial_state(1), rve.initial_state(1)]
    for k, strain in enumerate(path):
        pair = np.stack([strain, path[-1 - k]])
        together = rve.evaluate(pair, state)
        for i in range(2):
            single = rve.evaluate(pair[i : i + 1], alone[i])
            np.testing.assert_array_equal(together.stress[i], single.stress[0])
            alone[i] = single.state
        state = together.state


def test_a_phase_of_another_kinematics_is_refused() -> None:
    cell = laminate_cell(2, {"soft": 1.0}, resolution=1)
    with pytest.raises(InputError, match="phase 'soft': NeoHookean is for"):
        RVEMaterial(cell, {"soft": NeoHookean(2, **SOFT)}, Kinematics(2, "small"))


@pytest.mark.mpi
def test_two_scales_with_history_are_one_scale_where_the_cell_is_homogeneous() -> None:
    kinematics = Kinematics(2, "small")
    law = J2Plasticity(2, **METAL)
    cell = laminate_cell(2, {"metal": 1.0}, resolution=1)
    pulls = []
    for material in (law, RVEMaterial(cell, {"metal": law}, kinematics, degree=1)):
        strip = rectangle(MPI.COMM_WORLD, upper=(2.0, 1.0), cells=(2, 2))
        V = fem.functionspace(strip.mesh, ("Lagrange", 2, (2,)))
        u = fem.Function(V)
        field = MaterialField(material, strain_of(u, kinematics), degree=3)
        moved = fem.Constant(strip.mesh, np.zeros(2))
        left, right = (
            fem.locate_dofs_topological(V, 1, strip.facets(name)) for name in ("left", "right")
        )
        bcs = [fem.dirichletbc(np.zeros(2), left, V), fem.dirichletbc(moved, right, V)]
        problem = MacroProblem(u, [field], bcs=bcs)
        history = []

        def apply_load(time: float, moved=moved) -> None:
            moved.value[:] = [0.04 * (1 - abs(1 - time)), 0.0]

        def keep(_, problem=problem, strip=strip, history=history) -> None:
            history.append(problem.reaction(strip.facets("right")))

        run_increments(problem, apply_load, [0.5, 1.0, 1.5, 2.0], on_accept=keep)
        pulls.append(np.array(history))
    np.testing.assert_allclose(pulls[1], pulls[0], rtol=1e-7, atol=1e-9)
    assert pulls[0][-1, 0] < -0.1  # unloaded beyond zero: it had flowed


def test_the_fingerprint_is_of_what_the_answers_depend_on() -> None:
    cell = laminate_cell(2, {"metal": 1.0}, resolution=1)

    def fingerprint(**changed: float) -> str:
        law = Rotated(J2Plasticity(2, **{**METAL, **changed}), 0.3)
        return RVEMaterial(cell, {"metal": law}, Kinematics(2, "small"), degree=1).fingerprint

    assert fingerprint() == fingerprint()
    assert fingerprint() != fingerprint(hardening=21.0)
