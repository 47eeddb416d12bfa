"""The stress of a reference with the tangent of a surrogate: quasi-Newton, and the same answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import final

import numpy as np
from numpy.typing import NDArray

from fesurrogate.errors import InputError
from fesurrogate.kinematics import Array, BoolArray
from fesurrogate.material import Material, Response


@final
class SurrogateTangent(Material):
    """A reference that is asked for stresses alone; its tangent is that of a surrogate.

    Equilibrium is that of the reference, whatever the tangent: Newton's method becomes a
    quasi-Newton method, whose residual falls by about the relative error of the tangent in every
    iteration. A cell that owes no tangent mostly needs no factorisation.

    Where the surrogate has no tangent, being asked beyond its range, say, the reference gives its
    own, and everywhere after :meth:`use_consistent_tangent`, until the next increment. ``report``
    counts the points of either kind, ``surrogate_tangents`` and ``consistent_tangents``.

    Args:
        reference: The exact Material.
        surrogate: A Material without history, of the same kinematics, which knows no parameters but
            those of the reference.
        tangent_error: Bound on the relative error of the tangent, where it is known.

    Attributes:
        consistent: Whether the reference gives its own tangent everywhere at present.

    Raises:
        InputError: Materials that do not match.

    Note:
        Other wrappers go inside this one, as the problem asks the Material of a field for the
        consistent tangent, and no Material in it.
    """

    def __init__(
        self, reference: Material, surrogate: Material, *, tangent_error: float = 1.0
    ) -> None:
        if surrogate.kinematics != reference.kinematics:
            raise InputError(
                f"SurrogateTangent: the surrogate's kinematics is {surrogate.kinematics}, the "
                f"reference's {reference.kinematics}; expected the same"
            )
        if surrogate.num_state:
            raise InputError(
                f"SurrogateTangent: {type(surrogate).__name__} has {surrogate.num_state} columns "
                "of state; expected a surrogate without history"
            )
        names, known = surrogate.parameter_names, reference.parameter_names
        if not set(names) <= set(known):
            raise InputError(
                f"SurrogateTangent: the surrogate's parameters are {', '.join(names)}, the "
                f"reference's {', '.join(known) or 'none'}; expected no others"
            )
        if not tangent_error > 0:
            raise InputError(f"tangent_error is {tangent_error}; expected a number > 0")
        self.reference, self.surrogate, self.tangent_error = reference, surrogate, tangent_error
        self.kinematics = reference.kinematics
        self.num_state = reference.num_state
        self.num_hint = reference.num_hint + surrogate.num_hint
        self.parameter_names = known
        self.parameter_ranges = reference.parameter_ranges
        self.collective = reference.collective or surrogate.collective
        self._columns = [known.index(name) for name in names]
        self.consistent = False

    def initial_state(self, n: int) -> Array:
        """Return the reference's."""
        return self.reference.initial_state(n)

    def use_consistent_tangent(self) -> bool:
        """Let the reference give its own tangent for the rest of the increment. Collective."""
        changes, self.consistent = not self.consistent, True
        return changes

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
        """Ask the surrogate for tangents, and the reference for all else. Collective."""
        own_hint, other_hint = np.split(hint, [self.reference.num_hint], axis=1)
        n, m = strain.shape
        known: BoolArray = np.zeros(n, dtype=bool)  # whose tangent the surrogate has
        moduli: Array | None = np.full((n, m, m), np.nan) if tangent else None
        if moduli is not None and not self.consistent:
            guessed = self.surrogate.evaluate(
                strain, None, dt, parameters=parameters[:, self._columns], hint=other_hint
            )
            assert guessed.tangent is not None
            known = guessed.ok & np.isfinite(guessed.tangent).all(axis=(1, 2))
            moduli[known], other_hint = guessed.tangent[known], guessed.hint

        def ask(rows: BoolArray, wanted: bool) -> Response:
            return self.reference.evaluate(
                strain[rows], state[rows], dt, parameters=parameters[rows],
                hint=own_hint[rows], tangent=wanted, sensitivity=sensitivity,
            )  # fmt: skip

        answer, tangents = ask(known, False), ask(~known, tangent)
        joined = _joined(answer, tangents, known)
        if moduli is not None:
            assert tangents.tangent is not None
            moduli[~known] = tangents.tangent
            moduli[~joined.ok] = np.nan
        served = known.astype(np.int64)
        counts = {"surrogate_tangents": served, "consistent_tangents": tangent * (1 - served)}
        return replace(
            joined,
            tangent=moduli,
            hint=np.concatenate([joined.hint, other_hint], axis=1),
            report={**joined.report, **counts},
        )

    def accept(self, strain: Array, response: Response) -> None:
        """Pass the increment on; the next one begins with the surrogate's tangent. Collective."""
        self.consistent = False
        own = response.hint[:, : self.reference.num_hint]
        self.reference.accept(strain, replace(response, hint=own))

    def snapshot(self) -> dict[str, NDArray]:
        """Return the reference's."""
        return self.reference.snapshot()

    def restore(self, arrays: Mapping[str, NDArray]) -> None:
        """Return the reference to a snapshot."""
        self.reference.restore(arrays)


def _joined(
    first: Response,  # of the chosen points
    second: Response,  # of the others
    chosen: BoolArray,  # (n,)
) -> Response:  # without a tangent
    """Return the answers to two parts of a batch as one; reports that one part lacks are none."""

    def merged(a: NDArray, b: NDArray) -> NDArray:
        whole = np.empty((len(chosen), *a.shape[1:]), dtype=np.result_type(a, b))
        whole[chosen], whole[~chosen] = a, b
        return whole

    columns = None
    if first.sensitivity is not None and second.sensitivity is not None:
        columns = merged(first.sensitivity, second.sensitivity)
    names = sorted(set(first.report) & set(second.report))
    return Response(
        merged(first.stress, second.stress),
        None,
        merged(first.state, second.state),
        merged(first.hint, second.hint),
        merged(first.ok, second.ok),
        columns,
        {name: merged(first.report[name], second.report[name]) for name in names},
    )
