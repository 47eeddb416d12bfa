"""A table in little room: its quantities as tensor trains, with a bound on what that costs."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, replace

import numpy as np

from fesurrogate.errors import InputError
from fesurrogate.hierarchical.file import quantity_of, read_tabulation, write_tabulation
from fesurrogate.hierarchical.tabulation import STIFFNESS, Tabulation
from fesurrogate.hierarchical.tensor_train import pruned
from fesurrogate.kinematics import Array


@dataclass(frozen=True)
class Compressed:
    """What became of one quantity.

    Attributes:
        numbers: That were stored, before and after.
        error: Largest of |difference| / |entry| over all entries.
    """

    numbers: tuple[int, int]
    error: float


def compress(
    source: str | os.PathLike[str], target: str | os.PathLike[str], tolerance: float
) -> dict[str, Compressed]:
    """Write a table as tensor trains; held-out points are left out.

    Every entry is within the tolerance of what it was, relative to its Frobenius norm. As a look-up
    is a mean of entries, it is within the tolerance of the mean of their norms anywhere.

    Args:
        source: A table.
        target: The file that is written.
        tolerance: Largest relative error of an entry.

    Returns:
        What became of each quantity.

    Raises:
        InputError: The source cannot be read, the tolerance is no number between 0 and 1, or so
            large that a stiffness would no longer be positive definite.
        OSError: The file cannot be written.
    """
    if not 0 < tolerance < 1:
        raise InputError(f"tolerance is {tolerance}; expected a relative error, such as 0.005")
    table = read_tabulation(source)
    cores = {name: pruned(_filled(table, name), tolerance) for name in table.quantities}
    again = replace(
        table,
        quantities={k: quantity_of(v, table.ok, table.trailing(k)) for k, v in cores.items()},
        held_out=None,
    )
    found = {}
    for name, train in cores.items():
        exact, new = table.entries(name), again.entries(name)
        size = np.linalg.norm(exact, axis=1)
        off = np.linalg.norm(new - exact, axis=1) / np.where(size > 0, size, 1.0)
        numbers = (exact.size, sum(core.size for core in train))
        found[name] = Compressed(numbers, float(off.max(initial=0.0)))
    name = STIFFNESS[table.kinematics.measure]
    if name in cores and not _definite(again, name):
        raise InputError(
            f"tolerance is {tolerance}, at which the {name} is no longer positive definite; "
            "expected a smaller one"
        )
    write_tabulation(again, target, cores=cores)
    return found


def _filled(table: Tabulation, name: str) -> Array:  # (k₁, ..., k_p, c)
    """Return a quantity with the mean of its entries where there is none."""
    array = table.quantities[name]
    mean = array[table.ok].mean(axis=0) if table.ok.any() else np.zeros(table.trailing(name))
    whole = np.where(table.ok.reshape(*table.shape, *(1,) * mean.ndim), array, mean)
    return whole.reshape(*table.shape, math.prod(mean.shape))


def _definite(table: Tabulation, name: str) -> bool:
    return bool(np.linalg.eigvalsh(table.quantities[name][table.ok]).min(initial=1.0) > 0)
