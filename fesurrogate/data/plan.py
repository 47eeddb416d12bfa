"""What ``[generate]`` asks for, path by path: the same on any number of ranks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, final

import numpy as np
from numpy.typing import NDArray

from fesurrogate.config.data import GenerateSettings
from fesurrogate.data.dataset import Dataset
from fesurrogate.data.envelope import components_of, envelope_of, strain_with
from fesurrogate.data.paths import proportional, random_walk
from fesurrogate.data.sampling import latin_hypercube, scaled, sobol
from fesurrogate.errors import InputError
from fesurrogate.kinematics import Array, Kinematics

TIME_STREAM = 1
"""Sets the random numbers of dt apart from those of the walk of the same path."""

Paths = NDArray[np.int64]


class Loading(Protocol):
    """Strain paths by number; paths are made when they are asked for, on the rank that asks."""

    @property
    def samples(self) -> int:
        """N."""

    @property
    def increments(self) -> int:
        """T."""

    @property
    def timed(self) -> bool:
        """Whether increments have a length that matters."""

    def strain(self, paths: Paths) -> Array:
        """Return (k, T, m)."""

    def dt(self, paths: Paths) -> Array:
        """Return (k, T)."""

    def parameters(self, paths: Paths) -> Array:
        """Return (k, p)."""


@final
class Given:
    """Paths that are there as arrays."""

    def __init__(
        self,
        strain: Array,  # (N, T, m)
        dt: Array | None,  # (N, T)
        parameters: Array,  # (N, p)
    ) -> None:
        self.samples, self.increments = strain.shape[:2]
        self.timed = dt is not None
        self._strain, self._parameters = strain, parameters
        self._dt = np.ones(strain.shape[:2]) if dt is None else dt

    def strain(self, paths: Paths) -> Array:
        """Return (k, T, m)."""
        return self._strain[paths]

    def dt(self, paths: Paths) -> Array:
        """Return (k, T)."""
        return self._dt[paths]

    def parameters(self, paths: Paths) -> Array:
        """Return (k, p)."""
        return self._parameters[paths]


@final
@dataclass(frozen=True)
class Plan:
    """Paths as the settings say; made by :func:`plan_of`.

    Attributes:
        kinematics: The strain measure.
        settings: ``[generate]``.
        increments: T.
        ends: (N, q), components of the points, or of the ends of proportional paths; (N, 0) else.
        drawn: (N, p), parameters.
        recorded: (M, T, m), paths to take from, and the order in which they are taken, (M,).
    """

    kinematics: Kinematics
    settings: GenerateSettings
    increments: int
    ends: Array
    drawn: Array
    recorded: tuple[Array, NDArray[np.int64], Array | None] | None = None

    @property
    def samples(self) -> int:
        """N."""
        return self.settings.samples

    @property
    def timed(self) -> bool:
        """Whether increments have a length that matters."""
        held = self.recorded is not None and self.recorded[2] is not None
        return self.settings.dt is not None or held

    def strain(self, paths: Paths) -> Array:
        """Return (k, T, m)."""
        wanted = self.settings
        if self.recorded is not None:
            strain, order, _ = self.recorded
            return strain[order[paths]]
        if wanted.path == "random_walk":
            envelope = envelope_of(self.kinematics, wanted.stretch)
            walks = [
                random_walk(
                    envelope, int(path), self.increments,
                    turns=wanted.turns, smooth=wanted.smooth, seed=wanted.seed,
                )
                for path in paths
            ]  # fmt: skip
            stacked = (
                np.stack(walks) if walks else np.zeros((0, self.increments, len(envelope.low)))
            )
            return envelope.strain(stacked)
        envelope = envelope_of(self.kinematics, wanted.stretch)
        if wanted.path == "proportional":
            return envelope.strain(
                proportional(self.ends[paths], self.increments, unload=wanted.unload)
            )
        return envelope.strain(self.ends[paths])[:, None, :]

    def dt(self, paths: Paths) -> Array:
        """Return (k, T): as recorded, as said, or drawn evenly in its logarithm; 1 if untold."""
        wanted = self.settings.dt
        if wanted is None and self.recorded is not None and self.recorded[2] is not None:
            return self.recorded[2][self.recorded[1][paths]]
        if not isinstance(wanted, tuple):
            return np.full((len(paths), self.increments), 1.0 if wanted is None else wanted)
        low, high = np.log(wanted)
        rows = [
            np.random.default_rng([self.settings.seed, int(path), TIME_STREAM]).uniform(
                low, high, self.increments
            )
            for path in paths
        ]
        return np.exp(np.array(rows).reshape(len(paths), self.increments))

    def parameters(self, paths: Paths) -> Array:
        """Return (k, p)."""
        return self.drawn[paths]


def plan_of(
    kinematics: Kinematics,
    settings: GenerateSettings,
    parameter_names: tuple[str, ...] = (),
    *,
    recorded: Dataset | None = None,
) -> Plan:
    """Return the plan of ``[generate]``.

    Strains (points, or the ends of proportional paths) and parameters are the columns of one
    sequence. All depends on the seed and the number of the path alone, so that more samples begin
    with the same ones (except in a Latin hypercube).

    Args:
        kinematics: The strain measure.
        settings: ``[generate]``.
        parameter_names: Of the Material; each needs a range.
        recorded: What ``settings.recorded`` names, where it names something.

    Raises:
        InputError: The settings fit neither the kinematics nor the parameters.
    """
    given, needed = set(settings.parameters), set(parameter_names)
    if given != needed:
        raise InputError(
            f"generate.parameters names {', '.join(sorted(given)) or 'none'}; expected NAME = "
            f"[low, high] of each parameter of the source: {', '.join(parameter_names) or 'none'}"
        )
    drawn = settings.path in ("point", "proportional")
    envelope = None
    if settings.path != "recorded":
        envelope = envelope_of(kinematics, settings.stretch, around_rest=settings.path != "point")
    ranges = np.array([settings.parameters[name] for name in parameter_names]).reshape(-1, 2)
    low, high = ranges[:, 0], ranges[:, 1]
    q = len(envelope.low) if drawn and envelope is not None else 0
    if q and envelope is not None:
        low, high = np.append(envelope.low, low), np.append(envelope.high, high)
    points: Array = np.zeros((settings.samples, 0))
    if len(low):
        sequence = latin_hypercube if settings.sequence == "latin_hypercube" else sobol
        points = scaled(sequence(settings.samples, len(low), seed=settings.seed), low, high)
    taken, increments = None, settings.increments
    if recorded is not None:
        taken = _taken(kinematics, settings, recorded)
        increments = recorded.increments
    return Plan(kinematics, settings, increments, points[:, :q], points[:, q:], taken)


def _taken(
    kinematics: Kinematics, settings: GenerateSettings, recorded: Dataset
) -> tuple[Array, NDArray[np.int64], Array | None]:
    if len(recorded) < settings.samples:
        raise InputError(
            f"samples is {settings.samples}; {settings.recorded} holds {len(recorded)} paths: ask "
            "for as many at most"
        )
    strain: Array = recorded.strain
    if kinematics.measure == "finite":  # without the rotation
        flat = components_of(kinematics, strain.reshape(-1, kinematics.size))
        strain = strain_with(kinematics, flat).reshape(strain.shape)
    order = np.random.default_rng(settings.seed).permutation(len(recorded))
    return strain, order, recorded.dt
