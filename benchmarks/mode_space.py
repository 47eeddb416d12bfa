"""A step of Gauss-Newton's method in the space of modes, before each solve of a cell."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fesurrogate.chebyshev import degrees_of, term_count, values
from fesurrogate.kinematics import Array
from fesurrogate.micro import RVEMaterial
from fesurrogate.warmstart.modes import strain_inputs

EXTENT = 0.2  # of the strains that a stiffness is learned at
NEGLIGIBLE = 1e-13  # square of a mode's size, of that of the largest
FILL = 0.7  # terms of a learned stiffness, of its samples


class ModeStep:
    """Takes the step before each solve of a cell.

    Args:
        rve: The cell; its equations are its own.
        modes: Φ.
        reduced: Φ K Φᵀ (k, k) at a strain, where it was learned.
    """

    def __init__(
        self,
        rve: RVEMaterial,
        modes: Array,  # (k, unknowns)
        reduced: Callable[[Array], Array] | None = None,
    ) -> None:
        self._reduced = reduced
        self._problem, self._modes = rve.problem, modes
        self._nodal = rve.problem.prolongation @ modes.T  # (nodes * bs, k)
        self._equilibrate = rve.problem.equilibrate
        rve.problem.equilibrate = self  # type: ignore[method-assign, assignment]

    def __call__(
        self,
        strain: Array,  # (m,)
        guess: Array,  # (unknowns,)
        *,
        candidate: Array | None = None,  # (unknowns,)
        **settings: Any,
    ) -> tuple[Array, int, bool]:
        """Solve from where the step has led; that is refused as any other guess is."""
        q = guess if candidate is None else candidate
        moved = q - self._change(strain, q)
        return self._equilibrate(strain, guess, candidate=moved, **settings)

    def _change(self, strain: Array, q: Array) -> Array:  # (unknowns,)
        problem = self._problem
        problem.assembly.restart()
        problem.assemble(strain, q, tangent=self._reduced is None)
        force = self._modes @ problem.solver.restrict(problem.force)  # (k,)
        if self._reduced is not None:
            reduced = self._reduced(strain)
        else:
            reduced = self._nodal.T @ (problem.stiffness @ self._nodal)  # (k, k)
        return np.asarray(np.linalg.solve(reduced, force) @ self._modes)

    def leaves(self, strain: Array, q: Array) -> float:
        """Return what one step leaves of the residual."""
        moved = q - self._change(strain, q)
        norms = []
        for each in (moved, q):
            self._problem.assembly.restart()
            self._problem.assemble(strain, each)
            norms.append(np.linalg.norm(self._problem.solver.restrict(self._problem.force)))
        return float(norms[0] / norms[1])


def space(
    rows: Array,  # (r, unknowns)
    metric: Any = None,  # (unknowns, unknowns)
) -> Array:  # (k, unknowns)
    """Return the modes of fields in a norm, orthonormal there, the most important first."""
    images = rows if metric is None else (metric @ rows.T).T
    size, vectors = np.linalg.eigh(images @ rows.T)  # rising
    kept = size > NEGLIGIBLE * size[-1]
    modes = (vectors[:, kept] / np.sqrt(size[kept])).T @ rows
    return np.asarray(modes[::-1])


def learned_stiffness(
    rve: RVEMaterial,
    modes: Array,  # (k, unknowns)
    strain: Array,  # (N, m)
    q: Array,  # (N, unknowns)
) -> Callable[[Array], Array]:
    """Return Φ K Φᵀ of a strain, learned at samples."""
    problem, upper = rve.problem, np.triu_indices(len(modes))
    nodal, known = problem.prolongation @ modes.T, []
    for each, fluctuation in zip(strain, q, strict=True):
        problem.assemble(each, fluctuation, tangent=True)
        known.append((nodal.T @ (problem.stiffness @ nodal))[upper])

    def inputs(strain: Array) -> Array:
        return strain_inputs(rve.kinematics, strain)[0] / EXTENT

    x = inputs(strain)
    degree = max(d for d in (1, 2, 3, 4) if term_count(x.shape[1], d) <= FILL * len(x))
    degrees = degrees_of(x.shape[1], degree)
    coefficients = np.linalg.lstsq(values(x, degrees), np.array(known), rcond=None)[0]

    def reduced(strain: Array) -> Array:
        matrix: Array = np.zeros((len(modes), len(modes)))
        matrix[upper] = (values(inputs(strain[None]), degrees) @ coefficients)[0]
        matrix.T[upper] = matrix[upper]
        return matrix

    return reduced
