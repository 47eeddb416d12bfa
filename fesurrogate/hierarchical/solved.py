"""A cell as quantities of interest see it: solved at rest, under any unit strain."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import final

import numpy as np
import ufl
from dolfinx import fem

from fesurrogate.errors import ConvergenceError
from fesurrogate.hierarchical.point_fields import PointFields, point_fields
from fesurrogate.kinematics import SYMMETRIC_PAIRS, Array, Kinematics
from fesurrogate.laws.rotated import NAMES as ROTATION_NAMES
from fesurrogate.micro import RVEMaterial
from fesurrogate.micro.localise import MicroFields

AMPLITUDE = 1e-6
"""Of the strain that is applied; fields are divided by it, so that phases answer linearly."""


@final
class SolvedCell:
    """A cell with the values of its parameters, at rest.

    Args:
        rve: The cell under the kinematics of the table.
        solid: Gives the same cell under the kinematics of the solid: a plane cell as the section of
            a prism, in which all stress components are known.
        parameters: (p,) of the first; an angle of a phase is one about z in the solid.
        expansion: Thermal expansion of each phase, isotropic, a unit of temperature; none given
            where empty.
        directions: (k, m), strains of norm 1, for quantities by direction.
    """

    def __init__(
        self,
        rve: RVEMaterial,
        solid: Callable[[], RVEMaterial],
        parameters: Array,  # (p,)
        expansion: dict[str, float],
        directions: Array,  # (k, m)
    ) -> None:
        self.rve, self.parameters, self.expansion = rve, parameters, expansion
        self.directions = directions
        self._make_solid = solid
        self._points: dict[str, PointFields] = {}

    @property
    def kinematics(self) -> Kinematics:
        """The strain measure of the table."""
        return self.rve.kinematics

    @property
    def phases(self) -> tuple[str, ...]:
        """Names of the phases that are not void, in alphabetical order."""
        return tuple(sorted(self.rve.cell.phase_cells))

    @cached_property
    def stiffness(self) -> Array:  # (m, m)
        """Effective stiffness (conductivity of a gradient), its symmetric part.

        Raises:
            ConvergenceError: The cell cannot be solved.
        """
        rest = self.kinematics.rest[None]
        answer = self.rve.evaluate(rest, parameters=self.parameters[None])
        if not answer.ok.all() or answer.tangent is None:
            raise ConvergenceError("the cell has no stiffness at rest")
        tangent = answer.tangent[0]
        return np.asarray(0.5 * (tangent + tangent.T))

    @cached_property
    def solid(self) -> RVEMaterial:
        """The same cell under the kinematics of the solid."""
        return self._make_solid()

    @property
    def unit_fields(self) -> tuple[MicroFields, ...]:
        """Fields of the solid under each unit strain of the table's components, times AMPLITUDE.

        Mandel components: a unit shear has the Frobenius norm 1, as a unit extension has.

        Raises:
            ConvergenceError: The cell cannot be solved.
        """
        return self._solved[0]

    def at_points(self, phase: str) -> PointFields:
        """Return the fields of a phase at its quadrature points under each unit strain.

        Raises:
            ConvergenceError: The cell cannot be solved.
        """
        if phase not in self._points:
            displacements = self._solved[1]
            self.solid.problem.set_parameters(self._solid_parameters)
            self._points[phase] = point_fields(self.solid, phase, displacements, AMPLITUDE)
        return self._points[phase]

    @cached_property
    def _solved(self) -> tuple[tuple[MicroFields, ...], list[Array]]:
        """Return the fields under the unit strains, and the nodal unknowns of each."""
        solid, fields, displacements = self.solid, [], []
        virgin = solid.initial_state(1)[0]
        for strain in np.eye(solid.kinematics.size)[self.components]:
            found = solid.localise(AMPLITUDE * strain, virgin, parameters=self._solid_parameters)
            if not found.ok:
                raise ConvergenceError(f"the cell cannot be solved under a strain of {AMPLITUDE}")
            flowing = found.reports.get("plastic_strain", np.zeros(1))
            if np.nanmax(flowing) > 0:
                raise ConvergenceError(
                    f"the cell yields under a strain of {AMPLITUDE} already; expected yield "
                    "stresses in the unit of Young's moduli"
                )
            fields.append(found)
            displacements.append(solid.problem.assembly.u.x.array.copy())
        return tuple(fields), displacements

    @property
    def _solid_parameters(self) -> Array:  # (p',)
        """Parameters of the solid's cell."""
        values = dict(zip(self.rve.parameter_names, map(float, self.parameters), strict=True))
        (angle,), axes = ROTATION_NAMES[2], ROTATION_NAMES[3]
        for name in self.rve.parameter_names:
            phase, _, key = name.rpartition(".")
            if key == angle:
                turn = (0.0, 0.0, values[name])
                values |= {f"{phase}.{axis}": value for axis, value in zip(axes, turn, strict=True)}
        return np.array([values[name] for name in self.solid.parameter_names])

    @property
    def components(self) -> list[int]:
        """Positions of the table's components among the six of the solid."""
        return [SYMMETRIC_PAIRS[3].index(pair) for pair in SYMMETRIC_PAIRS[self.kinematics.gdim]]

    @cached_property
    def element_volumes(self) -> Array:  # (e,)
        """Share of each element in the volume of the cell, voids included."""
        cell = self.rve.cell
        space = fem.functionspace(cell.mesh, ("DG", 0))
        form = fem.form(ufl.TestFunction(space) * ufl.dx)
        volumes = np.empty(len(space.dofmap.list))
        volumes[:] = fem.assemble_vector(form).array[space.dofmap.list[:, 0]]
        return np.asarray(volumes / cell.volume, dtype=np.float64)
