"""What a run needs beside its estimate, and whether a long one leaves anything behind.

``flat``: 1,000 increments of a small body, of a plastic law and of an RVE, back and forth; resident
memory and the objects that Python knows at increments 100, 500 and 1,000. ``petsc_objects``: what
``-log_view`` counts over 100 and over 1,000 increments. ``estimate``: runs through the command
line, each in a process of its own, estimate over peak.
"""

from __future__ import annotations

import gc
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from dolfinx import fem, mesh
from mpi4py import MPI

from benchmarks.measure import report
from fesurrogate import Kinematics, Material
from fesurrogate.fem.field import MaterialField
from fesurrogate.fem.problem import MacroProblem
from fesurrogate.fem.stepping import run_increments
from fesurrogate.fem.strain import strain_of
from fesurrogate.laws import J2Plasticity
from fesurrogate.memory import resident_bytes
from fesurrogate.micro import RVEMaterial, laminate_cell, linear_elastic

INCREMENTS = 1000
MARKS = (100, 500, 1000)
SMALL = Kinematics(2)


def plastic() -> Material:
    """Return a law with history."""
    return J2Plasticity(2, young=70e3, poisson=0.33, yield_stress=250.0, hardening=500.0)


def laminate() -> Material:
    """Return a cell with history in one of its phases."""
    cell = laminate_cell(2, {"soft": 0.5, "stiff": 0.5}, resolution=2)
    phases = {"soft": plastic(), "stiff": linear_elastic(young=400e3, poisson=0.2)}
    return RVEMaterial(cell, phases, SMALL, degree=1)


def body(material: Material, n: int) -> tuple[MacroProblem, Callable[[float], None]]:
    """Return a square that is pulled and pushed, with a period of 40 increments."""
    domain = mesh.create_unit_square(MPI.COMM_SELF, n, n, mesh.CellType.quadrilateral)
    V = fem.functionspace(domain, ("Lagrange", 1, (2,)))
    u, pull = fem.Function(V), fem.Constant(domain, 0.0)
    field = MaterialField(material, strain_of(u, SMALL), degree=2)
    left, right = (
        mesh.locate_entities_boundary(domain, 1, lambda p, x=x: np.isclose(p[0], x))
        for x in (0.0, 1.0)
    )
    across = V.sub(0)
    bcs = [
        fem.dirichletbc(np.zeros(2), fem.locate_dofs_topological(V, 1, left), V),
        fem.dirichletbc(pull, fem.locate_dofs_topological(across, 1, right), across),
    ]

    def apply_load(time: float) -> None:
        pull.value = 8e-3 * np.sin(2 * np.pi * time / 40)

    return MacroProblem(u, [field], bcs=bcs), apply_load


def flat(name: str, material: Material, n: int) -> None:
    """Print how memory grows over the increments."""
    problem, apply_load = body(material, n)
    marks: list[tuple[int, int]] = []
    done = 0

    def on_accept(_: object) -> None:
        nonlocal done
        done += 1
        if done in MARKS:
            gc.collect()
            marks.append((resident_bytes(), len(gc.get_objects())))

    run_increments(problem, apply_load, range(1, INCREMENTS + 1), on_accept=on_accept)
    grown = marks[-1][0] - marks[0][0]
    shown = ", ".join(f"{size / 1e6:.2f} MB" for size, _ in marks)
    detail = f"at increments {MARKS}: {shown}; objects of Python "
    detail += ", ".join(str(count) for _, count in marks)
    detail += f"; {problem.fields[0].num_points} points, {len(marks)} marks, {done} increments"
    report(f"memory.growth_{name}", grown / marks[0][0], "1", bar=0.01, detail=detail)


FINITE = ("neo_hookean", "shear_modulus = 1.0\nlame = 2.0", "finite")
PLASTIC = (
    "j2_plasticity", "young = 70e3\npoisson = 0.3\nyield_stress = 250.0\nhardening = 500.0", "small"
)  # fmt: skip
RUNS = {"law": ([96, 96], *FINITE), "solid": ([10, 10, 10], *FINITE), "j2": ([80, 80], *PLASTIC)}
TOML = """
[kinematics]
gdim = {gdim}
measure = "{measure}"
[mesh]
generator = "{generator}"
cells = {cells}
[material]
kind = "{kind}"
[material.{kind}]
{constants}
[steps]
increments = {increments}
[[dirichlet]]
boundary = "left"
[[dirichlet]]
boundary = "right"
component = "x"
value = 5e-3
[output]
checkpoint = 0
"""


def run(name: str, *options: str, cells: list[int], ranks: int = 1, increments: int = 1) -> Any:
    """Return results.json and what was printed of a run in a process of its own."""
    _, kind, constants, measure = RUNS[name]
    text = TOML.format(
        gdim=len(cells), measure=measure, generator="rectangle" if len(cells) == 2 else "box",
        cells=cells, kind=kind, constants=constants, increments=increments,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "problem.toml").write_text(text)
        words = ["-m", "fesurrogate", "run", "problem.toml", "--output", "out", *options]
        launcher = ["mpirun", "--oversubscribe", "-n", f"{ranks}"] if ranks > 1 else []
        done = subprocess.run(
            [*launcher, sys.executable, *words],
            cwd=folder, capture_output=True, text=True, check=True, timeout=900,
        )  # fmt: skip
        return json.loads((Path(folder) / "out" / "results.json").read_text()), done.stdout


def estimate(name: str, ranks: int) -> None:
    """Print the estimate of a run over its peak."""
    found, _ = run(name, cells=RUNS[name][0], ranks=ranks)
    memory = found["memory"]
    parts = ", ".join(f"{key} {memory[key] / 1e6:.0f} MB" for key in memory)
    ratio = memory["estimate"] / memory["peak"]
    detail = f"{parts}; {found['points']} points, {found['unknowns']} unknowns"
    label = f"memory.estimate_over_peak_{name}_{ranks}"
    report(label, max(ratio, 1 / ratio), "1", bar=1.2, detail=f"{ratio:.3f}: {detail}")


def petsc_objects() -> None:
    """Print how many objects of PETSc an increment creates."""
    created = []
    for increments in MARKS[0], MARKS[-1]:
        _, text = run("j2", "-log_view", cells=[4, 4], increments=increments)
        table = text.partition("Object Type")[2].partition("=====")[0]
        rows = re.findall(r"^ *\S.*? {2,}(\d+) +(\d+)\s*$", table, flags=re.MULTILINE)
        created.append(sum(int(made) for made, _ in rows))
    detail = f"{created[0]} in {MARKS[0]} increments, {created[1]} in {MARKS[-1]}"
    rate = (created[1] - created[0]) / (MARKS[-1] - MARKS[0])
    report("memory.petsc_objects_an_increment", rate, "1", bar=0.0, detail=detail)


def main() -> None:
    """Print the figures."""
    for name in RUNS:
        for ranks in (1, 2):
            estimate(name, ranks)
    petsc_objects()
    flat("law", plastic(), 8)
    flat("rve", laminate(), 1)


if __name__ == "__main__":
    main()
