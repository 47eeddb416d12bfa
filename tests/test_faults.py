"""One rank's trouble reaches all: each fault ends as designed, on one rank and on three."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from faults import PLATE
from mpi4py import MPI
from test_checkpoint import plate_folder, serial  # noqa: F401

from fesurrogate.cli import main
from fesurrogate.fem import output as fem_output
from fesurrogate.run.failed_points import read_failed_point

WORLD = MPI.COMM_WORLD
FINAL = "output/faults.make"


def ends(*arguments: str | Path) -> int:
    """Return the exit code of a command."""
    with pytest.raises(SystemExit) as caught:
        main([str(argument) for argument in arguments])
    code = caught.value.code
    assert isinstance(code, int)
    return code


def plate(folder: Path, *changes: tuple[str, str], **fault: object) -> Path:
    """Write the plate with a fault; collective."""
    table = "\n".join(f"{key} = {json.dumps(value)}" for key, value in fault.items())
    text = PLATE.replace("degree = 3", "degree = 1").replace('fault = "none"', table)
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    if WORLD.rank == 0:
        (folder / "plate.toml").write_text(text)
    WORLD.Barrier()
    return folder / "plate.toml"


def results(folder: Path) -> dict:
    return json.loads((folder / FINAL / "results.json").read_text())


@pytest.mark.mpi
@pytest.mark.parametrize("fault", ["nan", "nan_tangent", "raise"])
def test_a_point_that_always_fails_ends_with_code_3_and_can_be_asked_again(
    folder: Path,
    fault: str,
    capfd: pytest.CaptureFixture[str],
) -> None:
    path = plate(folder, ("increments = 4", "increments = 4\nmax_cuts = 2"), fault=fault,
                 above=0.03)  # fmt: skip
    assert ends("run", path, "--allow-code") == 3
    said = WORLD.bcast(capfd.readouterr().err)
    assert "points could not be solved" in said.splitlines()[-1]
    assert ("ZeroDivisionError" in said.splitlines()[-1]) == (fault == "raise")
    found = results(folder)
    assert not found["converged"] and 0 < found["increments"]
    file = folder / FINAL / "failed_points.npz"
    point, count = read_failed_point(file, 0)
    assert np.linalg.norm(point.strain) > 0.03 and point.time == found["history"][-1]["time"]
    assert np.linalg.norm(point.accepted_strain) < np.linalg.norm(point.strain)
    assert point.region == "material" and 0 <= point.cell < 16
    # rank 0 asks, and the fault is of the last rank
    alone = WORLD.size == 1
    code = ends("check", file, "--point", str(count - 1), "--allow-code")
    assert code == (3 if alone else 0)
    if alone:
        said = capfd.readouterr().err
        part = float(said.split("can be solved: ")[1].split()[0])
        point, _ = read_failed_point(file, count - 1)
        reached = point.accepted_strain + part * (point.strain - point.accepted_strain)
        assert np.linalg.norm(reached) == pytest.approx(0.03, rel=1e-2)
        assert ("Traceback" in said) == (fault == "raise")
    assert ends("check", file, "--point", str(count), "--allow-code") == 2
    # with another Material the point is solved, and the difference is said
    whole = plate(folder, fault="none")
    assert ends("check", file, "--allow-code", "--config", whole) == 0
    said = WORLD.bcast(capfd.readouterr().out)
    assert "fingerprint differs" in said and "now: stress" in said


@pytest.mark.mpi
def test_a_slow_rank_is_waited_for(folder: Path) -> None:
    assert ends("run", plate(folder, fault="slow", above=0.045), "--allow-code") == 0
    assert results(folder)["converged"]


@pytest.mark.mpi
def test_sigterm_of_one_rank_is_code_4_on_all_and_a_checkpoint(
    folder: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    path = plate(folder, fault="terminate", above=0.03)
    before = signal.getsignal(signal.SIGTERM)
    assert ends("run", path, "--allow-code") == 4
    assert signal.getsignal(signal.SIGTERM) == before
    last = WORLD.bcast(capfd.readouterr().err).splitlines()[-1]
    assert last.startswith("stopped: stopped at time 0.") and "--restart" in last
    named = Path(last.split("the checkpoint is ")[1].split(": continue")[0])
    assert named.is_file()
    before_restart = results(folder)
    assert 0 < before_restart["increments"] < 4
    # the Material is part of what a run is made of: with the signal it cannot get further
    assert ends("run", path, "--allow-code", "--restart") == 4
    assert results(folder)["increments"] == before_restart["increments"]
    assert ends("run", plate(folder, fault="none"), "--allow-code", "--restart") == 2
    assert "material differ" in WORLD.bcast(capfd.readouterr().err)


@pytest.mark.mpi
@pytest.mark.parametrize("what", ["start", "fields", "checkpoint"])
def test_a_full_disk_is_code_4_and_what_was_kept_is_kept(
    folder: Path,
    what: str,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Files of rank 0 may not grow beyond what one increment takes; then there is room again."""
    path = plate(folder, fault="none")
    if what == "checkpoint":
        path = plate(folder, ("pictures = false", "pictures = false\nfields = false"), fault="none")
    limit = {"start": 500, "fields": 17_000, "checkpoint": 6_000}[what]
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, old[1]))
        code = ends("run", path, "--allow-code")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
        signal.signal(signal.SIGXFSZ, ignored)
    last = WORLD.bcast(capfd.readouterr().err).splitlines()[-1]
    assert code == (2 if what == "start" else 4)  # nothing was solved, or something
    assert "File too large" in last and "make room" in last
    assert ends("run", path, "--allow-code", "--restart") == 0
    found = results(folder)
    assert found["converged"] and [h["time"] for h in found["history"]] == [0.25, 0.5, 0.75, 1.0]
    if what == "fields":
        import h5py

        assert 0 < found["restarts"][0] < 1.0
        if WORLD.rank == 0:
            with h5py.File(folder / FINAL / "fields.h5") as file:
                assert len(file["increments"]) == 4
    assert not [p for p in (folder / FINAL / "checkpoint").iterdir() if p.suffix == ".tmp"]


