"""The Material that looks its stiffness up."""

from __future__ import annotations

from typing import final

import numpy as np

from fesurrogate.errors import InputError
from fesurrogate.hierarchical.axes import multilinear
from fesurrogate.hierarchical.tabulation import STIFFNESS, Tabulation
from fesurrogate.kinematics import Array
from fesurrogate.material import Material, Response, masked

CHUNK = 2048
"""Points that are looked up at once: what they touch stays in the cache."""


@final
class Table(Material):
    """Stress = stiffness(parameters) · strain, the stiffness interpolated in a table.

    Interpolation is multilinear, with weights that are not negative and of sum 1: the stiffness is
    symmetric and positive definite wherever the entries are. The axes of the table are the
    parameters of the points. A point outside of them fails, as does one beside an entry that could
    not be computed; nothing is extrapolated. ``report`` gives ``energy``, and ``outside``: 1 where
    a parameter is outside of its axis.

    The tangent is exact, and so is the sensitivity: the derivative of the interpolant, at a value
    of an axis that of the side above.

    Args:
        tabulation: Small strain with ``stiffness``, or a gradient with ``conductivity``.

    Raises:
        InputError: The table holds no stiffness.
        MissingPackageError: scipy is not installed.
    """

    def __init__(self, tabulation: Tabulation) -> None:
        kinematics = tabulation.kinematics
        name, size = STIFFNESS.get(kinematics.measure, "stiffness"), kinematics.size
        if name not in tabulation.quantities:
            raise InputError(
                f"Table: the table of {kinematics} holds "
                f"{', '.join(tabulation.quantities) or 'nothing'}; expected {name!r}: add it to "
                "quantities of [precompute]"
            )
        if tabulation.trailing(name) != (size, size):
            raise InputError(
                f"Table: an entry of {name} has shape {tabulation.trailing(name)}; expected "
                f"({size}, {size}) for {kinematics}"
            )
        self.kinematics = kinematics
        self.tabulation = tabulation
        self.parameter_names = tuple(axis.name for axis in tabulation.axes)
        self.parameter_ranges = {axis.name: axis.range for axis in tabulation.axes}
        self._entries = tabulation.entries(name)  # (N, m²)

    def respond(
        self,
        strain: Array,  # (n, m)
        state: Array,  # (n, s)
        dt: float,
        *,
        parameters: Array,  # (n, p)
        hint: Array,  # (n, h)
        tangent: bool,
        sensitivity: bool,
    ) -> Response:
        """Look up and multiply, chunk by chunk; energy is ½ strain · stress."""
        n, m = strain.shape
        ok = self.kinematics.admissible(strain)
        offset = np.where(ok[:, None], strain, 0.0)
        stress, outside = np.empty((n, m)), np.empty(n)
        moduli = np.empty((n, m, m)) if tangent else None
        derivative = np.empty((n, m, parameters.shape[1])) if sensitivity else None
        for begin in range(0, n, CHUNK):
            rows = slice(begin, begin + CHUNK)
            weights = multilinear(self.tabulation.axes, parameters[rows], slopes=sensitivity)
            ok[rows] &= self.tabulation.known(weights)
            outside[rows] = ~weights.inside
            found = (weights.values @ self._entries).reshape(-1, m, m)
            vector = offset[rows, :, None]
            stress[rows] = (found @ vector)[:, :, 0]
            if moduli is not None:
                moduli[rows] = found
            if derivative is not None:
                for k, slope in enumerate(weights.slopes):
                    rate = (slope @ self._entries).reshape(-1, m, m)
                    derivative[rows, :, k] = (rate @ vector)[:, :, 0]
        energy = np.where(ok, 0.5 * np.einsum("ni,ni->n", offset, stress), np.nan)
        response = Response(
            stress,
            moduli,
            state.copy(),
            hint.copy(),
            np.ones(n, dtype=bool),
            derivative,
            {"energy": energy, "outside": outside},
        )
        return masked(response, ok)
