"""How env/run chooses, builds and enters an environment.

Only programs from outside (docker, bwrap, mmdebstrap, apt-get, another Python) are stood in for,
by small scripts on a PATH of their own; the scripts under test run as they are.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from mpi4py import MPI

ROOT = Path(__file__).resolve().parents[1]
TOOLS = (
    "bash basename cat cksum cp cut date dirname env flock grep id ln ls mkdir mv printf "
    "rm sed sh sha256sum sleep tail timeout touch tr uname"
)  # fmt: skip
BUILDS = 'for part; do :; done; mkdir -p "$part/etc" "$part/usr"; echo built >>"$LOG"'
"""An mmdebstrap that makes a folder (its last argument) and says so."""

pytestmark = pytest.mark.skipif(
    MPI.COMM_WORLD.size > 1, reason="the scripts do not depend on the number of ranks"
)


class Machine:
    """A checkout, a PATH and a cache of their own."""

    def __init__(self, folder: Path):
        self.folder, self.bin, self.cache = folder, folder / "bin", folder / "cache"
        self.checkout, self.log = folder / "checkout", folder / "log"
        self.bin.mkdir()
        for name in TOOLS.split():
            if path := shutil.which(name):
                (self.bin / name).symlink_to(path)
        self.copy_checkout(self.checkout)
        self.program("id", "echo 0")
        self.program("python3", "echo 'no dolfinx'; exit 1")

    def copy_checkout(self, target: Path) -> Path:
        shutil.copytree(ROOT / "env", target / "env")
        shutil.copy(ROOT / "Dockerfile", target)
        shutil.copy(ROOT / "pyproject.toml", target)
        return target

    def program(self, name: str, script: str) -> None:
        path = self.bin / name
        path.unlink(missing_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def environment(self, **variables: str) -> dict[str, str]:
        basic = {"PATH": str(self.bin), "HOME": str(self.folder), "LOG": str(self.log)}
        return {**basic, "FESURROGATE_CACHE": str(self.cache), "PYTHON": "python3", **variables}

    def run(self, *command: str, checkout: Path | None = None, **variables: str):
        """Return (exit code, standard output, standard error) of env/run."""
        checkout = checkout or self.checkout
        done = subprocess.run(
            [str(checkout / "env" / "run"), *command], cwd=checkout, timeout=60,
            env=self.environment(**variables), capture_output=True, text=True,
        )  # fmt: skip
        return done.returncode, done.stdout.strip(), done.stderr

    def rootfs(self) -> list[str]:
        """Return the names of the root filesystems that are in use or in the making."""
        return sorted(path.name for path in self.cache.glob("rootfs-*") if path.is_dir())

    def builds(self) -> int:
        return self.log.read_text().count("built") if self.log.exists() else 0


@pytest.fixture
def machine(tmp_path):
    """A Debian machine with root and no environment yet; bwrap enters nothing, and says so."""
    machine = Machine(tmp_path)
    machine.program("apt-get", "exit 0")
    machine.program("mmdebstrap", BUILDS)
    machine.program("bwrap", "echo entered")
    return machine


def test_native_comes_first(machine):
    """This Python has DOLFINx; Docker and root are there too and are passed over."""
    machine.program("docker", "exit 0")
    code, out, _ = machine.run("--which", PYTHON=sys.executable)
    assert (code, out) == (0, f"native {sys.executable}")


def test_docker_comes_before_the_root_filesystem(machine):
    machine.program("docker", "exit 0")
    assert machine.run("--which")[:2] == (0, "docker")


def test_docker_without_an_engine_is_passed_over(machine):
    machine.program("docker", "exit 1")
    assert machine.run("--which")[:2] == (0, "rootfs")


def test_nothing_names_the_three_ways_and_why_each_failed(machine):
    """Neither DOLFINx, nor an engine, nor root: exit code 2 and the commands to type."""
    machine.program("id", "echo 1000")
    code, out, err = machine.run("true")
    assert (code, out) == (2, "")
    for part in ("conda env create", "Docker", "apt-get install", "no dolfinx", "no Docker engine"):
        assert part in err


@pytest.mark.parametrize("way", ["native", "docker", "rootfs"])
def test_a_way_can_be_forced(machine, way):
    machine.program("docker", "exit 0")
    code, out, _ = machine.run("--which", FESURROGATE_ENV=way, PYTHON=sys.executable)
    assert (code, out.split()[0]) == (0, way)


@pytest.mark.parametrize(
    ("way", "message"),
    [("docker", "no Docker engine"), ("native", "no dolfinx"), ("podman", "expected native")],
)
def test_a_forced_way_that_is_not_there_stops(machine, way, message):
    """No other way is taken in its place."""
    code, _, err = machine.run("--which", FESURROGATE_ENV=way)
    assert code == 2
    assert message in err


def test_a_suite_that_was_asked_for_passes_over_native(machine):
    code, out, _ = machine.run("--which", PYTHON=sys.executable, DEBIAN_SUITE="sid")
    assert (code, out) == (0, "rootfs")


def test_the_root_filesystem_is_built_once_for_all_checkouts(machine):
    """A checkout at another path enters the same one."""
    assert machine.run("true")[:2] == (0, "entered")
    second = machine.copy_checkout(machine.folder / "elsewhere" / "second")
    assert machine.run("true", checkout=second)[:2] == (0, "entered")
    assert machine.builds() == 1
    (name,) = machine.rootfs()
    assert name.startswith("rootfs-trixie-")


@pytest.mark.parametrize("name", ["debian-packages.txt", "pip-packages.txt"])
def test_another_list_is_another_root_filesystem(machine, name):
    machine.run("true")
    path = machine.checkout / "env" / name
    path.write_text("# a comment more changes nothing\n" + path.read_text())
    machine.run("true")
    assert machine.builds() == 1
    path.write_text(path.read_text() + "hello\n")
    machine.run("true")
    assert machine.builds() == 2
    machine.run("true", DEBIAN_SUITE="sid")
    assert machine.builds() == len(machine.rootfs()) == 3


@pytest.mark.parametrize("broken", ["mmdebstrap", "bwrap"])
def test_a_build_that_fails_is_never_used(machine, broken):
    """Neither when Debian's part fails, nor when pip's does: the next run starts anew."""
    script = (machine.bin / broken).read_text()
    machine.program(broken, BUILDS * (broken == "mmdebstrap") + "\nexit 1")
    code, out, err = machine.run("true")
    assert (code, out) == (2, "")
    assert "failed" in err
    assert all(name.endswith(".partial") for name in machine.rootfs())
    machine.program(broken, script)
    assert machine.run("true")[:2] == (0, "entered")
    assert [name for name in machine.rootfs() if not name.endswith(".partial")]


def test_a_killed_build_is_never_used(machine):
    """SIGKILL in the middle; a stale file of that build is not in the one that follows."""
    machine.program("mmdebstrap", BUILDS + '; touch "$part/stale"; exec sleep 3')
    first = subprocess.Popen(
        [str(machine.checkout / "env" / "run"), "true"], env=machine.environment(),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    deadline = time.monotonic() + 30
    while machine.builds() == 0 and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    assert [name.endswith(".partial") for name in machine.rootfs()] == [True]
    machine.program("mmdebstrap", BUILDS)
    assert machine.run("true")[:2] == (0, "entered")
    (whole,) = machine.rootfs()
    assert not (machine.cache / whole / "stale").exists()


def test_two_builds_at_once_make_one(machine):
    machine.program("mmdebstrap", BUILDS + "; sleep 1")
    command, environment = [str(machine.checkout / "env" / "run"), "true"], machine.environment()
    both = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) for _ in range(2)]
    assert [process.communicate(timeout=60)[0] for process in both] == [b"entered\n"] * 2
    assert machine.builds() == 1


def test_the_hosts_python_does_not_leak_in(machine):
    """What bwrap gets: this checkout alone on PYTHONPATH, MPI as root, one thread a rank."""
    machine.run("true")
    machine.program("bwrap", 'echo "$PYTHONPATH $OMP_NUM_THREADS $OMPI_ALLOW_RUN_AS_ROOT"')
    leaks = {"PYTHONPATH": "/leak", "PYTHONHOME": "/leak", "VIRTUAL_ENV": "/leak"}
    _, out, _ = machine.run("true", **leaks)
    assert out == f"{machine.checkout} 1 1"
    machine.program("bwrap", "env")
    _, out, _ = machine.run("true", **leaks, PETSC_OPTIONS="-log_view")
    assert "/leak" not in out
    assert "PETSC_OPTIONS=-log_view" in out


def test_docker_builds_the_suite_and_mounts_the_checkout(machine):
    machine.program("docker", 'echo "$@" >>"$LOG"; [ "$1" != image ]')
    code, _, _ = machine.run("mpirun", "-n", "2", "x", DEBIAN_SUITE="sid")
    calls = machine.log.read_text().splitlines()
    assert code == 0
    assert "build --target environment --build-arg DEBIAN_SUITE=sid" in calls[-2]
    assert f"-v {machine.checkout}:{machine.checkout} -w {machine.checkout}" in calls[-1]
    assert calls[-1].endswith("mpirun -n 2 x")


def test_what_pip_may_fetch_never_includes_the_stack():
    """Dependencies, extras and the pinned list: neither dolfinx, nor petsc4py, nor mpi4py."""
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = [*project["dependencies"], *sum(project["optional-dependencies"].values(), [])]
    names += (ROOT / "env" / "pip-packages.txt").read_text().splitlines()
    for name in names:
        assert not name.startswith(("dolfinx", "fenics", "petsc", "mpi4py", "nvidia")), name
    assert sum(name.startswith("torch") for name in names) == 1
