"""A fitted model and its trust as plain arrays: what is sent, kept in checkpoints, and stored."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fesurrogate.errors import InputError
from fesurrogate.kinematics import Array, Kinematics
from fesurrogate.results import LearningOutcome

if TYPE_CHECKING:
    from fesurrogate.surrogate.network import Network

FACTS, WEIGHT, TRUST = "facts", "weight.", "trust."
DOUBT = "doubt."
MOST = 4000
"""Points of which doubt and error are kept, the last ones."""


@dataclass(frozen=True)
class Fitted:
    """A model.

    Attributes:
        facts: Its architecture, as JSON can say it.
        weights: By name.
        trust: What was measured of when to believe it (:mod:`fesurrogate.trust.record`).
    """

    facts: Mapping[str, Any]
    weights: Mapping[str, Array]
    trust: Mapping[str, Array]

    @classmethod
    def of(cls, network: Network, trust: Mapping[str, Array]) -> Fitted:
        """Return a network as arrays."""
        from fesurrogate.surrogate.architectures import describe
        from fesurrogate.surrogate.weights_file import plain

        weights = {name: plain(value).copy() for name, value in network.state_dict().items()}
        return cls(describe(network), weights, dict(trust))

    def network(self) -> Network:
        """Return the network.

        Raises:
            InputError: The arrays are of no network.
        """
        from fesurrogate.surrogate.architectures import empty_network
        from fesurrogate.surrogate.weights_file import finite_tensors, first_line

        try:
            network = empty_network(self.facts)
            network.load_state_dict(finite_tensors(self.weights))
        except Exception as error:  # whatever a hostile checkpoint makes the readers raise
            raise InputError(f"what was learned cannot be read ({first_line(error)})") from error
        return network

    def arrays(self) -> dict[str, NDArray]:
        """Return all as arrays of numbers."""
        text = json.dumps(self.facts, sort_keys=True).encode()
        return {
            FACTS: np.frombuffer(text, dtype=np.uint8),
            **{WEIGHT + name: array for name, array in self.weights.items()},
            **{TRUST + name: array for name, array in self.trust.items()},
        }

    def knowing(
        self,
        doubts: Mapping[str, Array],  # {measure: (k,)}
        errors: Array,  # (k,)
    ) -> Fitted:
        """Return the model with more points of which doubt and error, a stress, are known."""
        trust = dict(self.trust)
        for name, known in self.trust.items():
            if name.startswith(DOUBT):
                told = doubts.get(name.removeprefix(DOUBT), np.full(len(errors), np.inf))
                trust[name] = np.concatenate([known, told])[-MOST:]
        relative = errors / float(trust["scale"][0])
        trust["error"] = np.concatenate([trust["error"], relative])[-MOST:]
        return replace(self, trust=trust)

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray], kinematics: Kinematics) -> Fitted:
        """Return what :meth:`arrays` gave.

        Raises:
            InputError: The arrays are of no model, or of one of another kinematics.
        """

        def named(prefix: str) -> dict[str, Array]:
            return {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}

        try:
            facts = json.loads(arrays[FACTS].astype(np.uint8).tobytes())
        except (KeyError, ValueError) as error:
            raise InputError(f"what was learned cannot be read ({error})") from error
        found = cls(facts, named(WEIGHT), named(TRUST))
        if found.network().kinematics != kinematics:
            raise InputError("what was learned is of another kinematics")
        return found


@dataclass(frozen=True)
class Judged:
    """What became of a refinement.

    Attributes:
        outcome: What it says.
        fitted: The model, if it is taken.
        errors: ``held_out`` and ``old`` samples, ``before`` (where there was a model) and
            ``after``: root mean squares of |Δstress| over that of |stress|.
        note: Why it failed.
    """

    outcome: LearningOutcome
    fitted: Fitted | None = None
    errors: Mapping[str, float] = field(default_factory=dict)
    note: str = ""
