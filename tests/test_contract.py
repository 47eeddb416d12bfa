"""The contract suite over every Material that needs no micro solver, and over broken ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from contract import (
    Batch,
    check_batch_blind,
    check_consistent,
    check_contract,
    check_frame_indifference,
    check_hint_is_only_a_hint,
    check_pure,
    check_total,
)

from fesurrogate.data.sampling import stretches
from fesurrogate.kinematics import Array, Kinematics
from fesurrogate.laws import Linear, NeoHookean
from fesurrogate.material import Material, Response

pytestmark = pytest.mark.mpi

KINEMATICS = [Kinematics(d, m) for d in (2, 3) for m in ("small", "finite", "gradient")]


def world() -> Any:
    """Return the world communicator where mpi4py is installed."""
    try:
        from mpi4py import MPI
    except ImportError:
        return None
    return MPI.COMM_WORLD


def strains_for(kinematics: Kinematics, samples: int = 12) -> np.ndarray:  # (n, m)
    """Return strains of the envelope ±0.1, at finite strain with some rotation in them."""
    strain = stretches(kinematics, samples, 0.1, seed=7)[:, 0]
    if kinematics.measure == "finite":
        strain = strain + np.random.default_rng(8).uniform(-0.05, 0.05, strain.shape)
    return strain


def definite(size: int) -> np.ndarray:  # (size, size)
    """Return a full matrix without symmetry beyond a positive definite symmetric part."""
    matrix = np.random.default_rng(size).standard_normal((size, size))
    return matrix @ matrix.T + size * np.eye(size) + (matrix - matrix.T)


@pytest.mark.parametrize("kinematics", KINEMATICS, ids=str)
def test_linear(kinematics: Kinematics) -> None:
    material = Linear(kinematics, definite(kinematics.size))
    check_contract(material, strains_for(kinematics), world())


@pytest.mark.parametrize("gdim", [2, 3])
def test_neo_hookean(gdim: int) -> None:
    material = NeoHookean(gdim, shear_modulus=1.3, lame=2.1)
    check_contract(material, strains_for(material.kinematics), world(), objective=True)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("kinematics", KINEMATICS, ids=str)
def test_network(kinematics: Kinematics, dtype: str) -> None:
    pytest.importorskip("torch")
    from fesurrogate.surrogate import EnergyNetwork, NetworkMaterial

    network = EnergyNetwork(kinematics, (16, 16), seed=3)
    network.scale.fill_(0.1)
    network.energy_scale.fill_(0.01)
    network.growth.fill_(0.5)
    material = NetworkMaterial(network, dtype=dtype, chunk=5)
    check_contract(
        material, strains_for(kinematics), world(),
        tolerance=1e-12 if dtype == "float64" else 1e-5,
        step=0.005,
        objective=kinematics.measure == "finite",
    )  # fmt: skip


class Broken(Material):
    """A neo-Hookean law with one defect, to show that the suite can fail."""

    def __init__(self, defect: str) -> None:
        self.law = NeoHookean(2, shear_modulus=1.0, lame=1.0)
        self.kinematics, self.defect, self.calls = self.law.kinematics, defect, 0
        self.num_hint = 1

    def respond(
        self,
        strain: Array,  # (n, m)
        state: Array,  # (n, s)
        dt: float,
        *,
        parameters: Array,  # (n, p)
        hint: Array,  # (n, h)
        tangent: bool,
        sensitivity: bool,
    ) -> Response:
        """Answer wrongly."""
        self.calls += 1
        answer = self.law.evaluate(strain, tangent=tangent, sensitivity=sensitivity)
        stress, moduli, ok = answer.stress, answer.tangent, answer.ok
        if self.defect == "remembers":
            stress = stress * (1.0 + 1e-9 * self.calls)
        if self.defect == "scribbles":
            strain += 1e-12
        if self.defect == "mixes points" and len(stress):
            stress = stress + 1e-9 * np.nanmean(stress, axis=0)
        if self.defect == "hides failure":
            stress, ok = np.nan_to_num(stress), np.ones_like(ok)
        if self.defect == "wrong tangent" and moduli is not None:
            moduli = moduli * (1.0 + 1e-3)
        if self.defect == "trusts the hint":
            stress = stress + 1e-9 * hint
        if self.defect == "sees the frame":
            stress = stress + 1e-9 * strain[:, ::-1]
        return Response(stress, moduli, state.copy(), np.ones((len(strain), 1)), ok)


@pytest.mark.parametrize(
    ("defect", "check"),
    [
        ("remembers", check_pure),
        ("scribbles", check_pure),
        ("mixes points", check_batch_blind),
        ("hides failure", check_total),
        ("wrong tangent", lambda *arguments: check_consistent(*arguments, step=0.02)),
        ("trusts the hint", check_hint_is_only_a_hint),
        ("sees the frame", check_frame_indifference),
    ],
)
def test_suite_catches(defect: str, check: Any) -> None:
    strain = strains_for(Kinematics(2, "finite"))
    n = len(strain)
    batch = Batch(strain, np.zeros((n, 0)), 1.0, np.zeros((n, 0)), np.zeros((n, 1)))
    with pytest.raises(AssertionError):
        check(Broken(defect), batch, 1e-12)
