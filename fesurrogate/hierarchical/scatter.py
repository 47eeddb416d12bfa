"""Tables without a grid: where their points lie, and how they are looked up in between."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from functools import cache

import numpy as np

from fesurrogate.errors import InputError
from fesurrogate.hierarchical.series import Candidate, Candidates
from fesurrogate.hierarchical.tabulation import Kept, Tabulation
from fesurrogate.kinematics import Array

MOST_POINTS = 100_000


def sparse_grid(level: int, columns: int) -> Array:  # (N, columns), in [0, 1]
    """Return Smolyak's points: tensor grids of nested Clenshaw-Curtis rules of few points in all.

    Rule 0 has the middle, rule l has 2ˡ + 1 points; those of a level are of the products of rules
    whose numbers add up to it.

    Raises:
        InputError: There would be more than 100,000.

    Source: Gerstner and Griebel (1998), Numer. Algorithms 18, 209, section 3.
    """
    found: set[tuple[float, ...]] = set()
    for steps in itertools.combinations_with_replacement(range(columns), level):
        rules = [steps.count(k) for k in range(columns)]  # which add up to the level
        few = math.prod(_count(rule) for rule in rules) <= MOST_POINTS
        if few:
            found.update(itertools.product(*map(_clenshaw_curtis, rules)))
        if not few or len(found) > MOST_POINTS:
            raise InputError(
                f"a sparse grid of level {level} in {columns} axes has more than {MOST_POINTS} "
                "points; lower the level"
            )
    return np.array(sorted(found))


def _count(rule: int) -> int:
    return 1 if rule == 0 else 2**rule + 1


@cache
def _clenshaw_curtis(rule: int) -> tuple[float, ...]:
    if rule == 0:
        return (0.5,)
    angles = np.pi * np.arange(_count(rule)) / 2**rule
    return tuple(round(float(0.5 - 0.5 * np.cos(angle)), 15) for angle in angles)


def with_retrieval(table: Tabulation, retrieval: str) -> Tabulation:
    """Return a table of samples with what it is looked up by.

    Args:
        table: With samples.
        retrieval: ``radial_basis``, through all of them, or ``polynomial``, of the degree that is
            best at the held-out points.

    Raises:
        InputError: There are too few samples, or none that could be computed.
    """
    assert table.samples is not None
    kept: dict[str, Kept] = {}
    for name in table.samples.quantities:
        series = list(Candidates(table, name).series[retrieval]())
        if not series:
            raise InputError(
                f"{int(table.samples.ok.sum())} samples are too few for a {retrieval} of {name}; "
                "expected more"
            )
        kept[name] = min(series, key=_error).kept
    return replace(table, kept=kept)


def _error(one: Candidate) -> float:
    return one.mean_square
