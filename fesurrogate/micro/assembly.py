"""Nodal force and stiffness of the cell, from phases that are energies in UFL or Materials."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, final

import numpy as np
import scipy.sparse as sp
import ufl
from dolfinx import fem, la

from fesurrogate.errors import InputError
from fesurrogate.fem.field import MaterialField
from fesurrogate.kinematics import Array, Kinematics
from fesurrogate.material import Material
from fesurrogate.micro.cells.cell import Cell
from fesurrogate.micro.parameters import CellParameters
from fesurrogate.micro.phases import Phase
from fesurrogate.micro.strain import num_components, strain_components, strain_tensor


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
        energies: Of the other phases: density of a strain tensor in UFL, by name.
        measures: Integration measure of each phase, by name.
        num_state: Columns of the state of a whole cell.
        parameter_names: ``PHASE.NAME`` of each parameter: those asked for of the constants of
            energies, then all that Materials have.
        symmetric: Whether K is symmetric whatever u: all phases are energies.
    """

    def __init__(
        self,
        cell: Cell,
        phases: Mapping[str, Phase | Material],
        kinematics: Kinematics,
        degree: int,
        *,
        parameters: Sequence[str] = (),
    ) -> None:
        self.volume = cell.volume
        components = num_components(kinematics, cell.mesh.geometry.dim)
        V = fem.functionspace(
            cell.mesh,
            ("Lagrange", degree) if components == 1 else ("Lagrange", degree, (components,)),
        )
        self.u = fem.Function(V)
        v, du = ufl.TestFunction(V), ufl.TrialFunction(V)
        simplex = cell.mesh.topology.cell_name() in ("triangle", "tetrahedron")
        quadrature_degree = max(1, 2 * (degree - 1)) if simplex else 2 * degree
        geometry = cell.mesh.ufl_domain().ufl_coordinate_element().basix_element.degree
        quadrature_degree += (geometry - 1) * (cell.mesh.geometry.dim - 1)  # ∫ ∇φ dx stays exact

        self.measures = measures = cell.measures(quadrature_degree)
        energies, residual, jacobian = [], [], []
        self.fields: dict[str, MaterialField] = {}
        self.energies: dict[str, Callable[[Any], Any]] = {}
        self._parameters = CellParameters(cell, phases, parameters)
        self.parameter_names = self._parameters.names
        for name, dx in measures.items():
            phase = phases[name]
            if isinstance(phase, Material):
                if phase.kinematics != kinematics:
                    raise InputError(
                        f"phase {name!r}: {type(phase).__name__} is for {phase.kinematics}, but "
                        f"the cell is solved in {kinematics}"
                    )
                strain = strain_components(self.u, kinematics)
                field = MaterialField(
                    phase, strain, degree=quadrature_degree, cells=cell.phase_cells[name],
                    parameters=self._parameters.of_materials.get(name),
                )  # fmt: skip
                self.fields[name] = field
                residual.append(field.residual(v, dx=dx))
                jacobian.append(field.jacobian(du, v, dx=dx))
                self._parameters.differentiate_stress(name, field, residual[-1])
            else:
                constants = self._parameters.of_energies[name]
                self.energies[name] = partial(phase.energy, **constants)
                density = self.energies[name](strain_tensor(self.u, kinematics))
                energies.append(density * dx)
                residual.append(ufl.derivative(energies[-1], self.u, v))
                jacobian.append(ufl.derivative(residual[-1], self.u, du))
                self._parameters.differentiate_energy(name, density, dx, self.u)
        self.symmetric = not self.fields
        self._energy_form = fem.form(sum(energies)) if energies else None
        self._residual_form = fem.form(sum(residual))
        self._tangent_form = fem.form(sum(jacobian))
        self.force: Array = np.zeros(V.dofmap.index_map.size_local * V.dofmap.index_map_bs)
        self._csr = fem.create_matrix(self._tangent_form, block_mode=la.BlockMode.compact)
        blocks = self._csr.data.reshape(-1, *self._csr.block_size)  # filled sooner than entries
        arrays = (blocks, self._csr.indices, self._csr.indptr)
        self.stiffness = sp.bsr_matrix(arrays, shape=(len(self.force),) * 2)
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

    def set_parameters(
        self,
        values: Array,  # (p,)
    ) -> bool:
        """Give all parameters their values; return whether energies exist for them."""
        return self._parameters.set(values)

    def sensitivity(self) -> Array:  # (nodes * bs, p)
        """Return ∂f/∂p where f was last assembled."""
        columns = self._parameters.derivatives(len(self.force))
        self.restart()
        return columns

    def energy(self) -> float:
        """Return the mean over the cell of the energy density, of the phases that are energies."""
        if self._energy_form is None:
            return 0.0
        return float(fem.assemble_scalar(self._energy_form)) / self.volume
