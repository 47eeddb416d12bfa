"""Means over the cell of what its phases report: plastic strain, dissipation, energy."""

from __future__ import annotations

from typing import final

import numpy as np

from fesurrogate.errors import InputError
from fesurrogate.fem.failure import first_line
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
        known: What each phase that is a Material reports, one number a point.
    """

    def __init__(self, assembly: CellAssembly) -> None:
        self._assembly = assembly
        self._weights = {name: point_weights(field) for name, field in assembly.fields.items()}
        self.known = {name: numbers_of(field.material) for name, field in assembly.fields.items()}
        self._reporting = {
            report: [name for name, numbers in self.known.items() if report in numbers]
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

    def at_points(self, name: str) -> dict[str, Array]:  # each (n,)
        """Return what a phase that is a Material reports at its points, where last assembled."""
        response = self._assembly.fields[name].response
        assert response is not None, "at_points() before anything was assembled"
        return {report: np.asarray(response.report[report]) for report in self.known[name]}

    def weights(self, name: str) -> Array:  # (n,)
        """Return the volume that each point of a phase stands for."""
        return self._weights[name]


def numbers_of(material: Material) -> tuple[str, ...]:
    """Return what a Material reports as a number a point, asked without a point.

    Raises:
        InputError: It raises for no points.
    """
    nothing = np.zeros((0, material.kinematics.size))
    parameters = np.zeros((0, len(material.parameter_names)))
    try:
        report = material.evaluate(nothing, parameters=parameters, tangent=False).report
    except Exception as error:
        raise InputError(
            f"{type(material).__name__} raised {first_line(error)}, asked for no points; expected "
            "arrays without rows: a batch may be empty"
        ) from error
    return tuple(
        name
        for name, values in report.items()
        if values.ndim == 1 and np.issubdtype(values.dtype, np.floating)
    )
