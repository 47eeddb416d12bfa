"""What an accepted increment leaves behind: its figures, its fields, the pictures of the end."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import ufl
from mpi4py import MPI

from fesurrogate.build.problem import MacroModel
from fesurrogate.fem.field import MaterialField
from fesurrogate.fem.output import FieldWriter
from fesurrogate.fem.points import cell_means, point_weights
from fesurrogate.fem.stepping import Increment
from fesurrogate.fem.values import cell_average
from fesurrogate.kinematics import Array
from fesurrogate.results import HistoryEntry
from fesurrogate.run.checkpoint import Taken
from fesurrogate.run.figures import entry_of, stress_tensors
from fesurrogate.run.micro_output import MicroOutput, has_cells
from fesurrogate.run.path_output import PathOutput

logger = logging.getLogger(__name__)
REPORTS = ("plastic_strain", "dissipation", "fallback", "untrusted")
"""Reports of Materials that are written as cell averages where there are any."""


def largest_stretch(model: MacroModel) -> float | None:
    """Return the largest principal stretch at any quadrature point; None unless finite strain.

    Collective.
    """
    kinematics = model.settings.kinematics
    if kinematics.measure != "finite":
        return None
    largest = 0.0
    for field in model.fields.values():
        gradient = kinematics.unpack(field.current_strain())
        singular = np.linalg.svd(gradient, compute_uv=False)
        largest = max(largest, float(singular.max(initial=0.0)))
    return float(model.mesh.mesh.comm.allreduce(largest, op=MPI.MAX))


def reported(
    model: MacroModel, weights: Mapping[str, Array] | None = None
) -> dict[str, Array]:  # each (owned cells,)
    """Return what Materials report of :data:`REPORTS`, averaged over each owned cell. Collective.

    Args:
        model: After an increment.
        weights: Of the points of each field; computed if None.
    """
    known = weights or {name: point_weights(field) for name, field in model.fields.items()}
    found: dict[str, list[tuple[MaterialField, Array, Array]]] = {}
    for name, field in model.fields.items():
        report = field.response.report if field.response else {}
        for key in set(REPORTS) & set(report):
            found.setdefault(key, []).append((field, known[name], report[key]))
    mesh = model.mesh.mesh
    names = sorted({name for part in mesh.comm.allgather(list(found)) for name in part})
    return {name: cell_means(mesh, found.get(name, [])) for name in names}


def stress_magnitude(model: MacroModel) -> Array:  # (owned cells,)
    """Return the Frobenius norm of the stress, averaged over each owned cell. Collective."""
    terms = [(ufl.sqrt(ufl.inner(f.stress, f.stress)), f.dx) for f in model.fields.values()]
    return cell_average(model.mesh.mesh, terms)()


class Recorder:
    """Keeps and writes what an accepted increment leaves behind."""

    def __init__(
        self, model: MacroModel, output: Path | None, watch: dict[str, float], taken: Taken
    ) -> None:
        self.history: list[HistoryEntry] = list(taken.history)
        self._before, self._untrusted = len(self.history), 0
        self._model, self._output, self._watch = model, output, watch
        wanted = model.settings.output
        begin = time.perf_counter()
        mesh = model.mesh.mesh
        self.micro = None
        if wanted.micro and has_cells(model):
            self.micro = MicroOutput(model, output, taken=taken.micro)
        self.paths = None
        if wanted.paths and output is not None:
            self.paths = PathOutput(model, output, [entry.time for entry in self.history])
        self._writer = None
        if output is not None and wanted.fields:
            self._writer = FieldWriter(output / "fields.xdmf", mesh, keep=len(self.history))
            self._stress = stress_tensors(model)
            self._weights = {name: point_weights(field) for name, field in model.fields.items()}
        watch["output"] += time.perf_counter() - begin

    def __call__(self, increment: Increment) -> None:
        """Note and write an accepted increment. Collective."""
        begin = time.perf_counter()
        self.history.append(entry_of(self._model, increment))
        self._warn(self.history[-1])
        if self._writer is not None:
            cells = {"stress": self._stress(), **reported(self._model, self._weights)}
            self._writer.write(increment.time, nodes={"u": self._model.u}, cells=cells)
        if self.micro is not None:
            self.micro(increment)
        if self.paths is not None:
            self.paths(increment)
        self._watch["output"] += time.perf_counter() - begin

    def _warn(self, entry: HistoryEntry) -> None:
        """Warn where more points than ever are not trusted and were answered all the same."""
        untrusted = sum((entry.untrusted or {}).values())
        if untrusted > self._untrusted:
            self._untrusted = untrusted
            logger.warning(
                "%d points are not trusted at time %.6g; the surrogate has answered all the same",
                untrusted, entry.time,
            )  # fmt: skip

    def finish(self) -> None:
        """Draw the pictures of the end."""
        settings, mesh = self._model.settings, self._model.mesh.mesh
        if self._output is None or not settings.output.pictures:
            return
        begin = time.perf_counter()
        from fesurrogate.fem.pictures import Panel, plot_deformed

        scalar = settings.kinematics.measure == "gradient"
        stress = stress_magnitude(self._model)
        displacement = None if scalar else self._model.u
        plot_deformed(
            self._output / "stress.png",
            mesh,
            stress,
            displacement=displacement,
            title=settings.title,
            label="norm of the stress",
            length_unit="",
        )
        if self.micro is not None and len(self.history) > self._before:
            from fesurrogate.fem.micro_pictures import plot_micro

            panel = Panel("norm of the stress", mesh, displacement, stress)
            plot_micro(self._output / "micro.png", panel, self.micro.views(), title=settings.title)
        self._watch["output"] += time.perf_counter() - begin
