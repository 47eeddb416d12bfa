"""Nodal force and stiffness of the cell, from phases that are energies in UFL or Materials."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

import numpy as np
import scipy.sparse as sp
import ufl
from dolfinx import fem, la

from fesurrogate.errors import InputError
from fesurrogate.fem.field import MaterialField
from fesurrogate.fem.strain import strain_of
from fesurrogate.kinematics import Array, Kinematics
from fesurrogate.material import Material
from fesurrogate.micro.cell import Cell
from fesurrogate.micro.phases import Phase


@final
class CellAssembly:
    """f(u) and K(u) in the ordinary Lagrange space of the cell.

    A phase given as an energy is compiled; one given as a Material is evaluated at the cell's own
    quadrature points, by the same MaterialField that carries it on the macro scale.

    Attributes:
        u: The displacement; set it, then assemble.
        force: (nodes * bs,), f.
        stiffness: K, sharing its memory with what DOLFINx assembles into.
        fields: Of the phases that are Materials, by name.
        num_state: Columns of the state of a whole cell.
        symmetric: Whether K is symmetric whatever u: all phases are energies.
    """

    def __init__(
        self,
        cell: Cell,
        phases: Mapping[str, Phase | Material],
        kinematics: Kinematics,
        degree: int,
    ) -> None:
        self.volume = cell.volume
        scalar = kinematics.measure == "gradient"
        element = ("Lagrange", degree) if scalar else ("Lagrange", degree, (kinematics.gdim,))
        V = fem.functionspace(cell.mesh, element)
        self.u = fem.Function(V)
        v, du = ufl.TestFunction(V), ufl.TrialFunction(V)
        simplex = cell.mesh.topology.cell_name() in ("triangle", "tetrahedron")
        quadrature_degree = max(1, 2 * (degree - 1)) if simplex else 2 * degree

        measures = cell.measures(quadrature_degree)
        energies, residual, jacobian = [], [], []
        self.fields: dict[str, MaterialField] = {}
        for name, dx in measures.items():
            phase = phases[name]
            if isinstance(phase, Material):
                field = _field(name, phase, self.u, kinematics, quadrature_degree, cell)
                self.fields[name] = field
                residual.append(field.residual(v, dx=dx))
                jacobian.append(field.jacobian(du, v, dx=dx))
            else:
                energy = _energy(phase, self.u, kinematics, cell) * dx
                energies.append(energy)
                residual.append(ufl.derivative(energy, self.u, v))
                jacobian.append(ufl.derivative(residual[-1], self.u, du))
        self.symmetric = not self.fields
        self._energy_form = fem.form(sum(energies)) if self.symmetric else None
        self._residual_form = fem.form(sum(residual))
        self._tangent_form = fem.form(sum(jacobian))
        self.force: Array = np.zeros(V.dofmap.index_map.size_local * V.dofmap.index_map_bs)
        self._csr = fem.create_matrix(self._tangent_form, block_mode=la.BlockMode.expanded)
        arrays = (self._csr.data, self._csr.indices, self._csr.indptr)
        self.stiffness = sp.csr_matrix(arrays, shape=(len(self.force),) * 2)
        assert np.shares_memory(self.stiffness.data, self._csr.data)
        self._widths = {
            name: field.num_points * field.material.num_state for name, field in self.fields.items()
        }
        self.num_state = sum(self._widths.values())
        self._state, self._dt = self.initial_state(), 1.0

    # -- state ----------------------------------------------------------------------------

    def initial_state(self) -> Array:  # (num_state,)
        """Return the state of a virgin cell: the states of all its points, phase by phase."""
        rows = [f.material.initial_state(f.num_points).ravel() for f in self.fields.values()]
        return np.concatenate([np.zeros(0), *rows])

    def start_increment(
        self,
        state: Array,  # (num_state,)
        dt: float,
    ) -> None:
        """Begin an increment of length dt from a state of the cell."""
        self._state, self._dt = state, dt
        self.restart()

    def restart(self) -> None:
        """Begin the increment anew, whatever has failed in it."""
        offset, state = 0, self._state
        for name, field in self.fields.items():
            part = state[offset : offset + self._widths[name]]
            field.start_increment(part.reshape(field.num_points, field.material.num_state))
            offset += self._widths[name]

    def state(self) -> Array:  # (num_state,)
        """Return the state at the last assembled displacement."""
        responses = [field.response for field in self.fields.values()]
        return np.concatenate([np.zeros(0), *(r.state.ravel() for r in responses if r)])

    # -- assembly -------------------------------------------------------------------------

    def assemble_force(self) -> None:
        """Assemble f; it is NaN where a point of a phase cannot be solved."""
        for field in self.fields.values():
            field.update(self._dt)
        self.force[:] = 0.0
        fem.assemble_vector(self.force, self._residual_form)

    def assemble_stiffness(self) -> None:
        """Assemble K."""
        for field in self.fields.values():
            field.update(self._dt)
        self._csr.data[:] = 0.0
        fem.assemble_matrix(self._csr, self._tangent_form)

    def energy(self) -> float:
        """Return the mean energy density at u; NaN where a phase is a Material."""
        if self._energy_form is None:
            return np.nan
        return float(fem.assemble_scalar(self._energy_form)) / self.volume


def _energy(phase: Phase, u: fem.Function, kinematics: Kinematics, cell: Cell) -> Any:
    gradient = ufl.grad(u)
    strain = {
        "finite": lambda: ufl.Identity(kinematics.gdim) + gradient,
        "small": lambda: ufl.sym(gradient),
        "gradient": lambda: gradient,
    }[kinematics.measure]()
    constants = {key: fem.Constant(cell.mesh, float(v)) for key, v in phase.constants.items()}
    return phase.energy(strain, **constants)


def _field(
    name: str,
    material: Material,
    u: fem.Function,
    kinematics: Kinematics,
    quadrature_degree: int,
    cell: Cell,
) -> MaterialField:
    if material.kinematics != kinematics:
        raise InputError(
            f"phase {name!r}: {type(material).__name__} is for {material.kinematics}, but the cell "
            f"is solved in {kinematics}"
        )
    if material.parameter_names:
        raise InputError(
            f"phase {name!r}: {type(material).__name__} has the parameters "
            f"{', '.join(material.parameter_names)}, which a cell cannot give yet"
        )
    strain = strain_of(u, kinematics)
    return MaterialField(material, strain, degree=quadrature_degree, cells=cell.phase_cells[name])