@pytest.mark.mpi
def test_a_failure_to_write_is_raised_on_all_ranks() -> None:
    def fail() -> None:
        raise OSError("no room")

    with pytest.raises(OSError, match="no room"):
        fem_output.run_on_root(WORLD, fail)


@serial
def test_sigterm_from_outside_ends_a_program_of_3_ranks_with_4(folder: Path) -> None:
    """A real program; the batch system's signal goes to one rank, in the middle of the work."""
    path = plate(folder, ("increments = 4", "increments = 4000"), fault="slow")
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[1])]),
        "OMPI_MCA_rmaps_base_oversubscribe": "1",
        "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
    }
    command = ["mpirun", "-n", "3", sys.executable, "-m", "fesurrogate", "run", path,
               "--allow-code", "-log_view"]  # fmt: skip
    with subprocess.Popen(
        list(map(str, command)), env=environment, cwd=folder, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as program:  # fmt: skip
        checkpoints = folder / FINAL / "checkpoint"
        begin = time.monotonic()
        while not list(checkpoints.glob("*.npz")) and time.monotonic() - begin < 120:
            time.sleep(0.1)
        found = subprocess.run(
            ["pgrep", "-P", str(program.pid)], capture_output=True, text=True, check=False
        ).stdout.split()
        assert len(found) == 3
        os.kill(int(found[1]), signal.SIGTERM)
        said, errors = program.communicate(timeout=60)
    assert program.returncode == 4, errors
    assert errors.count("stopped: ") == 1 and "--restart" in errors
    assert "SNESSolve" in said  # what -log_view is for
    assert "solve [" in errors  # plain lines of progress, as this is no terminal
