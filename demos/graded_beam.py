# %% [markdown]
# # A graded beam: cells solved once, looked up everywhere
#
# A cantilever of glass sheets in epoxy is bent at its tip. Share f and direction θ of the sheets
# vary over the body: find u with
#
# $$\int \bar C(f(x), \theta(x))\, \varepsilon(u) : \varepsilon(v) \,\mathrm{d}x = 0 \quad
# \text{for all } v,$$
#
# where $\bar C$ is the effective stiffness of a cell of two layers. The hierarchical run
# interpolates it in a table of seven shares; turning it is exact and needs no axis. Direct FE²
# makes and solves a cell for the f of each point. Same mesh, one word apart in the TOML.
#
# `python3 demos/graded_beam.py`; geometry and constants are in graded_beam.toml beside this file.

# %%
import sys

import petsc4py

petsc4py.init(sys.argv)

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from mpi4py import MPI

from fesurrogate.build.precompute import ensure_table
from fesurrogate.config import read_config
from fesurrogate.fem.points import point_coordinates
from fesurrogate.hierarchical import read_tabulation
from fesurrogate.laws.rotation import component_rotation, rotation_matrix
from fesurrogate.run import run

STRENGTH = 60.0  # MPa, of an epoxy in tension: Budinski and Budinski, Engineering Materials (1999)
comm = MPI.COMM_SELF
settings = read_config(Path(__file__).resolve().parent / "graded_beam.toml")
folder = settings.folder

# %% [markdown]
# ## Once: the table
# The largest stress of the phases under each unit strain is tabulated beside the stiffness.

# %%
made = ensure_table(settings, comm)
table = read_tabulation(made.path)
print(
    f"table of {table.ok.size} shares and {len(table.held_out.ok)} held out, {made.failed} failed"
)
for name, (mean, largest) in made.errors.items():
    print(f"  interpolation of {name}: error {mean:.2%} in the mean, up to {largest:.2%}")

# %% [markdown]
# ## The beam, both ways


# %%
def solved(kind: str):
    """Return the run of a kind, and its seconds."""
    chosen = replace(settings, material=replace(settings.material, kind=kind))
    begin = time.perf_counter()
    done = run(chosen, comm, folder / kind)
    assert done.results.converged, done.results.message
    return done, time.perf_counter() - begin


solved("table")  # compiles what both ways share
hierarchical, fast = solved("table")
direct, slow = solved("rve")
forces = [done.results.reaction["left"][1] for done in (hierarchical, direct)]
error = abs(forces[0] / forces[1] - 1)
runs = int(np.ceil(made.seconds / (slow - fast))) if slow > fast else 0
print(
    f"reaction: table {forces[0]:.4f}, direct FE² {forces[1]:.4f} N/mm; they differ by {error:.3%}"
)
print(
    f"RVE solves at run time: table {hierarchical.results.rve_solves}, direct "
    f"{direct.results.rve_solves}\n"
    f"seconds: table once {made.seconds:.2f}, run {fast:.2f}; direct FE² {slow:.2f}\n"
    + (f"the table pays from run {runs} on" if runs else "the table does not pay here")
)

# %% [markdown]
# ## Strength
# As von Mises' stress is a seminorm, that of the epoxy is nowhere more than
# $\sum_j |\varepsilon_j| K_j$, with the strain on the axes of the cell and K its stress under unit
# strains. Over the strength it is a failure index on the safe side.

# %%
field = hierarchical.model.fields["material"]
points, strain = point_coordinates(field), field.current_strain()
angle, share = field.current_parameters().T
concentration, known = table.look_up("stress_concentration", share[:, None])
assert known.all()
turned = component_rotation(field.material.kinematics, rotation_matrix(angle[:, None])[0])
on_axes = np.einsum("nij,nj->ni", turned, strain)
epoxy = 0  # rows are the phases in alphabetical order
index = np.einsum("nj,nj->n", concentration[:, epoxy], np.abs(on_axes)) / STRENGTH
worst = int(index.argmax())
print(
    f"failure index of the epoxy up to {index[worst]:.2f}, at ({points[worst, 0]:.1f}, "
    f"{points[worst, 1]:.1f}) mm"
)

# %%
figure = Figure(figsize=(8, 4.2), layout="constrained")
panels = figure.subplots(2, 1, sharex=True)
for axes, values, label in (
    (panels[0], share, "share of glass"),
    (panels[1], index, "failure index of the epoxy"),
):
    drawn = axes.tricontourf(points[:, 0], points[:, 1], values, levels=24)
    figure.colorbar(
        drawn, ax=axes, label=label, ticks=np.linspace(values.min(), values.max(), 4).round(2)
    )
    axes.set_aspect("equal")
    axes.set_ylabel("y [mm]")
columns, rows = (np.unique(points[:, k].round(6), return_inverse=True)[1] for k in (0, 1))
some = (columns % 4 == 1) & (rows % 3 == 1)
along = angle[some] - np.pi / 2
panels[0].quiver(
    *points[some].T, np.cos(along), np.sin(along),
    pivot="mid", headaxislength=0, headlength=0, headwidth=1, scale=40, width=0.002, color="white",
)  # fmt: skip
panels[1].set_xlabel("x [mm]")
panels[0].set_title("Sheets of glass in epoxy: share, and direction")
panels[1].set_title("The tip is moved down by 1 mm")
figure.savefig(folder / "graded_beam.png", dpi=150)
print(f"picture in {folder}")

# %% [markdown]
# ## Checks
# The reaction is that of direct FE² to 0.5 %, without a cell solved at run time.

# %%
assert error < 0.005
assert hierarchical.results.rve_solves == 0 < direct.results.rve_solves
assert made.errors["stiffness"][1] < 0.005
assert 0 < index.min() and np.isfinite(index).all()
