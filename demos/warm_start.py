# %% [markdown]
# # Where Newton's method begins in the cell
#
# At each point of an FE² body a cell is solved for its fluctuation $w$, in equilibrium under the
# macro strain $F$. A guess of $w$ saves iterations, and the answer stays what it is: the tolerance
# refers to the residual without fluctuation, and a guess is taken only where its residual is below
# that of the classical one.
#
# Four guesses, side by side, for the elastomer with fibres of cook_membrane.toml (plane strain):
#
# - *zero*;
# - *previous*: the last fluctuation $w'$ of the point, at $F'$;
# - *sensitivity*: $w' + \frac{\partial w}{\partial F} (F - F')$, as the tangent has it at hand;
# - *learned*: $w' + g(F) - g(F')$, where $g$ is learned from solved cells: the modes of a proper
#   orthogonal decomposition, their coefficients polynomials in $U$. With $F = R U$ an observer who
#   turns sees $w(F) = R\, w(U)$, so only $U$ is an input.

# %%
import time
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from fesurrogate.build import load_material
from fesurrogate.data.sampling import stretches
from fesurrogate.warmstart import Sensitivity, Zero, learn_modes

OUTPUT = Path("output") / "warm_start"
EXTENT = 0.2  # of U - 1
SAMPLES, UNSEEN = 256, 32
REPEATS = 3  # of all guesses in turn; the median time is taken

# %% [markdown]
# ## Learning
# The samples are members of a Sobol sequence; those that judge are its next ones. Each gives its
# fluctuation and, with the tangent, the derivative of it: four numbers more to learn from.

# %%
rve = load_material(Path(__file__).with_name("cook_membrane.toml"), kind="rve")
F = stretches(rve.kinematics, SAMPLES + UNSEEN, EXTENT)[:, 0]  # (SAMPLES + UNSEEN, 4)
begin = time.process_time()
learned = learn_modes(rve, F[:SAMPLES])
learning = time.process_time() - begin
guesses = {
    "zero": rve.beginning_with(Zero()),
    "previous": rve,
    "sensitivity": rve.beginning_with(Sensitivity(rve.kinematics)),
    "learned": rve.beginning_with(learned),
}

# %% [markdown]
# ## Cold, and along a path
# Cold, a point has nothing from before. The path goes from rest through five of the unseen strains,
# in six steps each: their sizes differ.

# %%
unseen = F[SAMPLES:]
corners = np.vstack([rve.kinematics.rest, unseen[:5]])
way = np.vstack([np.linspace(a, b, 7)[1:] for a, b in zip(corners, corners[1:], strict=False)])


def follow(material):
    """Return the iterations at each step of the path, and the last stress."""
    hint, counts = None, []
    for strain in way:
        answer = material.evaluate(strain[None], hint=hint)
        hint = answer.hint
        counts.append(int(answer.report["micro_iterations"][0]))
    return counts, answer.stress


cold = {name: material.evaluate(unseen) for name, material in guesses.items()}
path = {name: follow(material) for name, material in guesses.items()}
seconds = {(kind, name): [] for kind in ("cold", "path") for name in guesses}
for _ in range(REPEATS):
    for name, material in guesses.items():
        begin = time.process_time()
        material.evaluate(unseen)
        middle = time.process_time()
        follow(material)
        seconds["cold", name].append(middle - begin)
        seconds["path", name].append(time.process_time() - middle)
spent = {key: np.median(times) for key, times in seconds.items()}

print(f"{rve.num_unknowns} unknowns, {len(learned.modes)} modes from {SAMPLES} samples")
print("             cold: iterations, time   path: iterations, time (of that of 'previous')")
for name in guesses:
    print(
        f"{name:12s} {np.mean(cold[name].report['micro_iterations']):16.2f},"
        f" {spent['cold', name] / spent['cold', 'previous']:.2f}"
        f" {np.mean(path[name][0]):16.2f},"
        f" {spent['path', name] / spent['path', 'previous']:.2f}"
    )
single = spent["cold", "previous"] / UNSEEN
print(f"learning took as long as {learning / single:.0f} cold solves with tangent")

# %% [markdown]
# ## Picture
# An unseen fluctuation, what the learned guess lacks of it, and the iterations along the path.

# %%
exact = cold["previous"].hint[0]
lacking = learned.fluctuation(unseen[:1], np.zeros((1, 0)))[0] - exact
problem = rve.problem
V = problem.assembly.u.function_space
x, triangles = V.tabulate_dof_coordinates(), V.dofmap.list
figure, axes = plt.subplots(1, 3, figsize=(13, 3.9), layout="constrained")
for axis, q, title in (
    (axes[0], exact, "fluctuation |w| at an unseen strain"),
    (axes[1], lacking, "what the learned guess lacks of it"),
):
    size = np.linalg.norm((problem.prolongation @ q).reshape(-1, 2), axis=1)
    drawn = axis.tripcolor(x[:, 0], x[:, 1], triangles, size, shading="gouraud")
    figure.colorbar(drawn, ax=axis, format="%.1e", label="in lengths of the cell's mesh")
    axis.set(title=title, aspect="equal", xticks=[], yticks=[])
for name, (counts, _) in path.items():
    axes[2].step(np.arange(1, len(way) + 1), counts, where="mid", label=name)
axes[2].set(xlabel="step of the path", ylabel="iterations in the cell", ylim=(0, 14))
axes[2].set_title("from one strain to the next")
axes[2].legend(ncols=2, fontsize="small")
OUTPUT.mkdir(parents=True, exist_ok=True)
figure.savefig(OUTPUT / "warm_start.png", dpi=130)

# %% [markdown]
# ## Check
# The answers do not depend on the guess: 1e-8 is the tolerance of the cell, whose square is
# what stresses keep of it. That cold solves need 1.3 iterations in the mean at most is the
# bar of `python -m benchmarks warmstart`.

# %%
for name in guesses:
    for one, other in (
        (cold["previous"].stress, cold[name].stress),
        (path["previous"][1], path[name][1]),
    ):
        np.testing.assert_allclose(other, one, rtol=0, atol=1e-8 * np.abs(one).max())
assert np.mean(cold["learned"].report["micro_iterations"]) <= 1.3
assert np.mean(path["learned"][0]) < np.mean(path["sensitivity"][0]) < np.mean(path["previous"][0])
