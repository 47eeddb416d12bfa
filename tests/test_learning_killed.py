"""A run that learns from real cells, killed (-9) in the middle and taken up on other ranks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mpi4py import MPI
from test_resume import kill

from fesurrogate.checkpoint.store import Store
from fesurrogate.config import TrainSettings, read_config
from fesurrogate.config.train import PolynomialSettings
from fesurrogate.data.store import read_dataset
from fesurrogate.laws import Ogden
from fesurrogate.learning import Learning, untaught
from fesurrogate.learning.samples import held_out
from fesurrogate.learning.store import store
from fesurrogate.run import run
from fesurrogate.surrogate import load_model, load_network_material
from fesurrogate.surrogate.model_file import load_trust

pytestmark = pytest.mark.skipif(MPI.COMM_WORLD.size > 1, reason="starts ranks of its own")
TOML = """
[kinematics]
gdim = 2
measure = "finite"
[mesh]
generator = "rectangle"
cells = [4, 3]
[material]
kind = "network"
[material.guard]
tolerance = 0.01
[material.learning]
first = 130
batch = 12
checks = 3
fresh = 4
[material.rve]
degree = 1
cell = { kind = "laminate", fractions = { soft = 0.5, stiff = 0.5 }, resolution = 4 }
phases.soft = { kind = "neo_hookean", shear_modulus = 1.0, lame = 1.5 }
phases.stiff = { kind = "neo_hookean", shear_modulus = 5.0, lame = 7.5 }
[[dirichlet]]
boundary = "left"
[[dirichlet]]
boundary = "right"
value = [0.12, 0.07]
[[reaction]]
boundary = "right"
[steps]
increments = 4
[train]
model = "polynomial"
ensemble = 3
[train.polynomial]
degree = 4
[output]
pictures = false
"""
"""108 points, in which nothing is symmetric."""

LAW = Ogden(2, terms=[[0.2, 10.0]], bulk_modulus=4.0)
FINITE = LAW.kinematics

PROGRAM = """
import os, sys, time
from pathlib import Path
Path(f"{sys.argv[2]}-{os.getpid()}").touch()
from mpi4py import MPI
from fesurrogate.config import read_config
from fesurrogate.run import run
folder, last = Path(sys.argv[1]), int(sys.argv[3])
def stop():
    while list((folder / "out" / "checkpoint").glob(f"{last:08d}-*.npz")):
        time.sleep(1.0)
    return False
