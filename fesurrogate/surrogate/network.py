"""What every network offers to training, to the model file and to NetworkMaterial."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from fesurrogate.errors import InputError
from fesurrogate.kinematics import Kinematics

LARGEST_LAYER = 4096
MOST_LAYERS = 64


@dataclass(frozen=True)
class NetworkResponse:
    """What a network answers for n points.

    Attributes:
        stress: (n, m).
        tangent: (n, m, m), d stress / d strain, or None where it was not asked for.
        energy: (n,), or None where the network has none.
        state: (n, s) at the end of the increment, or None where the network has none.
        sensitivity: (n, m, p), d stress / d parameters, or None where it was not asked for.
        report: More per point by name, such as ``stress_deviation`` (n, m).
    """

    stress: Tensor
    tangent: Tensor | None
    energy: Tensor | None = None
    state: Tensor | None = None
    sensitivity: Tensor | None = None
    report: Mapping[str, Tensor] = field(default_factory=dict)


class Network(nn.Module, ABC):
    """A model whose stress and derivatives are torch functions, differentiable in the weights.

    Every number that a prediction needs is a parameter or a persistent buffer, so that
    ``state_dict`` and :meth:`architecture` together are the model.

    Attributes:
        kinematics: The strain measure.
        num_state: s, columns of a state row.
        parameter_names: Names of the p per-point parameters.
    """

    kinematics: Kinematics
    num_state: int = 0
    parameter_names: tuple[str, ...] = ()

    @abstractmethod
    def forward(
        self,
        strain: Tensor,  # (n, m)
        state: Tensor | None = None,  # (n, s)
        dt: float = 1.0,
        *,
        parameters: Tensor | None = None,  # (n, p)
        tangent: bool = True,
        sensitivity: bool = False,
    ) -> NetworkResponse:
        """Answer for admissible strains; arguments that the network does not have are None."""

    @abstractmethod
    def architecture(self) -> dict[str, Any]:
        """Return what :meth:`from_architecture` needs, as JSON: the weights then fit in."""

    @classmethod
    @abstractmethod
    def from_architecture(cls, kinematics: Kinematics, facts: Mapping[str, Any]) -> Network:
        """Return a network that waits for its weights; the facts come from a file.

        Raises:
            InputError: Facts that are out of range: nothing large is made before they are checked.
        """

    def tangent_error(self) -> float:
        """Return the bound on the relative error of a tangent that is not the exact derivative."""
        return 0.0

    def initial_state(self, n: int) -> Tensor:  # (n, s)
        """Return the state of n virgin points."""
        return torch.zeros(n, self.num_state, dtype=torch.float64)


def checked_widths(facts: Mapping[str, Any], name: str = "hidden") -> tuple[int, ...]:
    """Return the widths of layers that a file names.

    Raises:
        InputError: They are no list of sensible widths.
    """
    widths = facts[name]
    good = isinstance(widths, list) and 1 <= len(widths) <= MOST_LAYERS
    if not good or not all(isinstance(w, int) and 0 < w <= LARGEST_LAYER for w in widths):
        raise InputError(
            f"{name} is {widths!r}; expected 1 to {MOST_LAYERS} widths up to {LARGEST_LAYER}"
        )
    return tuple(widths)


def checked_count(facts: Mapping[str, Any], name: str) -> int:
    """Return a number of things that a file names.

    Raises:
        InputError: It is no sensible number.
    """
    count = facts[name]
    if not isinstance(count, int) or not 0 <= count <= LARGEST_LAYER:
        raise InputError(f"{name} is {count!r}; expected 0 to {LARGEST_LAYER}")
    return count


def checked_flag(facts: Mapping[str, Any], name: str) -> bool:
    """Return a yes or no that a file names.

    Raises:
        InputError: It is neither.
    """
    flag = facts[name]
    if not isinstance(flag, bool):
        raise InputError(f"{name} is {flag!r}; expected true or false")
    return flag


def checked_names(facts: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of parameters that a file names.

    Raises:
        InputError: They are no list of different names.
    """
    names = facts.get("parameters", [])
    good = isinstance(names, list) and all(isinstance(name, str) for name in names)
    if not good or len(set(names)) != len(names) or len(names) > LARGEST_LAYER:
        raise InputError(f"parameters is {names!r}; expected different names")
    return tuple(names)
