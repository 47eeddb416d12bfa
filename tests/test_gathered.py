"""Points of several ranks answered by one: the same answers, and nothing held elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from contract import Batch, assert_same, check_contract, watchdog
from mpi4py import MPI
from numpy.typing import NDArray

from fesurrogate import Kinematics
from fesurrogate.combine import Gathered, server_number
from fesurrogate.combine.gathered import server_numbers
from fesurrogate.errors import InputError, MaterialError
from fesurrogate.kinematics import Array
from fesurrogate.laws import J2Plasticity, NeoHookean
from fesurrogate.material import Material, Response

pytestmark = pytest.mark.mpi
COMM = MPI.COMM_WORLD
COUNTS = {0: 5, 1: 0}  # points of a rank; 7 of any other


class Metal(Material):
    """J2 plasticity with a parameter and a hint, which counts what it answers and accepts."""

    law = J2Plasticity(
        2, young=100.0, poisson=0.3, yield_stress=1.0, hardening=5.0, parameters=("young",)
    )
    kinematics, num_state = law.kinematics, law.num_state
    num_hint, parameter_names = 1, law.parameter_names

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.accepted = np.zeros(2)  # points, sum of the stresses' first component

    def initial_state(self, n: int) -> Array:
        """Return the law's, which is not zero here."""
        return np.tile(self.law.initial_state(1) + 1e-3 * (np.arange(self.num_state) == 0), (n, 1))

    def respond(
        self,
        strain: Array,
        state: Array,
        dt: float,
        *,
        parameters: Array,
        hint: Array,
        tangent: bool,
        sensitivity: bool,
    ) -> Response:
        """Answer as the law, and count."""
        self.batches.append(len(strain))
        answer = self.law.evaluate(
            strain, state, dt, parameters=parameters, tangent=tangent, sensitivity=sensitivity
        )
        return replace(
            answer, hint=hint + 1.0, report={**answer.report, "norm": np.abs(strain[:, :2])}
        )

    def accept(self, strain: Array, response: Response) -> None:
        """Count."""
        assert len(strain) == len(response.stress) == len(response.report["norm"])
        self.accepted = self.accepted + [len(strain), response.stress[:, 0].sum()]

    def snapshot(self) -> dict[str, NDArray]:
        """Return the counts."""
        return {"accepted": self.accepted}

    def restore(self, arrays: Mapping[str, NDArray]) -> None:
        """Take the counts."""
        self.accepted = arrays["accepted"]


def gathered(servers: int = 1) -> tuple[Gathered, Metal | None]:
    number = server_number(COMM, servers)
    held = None if number is None else Metal()
    return Gathered(held, COMM), held


def batch_of(rank: int) -> Batch:
    """Flow, unlike states, one strain that fails on every rank that has points."""
    random = np.random.default_rng(rank)
    n = COUNTS.get(rank, 7)
    strain = random.uniform(-0.03, 0.03, (n, 3))
    strain[1:2] = np.nan
    state = Metal().initial_state(n) + 1e-3 * random.uniform(size=(n, Metal.num_state))
    return Batch(
        strain, state, 0.5, random.uniform(50.0, 150.0, (n, 1)), random.uniform(size=(n, 1))
    )


@pytest.mark.parametrize("servers", [1, 2, 99])
def test_the_answers_are_those_of_the_material(servers: int) -> None:
    """To the last bit, on ranks without points too; failure, state, hint and reports travel."""
    material, held = gathered(servers)
    batch, law, sent = batch_of(COMM.rank), Metal(), 0
    options: dict[str, Any] = {"parameters": batch.parameters, "hint": batch.hint}
    for tangent, slope in ((True, True), (True, False), (False, False)):
        wanted = {**options, "tangent": tangent, "sensitivity": slope}
        got = material.evaluate(batch.strain, batch.state, batch.dt, **wanted)
        alone = law.evaluate(batch.strain, batch.state, batch.dt, **wanted)
        assert_same(alone, got, 1e-15, "gathered")
        for name in ("tangent", "sensitivity"):
            assert (getattr(got, name) is None) == (getattr(alone, name) is None)
        if slope:
            np.testing.assert_allclose(got.sensitivity, alone.sensitivity, rtol=1e-14, atol=1e-16)
        np.testing.assert_array_equal(got.hint, alone.hint)
        assert (~got.ok).sum() == (len(got.ok) > 0)
        assert set(got.report) == set(alone.report)
        for name, values in alone.report.items():
            np.testing.assert_array_equal(got.report[name], values, err_msg=name)
            assert got.report[name].dtype == values.dtype
        back = [alone.stress, alone.tangent, alone.state, alone.hint, alone.ok, alone.sensitivity]
        there = [batch.strain, batch.state, batch.parameters, batch.hint]
        rows = [*there, *back, *alone.report.values()]
        sent += (held is None) * sum(array.nbytes for array in rows if array is not None)
    everywhere = COMM.allgather(None if held is None else held.batches)
    serving = [batches for batches in everywhere if batches is not None]
    assert len(serving) == min(servers, COMM.size)  # all ranks of the test share a node
    for call in range(3):  # one batch a server, and no point twice
        points = sum(COUNTS.get(rank, 7) for rank in range(COMM.size))
        assert sum(batches[call] for batches in serving) == points
    assert COMM.allreduce(material.wire_bytes) == COMM.allreduce(sent)  # each row once
    np.testing.assert_array_equal(material.initial_state(3), law.initial_state(3))
    assert material.collective and material.parameter_names == ("young",)


