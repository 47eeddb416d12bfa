"""Any Material turned by an orientation, which is fixed or a parameter of every point."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fesurrogate.errors import InputError
from fesurrogate.kinematics import Array, BoolArray, Kinematics
from fesurrogate.laws.rotation import (
    component_rotation,
    component_rotation_slope,
    rotation_matrix,
    turn,
)
from fesurrogate.material import Material, Response, masked

NAMES = {2: ("angle",), 3: ("rotation_x", "rotation_y", "rotation_z")}
"""Parameters of an orientation by space dimension."""


@final
class Rotated(Material):
    """A Material whose axes are turned by a rotation Q from the global ones.

    With R the orthogonal matrix that takes strain components to the material's axes,

    strain₀ = R strain,  stress = Rᵀ stress₀(strain₀),  tangent = Rᵀ tangent₀ R,

    which is ε₀ = Qᵀ ε Q at small strain, F₀ = Qᵀ F Q and P = Q P₀ Qᵀ at finite strain, g₀ = Qᵀ g
    for a gradient. In 2D Q turns by an angle, counterclockwise from x to the material's first
    axis; in 3D by a rotation vector: its direction is the axis, its length the angle.

    The orientation comes first among the parameters (``angle``, or ``rotation_x``,
    ``rotation_y``, ``rotation_z``, in radians); those of the Material follow.

    The state is the Material's own and lives on its axes. The report is the Material's (tensors
    in it on its axes) and ``orientation``, (n, 1) or (n, 3), by which :meth:`accept` turns back.

    Args:
        material: What is turned.
        orientation: One for all points: an angle in 2D, a rotation vector (3,) in 3D. If None,
            it is a parameter.

    Raises:
        InputError: The orientation has the wrong shape or is not finite, or the Material has a
            parameter of the same name.

    Note:
        The sensitivity of the orientation needs the Material's tangent and is as exact as that.
        A point whose orientation is not finite fails.
    """

    def __init__(self, material: Material, orientation: ArrayLike | None = None) -> None:
        self.material = material
        self.kinematics = material.kinematics
        self.num_state, self.num_hint = material.num_state, material.num_hint
        self.tangent_error = material.tangent_error
        self.parameter_ranges = material.parameter_ranges
        self.collective = material.collective
        names = NAMES[self.kinematics.gdim]
        self._fixed: Array | None = None  # (1 or 3,)
        self.parameter_names = material.parameter_names
        if orientation is not None:
            self._fixed = _checked(orientation, self.kinematics)
            return
        taken = sorted(set(names) & set(material.parameter_names))
        if taken:
            raise InputError(
                f"Rotated: {type(material).__name__} has the parameter {', '.join(taken)} already; "
                "expected an orientation that is given"
            )
        self.parameter_names = names + material.parameter_names

    def around(self, material: Material) -> Rotated:
        """Return another Material, of the same kinematics and parameters, turned as this one is."""
        given = self._fixed
        if given is not None and self.kinematics.gdim == 2:
            return Rotated(material, float(given[0]))
        return Rotated(material, given)

    def initial_state(self, n: int) -> Array:
        """Return the state (n, s) of n virgin points: the Material's."""
        return self.material.initial_state(n)

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
        """Answer the Material's response on turned axes, by one call of it."""
        given, inner = self._split(parameters)  # (n or 1, q), (n, p - q)
        finite: BoolArray = np.asarray(np.isfinite(given).all(axis=1), dtype=np.bool_)
        orientation = np.where(finite[:, None], given, 0.0)
        rotation, rotation_slope = rotation_matrix(orientation)
        to_material = component_rotation(self.kinematics, rotation)  # (n or 1, m, m), R
        wants_slope = sensitivity and self._fixed is None
        answer = self.material.evaluate(
            turn(to_material, strain), state, dt,
            parameters=inner, hint=hint, tangent=tangent or wants_slope, sensitivity=sensitivity,
        )  # fmt: skip
        back = to_material.swapaxes(1, 2)  # (n or 1, m, m)
        with np.errstate(invalid="ignore"):  # NaN of points that failed
            derivative = None
            if sensitivity:
                assert answer.sensitivity is not None
                derivative = back @ answer.sensitivity
            if wants_slope:
                assert derivative is not None and answer.tangent is not None
                slope = component_rotation_slope(self.kinematics, rotation, rotation_slope)
                moved = np.einsum("nqij,nj->niq", slope, strain)  # ∂strain₀
                turning = np.einsum("nqji,nj->niq", slope, answer.stress)
                turning += back @ (answer.tangent @ moved)
                derivative = np.concatenate([turning, derivative], axis=2)
            moduli = None
            if tangent:
                assert answer.tangent is not None
                moduli = back @ answer.tangent @ to_material
        response = replace(
            answer,
            stress=turn(back, answer.stress),
            tangent=moduli,
            sensitivity=derivative,
            report={
                **answer.report,
                "orientation": np.broadcast_to(given, (len(strain), given.shape[1])).copy(),
            },
        )
        return masked(response, np.broadcast_to(finite, len(strain)))

    def accept(self, strain: Array, response: Response) -> None:
        """Pass the accepted increment on, on the Material's axes. Collective."""
        given = response.report["orientation"]
        orientation = np.where(np.isfinite(given), given, 0.0)
        to_material = component_rotation(self.kinematics, rotation_matrix(orientation)[0])
        back = to_material.swapaxes(1, 2)
        moduli, derivative = response.tangent, response.sensitivity
        if moduli is not None:
            moduli = to_material @ moduli @ back
        if derivative is not None:
            own = len(self.parameter_names) - len(self.material.parameter_names)
            derivative = to_material @ derivative[:, :, own:]
        report = {k: v for k, v in response.report.items() if k != "orientation"}
        self.material.accept(
            turn(to_material, strain),
            replace(
                response,
                stress=turn(to_material, response.stress),
                tangent=moduli,
                sensitivity=derivative,
                report=report,
            ),
        )

    def snapshot(self) -> dict[str, NDArray]:
        """Return the Material's snapshot."""
        return self.material.snapshot()

    def restore(self, arrays: Mapping[str, NDArray]) -> None:
        """Return the Material to a snapshot."""
        self.material.restore(arrays)

    def _split(self, parameters: Array) -> tuple[Array, Array]:
        """Return the orientation, (n, q) or (1, q), and the Material's own parameters."""
        if self._fixed is not None:
            return self._fixed[None], parameters
        own = len(NAMES[self.kinematics.gdim])
        return parameters[:, :own], np.ascontiguousarray(parameters[:, own:])


def _checked(orientation: ArrayLike, kinematics: Kinematics) -> Array:  # (1 or 3,)
    """Return an orientation as a vector, or refuse it."""
    values = np.array(orientation, dtype=np.float64)
    expected = () if kinematics.gdim == 2 else (3,)
    if values.shape != expected or not np.isfinite(values).all():
        wanted = "an angle" if kinematics.gdim == 2 else "a rotation vector of 3 numbers"
        raise InputError(
            f"Rotated: orientation is {orientation!r}; expected {wanted} in radians, finite, "
            f"for {kinematics}"
        )
    return np.atleast_1d(values)
