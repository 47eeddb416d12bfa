"""A surrogate set right at one strain of each point: there it answers as the reference does."""

from __future__ import annotations

from dataclasses import replace
from typing import final

import numpy as np

from fesurrogate.kinematics import Array
from fesurrogate.material import Material, Response


@final
class Corrected(Material):
    """A surrogate plus a straight line: σ(ε) = σₛ(ε) + Δσ + ΔA (ε - ε₀).

    With Δσ and ΔA by which a reference departs at ε₀ from the surrogate, stress and tangent are the
    reference's there; away from it only the difference of the two curvatures is missing. What is
    solved with it comes closer to the reference than a Newton step, which misses all curvature.

    A point's state is the surrogate's, and its line behind that; zero is none.

    Source: N. M. Alexandrov, R. M. Lewis, C. R. Gumbert, L. L. Green, P. A. Newman, Approximation
        and model management in aerodynamic optimization with variable-fidelity models, J. Aircraft
        38 (2001) 1093-1101, sect. II (first-order consistent surrogates).

    Args:
        surrogate: Any Material that learns nothing.
    """

    def __init__(self, surrogate: Material) -> None:
        self.surrogate, self.kinematics = surrogate, surrogate.kinematics
        m = self.kinematics.size
        self.num_line = m + m + m * m
        self.num_state = surrogate.num_state + self.num_line
        self.num_hint = surrogate.num_hint
        self.parameter_names = surrogate.parameter_names
        self.parameter_ranges = surrogate.parameter_ranges
        self.tangent_error, self.collective = surrogate.tangent_error, surrogate.collective

    def initial_state(self, n: int) -> Array:  # (n, s)
        """Return the surrogate's, without a line."""
        return self.with_lines(self.surrogate.initial_state(n), None)

    def with_lines(
        self,
        state: Array,  # (n, s), of the surrogate or of this Material
        lines: Array | None,  # (n, num_line)
    ) -> Array:  # (n, s)
        """Return a state with other lines; with none if None."""
        own = state[:, : self.surrogate.num_state]
        lines = np.zeros((len(own), self.num_line)) if lines is None else lines
        return np.concatenate([own, lines], axis=1)

    def lines(
        self,
        strain: Array,  # (n, m)
        reference: Response,  # with a tangent
        own: Response,  # likewise
    ) -> Array:  # (n, num_line)
        """Return the lines with which points answer as a reference did there.

        Args:
            strain: Where.
            reference: What the reference answers there.
            own: What this Material answers there from a state without a line.
        """
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
        n, m = strain.shape
        s = self.surrogate.num_state
        own, start, shift, slope = np.split(state, [s, s + m, s + 2 * m], axis=1)
        answer = self.surrogate.evaluate(
            strain, own, dt,
            parameters=parameters, hint=hint, tangent=tangent, sensitivity=sensitivity,
        )  # fmt: skip
        slope = slope.reshape(n, m, m)
        stress = answer.stress + shift + np.einsum("nij,nj->ni", slope, strain - start)
        moduli = None if answer.tangent is None else answer.tangent + slope
        after = np.concatenate([answer.state, state[:, s:]], axis=1)
        return replace(answer, stress=stress, tangent=moduli, state=after)
