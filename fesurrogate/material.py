"""The contract: everything that turns a strain history into stress is a :class:`Material`.

Symbols (docs/notation.md): n points in a batch, d space dimension, m strain components, s state
columns, h hint columns, p parameters. All arrays are float64 NumPy with points on axis 0.

The five laws of :meth:`Material.evaluate`, which ``tests/contract.py`` checks for every Material:

1. Pure between two calls of :meth:`Material.accept`: a function of its arguments.
2. Batch-blind: splitting, permuting or joining batches changes nothing; ``n = 0`` is legal.
3. Total: a point that cannot be solved sets ``ok = False``; mathematics never raises.
4. Consistent: the tangent is the derivative of the stress that the algorithm returns.
5. Met by every rank: all ranks call it together, also with ``n = 0``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fesurrogate.errors import InputError
from fesurrogate.kinematics import Array, BoolArray, Kinematics


@dataclass(frozen=True)
class Response:
    """What a Material answers for a batch of n points.

    Attributes:
        stress: (n, m), work-conjugate to the strain.
        tangent: (n, m, m), d stress_i / d strain_j, or None where it was not asked for.
        state: (n, s), at the end of the increment.
        hint: (n, h), what makes the next evaluation cheaper.
        ok: (n,), False where the point could not be solved; stress and tangent are NaN there.
        sensitivity: (n, m, p), d stress / d parameters, or None where it was not asked for.
        report: Per-point arrays (n,) or (n, ...) by name. Known names: ``energy``,
            ``rve_solves``, ``micro_iterations``, ``plastic_strain``, ``dissipation``,
            ``out_of_plane_stress``.
    """

    stress: Array
    tangent: Array | None
    state: Array
    hint: Array
    ok: BoolArray
    sensitivity: Array | None = None
    report: Mapping[str, NDArray] = field(default_factory=dict)


class Material(ABC):
    """Strain history in, stress out. Subclasses are final and implement :meth:`respond`.

    Attributes:
        kinematics: The strain measure.
        num_state: s, columns of a state row (history; physics only).
        num_hint: h, columns of a hint row (may change an answer only within the tolerance).
        parameter_names: Names of the p per-point parameters.
        parameter_ranges: Of parameters outside of which every point fails, where that is known: a
            run is refused before it starts.
        tangent_error: Bound on the relative error of the tangent; 0 where it is consistent.
        collective: Whether :meth:`evaluate` communicates: ranks then cannot work on their own. A
            wrapper communicates where what it wraps does.
    """

    kinematics: Kinematics
    num_state: int = 0
    num_hint: int = 0
    parameter_names: tuple[str, ...] = ()
    parameter_ranges: Mapping[str, tuple[float, float]] = {}
    tangent_error: float = 0.0
    collective: bool = False

    def initial_state(self, n: int) -> Array:
        """Return the state (n, s) of n virgin points."""
        return np.zeros((n, self.num_state))

    def evaluate(
        self,
        strain: Array,  # (n, m)
        state: Array | None = None,  # (n, s)
        dt: float = 1.0,
        *,
        parameters: Array | None = None,  # (n, p)
        hint: Array | None = None,  # (n, h)
        tangent: bool = True,
        sensitivity: bool = False,
    ) -> Response:
        """Return the response at the end of an increment. Collective.

        Args:
            strain: Total strain at the end of the increment.
            state: State at the last accepted increment; the virgin state if None.
            dt: Length of the increment.
            parameters: Per-point parameters; needed where the Material has any.
            hint: Hint of the last evaluation of the same points; cold start if None.
            tangent: Whether the tangent is wanted.
            sensitivity: Whether the derivative by the parameters is wanted.

        Raises:
            InputError: An array has the wrong shape.
        """
        strain = np.ascontiguousarray(strain, dtype=np.float64)
        if strain.ndim != 2 or strain.shape[1] != self.kinematics.size:
            raise InputError(
                f"{type(self).__name__}: strain has shape {strain.shape}; expected "
                f"(n, {self.kinematics.size}) for {self.kinematics}"
            )
        n = len(strain)
        state = self.initial_state(n) if state is None else state
        hint = np.zeros((n, self.num_hint)) if hint is None else hint
        parameters = np.zeros((n, 0)) if parameters is None else parameters
        expected = {
            "state": (state, self.num_state),
            "hint": (hint, self.num_hint),
            "parameters": (parameters, len(self.parameter_names)),
        }
        for name, (array, columns) in expected.items():
            if array.shape != (n, columns):
                detail = f" (columns: {', '.join(self.parameter_names)})" * (name == "parameters")
                raise InputError(
                    f"{type(self).__name__}: {name} has shape {array.shape}; "
                    f"expected ({n}, {columns}){detail}"
                )
        return self.respond(
            strain, state, dt, parameters=parameters, hint=hint,
            tangent=tangent, sensitivity=sensitivity,
        )  # fmt: skip

    @abstractmethod
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
        """Answer :meth:`evaluate` for arguments whose shapes are right. Must not change them."""

    def use_consistent_tangent(self) -> bool:
        """Answer with the consistent tangent for the rest of the increment. Collective.

        Returns:
            Whether that changes anything; not where the tangent is consistent always.
        """
        return False

    def accept(self, strain: Array, response: Response) -> None:  # noqa: B027
        """Take note of an accepted increment: strain (n, m) and its response. Collective."""

    def snapshot(self) -> dict[str, NDArray]:
        """Return what :meth:`accept` changes, for checkpoints; empty if it changes nothing."""
        return {}

    def restore(self, arrays: Mapping[str, NDArray]) -> None:  # noqa: B027
        """Return to a :meth:`snapshot`."""


def masked(
    response: Response,
    ok: BoolArray,  # (n,)
) -> Response:
    """Return the response with ``ok`` narrowed and stress and tangent NaN where it is False."""
    ok = response.ok & ok
    if ok.all():
        return response

    def blank(array: Array | None) -> Array | None:
        if array is None:
            return None
        return np.where(ok.reshape(-1, *(1,) * (array.ndim - 1)), array, np.nan)

    stress = blank(response.stress)
    assert stress is not None
    return Response(
        stress, blank(response.tangent), response.state, response.hint, ok,
        blank(response.sensitivity), response.report,
    )  # fmt: skip
