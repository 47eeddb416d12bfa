"""A surrogate set right at one strain of each point: there it answers as the reference does."""

from __future__ import annotations

from dataclasses import replace
from typing import final

import numpy as np

from fesurrogate.errors import InputError
from fesurrogate.kinematics import Array
from fesurrogate.material import Material, Response


@final
class Corrected(Material):
    """A surrogate plus a straight line: σ(ε) = σₛ(ε) + Δσ + ΔA (ε - ε₀).

    With Δσ and ΔA by which a reference departs at ε₀ from the surrogate, stress and tangent are the
    reference's there; away from it only the difference of the two curvatures is missing. What is
    solved with it comes closer to the reference than a Newton step, which misses all curvature.

    A point's state holds its line; zero is none.

    Source: N. M. Alexandrov, R. M. Lewis, C. R. Gumbert, L. L. Green, P. A. Newman, Approximation
        and model management in aerodynamic optimization with variable-fidelity models, J. Aircraft
        38 (2001) 1093-1101, sect. II (first-order consistent surrogates).

    Args:
        surrogate: A Material without history.

    Raises:
        InputError: It has history.
    """

    def __init__(self, surrogate: Material) -> None:
        if surrogate.num_state:
            raise InputError(
                f"Corrected: {type(surrogate).__name__} has {surrogate.num_state} columns of "
                "state; expected a Material without history"
            )
        self.surrogate, self.kinematics = surrogate, surrogate.kinematics
        m = self.kinematics.size
        self.num_state, self.num_hint = m + m + m * m, surrogate.num_hint
        self.parameter_names = surrogate.parameter_names
        self.tangent_error, self.collective = surrogate.tangent_error, surrogate.collective

    def lines(
        self,
        strain: Array,  # (n, m)
        reference: Response,  # with a tangent
        *,
        parameters: Array | None = None,  # (n, p)
    ) -> Array:  # (n, s)
        """Return the states with which points answer as a reference did there. Collective."""
        own = self.surrogate.evaluate(strain, parameters=parameters)
        assert own.tangent is not None and reference.tangent is not None
        n, m = strain.shape
        slope = (reference.tangent - own.tangent).reshape(n, m * m)
        return np.concatenate([strain, reference.stress - own.stress, slope], axis=1)

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
        """Add the line to what the surrogate answers."""
        answer = self.surrogate.evaluate(
            strain, None, dt,
            parameters=parameters, hint=hint, tangent=tangent, sensitivity=sensitivity,
        )  # fmt: skip
        n, m = strain.shape
        start, shift, slope = np.split(state, [m, 2 * m], axis=1)
        slope = slope.reshape(n, m, m)
        stress = answer.stress + shift + np.einsum("nij,nj->ni", slope, strain - start)
        moduli = None if answer.tangent is None else answer.tangent + slope
        return replace(answer, stress=stress, tangent=moduli, state=state)
