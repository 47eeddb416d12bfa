"""Constants of a law: their ranges, and which of them are parameters of the points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fesurrogate.errors import InputError
from fesurrogate.kinematics import Array, BoolArray


@dataclass(frozen=True)
class Range:
    """Finite numbers above a bound (or at it) and below another.

    Attributes:
        text: What is expected, for messages.
        lower: Bound from below.
        upper: Bound from above, never reached.
        closed: Whether the lower bound belongs to the range.
    """

    text: str
    lower: float
    upper: float = np.inf
    closed: bool = False

    def holds(
        self,
        values: Array,  # (n,)
    ) -> BoolArray:  # (n,)
        """Return which values lie in the range."""
        above = values >= self.lower if self.closed else values > self.lower
        return np.asarray(above & (values < self.upper), dtype=np.bool_)


POSITIVE = Range("a finite number > 0", 0.0)
NOT_NEGATIVE = Range("a finite number >= 0", 0.0, closed=True)
POISSON = Range("a number in (-1, 0.5)", -1.0, 0.5)


class Constants:
    """Values of a law's constants, some of which every point gives for itself.

    Args:
        law: Name of the law, for messages.
        values: Of all constants; those of parameters stand in where a point's is out of range.
        ranges: Of all constants.
        parameters: Names of those that are parameters, in the order of the columns.

    Raises:
        InputError: A value is out of range, or a parameter is no constant or named twice.
    """

    def __init__(
        self,
        law: str,
        values: Mapping[str, float],
        ranges: Mapping[str, Range],
        *,
        parameters: Sequence[str] = (),
    ) -> None:
        for name, value in values.items():
            if not ranges[name].holds(np.array([value], dtype=np.float64)).all():
                raise InputError(f"{law}: {name} is {value!r}; expected {ranges[name].text}")
        names = (parameters,) if isinstance(parameters, str) else tuple(parameters)
        if len(set(names)) < len(names) or not set(names) <= set(values):
            raise InputError(
                f"{law}: parameters are {', '.join(map(repr, names))}; expected each once, out of "
                f"{', '.join(values)}"
            )
        self.values = {name: float(value) for name, value in values.items()}
        self.names = names
        self._ranges = ranges

    @property
    def parameter_ranges(self) -> dict[str, tuple[float, float]]:
        """Bounds of those that are parameters, by name."""
        return {name: (self._ranges[name].lower, self._ranges[name].upper) for name in self.names}

    def at(
        self,
        parameters: Array,  # (n, p)
    ) -> tuple[dict[str, Array], BoolArray]:  # (n,) each
        """Return the constants of the points, and where the parameters are in range.

        Elsewhere the constants are the law's own.
        """
        n = len(parameters)
        ok: BoolArray = np.ones(n, dtype=np.bool_)
        for column, name in enumerate(self.names):
            ok &= self._ranges[name].holds(parameters[:, column])
        constants: dict[str, Array] = {k: np.full(n, value) for k, value in self.values.items()}
        for column, name in enumerate(self.names):
            constants[name] = np.where(ok, parameters[:, column], constants[name])
        return constants, ok

    def columns(
        self,
        derivatives: Mapping[str, Array],  # (n, m) for each constant
        shape: tuple[int, int],  # (n, m)
    ) -> Array:  # (n, m, p)
        """Return the derivatives by the parameters, in the order of their columns."""
        if not self.names:
            return np.zeros((*shape, 0))
        return np.stack([derivatives[name] for name in self.names], axis=2)
