"""What every way to keep a quantity offers: numbers at points of the axes, and their slopes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fesurrogate.hierarchical.axes import Axis
from fesurrogate.hierarchical.compiled import kernels_for
from fesurrogate.kinematics import Array

CHUNK = 1024
"""Points that are evaluated at once: what they touch stays in the cache."""


class Representation(ABC):
    """A map from points of p axes to c numbers, made of arrays; its classes are final.

    Attributes:
        kind: Its name in files.
        outputs: c.
    """

    kind: ClassVar[str]
    outputs: int

    @abstractmethod
    def respond(
        self,
        points: Array,  # (n, p), inside of the axes
        *,
        slopes: bool,
        kernels: ModuleType | None = None,
    ) -> Array:  # (n, 1 + p, c), or (n, 1, c)
        """Return the numbers and, if asked for, after them their derivatives along each axis.

        Args:
            points: A chunk of them.
            slopes: Whether derivatives are asked for.
            kernels: Compiled loops; None answers by NumPy, with the same numbers to round-off.
        """

    @abstractmethod
    def arrays(self) -> dict[str, Array]:
        """Return the arrays that are stored, by name."""

    def facts(self) -> dict[str, Any]:
        """Return what :meth:`restored` needs beside the arrays, as JSON."""
        return {}

    @classmethod
    @abstractmethod
    def restored(
        cls, axes: Sequence[Axis], facts: Mapping[str, Any], arrays: Mapping[str, Array]
    ) -> Representation:
        """Return what :meth:`arrays` and :meth:`facts` describe.

        Raises:
            ValueError, KeyError, InputError: They do not fit together.
        """

    @property
    def numbers(self) -> int:
        """Return how many numbers are stored."""
        return sum(array.size for array in self.arrays().values())

    def evaluate(
        self,
        points: Array,  # (n, p), inside of the axes
        *,
        slopes: bool = False,
    ) -> tuple[Array, Array | None]:  # (n, c), (n, c, p)
        """Return the numbers and, if asked for, their derivatives along the axes."""
        n, p = points.shape
        whole = np.empty((n, 1 + p if slopes else 1, self.outputs))
        kernels = kernels_for(n)
        for rows in chunks(n):
            whole[rows] = self.respond(points[rows], slopes=slopes, kernels=kernels)
        return whole[:, 0], whole[:, 1:].swapaxes(1, 2) if slopes else None


def chunks(
    count: int,  # of points
) -> Iterator[slice]:
    """Give the rows of points that are evaluated at once."""
    for begin in range(0, count, CHUNK):
        yield slice(begin, begin + CHUNK)


def prefixed(prefix: str, arrays: Mapping[str, Array]) -> dict[str, Array]:
    """Return the arrays of a part, to be stored among others; :func:`below` finds them again."""
    return {f"{prefix}{name}": array for name, array in arrays.items()}


def below(arrays: Mapping[str, NDArray], prefix: str) -> dict[str, NDArray]:
    """Return the arrays whose names begin with a prefix, without it."""
    return {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}
