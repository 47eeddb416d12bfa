"""How far a cell may be strained until the first of its points yields."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fesurrogate.errors import ConvergenceError, InputError
from fesurrogate.hierarchical.solved import AMPLITUDE, SolvedCell
from fesurrogate.kinematics import Array
from fesurrogate.material import Material
from fesurrogate.micro.reports import numbers_of

LARGEST = 1.0
"""A phase that bears this strain without yielding is said to yield there."""

RESOLVED = 1e-12
"""Relative width of the interval in which a strain of first yield is enclosed."""


def yield_strain(cell: SolvedCell) -> Array:  # (phases that can yield, k)
    """Return by which multiple of each direction the first point of a phase yields.

    Up to the first yield the cell is linear: the strain of a point is the multiple times its strain
    under the direction. Where that meets the end of what is elastic is asked of the phase itself, a
    Material that reports ``plastic_strain``, at the cell's quadrature points. Rows are the phases
    that can yield in alphabetical order; a phase that does not yield below LARGEST has LARGEST.

    What is elastic is convex: all strains within the convex hull of tabulated ones, of both signs
    where the yield function is even, are.

    Raises:
        InputError: No phase can yield.
        ConvergenceError: The cell cannot be solved.
    """
    fields = cell.solid.problem.assembly.fields
    ductile = [name for name in cell.phases if name in fields and yields(fields[name].material)]
    if not ductile:
        raise InputError(
            "yield_strain: no phase of the cell can yield; expected one that reports a "
            "plastic_strain, such as kind 'j2_plasticity'"
        )
    smallest = np.empty((len(ductile), len(cell.directions)))
    for row, name in enumerate(ductile):
        strain = cell.at_points(name).strain  # (q, 6, m)
        parameters = fields[name].current_parameters()
        for k, direction in enumerate(cell.directions):
            smallest[row, k] = first_yield(fields[name].material, strain @ direction, parameters)
    return smallest


def yields(material: Material) -> bool:
    """Return whether a Material is one that yields: it reports a plastic strain."""
    return "plastic_strain" in numbers_of(material)


def first_yield(
    material: Material,
    strain: Array,  # (q, m), of each point under a multiple of 1
    parameters: Array,  # (q, p)
) -> float:
    """Return the multiple at which the first of some virgin points yields, from below.

    Points that do not yield where others do are left out of what follows.

    Raises:
        ConvergenceError: The Material does not answer.
    """
    points: NDArray[np.intp] = np.arange(len(strain))

    def flowing(multiple: float) -> NDArray[np.intp]:
        answer = material.evaluate(
            multiple * strain[points], parameters=parameters[points], tangent=False
        )
        if not answer.ok.all():
            raise ConvergenceError(f"a phase does not answer to {multiple:g} of a direction")
        return np.asarray(points[answer.report["plastic_strain"] > 0])

    low, high = 0.0, AMPLITUDE
    while not len(found := flowing(high)):
        if high >= LARGEST:
            return LARGEST
        low, high = high, min(2 * high, LARGEST)
    points = found
    while high - low > RESOLVED * high:
        middle = 0.5 * (low + high)
        found = flowing(middle)
        if len(found):
            high, points = middle, found
        else:
            low = middle
    return low
