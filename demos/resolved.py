# %% [markdown]
# # FE² beside the whole body resolved
#
# A block of composite is bent at finite strain: stiff squares in a soft matrix, plane strain. Its
# left edge slides in its plane, its right edge is turned, top and bottom are free. Find u with
#
# $$\int P(F) : \nabla v \,\mathrm{d}x = 0 \quad \text{for all } v, \qquad F = I + \nabla u,$$
#
# where P is either the neo-Hookean stress of the phase at each point, with a mesh that follows
# every square, or the mean stress of one periodic cell in equilibrium. FE² is the limit of many
# small cells. What parts it from the resolved block is a layer of about one cell along the edges,
# where the composite is not surrounded by its like: the error of a global quantity is of first
# order in the size of the cells. Here it is that of the bending moment.
#
# `mpirun -n 2 python3 -m mpi4py demos/resolved.py`; options of PETSc may follow.

# %%
import sys

import petsc4py

petsc4py.init(sys.argv)

import time  # noqa: E402
from dataclasses import dataclass  # noqa: E402
from pathlib import Path  # noqa: E402

import numpy as np  # noqa: E402
import ufl  # noqa: E402
from dolfinx import fem, mesh  # noqa: E402
from matplotlib.collections import PolyCollection  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402
from mpi4py import MPI  # noqa: E402

from fesurrogate.fem import MacroProblem, MaterialField, run_increments, strain_of  # noqa: E402
from fesurrogate.fem.output import run_on_root, write_json  # noqa: E402
from fesurrogate.fem.plane import PlaneCells, gather_plane  # noqa: E402
from fesurrogate.laws import NeoHookean  # noqa: E402
from fesurrogate.micro import RVEMaterial, make_cell, neo_hookean  # noqa: E402

comm = MPI.COMM_WORLD
folder = Path("output/resolved")


def say(text: str) -> None:
    if comm.rank == 0:
        print(text, flush=True)


# %% [markdown]
# ## Problem
# Lengths in mm, stresses in MPa. The constants are an example, no measurement: what is shown does
# not depend on them. Shear modulus 1 MPa and ten times that, a quarter of the volume stiff.

# %%
LENGTH, HEIGHT, TURN = 2.0, 1.0, 0.4  # the right edge moves by TURN (HEIGHT / 2 - y) along x
CONSTANTS = {
    "soft": {"shear_modulus": 1.0, "lame": 1.5},
    "stiff": {"shear_modulus": 10.0, "lame": 15.0},
}
ELEMENTS = 4  # along the edge of a cell, quadratic: in FE²'s cell and in the resolved block alike
ROWS = 8  # of elements over the height of FE²'s block
CELLS = (2, 4, 8, 16)  # over the height of the resolved block
SHOWN = 8  # of them in the picture


def phase_of(x: np.ndarray) -> np.ndarray:  # (points, 2), in cells -> (points,)
    return np.where(np.abs(x % 1.0 - 0.5).max(axis=1) < 0.26, "stiff", "soft")


def midpoints(domain: mesh.Mesh) -> np.ndarray:  # (owned cells, 2)
    owned = domain.topology.index_map(2).size_local
    return mesh.compute_midpoints(domain, 2, np.arange(owned, dtype=np.int32))[:, :2]


@dataclass(frozen=True)
class Bent:
    """A solved block: its bending moment, and on rank 0 P_xx by element, deformed and at rest."""

    moment: float
    deformed: PlaneCells | None
    rest: PlaneCells | None
    points: int
    seconds: float


def bend(rows: int, regions: dict, cells: int = 0) -> Bent:
    """Bend a block with some rows of elements; ``cells`` over its height where it is resolved."""
    begin = time.perf_counter()
    domain = mesh.create_rectangle(
        comm, [[0.0, 0.0], [LENGTH, HEIGHT]], [round(LENGTH / HEIGHT * rows), rows],
        mesh.CellType.quadrilateral,
    )  # fmt: skip
    V = fem.functionspace(domain, ("Lagrange", 2, (2,)))
    u = fem.Function(V)
    names = phase_of(midpoints(domain) * cells / HEIGHT) if cells else None
    fields = [
        MaterialField(
            material, strain_of(u, material.kinematics), degree=4,
            cells=None if names is None else np.flatnonzero(names == name),
        )
        for name, material in regions.items()
    ]  # fmt: skip

    def at(x: float) -> np.ndarray:
        return mesh.locate_entities_boundary(domain, 1, lambda p: np.isclose(p[0], x))

    across = V.sub(0).collapse()[0]
    turned, held = fem.Function(across), fem.Function(across)
    sides = [
        fem.dirichletbc(value, fem.locate_dofs_topological((V.sub(0), across), 1, at(x)), V.sub(0))
        for value, x in [(held, 0.0), (turned, LENGTH)]
    ]
    up = V.sub(1).collapse()[0]
    corner = fem.locate_dofs_geometrical(
        (V.sub(1), up), lambda p: np.isclose(p[0], 0.0) & np.isclose(p[1], 0.0)
    )
    sides.append(fem.dirichletbc(fem.Function(up), corner, V.sub(1)))

    def apply_load(load: float) -> None:
        turned.interpolate(lambda p: load * TURN * (HEIGHT / 2 - p[1]))

    problem = MacroProblem(u, fields, bcs=sides)
    run_increments(problem, apply_load, [1.0])
    # virtual work on a unit turn of the right edge, carried into the block in any way
    virtual = fem.Function(V)
    virtual.interpolate(lambda p: np.stack([p[0] / LENGTH * (HEIGHT / 2 - p[1]), 0 * p[0]]))
    dx = ufl.Measure(
        "dx", domain=domain, subdomain_data=[(k, f.cells) for k, f in enumerate(fields)]
    )
    work = sum(field.residual(virtual, unknown=u, dx=dx(k)) for k, field in enumerate(fields))
    moment = comm.allreduce(fem.assemble_scalar(fem.form(work)))
    stress = np.zeros(domain.topology.index_map(2).size_local)
    for field in fields:
        if len(field.cells):
            stress[field.cells] = field.response.stress[:, 0].reshape(len(field.cells), -1).mean(1)
    points = comm.allreduce(sum(field.num_points for field in fields))
    seconds = time.perf_counter() - begin
    deformed = gather_plane(domain, stress, displacement=u)
    return Bent(moment, deformed, gather_plane(domain, stress), points, seconds)


