# %% [markdown]
# # A network that knows where to ask
#
# Cook's membrane of a fibre-reinforced elastomer in plane strain, its right edge pulled up by
# 18 mm. The network that answers for the microscale has seen stretches U = I ± 0.08; parts of the
# body see four times that. It stands behind a guard:
#
# - a point is trusted while the error that is expected of it is below a limit: expected from how
#   far the members of the ensemble disagree, how far the strain is from the samples and from rest,
#   and how large the stress is. That was learned on cells that training never saw, inside its
#   envelope and outside, such that at most 5 % of the trusted points err by more than `tolerance`;
# - a point that is not trusted is answered by its own cell (RVE), in the same Newton iteration;
# - at the end 64 of the trusted points are solved after all: the *audit*, an interval for what the
#   whole body's error is;
# - then Newton for direct FE² starts where the network ended: the *certified* answer.
#
# `mpirun -n 2 python3 -m mpi4py demos/guarded.py [--fresh]`; numbers are in guarded.toml.

# %%
import sys

import petsc4py

fresh = "--fresh" in sys.argv
petsc4py.init([argument for argument in sys.argv if argument != "--fresh"])

from dataclasses import replace  # noqa: E402
from pathlib import Path  # noqa: E402

import numpy as np  # noqa: E402
from matplotlib.colors import Normalize  # noqa: E402
from mpi4py import MPI  # noqa: E402

from fesurrogate.build import ensure_dataset, ensure_model  # noqa: E402
from fesurrogate.build.calibration import calibration_of  # noqa: E402
from fesurrogate.config import read_config  # noqa: E402
from fesurrogate.fem.figures import label_axes, new_figure, save_figure  # noqa: E402
from fesurrogate.fem.output import run_on_root  # noqa: E402
from fesurrogate.fem.plane import aspect_of, draw_plane, gather_plane  # noqa: E402
from fesurrogate.fem.points import cell_means, point_weights  # noqa: E402
from fesurrogate.run import reported, run  # noqa: E402

comm = MPI.COMM_WORLD
settings = read_config(Path(__file__).resolve().parent / "guarded.toml")
guard = settings.material.guard
folder = settings.folder


def say(text: str = "") -> None:
    if comm.rank == 0:
        print(text, flush=True)


# %% [markdown]
# ## Data, twice, and the model
# The second dataset trains nothing: it tells how wrong the network is where so much speaks
# against it.

# %%
ensure_dataset(settings, comm, fresh=fresh, progress=True)
ensure_dataset(calibration_of(settings), comm, fresh=fresh, progress=True)
model = ensure_model(settings, comm=comm, fresh=fresh, progress=True)
say(f"network: {model.summary}")

# %% [markdown]
# ## Three runs
# One table, `[material.guard]`, apart.

# %%
kinds = {
    "guarded": settings.material,
    "network alone": replace(settings.material, guard=None),
    "direct FE²": replace(settings.material, kind="rve"),
}
runs = {}
for name, material in kinds.items():
    chosen = replace(settings, material=material)
    runs[name] = run(chosen, comm, folder / name.split()[0], progress=True)
    if not runs[name].results.converged:
        say(f"error: {runs[name].results.message}")
        sys.exit(3)
results = {name: made.results for name, made in runs.items()}
guarded, alone, direct = results.values()
certified, audit = guarded.certified, guarded.audit

# %% [markdown]
# ## What the guard did, what the audit expects, what is certain
# The audit knows some 60 points, the certified answer all: that should lie in the interval of the
# audit, in 95 of 100 runs, up to what is of second order in the network's error.


# %%
def force(reaction) -> float:
    return reaction["right"][1]


truth = force(direct.reaction)
answers = {  # force, RVE solves
    "network alone": (force(alone.reaction), 0),
    "guarded": (force(guarded.history[-1].reaction), guarded.rve_solves),
    "certified": (force(certified.reaction), certified.rve_solves),
    "direct FE²": (truth, direct.rve_solves),
}
say(f"\npoints answered by the RVE, of {guarded.points}:")
for entry in guarded.history:
    why = ", ".join(f"{name} {count}" for name, count in entry.fallback.items() if count)
    say(f"  time {entry.time:.2f}: {sum(entry.fallback.values())} {why and f'({why})'}")
error = audit.stress_error
say(
    f"\naudit of {audit.points} points: stress error {error.value:.3%}, with 95 % confidence "
    f"{error.low:.3%} to {error.high:.3%}; worst {audit.worst:.2%}"
)
expected = audit.outputs["reaction right y"]
say(
    f"force: expected to change by {expected.value:+.4f} N/mm ({expected.low:+.4f} to "
    f"{expected.high:+.4f}); certified it changes by {certified.changes['reaction right y']:+.4f}"
)
say(f"\n{'':14} {'force [N/mm]':>14} {'error':>10} {'RVE solves':>11}")
for name, (value, solves) in answers.items():
    say(f"{name:14} {value:14.6f} {abs(value / truth - 1.0):10.1e} {solves:11d}")
say("RVE solves of the certified answer are those after the guarded run")

# %% [markdown]
# ## Pictures
# Where the guard asked the RVE, and where the network, asked everywhere, would have been wrong.


# %%
def network_error() -> np.ndarray:
    """Return the network's stress error in the body of direct FE², over the rms stress."""
    exact = runs["direct FE²"].model.fields["material"]
    surrogate = runs["network alone"].model.fields["material"].material
    stress = exact.response.stress
    wrong = surrogate.evaluate(exact.current_strain(), tangent=False).stress - stress
    weights = point_weights(exact)
    square = comm.allreduce(weights @ (stress**2).sum(axis=1)) / comm.allreduce(weights.sum())
    relative = np.linalg.norm(wrong, axis=1) / np.sqrt(square)
    return cell_means(exact.mesh, [(exact, weights, relative)])


away, body = runs["guarded"].model, runs["direct FE²"].model
maps = {
    "share of points answered by the RVE": gather_plane(
        away.mesh.mesh, reported(away)["fallback"], displacement=away.u
    ),
    "stress error of the network alone [%]": gather_plane(
        body.mesh.mesh, 100.0 * network_error(), displacement=body.u
    ),
}


def draw() -> None:
    fields = list(maps.values())
    figure = new_figure(1.5 + 2 * 4.2 * aspect_of(fields), 5.2)
    for axes, (title, cells) in zip(figure.subplots(1, 2, sharey=True), maps.items(), strict=True):
        drawn = draw_plane(axes, cells, Normalize(0.0, cells.values.max()))
        label_axes(axes, "", "mm")
        figure.colorbar(drawn, ax=axes, label=title, location="bottom", shrink=0.85)
    save_figure(figure, folder / "guarded.png")


run_on_root(comm, draw)
say(f"picture, results.json and fields for ParaView: {folder}")

# %% [markdown]
# ## What must hold
# The certified answer is the direct one, for less than a quarter of its solves; the guarded one is
# within the tolerance, and better than the network alone, whose envelope the load has left.

# %%
assert 0 < sum(guarded.history[-1].fallback.values()) < guarded.points
assert direct.largest_stretch > 1.0 + 2.0 * settings.generate.stretch
assert abs(force(certified.reaction) / truth - 1.0) < 1e-8
assert np.abs(np.subtract(certified.probes["tip"], direct.probes["tip"])).max() < 1e-8 * 18.0
assert 4 * certified.rve_solves < direct.rve_solves
errors = [abs(answers[name][0] / truth - 1.0) for name in ("guarded", "network alone")]
assert errors[0] < guard.tolerance and errors[0] < errors[1], errors
