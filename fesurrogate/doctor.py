"""What this environment holds and what to mend: ``fesurrogate doctor``.

Every check works where the thing it looks for is missing; nothing here is imported before it is
looked for, so that ``python -m fesurrogate.doctor`` runs with the standard library alone.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import platform
import re
import shutil
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType

STACK = "conda install -c conda-forge fenics-dolfinx mpi4py 'petsc=*=real*'; on Debian 13: "
STACK += "apt-get install python3-dolfinx-real; or let `make env` make an environment"
EXTRAS = {
    "train": ("h5py", "safetensors", "scipy"),
    "solve": ("pydantic", "rich", "typer", "gmsh", "matplotlib", "meshio"),
}
"""Packages that pip can add, by the extra that names them."""
BLAS = {
    "openblas": "OpenBLAS",
    "mkl_rt": "MKL",
    "mkl_core": "MKL",
    "libblis": "BLIS",
    "atlas": "ATLAS",
    "libarmpl": "Arm Performance Libraries",
    "libblas.so": "reference BLAS",
}
"""BLAS implementations by what their library's path contains; the first that fits names it."""


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Attributes:
        name: What was looked for.
        found: What was found.
        mend: What to do about it; empty where nothing is to be done.
        needed: Whether no two-scale problem can be solved before that is done.
    """

    name: str
    found: str
    mend: str = ""
    needed: bool = False


def load(name: str) -> tuple[ModuleType | None, str]:
    """Return a module, or None and why it cannot be imported."""
    try:
        return importlib.import_module(name), ""
    except ModuleNotFoundError as error:
        return None, "missing" if error.name == name.split(".")[0] else f"broken: {error}"
    except Exception as error:  # a broken installation fails in its own way
        return None, f"broken: {type(error).__name__}: {error}"


def check_python() -> Iterable[Finding]:
    """Python, and the package itself."""
    mend = "" if sys.version_info[:2] >= (3, 11) else "use Python 3.11 or newer"
    found = f"{platform.python_version()} ({sys.executable}), {platform.platform(terse=True)}"
    yield Finding("Python", found, mend, needed=True)
    try:
        found = version("fesurrogate")
    except PackageNotFoundError:
        found = "not installed; used"
    yield Finding("fesurrogate", f"{found} from {Path(__file__).resolve().parent}")


def check_dolfinx() -> Iterable[Finding]:
    """DOLFINx, and the compiler and cache of its forms."""
    dolfinx, why = load("dolfinx")
    if dolfinx is None:
        yield Finding("DOLFINx", why, STACK, needed=True)
        return
    old = tuple(int(part) for part in re.findall(r"\d+", dolfinx.__version__)[:2]) < (0, 9)
    yield Finding("DOLFINx", dolfinx.__version__, "0.9 or newer: " + STACK if old else "", old)
    compiler = shutil.which(os.environ.get("CC", "").split(" ")[0] or "cc") or shutil.which("gcc")
    mend = "" if compiler else "apt-get install g++, or conda install -c conda-forge compilers"
    yield Finding("C compiler", compiler or "missing: no form can be compiled", mend, needed=True)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    there = next(path for path in (cache, *cache.parents) if path.exists())
    mend = "" if os.access(there, os.W_OK) else "set XDG_CACHE_HOME to a folder you can write to"
    yield Finding("form cache", str(cache / "fenics"), mend, needed=True)


def check_petsc() -> Iterable[Finding]:
    """PETSc: version, scalar type and direct solvers."""
    module, why = load("petsc4py.PETSc")
    if module is None:
        yield Finding("PETSc", why, STACK, needed=True)
        return
    number = ".".join(str(part) for part in module.Sys.getVersion())
    scalar, index = module.ScalarType.__name__, module.IntType.__name__
    mend = "" if scalar == "float64" else "a real, double-precision build is needed: " + STACK
    yield Finding("PETSc", f"{number}, scalar {scalar}, index {index}", mend, needed=True)
    known = ("mumps", "umfpack", "cholmod", "superlu_dist", "hypre")
    solvers = [name for name in known if module.Sys.hasExternalPackage(name)]
    mend = "" if {"mumps", "umfpack"} & set(solvers) else (
        "a PETSc with MUMPS or SuiteSparse: its own LU is serial and several times slower"
    )  # fmt: skip
    yield Finding("PETSc solvers", ", ".join(solvers) or "its own only", mend)


def loaded_libraries() -> list[str]:
    """Return the paths of the shared libraries in this process; empty where that is not known."""
    maps = Path("/proc/self/maps")
    if not maps.exists():
        return []
    fields = (line.split(maxsplit=5) for line in maps.read_text().splitlines())
    return sorted({row[5] for row in fields if len(row) == 6 and ".so" in row[5]})


def blas_names(libraries: Iterable[str]) -> dict[str, str]:
    """Return path by name of the BLAS implementations among the paths of libraries."""
    names: dict[str, str] = {}
    for path in libraries:
        name = next((BLAS[mark] for mark in BLAS if mark in path.lower()), None)
        if name is not None:
            names.setdefault(name, path)
    return names


def check_blas() -> Iterable[Finding]:
    """The BLAS that NumPy and PETSc have really loaded."""
    numpy, why = load("numpy")
    if numpy is None:
        yield Finding("NumPy", why, "pip install numpy", needed=True)
        return
    yield Finding("NumPy", numpy.__version__)
    names = blas_names(loaded_libraries())
    if not names:
        blas = numpy.show_config(mode="dicts")["Build Dependencies"]["blas"]
        yield Finding("BLAS", f"{blas.get('name', 'unknown')} (as NumPy was built)")
        return
    mend = "" if "reference BLAS" not in names else (
        "several times slower: apt-get install libopenblas0-pthread, or conda install "
        "-c conda-forge 'libblas=*=*openblas'"
    )  # fmt: skip
    yield Finding("BLAS", ", ".join(f"{name} ({path})" for name, path in names.items()), mend)


def check_torch() -> Iterable[Finding]:
    """Torch, and whether it can use a GPU."""
    torch, why = load("torch")
    if torch is None:
        yield Finding("torch", why, "apt-get install python3-torch, or pip install torch", True)
        return
    old = int(torch.__version__.split(".")[0]) < 2
    yield Finding("torch", torch.__version__, "torch 2 or newer" if old else "", old)
    driver = shutil.which("nvidia-smi")
    if torch.cuda.is_available():
        count = torch.cuda.device_count()
        names = ", ".join(torch.cuda.get_device_name(i) for i in range(count))
        yield Finding("GPU", f"{names} (torch built for {torch.version.cuda or 'ROCm'})")
    elif torch.backends.mps.is_available():
        yield Finding("GPU", "Apple MPS (float32 only; networks here default to float64)")
    elif driver:
        mend = "to train on it, install a torch built for CUDA (https://pytorch.org/get-started)"
        yield Finding("GPU", f"one may be there ({driver}), but torch cannot use it", mend)
    else:
        yield Finding("GPU", "none; networks train and run on the CPU")


def check_numba() -> Iterable[Finding]:
    """Numba, which compiles the evaluation of energy networks and tables."""
    numba, why = load("numba")
    if numba is None:
        mend = "both are evaluated several times faster with it: pip install numba, "
        mend += "apt-get install python3-numba, or conda install -c conda-forge numba"
        yield Finding("Numba", f"{why}; torch evaluates energy networks, NumPy tables", mend)
        return
    served = "compiled kernels evaluate energy networks and look tables up"
    yield Finding("Numba", f"{numba.__version__}; {served}")


def check_mpi() -> Iterable[Finding]:
    """MPI, and whether ranks times threads fit the cores. Collective where MPI is there."""
    module, why = load("mpi4py.MPI")
    ranks = 1
    if module is None:
        yield Finding("MPI", why, STACK, needed=True)
    else:
        library = module.Get_library_version().replace("\0", "").splitlines()[0].split(",")[0]
        yield Finding("MPI", f"{library}, mpi4py {version('mpi4py')}")
        node = module.COMM_WORLD.Split_type(module.COMM_TYPE_SHARED)
        ranks = node.size
        node.Free()
        launcher = shutil.which("mpirun") or shutil.which("mpiexec")
        mend = "" if launcher else "apt-get install openmpi-bin (the MPI that mpi4py was built for)"
        yield Finding("mpirun", launcher or "missing: one rank only", mend)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    cores = cores or 1
    torch, _ = load("torch")
    setting = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]
    blas = int(setting) if setting.isdigit() else cores
    threads = max(blas, torch.get_num_threads() if torch is not None else 1)
    found = f"{ranks} rank(s) x {threads} thread(s) on {cores} core(s)"
    mend = ""
    if ranks > cores:
        mend = f"start at most {cores} ranks on this machine"
    elif ranks * threads > cores:
        mend = f"export OMP_NUM_THREADS={max(1, cores // ranks)}"
    elif ranks == 1 and threads > 1:
        found += "; for mpirun -n N set OMP_NUM_THREADS to cores / N"
    yield Finding("ranks x threads", found, mend)


def check_extras() -> Iterable[Finding]:
    """Packages that pip can add."""
    for extra, names in EXTRAS.items():
        absent = [name for name in names if importlib.util.find_spec(name) is None]
        mend = f"pip install -e '.[{extra}]' (or: pip install {' '.join(absent)})" if absent else ""
        found = f"lacks {', '.join(absent)}" if absent else ", ".join(names)
        yield Finding(f"extra [{extra}]", found, mend)


CHECKS: tuple[Callable[[], Iterable[Finding]], ...] = (
    check_python, check_dolfinx, check_petsc, check_mpi, check_torch, check_numba, check_blas,
    check_extras,
)  # fmt: skip


def findings() -> list[Finding]:
    """Run every check. Collective where MPI is there."""
    return [finding for check in CHECKS for finding in check()]


def doctor() -> int:
    """Print what was found and what to mend, on rank 0. Collective where MPI is there.

    Returns:
        Exit code: 0 where two-scale problems can be solved, else 1.
    """
    report = findings()
    blocked = [finding for finding in report if finding.mend and finding.needed]
    module, _ = load("mpi4py.MPI")
    if module is None or module.COMM_WORLD.rank == 0:
        for finding in report:
            mark = " " if not finding.mend else "!" if finding.needed else "-"
            print(f"{mark} {finding.name:<16} {finding.found}")
            if finding.mend:
                print(f"  {'':<16} -> {finding.mend}")
        needs = ", ".join(finding.name for finding in blocked)
        print(f"To mend before anything can be solved: {needs}" if needs else "Ready to solve.")
    return 1 if blocked else 0


if __name__ == "__main__":
    sys.exit(doctor())
