"""Means over the cell of what its phases report: plastic strain, dissipation, energy."""

from __future__ import annotations

from typing import final

import numpy as np

from fesurrogate.fem.points import point_weights
from fesurrogate.kinematics import Array
from fesurrogate.material import Material
from fesurrogate.micro.assembly import CellAssembly

HISTORY = ("plastic_strain", "dissipation")
"""Reports of phases that are nothing in the phases that do not have them."""


@final
class CellReports:
    """What the phases of a cell report, as means over its whole volume, voids included.

    Attributes:
        names: Of the means that :meth:`means` gives besides ``energy``.
    """

    def __init__(self, assembly: CellAssembly) -> None:
        self._assembly = assembly
        self._weights = {name: point_weights(field) for name, field in assembly.fields.items()}
        known = {name: report_names(field.material) for name, field in assembly.fields.items()}
        self._reporting = {
            report: [name for name in known if report in known[name]]
            for report in (*HISTORY, "energy")
        }
        self.names = tuple(report for report in HISTORY if self._reporting[report])

    def means(self) -> dict[str, float]:
        """Return the means where the cell was last assembled.

        ``energy`` is NaN where a phase is a Material that reports none.
        """
        means = {report: self._mean(report) for report in self.names}
        complete = len(self._reporting["energy"]) == len(self._assembly.fields)
        means["energy"] = self._assembly.energy() + self._mean("energy") if complete else np.nan
        return means

    def _mean(self, report: str) -> float:
        total = 0.0
        for name in self._reporting[report]:
            response = self._assembly.fields[name].response
            assert response is not None, "means() before anything was assembled"
            total += float(self._weights[name] @ response.report[report])
        return total / self._assembly.volume

    def at_points(self) -> dict[str, dict[str, Array]]:
        """Return what each phase reports at its points, one number a point, by phase and name."""
        values: dict[str, dict[str, Array]] = {}
        for name, field in self._assembly.fields.items():
            response = field.response
            assert response is not None, "at_points() before anything was assembled"
            values[name] = {
                report: np.asarray(array, dtype=np.float64)
                for report, array in response.report.items()
                if array.ndim == 1 and np.issubdtype(array.dtype, np.floating)
            }
        return values

    def weights(self, name: str) -> Array:  # (n,)
        """Return the volume that each point of a phase stands for."""
        return self._weights[name]


def report_names(material: Material) -> frozenset[str]:
    """Return what a Material reports, asked without a point."""
    nothing = np.zeros((0, material.kinematics.size))
    parameters = np.zeros((0, len(material.parameter_names)))
    response = material.evaluate(nothing, parameters=parameters, tangent=False)
    return frozenset(response.report)
