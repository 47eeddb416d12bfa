"""Looking up a stiffness: points a second on one core, plane and solid, by number of axes."""

from __future__ import annotations

import time

import numpy as np

from benchmarks.measure import medians, report
from fesurrogate.hierarchical import Axis, Table, Tabulation
from fesurrogate.kinematics import Array, Kinematics

POINTS = 100_000
LEAST = 1e6  # look-ups a second


def table_of(kinematics: Kinematics, axes: int) -> Table:
    """Return a table of definite stiffnesses with 9 values an axis."""
    size, counts = kinematics.size, (9,) * axes
    root = np.random.default_rng(0).standard_normal((*counts, size, size))
    names = [Axis(f"phase.{k}", np.linspace(0.0, 1.0, 9)) for k in range(axes)]
    stiffness = {"stiffness": root @ root.swapaxes(-1, -2)}
    return Table(Tabulation(kinematics, tuple(names), stiffness, np.ones(counts, dtype=bool)))


def main() -> None:
    """Print the figures."""
    for gdim, axes in ((2, 1), (2, 2), (2, 3), (3, 2)):
        kinematics = Kinematics(gdim)
        table = table_of(kinematics, axes)
        rng = np.random.default_rng(1)
        points = rng.uniform(0, 1, (POINTS, axes))
        strain = rng.uniform(-1e-3, 1e-3, (POINTS, kinematics.size))

        def look_up(table: Table = table, points: Array = points) -> object:
            return table.tabulation.look_up("stiffness", points)

        def evaluate(
            table: Table = table, points: Array = points, strain: Array = strain
        ) -> object:
            return table.evaluate(strain, parameters=points)

        seconds = medians({"look_up": look_up, "evaluate": evaluate}, clock=time.process_time)
        detail = f"{gdim}D, {axes} axes of 9 values, {POINTS} points at once, processor time"
        for name, bar in (("look_up", LEAST), ("evaluate", None)):
            rate = POINTS / seconds[name]
            title = f"table.{name}_{gdim}d_{axes}_axes"
            report(title, rate, "points/s", bar=bar, least=True, detail=detail)


if __name__ == "__main__":
    main()
