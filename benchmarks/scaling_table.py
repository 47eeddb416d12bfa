"""The table of docs/scaling.md by its formula: ``python -m benchmarks.scaling_table``.

The constants are those of the page; change them there and here together.
"""

from __future__ import annotations

import math

POINTS, UNKNOWNS, ITERATIONS = 36_864, 33_282, 3
CELL, NETWORK = 9.9e-3, 0.92e-6  # seconds a point
STRAIN, RESIDUAL, JACOBIAN = 0.04e-6, 0.1e-6, 0.85e-6  # seconds a point
MUMPS, GAMG = 0.11, 0.17  # seconds a solve on one rank
PLANNING = {1: 0.0, 2: 0.01, 16: 0.01, 64: 0.01, 256: 0.01, 1024: 0.012}  # seconds, rounded up
LATENCY = 5e-6  # seconds; assumed
LEAST = 10_000  # unknowns a rank below which GAMG gains no more; assumed


def terms(ranks: int) -> dict[str, float]:
    """Return the seconds of an increment by term."""
    n, k = POINTS / ranks, ITERATIONS
    return {
        "cells": (k + 1) * n * CELL,
        "plan": (k + 1) * PLANNING[ranks],
        "assembly": n * ((k + 1) * RESIDUAL + (2 * k + 1) * STRAIN + k * JACOBIAN),
        "mumps": k * MUMPS / math.sqrt(ranks),
        "gamg": k * GAMG / min(ranks, max(1.0, UNKNOWNS / LEAST)),
        "network": (k + 1) * n * NETWORK,
        "messages": (k + 1) * 10 * LATENCY * math.log2(ranks),
    }


def totals(ranks: int) -> tuple[float, float]:
    """Return the seconds of an increment of direct FE², and of a network."""
    t = terms(ranks)
    rest = t["assembly"] + t["mumps"] + t["messages"]
    return t["cells"] + t["plan"] + rest, t["network"] + rest


def main() -> None:
    """Print the rows."""
    alone = totals(1)
    for ranks in PLANNING:
        t, all_terms = terms(ranks), totals(ranks)
        row = [t[name] for name in ("cells", "plan", "assembly", "mumps", "gamg", "network")]
        for one, many in zip(alone, all_terms, strict=True):
            row += [many, one / (ranks * many)]
        cells = (f"{value:.0f}" if value >= 1000 else f"{value:.3g}" for value in row)
        print(f"| {ranks} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
