"""Strain paths that a macro run went along, kept as a dataset to sample from.

A coarse run with a cheap Material shows where in strain space a body goes::

    recorder = Recorder(model.fields["material"], comm)
    run_increments(problem, apply_load, times, on_accept=recorder)
    write_dataset(recorder.dataset(), "coarse")

and ``[generate] path = "recorded", recorded = "coarse"`` then asks another Material the same.
"""

from __future__ import annotations

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

    dt: float


@final
class Recorder:
    """Remembers strain, stress and tangent of all points at each accepted increment.

    Args:
        field: Of the points, after each increment in its accepted state.
        comm: An mpi4py communicator; None works alone.
        tangents: Whether tangents are remembered too.
    """

    def __init__(self, field: Points, comm: Any = None, *, tangents: bool = False) -> None:
        self._field, self._comm, self._tangents = field, comm, tangents
        self._steps: list[tuple[Array, Response, float]] = []

    def __call__(self, increment: Step) -> None:
        """Remember an increment; to be given to ``run_increments`` as ``on_accept``."""
        response = self._field.response
        assert response is not None, "an increment is accepted after it was solved"
        self._steps.append((self._field.current_strain().copy(), response, increment.dt))

    def dataset(self) -> Dataset:
        """Return the paths of the points of all ranks, on every rank. Collective.

        T is the number of increments so far, N that of the points.
        """
        material = self._field.material
        m = material.kinematics.size
        points = len(self._field.current_parameters())

        def stacked(rows: list[Any], *shape: int) -> Any:  # (n, T, ...)
            return np.stack(rows, axis=1) if rows else np.zeros((points, 0, *shape))

        responses = [response for _, response, _ in self._steps]
        mine: dict[str, Any] = {
            "strain": stacked([strain for strain, _, _ in self._steps], m),
            "stress": stacked([response.stress for response in responses], m),
            "ok": stacked([response.ok for response in responses]).astype(bool),
            "dt": np.tile([dt for _, _, dt in self._steps], (points, 1)),
            "parameters": self._field.current_parameters(),
            "tangent": None,
        }
        if self._tangents:
            mine["tangent"] = stacked([response.tangent for response in responses], m, m)
        parts = [mine] if self._comm is None else self._comm.allgather(mine)
        whole: dict[str, Any] = {
            name: None if mine[name] is None else np.concatenate([part[name] for part in parts])
            for name in mine
        }
        return Dataset(material.kinematics, parameter_names=material.parameter_names, **whole)