# %% [markdown]
# ## FE²
# One cell for all points, meshed as each cell of the resolved block is: what parts the two is the
# separation of scales alone.

# %%
unit = mesh.create_unit_square(MPI.COMM_SELF, ELEMENTS, ELEMENTS, mesh.CellType.quadrilateral)
names = phase_of(midpoints(unit))
cell = make_cell(unit, {name: np.flatnonzero(names == name).astype(np.int32) for name in CONSTANTS})
energies = {name: neo_hookean(**values) for name, values in CONSTANTS.items()}
laws = {name: NeoHookean(2, **values) for name, values in CONSTANTS.items()}
rve = RVEMaterial(cell, energies, laws["soft"].kinematics)
fe2 = bend(ROWS, {"all": rve})
say(f"FE²: moment {fe2.moment:.5f} N, {fe2.points} points, {fe2.seconds:.1f} s")

# %% [markdown]
# ## Resolved

# %%
resolved, errors = {}, []
for count in CELLS:
    resolved[count] = bend(count * ELEMENTS, laws, count)
    errors.append(resolved[count].moment / fe2.moment - 1)
    say(
        f"{count:2d} cells over the height: moment {resolved[count].moment:.5f} N, error "
        f"{errors[-1]:+.2%}, {resolved[count].points} points, {resolved[count].seconds:.1f} s"
    )
orders = np.log2(np.abs(errors[:-1]) / np.abs(errors[1:]))
say(f"orders of the error between them: {', '.join(f'{order:.2f}' for order in orders)}")


# %% [markdown]
# ## Picture
# The mean of P_xx over each resolved cell is what FE² answers at a point; the rim is the layer in
# which the two differ.


# %%
def cell_means(bent: Bent, count: int) -> np.ndarray:  # (elements,)
    """Return the mean stress of the cell each element lies in; all elements are alike."""
    place = np.floor(bent.rest.polygons.mean(axis=1) * count / HEIGHT).astype(int)
    number = place[:, 0] * count + place[:, 1]
    return (np.bincount(number, bent.rest.values) / np.bincount(number))[number]


def draw() -> None:
    block = resolved[SHOWN]
    means = cell_means(block, SHOWN)
    figure = Figure(figsize=(11.0, 7.4), layout="constrained")
    axes = figure.subplots(2, 2)
    bound = np.abs(block.rest.values).max()
    mild = max(np.abs(fe2.rest.values).max(), np.abs(means).max())
    panels = [
        (axes[0, 0], f"resolved, {SHOWN} cells over the height", block, block.rest.values, bound),
        (axes[0, 1], "resolved, mean of each cell", block, means, mild),
        (axes[1, 0], f"FE², {fe2.points} points", fe2, fe2.rest.values, mild),
    ]
    for axis, title, bent, values, limit in panels:
        drawn = PolyCollection(bent.deformed.polygons, array=values, cmap="RdBu_r", lw=0.1)
        drawn.set(clim=(-limit, limit), edgecolor="face")
        axis.add_collection(drawn)
        axis.autoscale_view()
        axis.set(title=title, aspect="equal", xlabel="x [mm]", ylabel="y [mm]")
        figure.colorbar(drawn, ax=axis, label="$P_{xx}$ [MPa]", location="bottom", shrink=0.8)
    axis, size = axes[1, 1], HEIGHT / np.array(CELLS)
    axis.loglog(size, np.abs(errors), "o-", color="#2f5d8a", label="resolved beside FE²")
    axis.loglog(size, np.abs(errors[-1]) * size / size[-1], "k--", lw=1, label="first order")
    axis.set(title="error of the bending moment", xlabel="size of a cell [mm]")
    axis.set(ylabel="relative to FE²", xticks=size, xticklabels=[f"1/{n}" for n in CELLS])
    axis.set(yticks=(ticks := [0.005, 0.01, 0.02, 0.04, 0.08]), ylim=(0.004, 0.1))
    axis.set_yticklabels([f"{tick:.1%}" for tick in ticks])
    axis.minorticks_off()
    axis.grid(visible=True, alpha=0.3)
    axis.legend()
    figure.savefig(folder / "resolved.png", dpi=150)


report = {"cells": CELLS, "errors": errors, "orders": orders, "moment_fe2": fe2.moment}
write_json(folder / "results.json", report, comm)
run_on_root(comm, draw)
say(f"picture and results.json: {folder}")

# %% [markdown]
# ## What must hold
# The soft rim makes the resolved block softer, by less with every halving of the cells; the edge
# layer is one cell wide, and the error of order 1.

# %%
assert (np.array(errors) < 0).all() and abs(errors[-1]) < 0.2 / CELLS[-1], errors
assert ((orders > 0.8) & (orders < 1.5)).all(), orders
