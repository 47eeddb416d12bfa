"""What an error of the stress at a point does to an output: the strain of an adjoint.

An output J of the solved problem changes, to first order in an error Δσ of the stress, by

    ΔJ = ∫ Δσ · δε(ψ) dx,   ψ = r - z,   (Kᵀ z)_free = (Kᵀ r + l)_free,   z = 0 where u is given,

with J = r · (internal - external force) + l · u: r is one on the unknowns of a reaction, l takes u
at a probe. Source: R. Becker and R. Rannacher, An optimal control approach to a posteriori error
estimation in finite element methods, Acta Numerica 10 (2001) 1-102, sect. 2.
"""

from __future__ import annotations

from typing import Any, final

import basix
import numpy as np
from dolfinx import fem, la
from dolfinx.fem import petsc as fem_petsc
from numpy.typing import NDArray

from fesurrogate.fem.compat import evaluate_expression
from fesurrogate.fem.problem import MacroProblem
from fesurrogate.fem.strain import variation
from fesurrogate.kinematics import Array


@final
class Adjoint:
    """Adjoint strains of a problem where it is solved. Collective.

    Args:
        problem: Solved and updated; its stress and tangent are those of the solution.
    """

    def __init__(self, problem: MacroProblem) -> None:
        self.problem = problem
        V = problem.u.function_space
        self._direction = fem.Function(V)  # ψ
        self._strains = [
            (
                field,
                fem.Expression(
                    variation(field.strain, problem.u, self._direction),
                    basix.make_quadrature(V.mesh.basix_cell(), field.metadata["quadrature_degree"])[
                        0
                    ],
                ),
            )
            for field in problem.fields
        ]
        self._whole = fem_petsc.create_matrix(problem.jacobian_form)
        fem_petsc.assemble_matrix(self._whole, problem.jacobian_form)
        self._whole.assemble()
        self._given = np.zeros(len(problem.u.x.array), dtype=bool)
        for bc in problem.bcs:
            self._given[bc.dof_indices()[0]] = True
        matrix = problem.assemble_jacobian()
        self._ksp: Any = problem.snes.ksp
        self._ksp.setOperators(matrix)

    def of_reaction(
        self,
        facets: NDArray[np.int32],
        component: int,
    ) -> list[Array]:  # of each field (n, m)
        """Return δε(ψ) of a component of the reaction on a boundary."""
        V = self.problem.u.function_space
        domain = V.mesh
        domain.topology.create_connectivity(domain.topology.dim - 1, domain.topology.dim)
        blocks = fem.locate_dofs_topological(V, domain.topology.dim - 1, facets)
        r = fem.Function(V)
        r.x.array.reshape(-1, V.dofmap.index_map_bs)[blocks, component] = 1.0
        r.x.scatter_forward()
        load = fem.Function(V)
        self._whole.multTranspose(r.x.petsc_vec, load.x.petsc_vec)
        return self._strain(r.x.array - self._solve(load))

    def of_value(
        self,
        point: Array,  # (3,)
        cell: int,
        component: int,
    ) -> list[Array]:  # of each field (n, m)
        """Return δε(ψ) of a component of u at a point; the cell is -1 on ranks without it."""
        V = self.problem.u.function_space
        load, unit = fem.Function(V), fem.Function(V)
        size = V.dofmap.index_map_bs
        if cell >= 0:
            for block in V.dofmap.list[cell]:
                place = int(block) * size + component
                unit.x.array[place] = 1.0
                value = np.atleast_1d(unit.eval(point, np.array([cell], dtype=np.int32)))
                load.x.array[place] += value[component]
                unit.x.array[place] = 0.0
        load.x.scatter_reverse(la.InsertMode.add)
        return self._strain(-self._solve(load))

    def _solve(self, load: fem.Function) -> Array:
        """Return z, ghosts included, for a load whose owned entries are complete."""
        owned = load.x.petsc_vec.getLocalSize()
        load.x.array[:owned][self._given[:owned]] = 0.0
        z = fem.Function(load.function_space)
        self._ksp.solveTranspose(load.x.petsc_vec, z.x.petsc_vec)
        z.x.scatter_forward()
        return np.asarray(z.x.array, dtype=np.float64)

    def _strain(self, psi: Array) -> list[Array]:
        self._direction.x.array[:] = psi
        self._direction.x.scatter_forward()
        return [
            evaluate_expression(expression, field.mesh, field.cells, field.material.kinematics.size)
            for field, expression in self._strains
        ]
