"""Whether this Python can run fesurrogate, said in one line (standard library only).

``python env/probe.py`` exits 0 and prints the versions, or exits 1 and prints what lacks.
``python env/probe.py --missing [--tools]`` prints the packages that pip can add: those that
pyproject.toml names for solving, and with ``--tools`` those of env/pip-packages.txt.
"""

from __future__ import annotations

import importlib
import re
import sys
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STACK = ("dolfinx", "petsc4py", "mpi4py", "torch")
"""What pip must not be asked for: each has to fit the others, and the machine."""
MODULES = {"import-linter": "importlinter"}
"""Import names that differ from the package's name."""


def lacking() -> str:
    """Return why this Python cannot be used; empty where it can."""
    if sys.version_info < (3, 11):  # noqa: UP036 (it may run on any)
        return f"Python {sys.version.split()[0]} is older than 3.11"
    absent = [name for name in STACK if find_spec(name) is None]
    if absent:
        return f"no {', '.join(absent)}"
    try:
        for name in ("dolfinx", "torch"):
            importlib.import_module(name)
        from petsc4py import PETSc
    except Exception as error:  # a broken installation fails in its own way
        return f"import fails: {error}"
    version = sys.modules["dolfinx"].__version__
    if tuple(int(part) for part in re.findall(r"\d+", version)[:2]) < (0, 9):
        return f"DOLFINx {version} is older than 0.9"
    scalar = PETSc.ScalarType.__name__
    return "" if scalar == "float64" else f"PETSc is built for {scalar}, not float64"


def missing(*, tools: bool) -> list[str]:
    """Return the requirements that no module satisfies yet."""
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["solve"]]
    wanted += ["pytest"]
    if tools:
        lines = (ROOT / "env" / "pip-packages.txt").read_text().splitlines()
        wanted += [entry for line in lines if (entry := line.split("#")[0].strip())] + ["mypy"]
    absent = {}
    for requirement in wanted:
        name = re.split(r"[^\w-]", requirement)[0]
        if name not in STACK and find_spec(MODULES.get(name, name)) is None:
            absent[name] = requirement
    return list(absent.values())


if __name__ == "__main__":
    if "--missing" in sys.argv:
        print("\n".join(missing(tools="--tools" in sys.argv)))
        sys.exit()
    reason = lacking()
    print(reason or f"DOLFINx {sys.modules['dolfinx'].__version__}")
    sys.exit(1 if reason else 0)
