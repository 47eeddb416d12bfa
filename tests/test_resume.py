"""A generation that is killed at any moment loses nothing written and computes nothing twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fesurrogate.build import ensure_dataset
from fesurrogate.config import OutputSettings, Settings
from fesurrogate.config.data import GenerateSettings
from fesurrogate.config.material import MaterialSettings
from fesurrogate.data.manifest import read_manifest
from fesurrogate.data.shard import read_shard
from fesurrogate.data.store import read_dataset
from fesurrogate.errors import InputError
from fesurrogate.kinematics import Kinematics

PATHS, INCREMENTS = 60, 4

LAW = '''
import os, time
from fesurrogate.laws import J2Plasticity
from fesurrogate.material import Material

class Slow(Material):
    """A law that takes its time, and writes down what it is asked."""

    def __init__(self, kinematics):
        self.kinematics = kinematics
        self.law = J2Plasticity(kinematics.gdim, young=100.0, poisson=0.3, yield_stress=1.0,
                                hardening=5.0)
        self.num_state = self.law.num_state

    def respond(self, strain, state, dt, **options):
        log, nap = os.environ.get("LOG"), float(os.environ.get("NAP", 0.0))
        for row in strain:
            time.sleep(nap)
            if log:
                with open(f"{log}-{os.getpid()}", "ab") as file:
                    file.write(row.tobytes())
                if os.path.getsize(f"{log}-{os.getpid()}") > int(os.environ.get("BREAK", 10**9)):
                    raise ArithmeticError("the law broke")
        return self.law.respond(strain, state, dt, **options)

def make(kinematics, table):
    return Slow(kinematics)
'''

PROGRAM = """
import sys
from mpi4py import MPI
import fesurrogate.build.dataset as dataset
from test_resume import settings_in
dataset.SECONDS_BETWEEN_SHARDS = dataset.SHARE_BETWEEN_SHARDS = 0.0
dataset.ensure_dataset(settings_in(sys.argv[1]), MPI.COMM_WORLD, allow_code=True)
"""


def settings_in(folder: str | Path) -> Settings:
    """Return settings whose source is the slow law."""
    kind = "slow_paths:make"
    return Settings(
        kinematics=Kinematics(2),
        material=MaterialSettings(kind=kind),
        source=Path(folder) / "case.toml",
        output=OutputSettings(folder=Path(folder)),
        generate=GenerateSettings(
            source=kind, samples=PATHS, stretch=0.05, path="random_walk",
            increments=INCREMENTS, turns=2, seed=4,
        ),
    )  # fmt: skip


def started(folder: Path, ranks: int, log: Path | None, nap: float) -> subprocess.Popen:
    here = Path(__file__).parent
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(here), str(here.parent)]),
        "OMPI_MCA_rmaps_base_oversubscribe": "1",
        "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
        "NAP": str(nap),
        **({"LOG": str(log)} if log else {}),
    }
    command = [sys.executable, "-c", PROGRAM, str(folder)]
    if ranks > 1:
        command = ["mpirun", "-n", str(ranks), *command]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        start_new_session=True,
    )  # fmt: skip


def asked(log: Path) -> np.ndarray:  # (n, m)
    """Return the strains that were evaluated, by all ranks."""
    parts = [np.frombuffer(path.read_bytes()) for path in log.parent.glob(f"{log.name}-*")]
    return np.concatenate([np.zeros(0), *parts]).reshape(-1, 3)


def written(folder: Path) -> np.ndarray:  # (paths,)
    """Return the paths whose answers are on the disk."""
    uid = read_manifest(folder / "dataset").uid
    shards = (folder / "dataset").glob(f"{uid}-*.h5")
    found = [read_shard(path, uid)[0].paths for path in shards]
    return np.unique(np.concatenate([np.zeros(0, np.int64), *found]))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with the law in it."""
    monkeypatch.delitem(sys.modules, "slow_paths", raising=False)
    (tmp_path / "slow_paths.py").write_text(LAW)
    return tmp_path


def serial() -> bool:
    from mpi4py import MPI

    return MPI.COMM_WORLD.size == 1


@pytest.mark.skipif(not serial(), reason="starts ranks of its own")
@pytest.mark.parametrize("ranks", [(1, 1, 3), (3, 3, 1)], ids=["1-1-3", "3-3-1"])
def test_killed_at_random_moments(folder: Path, ranks: tuple[int, ...]) -> None:
    """Two kills and a last run: the bits of a run that was never stopped, and no path twice."""
    random = np.random.default_rng(sum(ranks) + ranks[0])
    moments = random.uniform(0.2, 0.6, 2)  # parts of what each of these runs finds to be done
    before = np.zeros(0, dtype=np.int64)
    evaluated = 0
    for number, (count, moment) in enumerate(zip(ranks, [*moments, None], strict=True)):
        log = folder / f"log{number}"
        process = started(folder, count, log, 0.0 if moment is None else 0.005)
        if moment is None:
            out, _ = process.communicate(timeout=120)
            assert process.returncode == 0, out.decode()
        else:
            enough = moment * (PATHS - len(before)) * INCREMENTS
            deadline = time.monotonic() + 60.0
            while len(asked(log)) < enough:
                assert process.poll() is None and time.monotonic() < deadline
                time.sleep(0.01)
            kill(process, log)
        now = asked(log)
        again = np.isin(first_strains(before), now[:, 0])
        assert not again.any(), f"{again.sum()} paths that were written are evaluated again"
        evaluated += len(now)
        after = written(folder)
        assert np.isin(before, after).all()  # nothing written is lost
        if moment is not None:
            assert len(before) < len(after) < PATHS  # the kill did interrupt it
        before = after
    # what was done twice is what the kills caught in the ranks: a block of 2 paths and what was
    # being written, each
    blocks = sum(ranks[:2]) * 2 * INCREMENTS * 2
    assert PATHS * INCREMENTS <= evaluated <= PATHS * INCREMENTS + blocks
    resumed = read_dataset(folder / "dataset")
    whole = ensure_dataset(settings_in(folder / "."), allow_code=True, fresh=True).dataset
    assert resumed.ok.all() and resumed.fingerprint == whole.fingerprint


