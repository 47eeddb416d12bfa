# %% [markdown]
# # Cook's membrane: a network in place of the microscale
#
# A tapered panel of fibre-reinforced elastomer, clamped at its left edge and sheared at its right,
# in plane strain and at finite strain. Find u with u = 0 at the left and
#
# $$\int \bar P(F) : \nabla v \,\mathrm{d}x = \int_{\Gamma_\text{right}} t \cdot v \,\mathrm{d}s,
# \qquad F = I + \nabla u,$$
#
# where $\bar P(F)$ is the mean stress of a periodic cell with six fibres that is itself in
# equilibrium. Direct FE² solves that cell at every point of every iteration. Here a network learns
# it first, from a few hundred solved cells; then both solve the membrane, and are compared.
#
# `mpirun -n 2 python3 -m mpi4py demos/cook_membrane.py [--fresh]`. Geometry, constants and their
# sources are in cook_membrane.toml beside this file; options of PETSc may follow.

# %%
import sys

import petsc4py

fresh = "--fresh" in sys.argv
petsc4py.init([argument for argument in sys.argv if argument != "--fresh"])

from dataclasses import replace  # noqa: E402
from pathlib import Path  # noqa: E402

import numpy as np  # noqa: E402
from mpi4py import MPI  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.markup import escape  # noqa: E402
from rich.table import Table  # noqa: E402

from fesurrogate.build import ensure_dataset, ensure_model  # noqa: E402
from fesurrogate.config import read_config  # noqa: E402
from fesurrogate.fem.cell_pictures import plot_phases  # noqa: E402
from fesurrogate.fem.curves import plot_load_displacement  # noqa: E402
from fesurrogate.fem.output import write_json  # noqa: E402
from fesurrogate.fem.pictures import Panel, plot_comparison  # noqa: E402
from fesurrogate.micro import read_cell  # noqa: E402
from fesurrogate.run import run, stress_magnitude  # noqa: E402

comm = MPI.COMM_WORLD
here = Path(__file__).resolve().parent
settings = read_config(here / "cook_membrane.toml")
folder = settings.folder


def say(text: str = "") -> None:
    if comm.rank == 0:
        print(text, flush=True)


# %% [markdown]
# ## 1 and 2: generate and train
# Strains are drawn from the envelope U = I ± 0.2 of stretches: a rotation needs no sample, since
# the network is objective by construction. Both are reused if nothing they depend on has changed.

# %%
say("1. Dataset: solved cells over the envelope of stretches")
made = ensure_dataset(settings, comm, fresh=fresh, progress=True)
say(f"   {'reused' if made.reused else 'wrote'} {len(made.dataset)} samples")
say("2. Energy network")
model = ensure_model(settings, made.dataset, comm=comm, fresh=fresh, progress=True)
say(f"   {'reused' if model.reused else 'wrote'} the model; {model.summary}")

# %% [markdown]
# ## 3 and 4: solve
# One constructor argument apart. The linearised law, the cell's stiffness at rest, sets the scale:
# an error of the network means something only beside the error of not modelling the microscale.

# %%
TITLES = {
    "network": "network",
    "rve": "direct FE²",
    "linearised_rve": "linearised law",
}
runs = {}
for number, (kind, title) in enumerate(TITLES.items(), start=3):
    say(f"{number}. Membrane with the {title}")
    chosen = replace(settings, material=replace(settings.material, kind=kind))
    runs[kind] = run(chosen, comm, folder / kind, progress=True)
    if not runs[kind].results.converged:
        say(f"error: {runs[kind].results.message}")
        sys.exit(3)

# %% [markdown]
# ## 5: compare
# Errors are relative to direct FE². Seconds are wall time on these ranks. Training paid for itself
# after as many point evaluations as cost, in RVE solves, what generating and training did.

# %%
results = {kind: done.results for kind, done in runs.items()}
direct = results["rve"]


def error(values, reference) -> float:
    return float(np.linalg.norm(np.subtract(values, reference)) / np.linalg.norm(reference))


def seconds_per_point(of) -> float:
    return of.seconds["material"] / of.evaluations


