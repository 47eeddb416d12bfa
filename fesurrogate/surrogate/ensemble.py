"""A deep ensemble: networks that differ in their seed, their mean, and how far they disagree.

B. Lakshminarayanan, A. Pritzel, C. Blundell, Simple and scalable predictive uncertainty estimation
using deep ensembles, NeurIPS 2017, arXiv:1612.01474.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, final

import torch
from torch import Tensor, nn

from fesurrogate.errors import InputError
from fesurrogate.kinematics import Kinematics
from fesurrogate.surrogate.network import Network, NetworkResponse

MOST_MEMBERS = 64


@final
class Ensemble(Network):
    """The mean of networks of one Kinematics: of stress, tangent, energy and sensitivity.

    The mean keeps what the members have by construction and is linear: no stress at rest, a
    symmetric tangent, objectivity. Each member keeps its own state; a row holds them side by side.
    The report's ``standard_deviation`` s, in units of stress, is that of the stress's norm: s² =
    deviation_factor² Σ_k |stress_k - mean|² / (members - 1). Where it is calibrated
    (:func:`fesurrogate.train.calibrate`), |Δstress| ≤ 1.96 s at 95 % of the points.

    Args:
        members: Two or more networks of the same Kinematics and parameters; no ensembles.

    Attributes:
        deviation_factor: Buffer ().

    Raises:
        InputError: Too few or too many members, members that do not match, or ensembles.
    """

    deviation_factor: Tensor

    def __init__(self, members: Sequence[Network]) -> None:
        super().__init__()
        kinds = {(member.kinematics, member.parameter_names) for member in members}
        nested = any(isinstance(member, Ensemble) for member in members)
        if not 2 <= len(members) <= MOST_MEMBERS or len(kinds) != 1 or nested:
            raise InputError(
                f"Ensemble: {len(members)} members of {len(kinds)} kinds; expected 2 to "
                f"{MOST_MEMBERS} networks of the same Kinematics and parameters, and no ensembles"
            )
        ((self.kinematics, self.parameter_names),) = kinds
        self.members = nn.ModuleList(members)
        self.num_state = sum(member.num_state for member in members)
        self.register_buffer("deviation_factor", torch.ones((), dtype=torch.float64))

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
        """Return the mean of the members, their states and their disagreement."""
        sizes = [member.num_state for member in self.members]
        states = [None] * len(sizes) if state is None else state.split(sizes, dim=1)
        answers = [
            member(
                strain, own if size else None, dt,
                parameters=parameters, tangent=tangent, sensitivity=sensitivity,
            )
            for member, own, size in zip(self.members, states, sizes, strict=True)
        ]  # fmt: skip
        stresses = torch.stack([answer.stress for answer in answers])  # (K, n, m)
        mean = stresses.mean(0)
        spread = ((stresses - mean).square().sum((0, 2)) / (len(stresses) - 1)).sqrt()
        after = [answer.state for answer in answers if answer.state is not None]
        return NetworkResponse(
            mean,
            _mean([answer.tangent for answer in answers]),
            _mean([answer.energy for answer in answers]),
            torch.cat(after, dim=1) if self.num_state else None,
            _mean([answer.sensitivity for answer in answers]),
            {"standard_deviation": self.deviation_factor * spread},
        )

    def initial_state(self, n: int) -> Tensor:  # (n, s)
        """Return the states of n virgin points, side by side."""
        return torch.cat([member.initial_state(n) for member in self.members], dim=1)

    def architecture(self) -> dict[str, Any]:
        """Return what each member is."""
        from fesurrogate.surrogate.architectures import describe

        return {"members": [describe(member) for member in self.members]}

    @classmethod
    def from_architecture(cls, kinematics: Kinematics, facts: Mapping[str, Any]) -> Ensemble:
        """Return an ensemble that waits for its weights."""
        from fesurrogate.surrogate.architectures import empty_network

        found = facts["members"]
        if len(found) > MOST_MEMBERS or any(each["network"] == cls.__name__ for each in found):
            raise InputError(f"members: expected up to {MOST_MEMBERS} networks, no ensembles")
        return cls([empty_network(each) for each in found])


def _mean(tensors: Sequence[Tensor | None]) -> Tensor | None:
    """Return the mean, or None where a member has none."""
    there = [tensor for tensor in tensors if tensor is not None]
    return torch.stack(there).mean(0) if len(there) == len(tensors) else None