def first_strains(paths: np.ndarray) -> np.ndarray:  # (k,)
    """Return the first strain component of the first increment of paths: no two are alike."""
    from fesurrogate.data.plan import plan_of

    plan = plan_of(Kinematics(2), settings_in(".").generate)
    every = plan.strain(np.arange(PATHS))[:, :, 0]
    assert len(np.unique(every)) == every.size
    return every[paths, 0]


def kill(process: subprocess.Popen, log: Path) -> None:
    """Kill mpirun and all its ranks, known by the names of their logs, with signal 9."""
    ranks = {int(path.name.rpartition("-")[2]) for path in log.parent.glob(f"{log.name}-*")}
    for pid in (process.pid, *ranks):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    process.wait(timeout=30)
    if process.stdout is not None:
        process.stdout.close()
    deadline = time.monotonic() + 30.0
    while any(Path(f"/proc/{pid}/cmdline").exists() and alive(pid) for pid in ranks):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(not serial(), reason="starts ranks of its own")
def test_two_runs_into_one_folder(folder: Path) -> None:
    """The second is refused while the first goes on, which ends as if alone."""
    log = folder / "log"
    process = started(folder, 1, log, 0.01)
    deadline = time.monotonic() + 60.0
    while len(asked(log)) < 5:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    with pytest.raises(InputError, match="is being written by process"):
        ensure_dataset(settings_in(folder), allow_code=True)
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 0, out.decode()
    assert len(asked(log)) == PATHS * INCREMENTS
    assert ensure_dataset(settings_in(folder), allow_code=True).reused


def test_a_damaged_shard_is_computed_again_and_no_other(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import fesurrogate.build.dataset as room

    monkeypatch.setattr(room, "SECONDS_BETWEEN_SHARDS", 0.0)
    monkeypatch.setattr(room, "SHARE_BETWEEN_SHARDS", 0.0)
    made = ensure_dataset(settings_in(folder), allow_code=True)
    whole = made.dataset.fingerprint
    damaged = sorted((folder / "dataset").glob("*.h5"))[3]
    lost, _ = read_shard(damaged, made.manifest.uid)
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(content)
    monkeypatch.setenv("LOG", str(folder / "log"))
    again = ensure_dataset(settings_in(folder), allow_code=True)
    assert "is damaged" in caplog.text and not again.reused
    assert len(asked(folder / "log")) == len(lost.paths) * INCREMENTS
    assert again.dataset.fingerprint == whole


def test_an_exception_loses_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOG", str(folder / "log"))
    monkeypatch.setenv("BREAK", str(100 * 3 * 8))  # bytes of 100 strains
    with pytest.raises(ArithmeticError, match="the law broke"):
        ensure_dataset(settings_in(folder), allow_code=True)
    block = 2 * INCREMENTS
    assert len(written(folder)) == 100 // block * 2  # all blocks before the one that broke
    monkeypatch.setenv("BREAK", str(10**9))
    monkeypatch.setenv("LOG", str(folder / "rest"))
    ensure_dataset(settings_in(folder), allow_code=True)
    assert len(asked(folder / "rest")) == PATHS * INCREMENTS - 100 // block * block


def test_shards_are_few_and_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kill costs at most 10 s or 2 % of the run so far; shards grow with its logarithm."""
    from fesurrogate.build import dataset as room

    now = 0.0
    monkeypatch.setattr(room.time, "monotonic", lambda: now)
    due, times = room.clock(), [0.0]
    while now < 10_000.0:
        now += 0.5
        if due():
            times.append(now)
    gaps = np.diff(times)
    allowed = np.maximum(room.SECONDS_BETWEEN_SHARDS, 0.02 * np.array(times[1:]))
    assert (gaps <= allowed + 0.5).all()
    assert len(times) <= 2 + 500 / 10 + np.log(10_000 / 500) / 0.02  # not 1,000


def test_more_samples_keep_what_is_there(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_in(folder)
    first = ensure_dataset(settings, allow_code=True)
    monkeypatch.setenv("LOG", str(folder / "log"))
    longer = replace(settings, generate=replace(settings.generate, samples=PATHS + 3))
    more = ensure_dataset(longer, allow_code=True)
    assert not more.reused and len(asked(folder / "log")) == 3 * INCREMENTS
    np.testing.assert_array_equal(more.dataset.stress[:PATHS], first.dataset.stress)
    fewer = ensure_dataset(settings, allow_code=True)
    assert fewer.reused and fewer.dataset.fingerprint == first.dataset.fingerprint
    assert len(asked(folder / "log")) == 3 * INCREMENTS
    renamed = replace(settings, generate=replace(settings.generate, units="mm, MPa"))
    assert ensure_dataset(renamed, allow_code=True).dataset.units == "mm, MPa"
    assert len(asked(folder / "log")) == 3 * INCREMENTS
