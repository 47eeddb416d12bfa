"""A Material with history whose state is the strain path itself."""

from __future__ import annotations

from typing import final

import numpy as np

from fesurrogate.combine.replay import Replay
from fesurrogate.errors import InputError
from fesurrogate.kinematics import Array
from fesurrogate.material import Material, Response


@final
class Followed(Material):
    """Another Material, led along the path of strains that is the state of a point.

    What another Material keeps as its state belongs to its constants; a path belongs to the point.
    So the constants may change between two increments, as the weights of a network do that is
    fitted anew: a point is then led along its path again. Its hint holds how far it was led, with
    the state there, and by which edition: what another one left there is passed over.

    Args:
        material: With history; not collective.
        max_increments: Increments of a path that are kept. A longer path fails.
        edition: Of the material's constants, a whole number > 0.

    Raises:
        InputError: No room for a path, a collective Material, or no edition.
    """

    def __init__(self, material: Material, max_increments: int, *, edition: int = 1) -> None:
        if edition < 1:
            raise InputError(f"edition is {edition}; expected a whole number > 0")
        self.material, self.edition = material, edition
        self._replay = Replay(material, max_increments)
        self.kinematics = material.kinematics
        self.parameter_names = material.parameter_names
        self.tangent_error = material.tangent_error
        self.num_state, self.num_hint = self._replay.num_state, 1 + self._replay.num_hint

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
        """Return the material's response at the end of the path."""
        own = np.where(hint[:, :1] == self.edition, hint[:, 1:], 0.0)
        answer = self._replay.evaluate(
            strain, state, dt,
            parameters=parameters, hint=own, tangent=tangent, sensitivity=sensitivity,
        )  # fmt: skip
        edition = np.full((len(strain), 1), float(self.edition))
        return Response(
            answer.stress, answer.tangent, self._replay.longer(state, strain, parameters, dt),
            np.concatenate([edition, answer.hint], axis=1), answer.ok,
            answer.sensitivity, answer.report,
        )  # fmt: skip

    def paths(
        self,
        state: Array,  # (n, s)
        length: int,
    ) -> Array:  # (n, length, m + p + 1)
        """Return strain, parameters and dt of each of the first increments of the paths."""
        width = self.kinematics.size + len(self.parameter_names) + 1
        return state[:, 1 : 1 + length * width].reshape(len(state), length, width)
