"""Localisation: the full fields of a cell at a macro point, from the macro strain back down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import ufl
from dolfinx import fem
from dolfinx.mesh import Mesh

from fesurrogate.fem.compat import geometry_dofmap
from fesurrogate.fem.points import cell_means
from fesurrogate.fem.strain import pack
from fesurrogate.fem.values import nodal_values
from fesurrogate.kinematics import Array, Kinematics
from fesurrogate.micro.condensation import CellProblem
from fesurrogate.micro.reports import CellReports
from fesurrogate.micro.strain import num_fluctuating, strain_components, strain_tensor


@dataclass(frozen=True)
class MicroFields:
    """The fields of a cell at one macro point; e elements, m components of the stress.

    Attributes:
        mesh: Serial mesh of the cell.
        displacement: (nodes, d) at the nodes of the mesh, of the macro strain and the fluctuation
            together, up to a translation; (nodes, 1) of a scalar field. In a prismatic cell all
            three components, at one section.
        stress: (e, m), mean over each element, in the components of the macro stress (P at finite
            strain). Its mean over the cell, void included, is the macro stress.
        strain: (e, m), mean over each element, in the components of the macro strain.
        stress_norm: (e,), mean of the Frobenius norm.
        von_mises: (e,), mean of the von Mises stress; None unless all six components are known.
        reports: What phases that are Materials report at their points (``plastic_strain``, ...),
            mean over each element (e,) by name; NaN in other phases.
        iterations: Newton iterations: none after a hint that is in equilibrium.
        ok: Whether the cell could be solved; all fields are NaN if not.
    """

    mesh: Mesh
    displacement: Array
    stress: Array
    strain: Array
    stress_norm: Array
    von_mises: Array | None
    reports: Mapping[str, Array]
    iterations: int
    ok: bool

    def displacement_function(self) -> fem.Function:
        """Return the displacement as a Function of the mesh's own degree."""
        element = self.mesh.ufl_domain().ufl_coordinate_element().basix_element
        size = self.displacement.shape[1]
        shape = (size,) if size > 1 else ()
        function = fem.Function(fem.functionspace(self.mesh, ("Lagrange", element.degree, shape)))
        values = function.x.array.reshape(-1, size)
        values[function.function_space.dofmap.list] = self.displacement[geometry_dofmap(self.mesh)]
        return function


@final
class Localiser:
    """Reads the fields of a cell where it was last assembled; its forms are compiled once."""

    def __init__(self, problem: CellProblem, reports: CellReports, mesh: Mesh) -> None:
        self._assembly, self._reports, self._mesh = problem.assembly, reports, mesh
        self._kinematics = problem.kinematics
        self._strain = strain_components(self._assembly.u, self._kinematics)
        self._names = sorted({name for names in reports.known.values() for name in names})
        described = [
            (_described(stress, self._strain, self._kinematics), dx)
            for stress, dx in self._stresses()
        ]
        size = described[0][0].ufl_shape[0]
        space = fem.functionspace(mesh, ("DG", 0, (size,)))
        test = ufl.TestFunction(space)
        form = sum(ufl.inner(vector, test) * dx for vector, dx in described)
        self._form, self._dofs = fem.form(form), space.dofmap.list[:, 0]
        volume = fem.assemble_vector(fem.form(test[0] * ufl.dx(domain=mesh))).array
        self._volume = volume.reshape(-1, size)[self._dofs, :1]  # (e, 1)
        self._size = size
        nodal_values(mesh, self._assembly.u)  # compiles, on the one rank whose turn it is

    def _stresses(self) -> list[tuple[Any, ufl.Measure]]:
        """Return the stress (m,) of each phase in UFL, with its measure."""
        assembly, stresses = self._assembly, []
        for name, dx in assembly.measures.items():
            if name in assembly.fields:
                field = assembly.fields[name]
                stresses.append((field.stress, dx(metadata=field.metadata)))
            else:
                strain = ufl.variable(strain_tensor(assembly.u, self._kinematics))
                tensor = ufl.diff(assembly.energies[name](strain), strain)
                stresses.append((pack(self._kinematics, tensor), dx))
        return stresses

    def fields(self, iterations: int) -> MicroFields:
        """Return the fields where the cell was last assembled."""
        m = self._kinematics.size
        total = fem.assemble_vector(self._form).array
        means = total.reshape(-1, self._size)[self._dofs] / self._volume
        reports = {name: self._report(name) for name in self._names}
        return MicroFields(
            self._mesh,
            nodal_values(self._mesh, self._assembly.u)[:, : num_fluctuating(self._kinematics)],
            means[:, :m],
            means[:, m : 2 * m],
            means[:, 2 * m],
            means[:, 2 * m + 1] if self._size > 2 * m + 1 else None,
            reports,
            iterations,
            True,
        )

    def failed(self, iterations: int) -> MicroFields:
        """Return fields of NaN, for a cell that could not be solved."""
        elements, nodes = len(self._dofs), len(self._mesh.geometry.x)
        m = self._kinematics.size

        def blank(*shape: int) -> Array:
            return np.full(shape, np.nan)

        return MicroFields(
            self._mesh,
            blank(nodes, num_fluctuating(self._kinematics)),
            blank(elements, m),
            blank(elements, m),
            blank(elements),
            blank(elements) if self._size > 2 * m + 1 else None,
            {name: blank(elements) for name in self._names},
            iterations,
            False,
        )

    def _report(self, report: str) -> Array:  # (e,)
        """Return the mean of a report over each element; NaN where a phase has none."""
        values = [
            (field, self._reports.weights(name), self._reports.at_points(name)[report])
            for name, field in self._assembly.fields.items()
            if report in self._reports.known[name]
        ]
        return cell_means(self._mesh, values)


def _described(stress: Any, strain: Any, kinematics: Kinematics) -> Any:
    """Return stress (m,), strain (m,), norm of the stress and, if known, its von Mises stress."""
    m = kinematics.size
    described = [*(stress[k] for k in range(m)), *(strain[k] for k in range(m))]
    described.append(ufl.sqrt(ufl.inner(stress, stress)))
    if kinematics.measure == "small" and kinematics.gdim == 3:
        mean = (stress[0] + stress[1] + stress[2]) / 3
        deviator = ufl.as_vector([stress[k] - (mean if k < 3 else 0) for k in range(m)])
        described.append(ufl.sqrt(1.5 * ufl.inner(deviator, deviator)))
    return ufl.as_vector(described)
