"""A dataset in memory: strain paths and what a Material answered."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fesurrogate.errors import InputError
from fesurrogate.kinematics import Array, BoolArray, Kinematics

ARRAYS = ("strain", "stress", "tangent", "ok", "dt", "parameters")


@dataclass(frozen=True)
class Dataset:
    """N strain paths of T increments with the answers of a Material.

    Attributes:
        kinematics: The strain measure.
        strain: (N, T, m).
        stress: (N, T, m); NaN where the point failed.
        tangent: (N, T, m, m) or None; NaN where the point failed.
        ok: (N, T), False where the point failed.
        dt: (N, T), lengths of the increments, or None where time does not matter.
        parameters: (N, p), parameters of the Material on each path.
        parameter_names: Names of the p parameters.
        reports: Per name (N, T, ...): energies, micro fields, whatever the Material reports.
        units: Of lengths, stresses and times, in the user's words; nothing is converted.
        meta: JSON-like facts: source, seed, envelope, versions, cost.
        weight: (N, T), of the squared error of each point in training, or None where it is 1; it
            is of this training, and neither stored nor part of the fingerprint.
    """

    kinematics: Kinematics
    strain: Array
    stress: Array
    tangent: Array | None
    ok: BoolArray
    dt: Array | None = None
    parameters: Array | None = None
    parameter_names: tuple[str, ...] = ()
    reports: Mapping[str, NDArray] = field(default_factory=dict)
    units: str = ""
    meta: Mapping[str, Any] = field(default_factory=dict)
    weight: Array | None = None

    def __post_init__(self) -> None:
        if self.parameters is None:
            object.__setattr__(self, "parameters", np.zeros((len(self.strain), 0)))
        size = self.kinematics.size
        if self.strain.ndim != 3 or self.strain.shape[2] != size:
            raise InputError(
                f"Dataset: strain has shape {self.strain.shape}; expected (N, T, {size}) "
                f"for {self.kinematics}"
            )
        paths, increments, _ = self.strain.shape
        expected: dict[str, tuple[int, ...]] = {
            "stress": (paths, increments, size),
            "tangent": (paths, increments, size, size),
            "ok": (paths, increments),
            "dt": (paths, increments),
            "weight": (paths, increments),
            "parameters": (paths, len(self.parameter_names)),
        }
        for name, shape in expected.items():
            array = getattr(self, name)
            if array is not None and array.shape != shape:
                raise InputError(f"Dataset: {name} has shape {array.shape}; expected {shape}")
        for name, array in self.reports.items():
            if array.shape[:2] != (paths, increments):
                raise InputError(
                    f"Dataset: report {name} has shape {array.shape}; expected "
                    f"({paths}, {increments}, ...)"
                )

    def __len__(self) -> int:
        """Return the number of paths N."""
        return len(self.strain)

    @property
    def increments(self) -> int:
        """T, increments on a path."""
        return self.strain.shape[1]

    @property
    def failed(self) -> int:
        """Number of increments whose point failed."""
        return int((~self.ok).sum())

    @property
    def fingerprint(self) -> str:
        """Hash (16 hex digits) of the kinematics and all arrays; units and meta do not count."""
        head = [self.kinematics.gdim, self.kinematics.measure, list(self.parameter_names)]
        digest = hashlib.sha256(json.dumps(head).encode())
        for name, array in self.arrays():
            digest.update(f"{name}{array.dtype}{array.shape}".encode())
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()[:16]

    def arrays(self) -> Iterator[tuple[str, NDArray]]:
        """Give all arrays that are there, reports last and in the order of their names."""
        for name in ARRAYS:
            array = getattr(self, name)
            if array is not None:
                yield name, array
        for name in sorted(self.reports):
            yield f"report {name}", self.reports[name]

    def take(
        self,
        paths: NDArray[np.integer] | slice,  # indices
    ) -> Dataset:
        """Return the dataset of some of the paths."""
        taken: dict[str, Any] = {}
        for name in (*ARRAYS, "weight"):
            array = getattr(self, name)
            taken[name] = None if array is None else array[paths]
        reports = {name: array[paths] for name, array in self.reports.items()}
        return replace(self, **taken, reports=reports)

    def without(
        self,
        points: BoolArray,  # (N, T)
    ) -> Dataset:
        """Return the dataset with these points marked as failed, their answers NaN."""
        blank = points | ~self.ok

        def masked(array: NDArray) -> NDArray:
            return np.where(blank.reshape(*blank.shape, *(1,) * (array.ndim - 2)), np.nan, array)

        return replace(
            self,
            stress=masked(self.stress),
            tangent=None if self.tangent is None else masked(self.tangent),
            ok=~blank,
            reports={name: masked(array) for name, array in self.reports.items()},
        )

    def split(self, fraction: float, *, seed: int) -> tuple[Dataset, Dataset]:
        """Return (training, validation): whole paths, drawn at random.

        Args:
            fraction: Part of the paths that goes to validation, in (0, 1).
            seed: Seed of the draw.

        Raises:
            InputError: One of the two parts would be empty.
        """
        held = round(fraction * len(self))
        if not 0.0 < fraction < 1.0 or held < 1 or held >= len(self):
            raise InputError(
                f"validation is {fraction} of {len(self)} paths; expected a fraction in (0, 1) "
                "that leaves at least one path in each part: give more samples"
            )
        order = np.random.default_rng(seed).permutation(len(self))
        return self.take(np.sort(order[held:])), self.take(np.sort(order[:held]))
