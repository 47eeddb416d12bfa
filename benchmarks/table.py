"""Looking up a stiffness: points a second on one core, plane and solid, by number of axes.

Every representation, without and with the derivatives along the axes. Of compressed tables none is
expanded: what is printed is the cost of what is stored. Without Numba NumPy answers, mostly at a
half to a fifth of the speed. Radial functions cost a distance to each of their points. The weights
of the decoder are drawn, not fitted: the cost is the same.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from benchmarks.measure import medians, report
from fesurrogate.hierarchical import Axis, Table
from fesurrogate.hierarchical.axes import grid
from fesurrogate.hierarchical.compiled import kernels_for
from fesurrogate.hierarchical.representations import Decoded, Gridded, Modes, Radial, decomposed
from fesurrogate.hierarchical.series import Candidate, Candidates
from fesurrogate.hierarchical.series.reduced import HIDDEN, MOST_MODES
from fesurrogate.hierarchical.tabulation import Kept, Tabulation, written
from fesurrogate.kinematics import Kinematics

POINTS = 100_000
LEAST = 1e6  # look-ups a second
TOLERANCE = 0.005
CASES = ((2, 1), (2, 2), (2, 3), (3, 1), (3, 2), (3, 3))
SCATTERED = 60
"""Points of the radial functions."""
COMPRESSED = ("tensor_train", "spline_train", "pod", "polynomial")


def table_of(kinematics: Kinematics, axes: int) -> Tabulation:
    """Return a table of definite stiffnesses that vary smoothly, with 9 values an axis."""
    size, counts = kinematics.size, (9,) * axes
    root = np.random.default_rng(0).standard_normal((3, size, size))
    parts = root @ root.swapaxes(1, 2) + 0.1 * np.eye(size)
    own = tuple(Axis(f"phase.{k}", np.linspace(0.0, 1.0, 9)) for k in range(axes))
    x = grid(own)
    weights = np.stack([1 + x.sum(axis=1), np.exp(x.prod(axis=1)), 1 / (1 + x[:, 0])])
    stiffness = np.einsum("kn,kij->nij", weights, parts).reshape(*counts, size, size)
    return Tabulation(kinematics, own, {"stiffness": stiffness}, np.ones(counts, dtype=bool))


def smallest(candidates: Candidates, name: str) -> Candidate:
    """Return the smallest of a representation within the tolerance."""
    within = [one for one in candidates.series[name]() if one.entries <= TOLERANCE]
    return min(within, key=lambda one: one.numbers)


def decoder(table: Tabulation) -> Kept:
    """Return a decoder of two latents, of the size of those that are fitted."""
    numbers, form = written(
        "stiffness", table.computed("stiffness")[1], table.kinematics, mean=False
    )
    array = numbers.reshape(*table.shape, -1)
    _, modes = decomposed(table.axes, array, MOST_MODES, outer=range(len(table.axes)))
    random, size = np.random.default_rng(2), len(modes)
    shapes = {
        "offset": (size,), "linear": (size, 2), "second": (size, HIDDEN), "first": (HIDDEN, 2),
        "bias": (HIDDEN,),
    }  # fmt: skip
    weights = {name: 0.1 * random.standard_normal(shape) for name, shape in shapes.items()}
    latents = Gridded.through(table.axes, random.standard_normal((*table.shape, 2)), 3)
    found = Modes(Decoded(latents, weights), modes, (range(len(table.axes)), ()))
    return Kept(found, form, table.trailing("stiffness"))


def radial(table: Tabulation) -> Kept:
    """Return radial functions through some points of the table."""
    points = np.random.default_rng(3).uniform(0, 1, (SCATTERED, len(table.axes)))
    stiffness, _ = table.look_up("stiffness", points)
    numbers, form = written("stiffness", stiffness, table.kinematics, mean=False)
    return Kept(Radial.through(table.axes, points, numbers), form, stiffness.shape[1:])


def ways(table: Tabulation) -> dict[str, tuple[Kept, str]]:
    """Return the stiffness in every representation, and what there is to say of each."""
    found = {
        "multilinear": (table.way("stiffness"), "every entry"),
        "spline": (table.splined("stiffness"), "every entry"),
        "autoencoder": (decoder(table), "two latents"),
        "radial_basis": (radial(table), f"{SCATTERED} points"),
    }
    candidates = Candidates(table, "stiffness")
    for name in COMPRESSED:
        one = smallest(candidates, name)
        found[name] = one.kept, f"{one.numbers} numbers ({one.detail}) within {TOLERANCE:.1%}"
    return found


def main() -> None:
    """Print the figures."""
    by = "NumPy" if kernels_for(POINTS) is None else "compiled loops"
    for gdim, axes in CASES:
        kinematics = Kinematics(gdim)
        tabulation = table_of(kinematics, axes)
        table, kept = Table(tabulation), ways(tabulation)
        rng = np.random.default_rng(1)
        points = rng.uniform(0, 1, (POINTS, axes))
        strain = rng.uniform(-1e-3, 1e-3, (POINTS, kinematics.size))
        actions: dict[str, Callable[[], object]] = {
            "look_up": lambda t=tabulation, x=points: t.look_up("stiffness", x),
            "evaluate": lambda t=table, x=points, e=strain: t.evaluate(e, parameters=x),
        }
        for name, (way, _) in kept.items():
            actions[name] = lambda kept=way, x=points: kept.evaluate(x)
            actions[f"{name}_slopes"] = lambda kept=way, x=points: kept.evaluate(x, slopes=True)
        seconds = medians(actions, clock=time.process_time)
        whole = f"{gdim}D, {axes} axes of 9 values, {POINTS} points at once, {by}, processor time"
        for name, each in seconds.items():
            bar = None if name == "evaluate" else LEAST
            said = kept.get(name.removesuffix("_slopes"), (None, "as scripts do"))[1]
            title, detail = f"table.{name}_{gdim}d_{axes}_axes", f"{said}; {whole}"
            report(title, POINTS / each, "points/s", bar=bar, least=True, detail=detail)


if __name__ == "__main__":
    main()