def test_an_accepted_increment_reaches_the_material() -> None:
    """All points of all ranks, once; a snapshot brings it back."""
    material, held = gathered()
    batch, law = batch_of(COMM.rank), Metal()
    got = material.evaluate(
        batch.strain, batch.state, batch.dt, parameters=batch.parameters, hint=batch.hint
    )
    got = replace(got, stress=np.nan_to_num(got.stress))
    material.accept(batch.strain, got)
    law.accept(batch.strain, got)
    total = COMM.allreduce(law.accepted, op=MPI.SUM)
    kept = material.snapshot()
    assert (held is None) == (COMM.rank > 0) and bool(kept) == (COMM.rank == 0)
    if held is not None:
        np.testing.assert_allclose(held.accepted, total, rtol=1e-13)
    first = COMM.bcast(kept)  # as a checkpoint would hold it
    material.accept(batch.strain, got)
    material.restore(first)
    if held is not None:
        np.testing.assert_array_equal(held.accepted, first["accepted"])


@pytest.mark.parametrize("servers", [1, 2])
def test_contract(servers: int) -> None:
    serves = server_number(COMM, servers) is not None
    law = NeoHookean(2, shear_modulus=1.0, lame=2.0)
    strain = np.eye(2).ravel() + np.random.default_rng(0).uniform(-0.1, 0.1, (8, 4))
    check_contract(Gathered(law if serves else None, COMM), strain, COMM, objective=True)


def test_contract_of_a_network() -> None:
    pytest.importorskip("torch")
    from networks import random_energy

    from fesurrogate.surrogate import NetworkMaterial

    finite = Kinematics(2, "finite")
    network = random_energy(finite, parameter_names=("angle",))
    strain = np.eye(2).ravel() + np.random.default_rng(0).uniform(-0.1, 0.1, (8, 4))
    held = NetworkMaterial(network) if server_number(COMM, 1) is not None else None
    parameters = np.random.default_rng(1).uniform(0.4, 0.6, (8, 1))
    check_contract(Gathered(held, COMM), strain, COMM, parameters=parameters)


@pytest.mark.parametrize("ranks", [1, 3, 8, 13])
def test_servers_are_spread_over_the_ranks_of_a_node(ranks: int) -> None:
    """Each serves itself and those after it: parts of equal length, but for one rank."""
    for servers in (1, 2, 4, 64):
        numbers = server_numbers(ranks, servers)
        serving = [rank for rank, number in enumerate(numbers) if number is not None]
        assert [numbers[rank] for rank in serving] == list(range(min(servers, ranks)))
        parts = np.diff([*serving, ranks])
        assert serving[0] == 0 and parts.max() - parts.min() <= 1
        assert server_number(COMM, servers) == server_numbers(COMM.size, servers)[COMM.rank]
    with pytest.raises(InputError, match="at least 1 rank"):
        server_number(COMM, 0)


def test_a_node_without_a_material_is_refused_on_all_ranks() -> None:
    held = Metal() if COMM.rank == 1 else None
    with pytest.raises(InputError, match="the first rank of a node gives no Material"):
        Gathered(held, COMM)


class Raises(Material):
    """Raises at any point."""

    kinematics = Kinematics(2)

    def respond(self, strain: Array, state: Array, dt: float, **options: Any) -> Response:
        """Raise."""
        raise ArithmeticError(f"broke at {len(strain)} points")


def test_what_a_serving_rank_raises_is_raised_on_all() -> None:
    held = Raises() if server_number(COMM, 1) is not None else None
    with watchdog(60.0), pytest.raises(MaterialError, match="ArithmeticError: broke"):
        Gathered(held, COMM).evaluate(batch_of(COMM.rank).strain)
