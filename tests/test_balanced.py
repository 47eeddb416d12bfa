"""Points spread over ranks: the same answers, from wherever there is time."""

import numpy as np
import pytest
from contract import check_contract
from mpi4py import MPI

from fesurrogate import Kinematics
from fesurrogate.combine import Balanced
from fesurrogate.combine.balanced import shares
from fesurrogate.laws import J2Plasticity, NeoHookean
from fesurrogate.micro import RVEMaterial, laminate_cell, linear_elastic

pytestmark = pytest.mark.mpi
COMM = MPI.COMM_WORLD
METAL = {"young": 200.0, "poisson": 0.3, "yield_stress": 1.0, "hardening": 20.0}


def plastic_rve() -> RVEMaterial:
    cell = laminate_cell(2, {"metal": 0.5, "fibre": 0.5}, resolution=2)
    phases = {"metal": J2Plasticity(2, **METAL), "fibre": linear_elastic(young=400.0, poisson=0.2)}
    return RVEMaterial(cell, phases, Kinematics(2, "small"), degree=1, rtol=1e-11)


def strains_of(rank: int) -> np.ndarray:
    """Rank 0 has many points that flow, rank 1 none, the others a few that do not."""
    rng = np.random.default_rng(rank)
    count = {0: 20, 1: 0}.get(rank, 5)
    return rng.uniform(-1, 1, (count, 3)) * (0.02 if rank == 0 else 1e-4)


def test_the_answers_are_those_of_the_material() -> None:
    rve, strain = plastic_rve(), strains_of(COMM.rank)
    balanced = Balanced(plastic_rve(), COMM)
    alone, state, hint, sent = rve.evaluate(strain), None, None, 0
    for _ in range(2):  # then with hints, and costs that are known
        got = balanced.evaluate(strain, state, hint=hint)
        assert got.ok.all()
        np.testing.assert_allclose(got.stress, alone.stress, rtol=0, atol=1e-10)
        np.testing.assert_allclose(got.tangent, alone.tangent, rtol=0, atol=1e-7)
        np.testing.assert_allclose(got.state, alone.state, rtol=0, atol=1e-10)
        hint = got.hint
        moved = COMM.allreduce(int(got.report["moved"].sum()))
        assert (moved > 0) == (COMM.size > 1)
        reports = sum(v.itemsize for name, v in got.report.items() if name != "moved")
        width = 8 * (3 + 3 + 9 + 2 * balanced.num_state + 2 * rve.num_hint) + 1 + reports
        sent += moved * width
    assert COMM.allreduce(balanced.wire_bytes) == sent
    again = balanced.evaluate(strain, hint=hint)  # hints travel with their points
    assert again.report["micro_iterations"].sum() == 0


def test_contract() -> None:
    strain = 0.01 * np.random.default_rng(1).uniform(-1, 1, (6, 3)) + [0.02, 0.0, 0.0]
    check_contract(Balanced(plastic_rve(), COMM), strain, COMM, tolerance=1e-9, step=1e-3)


def test_a_failed_point_fails_at_home() -> None:
    balanced = Balanced(NeoHookean(2, shear_modulus=1.0, lame=1.0), COMM)
    strain = np.tile(np.eye(2).ravel(), (4 if COMM.rank == 0 else 0, 1))
    if COMM.rank == 0:
        strain[2, 0] = -1.0
    got = balanced.evaluate(strain)
    assert got.ok.tolist() == ([True, True, False, True] if COMM.rank == 0 else [])


@pytest.mark.parametrize("ranks", [1, 2, 5])
def test_shares_are_as_equal_as_points_allow(ranks: int) -> None:
    rng = np.random.default_rng(ranks)
    costs = [rng.integers(1, 6, rng.integers(0, 200)).astype(float) for _ in range(ranks)]
    costs[0] = np.full(300, 5.0)
    answer = shares(costs)
    loads, homes = np.zeros(ranks), 0
    for rank, (cost, destination) in enumerate(zip(costs, answer, strict=True)):
        assert len(cost) == len(destination)
        np.add.at(loads, destination, cost)
        homes += int((destination == rank).sum())
    assert loads.max() - loads.mean() <= 5.0
    over = sum(max(0.0, cost.sum() - loads.mean()) for cost in costs)
    assert sum(map(len, costs)) - homes <= over / 1.0 + ranks  # no more than needs to
