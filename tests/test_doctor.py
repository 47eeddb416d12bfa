"""The doctor tells the truth where everything is there, and works where nothing is."""

import os
import subprocess
import sys
from pathlib import Path

import dolfinx
import pytest
from mpi4py import MPI
from petsc4py import PETSc

from fesurrogate import doctor

FILE = Path(doctor.__file__)


def report(*, bare: bool = False, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the doctor in a process of its own; a bare Python has the standard library alone."""
    command = [sys.executable, *(("-I", "-S") if bare else ()), str(FILE)]
    environment = {**os.environ, **variables, "PYTHONPATH": str(FILE.parents[1])}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)


@pytest.mark.mpi
def test_one_rank_reports_what_is_there(capsys):
    assert doctor.doctor() == 0
    lines = capsys.readouterr().out.splitlines()
    if MPI.COMM_WORLD.rank > 0:
        assert lines == []
        return
    found = {line[2:18].strip(): line[19:] for line in lines}
    assert found["DOLFINx"] == dolfinx.__version__
    assert found["PETSc"].startswith(".".join(map(str, PETSc.Sys.getVersion())))
    assert "scalar float64" in found["PETSc"]
    assert found["ranks x threads"].startswith(f"{MPI.COMM_WORLD.size} rank(s)")
    assert lines[-1] == "Ready to solve."


def test_bare_python_gets_advice_for_each_missing_piece():
    """No package at all: one line of advice each, exit code 1, no traceback."""
    result = report(bare=True)
    assert result.returncode == 1
    assert result.stderr == ""
    for name in ("DOLFINx", "PETSc", "MPI", "torch", "NumPy"):
        assert f"! {name:<16} missing" in result.stdout
    assert "pip install -e '.[train]'" in result.stdout
    assert "To mend before anything can be solved: DOLFINx, PETSc" in result.stdout
    assert "- Numba            missing; torch evaluates energy networks" in result.stdout


@pytest.mark.skipif(MPI.COMM_WORLD.size > 1, reason="a second MPI program in one rank's process")
def test_too_many_threads_are_named_with_the_number_that_fits():
    cores = len(os.sched_getaffinity(0))
    result = report(OMP_NUM_THREADS=str(cores + 1))
    assert f"1 rank(s) x {cores + 1} thread(s) on {cores} core(s)" in result.stdout
    assert f"export OMP_NUM_THREADS={cores}\n" in result.stdout


def test_blas_is_named_by_the_library_behind_the_alternative():
    """Debian installs every implementation as libblas.so.3; the folder tells them apart."""
    folder = "/usr/lib/x86_64-linux-gnu"
    fast = [f"{folder}/openblas-pthread/libblas.so.3", f"{folder}/libm.so.6"]
    assert list(doctor.blas_names(fast)) == ["OpenBLAS"]
    slow = f"{folder}/blas/libblas.so.3.12.1"
    assert doctor.blas_names([slow]) == {"reference BLAS": slow}
    assert doctor.blas_names([f"{folder}/libcblas_like.txt"]) == {}


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc/self/maps")
def test_blas_of_this_process_is_found():
    """PETSc is loaded here, so at least one BLAS is."""
    assert doctor.blas_names(doctor.loaded_libraries())
