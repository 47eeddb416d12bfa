"""Isotropic conduction, whose conductivity may be a parameter of the points."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, final

import numpy as np

from fesurrogate.kinematics import Array, Kinematics
from fesurrogate.laws.constants import POSITIVE, Constants
from fesurrogate.material import Material, Response, masked


@final
class Conductor(Material):
    """Flux = conductivity · gradient (of Fourier's law without its sign).

    Args:
        gdim: Space dimension.
        conductivity: k > 0.
        parameters: ``("conductivity",)`` where it is a parameter of the points instead. A point
            whose conductivity is out of range fails.

    Raises:
        InputError: The conductivity is out of range, or a parameter is not it.
    """

    def __init__(
        self,
        gdim: Literal[2, 3],
        *,
        conductivity: float,
        parameters: Sequence[str] = (),
    ) -> None:
        self._constants = Constants(
            "Conductor",
            {"conductivity": conductivity},
            {"conductivity": POSITIVE},
            parameters=parameters,
        )
        self.parameter_names = self._constants.names
        self.parameter_ranges = self._constants.parameter_ranges
        self.kinematics = Kinematics(gdim, "gradient")

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
        """Answer the closed form; energy is ½ gradient · flux."""
        n, size = strain.shape
        constants, ok = self._constants.at(parameters)
        conductivity = constants["conductivity"]
        ok &= self.kinematics.admissible(strain)
        gradient = np.where(ok[:, None], strain, 0.0)
        flux = conductivity[:, None] * gradient
        derivative = None
        if sensitivity:
            derivative = self._constants.columns({"conductivity": gradient}, (n, size))
        energy = 0.5 * np.einsum("ni,ni->n", gradient, flux)
        response = Response(
            flux,
            conductivity[:, None, None] * np.eye(size) if tangent else None,
            state.copy(),
            hint.copy(),
            np.ones(n, dtype=bool),
            derivative,
            {"energy": np.where(ok, energy, np.nan)},
        )
        return masked(response, ok)
