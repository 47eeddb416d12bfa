"""Strain paths that a macro run went along, kept as a dataset to sample from.

A coarse run with a cheap Material shows where in strain space a body goes; ``[output] paths``
writes it, and in a script::

    recorder = Recorder(model.fields["material"], comm)
    run_increments(problem, apply_load, times, on_accept=recorder)
    write_dataset(recorder.dataset(), "coarse")

and ``[generate] path = "recorded", recorded = "coarse"`` then asks another Material the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, final

import numpy as np

from fesurrogate.data.dataset import Dataset
from fesurrogate.kinematics import Array
from fesurrogate.material import Material, Response


class Points(Protocol):
    """The points of a rank: a :class:`fesurrogate.fem.MaterialField`."""

    material: Material
    response: Response | None

    def current_strain(self) -> Array:
        """Return (n, m)."""

    def current_parameters(self) -> Array:
        """Return (n, p)."""


class Step(Protocol):
    """An accepted increment: a :class:`fesurrogate.fem.stepping.Increment`."""

    @property
    def dt(self) -> float:
        """Its length."""


@final
class Recorder:
    """Remembers strain, stress and tangent of all points at each accepted increment.

    Args:
        field: Of the points, after each increment in its accepted state.
        comm: An mpi4py communicator; None works alone.
        tangents: Whether tangents are remembered too.
    """

    def __init__(self, field: Points, comm: Any = None, *, tangents: bool = False) -> None:
        self._field, self._comm = field, comm
        self._kept = ("strain", "stress", "ok", *(("tangent",) if tangents else ()))
        self._steps: list[dict[str, Any]] = []
        self._dt: list[float] = []

    @property
    def increments(self) -> int:
        """T, number of increments so far."""
        return len(self._dt)

    def __call__(self, increment: Step) -> None:
        """Remember an increment; to be given to ``run_increments`` as ``on_accept``."""
        response = self._field.response
        assert response is not None, "an increment is accepted after it was solved"
        now = {**vars(response), "strain": self._field.current_strain().copy()}
        self._steps.append({name: now[name] for name in self._kept})  # not states and hints
        self._dt.append(increment.dt)

    def newest(self) -> dict[str, Any]:  # each (n, ...)
        """Return what was remembered of the last increment."""
        return self._steps[-1]

    def take(
        self,
        step: Mapping[str, Any],  # each (n, ...)
        dt: float,
    ) -> None:
        """Remember an increment of before, as :meth:`newest` gave it."""
        self._steps.append(dict(step))
        self._dt.append(dt)

    def dataset(self, meta: Mapping[str, Any] | None = None) -> Dataset:
        """Return the paths of the points of all ranks, on every rank. Collective.

        T is the number of increments so far, N that of the points.

        Args:
            meta: Facts to keep with the data.
        """
        material = self._field.material
        m = material.kinematics.size
        points = len(self._field.current_parameters())
        shapes = {"strain": (m,), "stress": (m,), "ok": (), "tangent": (m, m)}
        mine: dict[str, Any] = {
            name: np.stack([step[name] for step in self._steps], axis=1)  # (n, T, ...)
            if self._steps
            else np.zeros((points, 0, *shapes[name]))
            for name in self._kept
        }
        mine["ok"] = mine["ok"].astype(bool)
        mine["dt"] = np.tile(self._dt, (points, 1))
        mine["parameters"] = self._field.current_parameters()
        parts = [mine] if self._comm is None else self._comm.allgather(mine)
        whole = {name: np.concatenate([part[name] for part in parts]) for name in mine}
        names = material.parameter_names
        return Dataset(
            material.kinematics, **{"tangent": None, **whole}, parameter_names=names,
            meta=meta or {},
        )  # fmt: skip