facts = made.dataset.meta
generating = facts["seconds_per_point"] * len(made.dataset) / comm.size
training = model.card["seconds"]
saved = seconds_per_point(direct) - seconds_per_point(results["network"])
curves = {
    kind: np.array([entry.probes["tip"] for entry in of.history]) for kind, of in results.items()
}
report = {
    "tip_error": error(results["network"].probes["tip"], direct.probes["tip"]),
    "tip_error_largest": max(
        error(a, b) for a, b in zip(curves["network"], curves["rve"], strict=True)
    ),
    "reaction_error": error(results["network"].reaction["left"], direct.reaction["left"]),
    "tip_error_linearised": error(results["linearised_rve"].probes["tip"], direct.probes["tip"]),
    "speedup_evaluation": seconds_per_point(direct) / seconds_per_point(results["network"]),
    "speedup_run": direct.seconds["total"] / results["network"].seconds["total"],
    "seconds_generate": generating,
    "seconds_train": training,
    "break_even_points": int(np.ceil((generating + training) / saved)),
    "samples": len(made.dataset),
    "network_errors": model.card["errors"],
    "largest_stretch": direct.largest_stretch,
    "macro_points": direct.points,
    "runs": {kind: of.as_json() for kind, of in results.items()},
}
write_json(folder / "results.json", report, comm)

table = Table(title=f"Cook's membrane, {direct.points} points, {direct.increments} increments")
for heading in ("", *(TITLES[kind] for kind in results)):
    table.add_column(heading, justify="right" if heading else "left")
rows = {
    "tip displacement [mm]": lambda of: ", ".join(f"{x:.4f}" for x in of.probes["tip"]),
    "reaction [N/mm]": lambda of: ", ".join(
        f"{x:.3f}" for x in np.round(of.reaction["left"], 3) + 0.0
    ),
    "error of the tip": lambda of: f"{error(of.probes['tip'], direct.probes['tip']):.3%}",
    "Newton iterations": lambda of: str(of.newton_iterations),
    "RVE solves": lambda of: str(of.rve_solves),
    "seconds in the material": lambda of: f"{of.seconds['material']:.2f}",
    "seconds in all": lambda of: f"{of.seconds['total']:.2f}",
}
for heading, value in rows.items():
    table.add_row(escape(heading), *(value(of) for of in results.values()))
if comm.rank == 0:
    Console(width=100).print(table)
say(
    f"constitutive evaluation {report['speedup_evaluation']:.0f} times faster, "
    f"whole run {report['speedup_run']:.1f} times\n"
    f"generating took {generating:.1f} s and training {training:.1f} s: they paid for themselves "
    f"after {report['break_even_points']} evaluations (direct FE² made {direct.evaluations})\n"
    f"largest principal stretch {direct.largest_stretch:.3f}"
)

# %% [markdown]
# ## Pictures
# `fields.xdmf` in the folder of each run opens in ParaView.

# %%
models = {kind: runs[kind].model for kind in ("rve", "network")}
panels = [
    Panel(TITLES[kind], model.mesh.mesh, model.u, stress_magnitude(model))
    for kind, model in models.items()
]
plot_comparison(
    folder / "membrane.png",
    panels,
    label="norm of P [MPa]",
    difference="network − direct FE²",
)
if comm.rank == 0:
    cell = read_cell(settings.material.rve.mesh)
    fractions = cell.volume_fractions()
    plot_phases(folder / "cell.png", cell.mesh, cell.phase_cells, fractions=fractions)
load = [0.0, *(-entry.reaction["left"][1] for entry in direct.history)]
plot_load_displacement(
    folder / "load_displacement.png",
    {
        TITLES[kind]: ([0.0, *curves[kind][:, 1]], load)
        for kind in ("rve", "network", "linearised_rve")
    },
    comm,
    xlabel="vertical displacement of the tip [mm]",
    ylabel="shear force [N/mm]",
    title="Cook's membrane",
)
say(f"pictures, results.json and a folder a run for ParaView: {folder}")

# %% [markdown]
# ## What must hold
# The network must answer as direct FE² does, where a linear law does not. The reaction balances the
# applied shear, 16 mm times the traction, whatever the Material.

# %%
applied = np.array(settings.traction[0].value) * 16.0
assert np.allclose(np.add(direct.reaction["left"], applied), 0.0, atol=1e-6 * np.abs(applied).max())
assert report["tip_error"] < 0.005, report["tip_error"]
assert report["tip_error_linearised"] > 0.05, report["tip_error_linearised"]
assert direct.largest_stretch >= 1.15, direct.largest_stretch
assert direct.points >= 400 and direct.increments >= 5
