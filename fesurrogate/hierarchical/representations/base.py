"""What every way to keep a quantity offers: numbers at points of the axes, and their slopes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fesurrogate.hierarchical.axes import Axis
from fesurrogate.kinematics import Array

CHUNK = 2048
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
    ) -> tuple[Array, Array | None]:  # (n, c), (n, c, p)
        """Answer :meth:`evaluate` for a chunk of points."""

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
        values = np.empty((n, self.outputs))
        derivatives = np.empty((n, self.outputs, p)) if slopes else None
        for begin in range(0, n, CHUNK):
            rows = slice(begin, begin + CHUNK)
            values[rows], found = self.respond(points[rows], slopes=slopes)
            if derivatives is not None:
                derivatives[rows] = found
        return values, derivatives


def prefixed(prefix: str, arrays: Mapping[str, Array]) -> dict[str, Array]:
    """Return the arrays of a part, to be stored among others; :func:`below` finds them again."""
    return {f"{prefix}{name}": array for name, array in arrays.items()}


def below(arrays: Mapping[str, NDArray], prefix: str) -> dict[str, NDArray]:
    """Return the arrays whose names begin with a prefix, without it."""
    return {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}
