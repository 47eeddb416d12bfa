# %% [markdown]
# # A solver that learns while it runs
#
# Cook's membrane of a fibre-reinforced elastomer in plane strain, its right edge moved up by 18 mm
# in eight increments. There is no dataset and no model. In the first increment every point is
# answered by its own cell (RVE); what these say becomes a dataset, a polynomial energy is fitted to
# it, and from then on a point is answered by the cell only where four such polynomials disagree:
# where the load leads to strains that nobody has seen.
#
# When the run ends, dataset and model stay. A second run pulls the edge to the side and begins with
# the dataset of the first.
#
# Both are compared with direct FE²: the same increments, every point by its cell, always.
#
# `mpirun -n 2 python3 -m mpi4py demos/learn_on_the_fly.py`; numbers are in learn_on_the_fly.toml.

# %%
import sys

import petsc4py

petsc4py.init(sys.argv)

from dataclasses import replace  # noqa: E402
from pathlib import Path  # noqa: E402

import numpy as np  # noqa: E402
from mpi4py import MPI  # noqa: E402

from fesurrogate.config import read_config  # noqa: E402
from fesurrogate.data.envelope import component_names, components_of  # noqa: E402
from fesurrogate.data.store import read_dataset  # noqa: E402
from fesurrogate.fem.figures import new_figure, save_figure  # noqa: E402
from fesurrogate.fem.output import run_on_root  # noqa: E402
from fesurrogate.run import run  # noqa: E402

comm = MPI.COMM_WORLD
settings = read_config(Path(__file__).resolve().parent / "learn_on_the_fly.toml")
folder = settings.folder
LEARNED = folder / "first" / "learned"


def say(text: str = "") -> None:
    if comm.rank == 0:
        print(text, flush=True)


# %% [markdown]
# ## Four runs
# They differ by `kind`, by what the edge does, and by the data to begin with.


# %%
def solve(name, value, *, kind="network", start=None):
    material = replace(
        settings.material,
        kind=kind,
        learning=replace(settings.material.learning, start=start),
    )
    moved = replace(settings.dirichlet[1], value=value)
    chosen = replace(settings, material=material, dirichlet=(settings.dirichlet[0], moved))
    found = run(chosen, comm, folder / name, progress=True)
    if not found.results.converged:
        say(f"error: {found.results.message}")
        sys.exit(3)
    return found


UP, ASIDE = (0.0, 18.0), (9.0, 15.6)  # mm, both 18 long
runs = {
    "first": solve("first", UP),
    "first, direct": solve("first_direct", UP, kind="rve"),
    "second": solve("second", ASIDE, start=LEARNED),
    "second, direct": solve("second_direct", ASIDE, kind="rve"),
}

# %% [markdown]
# ## What was asked, and what was learned
# RVE solves are all there are: those of Newton's iterations, and of the points that are asked about
# when an increment has been accepted.

# %%
results = {name: made.results for name, made in runs.items()}
points = results["first"].points


def rates(found):
    """Return the share of points that the cell answered, increment by increment."""
    return [sum(entry.fallback.values()) / points for entry in found.history]


say(f"\npoints answered by their cells, of {points}, and what they taught:")
for name in ("first", "second"):
    say(f"  {name} run")
    for entry, rate in zip(results[name].history, rates(results[name]), strict=True):
        lesson = entry.learning[0]
        refined = "" if lesson.outcome == "waiting" else f"; a model is {lesson.outcome}"
        say(
            f"    {entry.time:5.3f}: {rate:6.1%}; {lesson.samples} samples{refined}, "
            f"{lesson.seconds:.1f} s"
        )
say(f"\n{'':16} {'force [N/mm]':>20} {'error':>9} {'RVE solves':>11} {'share':>7} {'time':>8}")
errors, shares = {}, {}
for name, found in results.items():
    direct = results[f"{name.split(',')[0]}, direct"]
    force, truth = (np.array(each.reaction["right"]) for each in (found, direct))
    errors[name] = float(np.linalg.norm(force - truth) / np.linalg.norm(truth))
    shares[name] = found.rve_solves / direct.rve_solves
    shown = f"({force[0]:.3f}, {force[1]:.3f})"
    say(
        f"{name:16} {shown:>20} {errors[name]:9.1e} {found.rve_solves:11d} {shares[name]:7.1%} "
        f"{found.seconds['total']:6.1f} s"
    )

# %% [markdown]
# ## Pictures
# The share of points that the cells answered; and the samples in the space of stretches U - I,
# before and after the second run.

# %%
kinematics = settings.kinematics
names = [f"$U_{{{name}}} - I_{{{name}}}$" for name in component_names(kinematics)]
samples = {
    "first run": components_of(kinematics, read_dataset(LEARNED / "dataset").strain[:, 0]),
    "second run": components_of(
        kinematics, read_dataset(folder / "second" / "learned" / "dataset").strain[:, 0]
    ),
}
known = len(samples["first run"])


def draw() -> None:
    figure = new_figure(13.0, 4.2)
    left, middle, right = figure.subplots(1, 3)
    times = [entry.time for entry in results["first"].history]
    for name, marker in (("first", "o"), ("second", "s")):
        left.plot(times, [100.0 * rate for rate in rates(results[name])], f"-{marker}", label=name)
    left.axhline(5.0, color="0.6", linewidth=0.8, linestyle="--", label="5 %, the bar")
    left.set(
        xlabel="share of the load", ylabel="points answered by their cells [%]", ylim=(-3, 103)
    )
    left.legend(title="run", frameon=False)
    for axes, (i, j) in ((middle, (0, 1)), (right, (0, 2))):
        axes.plot(*samples["first run"].T[[i, j]], "o", markersize=3.5, label="first run")
        axes.plot(*samples["second run"][known:].T[[i, j]], "s", markersize=3.5, label="second run")
        axes.plot(0.0, 0.0, "k+", markersize=9, label="undeformed")
        axes.set(xlabel=names[i], ylabel=names[j])
    middle.legend(title="samples of the", frameon=False)
    save_figure(figure, folder / "learn_on_the_fly.png")


run_on_root(comm, draw)
say(f"\npicture: {folder / 'learn_on_the_fly.png'}")
say(f"dataset and model of the first run: {LEARNED}")

# %% [markdown]
# ## What must hold
# The bars are those of the project's plan: the cells are asked less and less, the answers stay
# those of direct FE², and what was learned once need not be learned again.

# %%
last = {name: rates(results[name])[-1] for name in ("first", "second")}
assert max(last.values()) < 0.05, last
assert max(errors["first"], errors["second"]) < 0.005, errors
assert shares["first"] <= 0.30 and shares["second"] <= 0.10, shares