run(read_config(folder / "case.toml"), MPI.COMM_WORLD, folder / "out", restart=True, stop=stop)
"""
"""Waits in the increment after a checkpoint, until it is killed: no load makes it come too late."""


def started(folder: Path, ranks: int, log: Path, *, last: int) -> subprocess.Popen:
    """Start or go on with the run, on so many ranks, whose names begin with that of the log.

    It comes no further than into the increment after the given one, the first being 1.
    """
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(__file__).parents[1]),
        "OMPI_MCA_rmaps_base_oversubscribe": "1",
        "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
    }
    command = [sys.executable, "-c", PROGRAM, str(folder), str(log), str(last)]
    if ranks > 1:
        command = ["mpirun", "-n", str(ranks), *command]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        start_new_session=True,
    )  # fmt: skip


def kept(folder: Path) -> int:
    """Return the number of the newest checkpoint; 0 where there is none."""
    paths = Store(folder / "out" / "checkpoint").paths()
    return int(paths[0].name[:8]) if paths else 0


def ended(process: subprocess.Popen) -> None:
    said, _ = process.communicate(timeout=200)
    assert process.returncode == 0, said.decode()


def test_killed_runs_go_on_on_other_ranks(tmp_path: Path) -> None:
    """Killed on one rank, then on three, ended on one: samples and answer are those of one run."""
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    for folder in (whole, broken):
        folder.mkdir()
        (folder / "case.toml").write_text(TOML)
    run(read_config(whole / "case.toml"), MPI.COMM_SELF, whole / "out")
    for ranks, last in ((1, 1), (3, 2), (1, 0)):
        log = broken / f"last{last}"
        process = started(broken, ranks, log, last=last)
        if not last:
            ended(process)
            continue
        deadline = time.monotonic() + 200.0
        while kept(broken) < last:
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.002)
        kill(process, log)
        assert kept(broken) == last and not (broken / "out" / "learned").exists()
    one, other = (json.loads((f / "out" / "results.json").read_text()) for f in (whole, broken))
    assert len(other["restarts"]) == 2 and other["ranks"] == 1 and not one["restarts"]
    np.testing.assert_allclose(other["reaction"]["right"], one["reaction"]["right"], rtol=1e-7)
    for mine, theirs in zip(one["history"], other["history"], strict=True):
        assert mine["fallback"] == theirs["fallback"]
        (lesson,), (again,) = mine["learning"], theirs["learning"]
        for key in ("fallen", "checked", "wrong", "samples", "held_out", "rve_solves", "outcome"):
            assert lesson[key] == again[key], (mine["time"], key)
    places = [folder / "out" / "learned" for folder in (whole, broken)]
    samples, found = (read_dataset(place / "dataset") for place in places)
    assert len(found) == other["history"][-1]["learning"][0]["samples"] > 130
    assert len(np.unique(found.strain[:, 0].round(9), axis=0)) == len(found)  # none twice
    np.testing.assert_allclose(found.strain, samples.strain, rtol=0, atol=1e-7)
    np.testing.assert_allclose(found.stress, samples.stress, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(held_out(found), held_out(samples))
    models = (load_network_material(place / "model.safetensors", FINITE) for place in places)
    answers = [model.evaluate(samples.strain[:, 0]).stress for model in models]
    size = np.abs(answers[0]).max()
    np.testing.assert_allclose(answers[1], answers[0], rtol=0, atol=1e-5 * size)
    assert {path.name for path in places[1].iterdir()} == {"dataset", "model.safetensors"}
    assert len(list((places[1] / "dataset").iterdir())) == 3  # lock, manifest, one shard


def taught(count: int) -> Learning:
    """Return what has learned from so many points of a law."""
    train = TrainSettings(model="polynomial", polynomial=PolynomialSettings(degree=3), ensemble=2)
    material = Learning(untaught(LAW, train, tolerance=0.1), train)
    rows = np.random.default_rng(0).uniform(-0.1, 0.1, (count, 4)) + FINITE.rest
    material.accept(rows, material.evaluate(rows))
    assert material.taught and len(material.samples) == count
    return material


class Killed(BaseException):
    """Stands for a kill: once it has come, nothing changes a folder any more."""


def killed_while_storing(material: Learning, place: Path, moment: int) -> bool:
    """Store, and be killed at the nth change of a folder; return whether that came."""
    left = moment

    def dies(real: Callable[..., None]) -> Callable[..., None]:
        def change(*names: Any, **options: Any) -> None:
            nonlocal left
            left -= 1
            if left < 0:
                raise Killed
            real(*names, **options)

        return change

    with pytest.MonkeyPatch.context() as patch:
        for name in ("replace", "unlink", "rmdir", "rename"):
            patch.setattr(os, name, dies(getattr(os, name)))
        try:
            store(material, place)
        except Killed:
            return True
    return False


def test_what_was_learned_is_whole_wherever_it_is_killed(tmp_path: Path) -> None:
    """Of before or of now, dataset and model each; and it can always be written again."""
    before, now = taught(126), taught(132)
    datasets = {each.samples.fingerprint for each in (before, now)}
    moment, seen = 0, set()
    while True:
        place = tmp_path / str(moment)
        store(before, place)
        if not killed_while_storing(now, place, moment):
            break
        found = read_dataset(place / "dataset").fingerprint
        _, card = load_model(place / "model.safetensors")
        assert {found, card["dataset"]} <= datasets and load_trust(place / "model.safetensors")
        seen.add((found, card["dataset"]))
        store(now, place)
        assert read_dataset(place / "dataset").fingerprint == now.samples.fingerprint
        assert load_model(place / "model.safetensors")[1]["dataset"] == now.samples.fingerprint
        assert not list(place.rglob("*.tmp")) and len(list(place.rglob("*.h5"))) == 1
        moment += 1
    b, n = before.samples.fingerprint, now.samples.fingerprint
    assert moment >= 5 and seen == {
        (b, b),
        (n, b),
        (n, n),
    }  # a model has its samples
