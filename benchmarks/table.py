"""Looking up a stiffness: points a second on one core, plane and solid, by number of axes.

Of compressed tables none is expanded: what is printed is the cost of what is stored. A cubic spline
touches 4 entries an axis where multilinear interpolation touches 2, and its stiffness is made of
the Cholesky factor: 2 to 5 times the cost; slopes along k axes cost about as much k times more.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from benchmarks.measure import medians, report
from fesurrogate.hierarchical import Axis, Table, Tabulation
from fesurrogate.hierarchical.axes import grid
from fesurrogate.hierarchical.candidates import Candidate, Candidates
from fesurrogate.kinematics import Array, Kinematics

POINTS = 100_000
LEAST = 1e6  # look-ups a second
TOLERANCE = 0.005
CASES = ((2, 1), (2, 2), (2, 3), (3, 2))


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


def main() -> None:
    """Print the figures."""
    for gdim, axes in CASES:
        kinematics = Kinematics(gdim)
        tabulation = table_of(kinematics, axes)
        table, smooth = Table(tabulation), tabulation.smoothed()
        rng = np.random.default_rng(1)
        points = rng.uniform(0, 1, (POINTS, axes))
        strain = rng.uniform(-1e-3, 1e-3, (POINTS, kinematics.size))
        candidates = Candidates(tabulation, "stiffness")
        chosen = {
            name: smallest(candidates, name)
            for name in ("tensor_train", "spline_train", "pod", "polynomial")
        }

        def evaluate(table: Table = table, points: Array = points, e: Array = strain) -> object:
            return table.evaluate(e, parameters=points)

        actions: dict[str, Callable[[], object]] = {
            "look_up": lambda t=tabulation, x=points: t.look_up("stiffness", x),
            "evaluate": evaluate,
            "spline": lambda t=smooth, x=points: t.look_up("stiffness", x),
        }
        for name, one in chosen.items():
            actions[name] = lambda kept=one.kept, x=points: kept.evaluate(x)
        seconds = medians(actions, clock=time.process_time)
        whole = f"{gdim}D, {axes} axes of 9 values, {POINTS} points at once, processor time"
        for name, each in seconds.items():
            bar = LEAST if name in ("look_up", "tensor_train") else None
            title = f"table.{name}_{gdim}d_{axes}_axes"
            detail = whole
            if name in chosen:
                one = chosen[name]
                detail += f"; {one.numbers} numbers ({one.detail}) within {TOLERANCE:.1%}"
            report(title, POINTS / each, "points/s", bar=bar, least=True, detail=detail)


if __name__ == "__main__":
    main()
