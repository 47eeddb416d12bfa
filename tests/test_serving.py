"""Which ranks evaluate a network: from a TOML, with the same results."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from mpi4py import MPI
from ranks import shared_folder

from fesurrogate.build.problem import build_problem
from fesurrogate.build.serving import Serving, serving_of
from fesurrogate.cli import main
from fesurrogate.combine import Gathered
from fesurrogate.config import read_config
from fesurrogate.config.material import NetworkSettings
from fesurrogate.errors import InputError
from fesurrogate.kinematics import Kinematics
from fesurrogate.laws.rotated import Rotated

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.mpi
COMM = MPI.COMM_WORLD
TOML = """
[kinematics]
gdim = 2
measure = "finite"
[mesh]
generator = "rectangle"
cells = [2, 1]
[macro]
degree = 1
[material]
kind = "network"
rotated = true
[material.parameters]
angle = "0.3*x[0]"
[material.network]
model = "model.safetensors"
{network}
[[dirichlet]]
boundary = "left"
[[traction]]
boundary = "right"
value = [0.02, 0.01]
[steps]
increments = 2
[[reaction]]
boundary = "left"
[[probe]]
name = "end"
point = [1.0, 1.0]
[output]
pictures = false
[generate]
source = "network"
samples = 9
stretch = 0.1
[generate.parameters]
angle = [0.0, 1.0]
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that all ranks share, with a model."""
    from networks import random_energy

    from fesurrogate.surrogate import save_model

    with shared_folder() as path:
        if COMM.rank == 0:
            save_model(path / "model.safetensors", random_energy(Kinematics(2, "finite")))
        COMM.Barrier()
        yield path


def written(folder: Path, network: str) -> Path:
    if COMM.rank == 0:
        (folder / "case.toml").write_text(TOML.format(network=network))
    COMM.Barrier()
    return folder / "case.toml"


def ran(path: Path) -> dict:
    """Run the command; return its results."""
    with pytest.raises(SystemExit) as ended:
        main(["run", str(path), "--output", str(path.with_name("out"))])
    assert ended.value.code == 0
    return json.loads((path.with_name("out") / "results.json").read_text())


def test_a_run_on_serving_ranks_gives_the_same(folder: Path) -> None:
    """On the CPU by a key; some ranks have no cell, and those that do not serve no network."""
    alone, some = ran(written(folder, "")), ran(written(folder, "servers = 1"))
    for kind, name in (("reaction", "left"), ("probes", "end")):
        np.testing.assert_allclose(some[kind][name], alone[kind][name], rtol=1e-11, atol=1e-13)
    for key in ("increments", "newton_iterations", "evaluations", "points", "material"):
        assert some[key] == alone[key], key
    assert some["converged"] and some["points"] == 8
    model = build_problem(read_config(folder / "case.toml"), COMM)
    turned = model.fields["material"].material
    assert isinstance(turned, Rotated) and turned.collective == (COMM.size > 1)
    if COMM.size > 1:
        assert isinstance(turned.material, Gathered)
        assert (turned.material.material is None) == (COMM.rank > 0)
    assert model.fields["material"].num_points % 4 == 0
    serving = serving_of(NetworkSettings(servers=1), COMM, gather=True)
    assert serving == Serving("cpu" if COMM.rank == 0 else None, COMM.size > 1)


def test_every_rank_evaluates_unless_it_shares(folder: Path) -> None:
    for wanted, gather in ((NetworkSettings(), True), (NetworkSettings(servers=1), False)):
        assert serving_of(wanted, COMM, gather=gather) == Serving("cpu", False)
    assert serving_of(None, None, gather=True) == Serving("cpu", False)


@pytest.mark.parametrize("gpus", [1, 2, 64])
def test_ranks_of_a_node_share_its_gpus(gpus: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The k-th server has GPU k, and is the first of those that share it."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    for device in ("cuda", "auto"):
        found = COMM.allgather(serving_of(NetworkSettings(device=device), COMM, gather=True))
        devices = [each.device for each in found if each.device is not None]
        assert devices == [f"cuda:{k}" for k in range(min(gpus, COMM.size))]
        assert found[0].device is not None
        assert all(each.gathered == (gpus < COMM.size) for each in found)
        own = COMM.allgather(serving_of(NetworkSettings(device=device), COMM, gather=False))
        assert [each.device for each in own] == [f"cuda:{k % gpus}" for k in range(COMM.size)]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: COMM.rank > 0)  # not on every rank
    assert serving_of(NetworkSettings(device="auto"), COMM, gather=True) == Serving("cpu", False)


def test_mistakes_are_one_message_on_all_ranks(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What fails on the serving rank alone is known to all."""
    path = written(folder, 'servers = 1\ndevice = "cuda:7"')
    with pytest.raises(SystemExit) as ended:
        main(["run", str(path), "--output", str(folder / "out")])
    assert ended.value.code == 2
    if COMM.rank == 0:
        assert "material.network: device is 'cuda:7'" in capsys.readouterr().err
    with pytest.raises(InputError, match="servers is 0; expected a whole number of ranks"):
        NetworkSettings(servers=0)


def test_a_network_is_a_source_of_data(folder: Path) -> None:
    """Each rank evaluates its own blocks, whatever a run would do."""
    path = written(folder, "servers = 1")
    with pytest.raises(SystemExit) as ended:
        main(["generate", str(path), "--output", str(folder / "out")])
    assert ended.value.code == 0
    from fesurrogate.data.store import read_dataset
    from fesurrogate.surrogate import load_network_material

    data = read_dataset(folder / "out" / "dataset")
    assert len(data) == 9 and data.ok.all() and data.parameter_names == ("angle",)
    law = Rotated(load_network_material(folder / "model.safetensors"))
    exact = law.evaluate(data.strain[:, 0], parameters=data.parameters).stress
    np.testing.assert_allclose(data.stress[:, 0], exact, rtol=1e-12, atol=1e-14)
