"""Parameters of a cell: constants of its phases that differ from point to point."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, final

import numpy as np
import ufl
from dolfinx import fem

from fesurrogate.errors import InputError
from fesurrogate.fem.field import MaterialField
from fesurrogate.kinematics import Array
from fesurrogate.material import Material
from fesurrogate.micro.cells.cell import Cell
from fesurrogate.micro.phases import Phase


@final
class CellParameters:
    """Values of the phases' constants, and the derivatives of the nodal force by them.

    Args:
        cell: The cell.
        phases: Law of each phase.
        wanted: ``PHASE.NAME`` of the parameters, in their order; parameters of Materials that are
            not among them follow.

    Attributes:
        names: ``PHASE.NAME`` of all parameters.
        of_energies: UFL value of each constant, by phase that is an energy and name.
        of_materials: UFL vector of the parameters of each phase that is a Material and has any.

    Raises:
        InputError: A parameter is wanted that no phase has, or wanted twice.
    """

    def __init__(
        self, cell: Cell, phases: Mapping[str, Phase | Material], wanted: Sequence[str]
    ) -> None:
        self._phases = phases
        materials = {k: p for k, p in phases.items() if isinstance(p, Material)}
        energies = {k: p for k, p in phases.items() if not isinstance(p, Material)}
        own = [f"{k}.{name}" for k, p in materials.items() for name in p.parameter_names]
        known = [*own, *(f"{k}.{name}" for k, p in energies.items() for name in p.constants)]
        unknown = sorted(set(wanted) - set(known))
        if unknown or len(set(wanted)) < len(wanted):
            raise InputError(
                f"parameters are {list(wanted)}; expected each once, out of "
                f"{', '.join(known) or 'none: no phase has any'}"
            )
        self.names = (*wanted, *(name for name in own if name not in wanted))
        self._constants = {
            k: {name: fem.Constant(cell.mesh, float(v)) for name, v in phase.constants.items()}
            for k, phase in energies.items()
        }
        self.of_energies = {  # a variable can be differentiated by
            k: {
                name: ufl.variable(c) if f"{k}.{name}" in self.names else c
                for name, c in constants.items()
            }
            for k, constants in self._constants.items()
        }
        self.of_materials = {
            k: fem.Constant(cell.mesh, np.zeros(len(phase.parameter_names)))
            for k, phase in materials.items()
            if phase.parameter_names
        }
        self._forms: dict[str, fem.Form] = {}  # of ∂f/∂p, or of f for each Material
        self._fields: dict[str, MaterialField] = {}

    def set(
        self,
        values: Array,  # (p,)
    ) -> bool:
        """Set the values; return whether they are in the range of the phases that are energies."""
        for name, value in zip(self.names, values, strict=True):
            phase, _, constant = name.partition(".")
            if phase in self._constants:
                self._constants[phase][constant].value = value
            else:
                position = self._phases[phase].parameter_names.index(constant)  # type: ignore[union-attr]
                self.of_materials[phase].value[position] = value
        try:
            for phase, constants in self._constants.items():
                given = {name: float(c.value) for name, c in constants.items()}
                self._phases[phase].check(**given)  # type: ignore[union-attr]
        except InputError:
            return False
        return bool(np.isfinite(values).all())

    # -- derivatives ----------------------------------------------------------------------

    def differentiate_energy(
        self, phase: str, density: Any, dx: ufl.Measure, u: fem.Function
    ) -> None:
        """Compile ∂f/∂p of the parameters of a phase that is an energy."""
        v = ufl.TestFunction(u.function_space)
        for name, variable in self.of_energies[phase].items():
            if f"{phase}.{name}" in self.names:
                by_parameter = ufl.diff(density, variable) * dx
                self._forms[f"{phase}.{name}"] = fem.form(ufl.derivative(by_parameter, u, v))

    def differentiate_stress(self, phase: str, field: MaterialField, residual: Any) -> None:
        """Compile the force of a phase that is a Material, if it has parameters."""
        if field.material.parameter_names:
            self._forms[phase], self._fields[phase] = fem.form(residual), field

    def derivatives(self, size: int) -> Array:  # (size, p)
        """Return ∂f/∂p; the stress of Materials is overwritten: update them anew."""
        columns = np.zeros((size, len(self.names)))
        by_stress = {name: field.sensitivity() for name, field in self._fields.items()}
        for k, name in enumerate(self.names):
            phase, _, constant = name.partition(".")
            column = np.zeros(size)
            if phase in self._fields:
                field = self._fields[phase]
                position = field.material.parameter_names.index(constant)
                field.fill_stress(by_stress[phase][:, :, position])
                fem.assemble_vector(column, self._forms[phase])
            else:
                fem.assemble_vector(column, self._forms[name])
            columns[:, k] = column
        return columns
