"""A network whose neurons are material points: the laws of the phases carry the history.

M. A. Maia, I. B. C. M. Rocha, P. Kerfriden, F. P. van der Meer, Physically recurrent neural
networks for path-dependent heterogeneous materials, Comput. Methods Appl. Mech. Eng. 407 (2023)
115934. Here the decoder is the transpose of the encoder, so that the work of the macro stress is
that of the points' (Hill and Mandel): the tangent is symmetric, and a cycle never yields work.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor, nn

from fesurrogate.errors import InputError
from fesurrogate.kinematics import Kinematics
from fesurrogate.surrogate.network import LARGEST_LAYER, Network, NetworkResponse
from fesurrogate.surrogate.plasticity import PlasticConstants, radial_return

SPREAD = 0.5
"""Standard deviation of the encoder's first entries around the identity."""


@dataclass(frozen=True)
class PointPhase:
    """A phase: its law, how many points stand for it, and its part of the volume.

    Attributes:
        constants: J2 plasticity, or elasticity where there is no yield stress.
        points: Number of material points; one does for an elastic phase.
        fraction: Of the volume; where the weights start, not a constraint.

    Raises:
        InputError: No points, or a fraction that is none.
    """

    constants: PlasticConstants
    points: int
    fraction: float

    def __post_init__(self) -> None:
        whole = isinstance(self.points, int) and 0 < self.points <= LARGEST_LAYER
        if not whole or not 0.0 < self.fraction <= 1.0:
            raise InputError(
                f"points is {self.points!r} and fraction {self.fraction!r}; expected 1 to "
                f"{LARGEST_LAYER} points and a fraction in (0, 1]"
            )


@final
class PhysicalNetwork(Network):
    """σ = Σ_j w_j A_jᵀ σ_j(A_j ε),  w_j > 0, with the law and the history of a phase in each σ_j.

    The weights are the matrices A_j (m, m) and the volumes w_j. The stress at rest vanishes and
    the tangent Σ_j w_j A_jᵀ C_j A_j is symmetric, positive semidefinite and exact, as the laws'
    own are. The response does not depend on how an increment without unloading is split, but by
    the error of the backward Euler step of the laws.

    A state row holds, for each plastic point, the m components of its plastic strain and the
    accumulated plastic strain. The report gives the ``energy`` and the ``dissipation`` since the
    virgin state, per volume.

    Args:
        kinematics: Small strain.
        phases: The phases; at least one.
        seed: Seed of the initial weights.

    Raises:
        InputError: Another strain measure, or no phases.
    """

    def __init__(
        self, kinematics: Kinematics, phases: Sequence[PointPhase], *, seed: int = 0
    ) -> None:
        super().__init__()
        if kinematics.measure != "small" or not phases:
            raise InputError(
                f"PhysicalNetwork: {kinematics} with {len(phases)} phases; expected small strain "
                "and at least one phase"
            )
        self.kinematics, self.phases = kinematics, tuple(phases)
        m = kinematics.size
        generator = torch.Generator().manual_seed(seed)
        self.encoders, self.volumes = nn.ParameterList(), nn.ParameterList()
        for phase in self.phases:
            noise = torch.randn(phase.points, m, m, generator=generator, dtype=torch.float64)
            self.encoders.append(nn.Parameter(torch.eye(m, dtype=torch.float64) + SPREAD * noise))
            share = math.log(math.expm1(phase.fraction / phase.points))  # softplus of it
            self.volumes.append(
                nn.Parameter(torch.full((phase.points,), share, dtype=torch.float64))
            )
        self.num_state = sum(
            phase.points * (m + 1) for phase in self.phases if phase.constants.yield_stress
        )

    def forward(
        self,
        strain: Tensor,  # (n, m)
        state: Tensor | None = None,  # (n, s)
        dt: float = 1.0,
        *,
        parameters: Tensor | None = None,
        tangent: bool = True,
        sensitivity: bool = False,
    ) -> NetworkResponse:
        """Return stress, tangent, state and energies; ``dt`` has no influence."""
        dtype, (n, m) = self.encoders[0].dtype, strain.shape
        columns = strain.T.to(dtype)  # (m, n)
        rows = columns[:0] if state is None else state.T.to(dtype)  # (s, n)
        parts, first = [], 0
        for phase, encoder, raw in zip(self.phases, self.encoders, self.volumes, strict=True):
            volume = nn.functional.softplus(raw)  # (k,)
            if phase.constants.yield_stress is None:
                parts.append(_elastic(phase.constants, encoder, volume, columns))
                continue
            last = first + phase.points * (m + 1)
            inner = rows[first:last].reshape(phase.points, m + 1, n)
            parts.append(_plastic(phase.constants, encoder, volume, columns, inner, tangent))
            first = last
        return NetworkResponse(
            sum(part.stress for part in parts).T,
            sum(part.tangent for part in parts).expand(n, m, m) if tangent else None,
            sum(part.energy for part in parts),
            torch.cat([part.state for part in parts]).T,
            report={"dissipation": sum(part.dissipation for part in parts)},
        )

    def architecture(self) -> dict[str, Any]:
        """Return the phases."""
        return {
            "phases": [
                {"constants": vars(p.constants), "points": p.points, "fraction": p.fraction}
                for p in self.phases
            ]
        }

    @classmethod
    def from_architecture(cls, kinematics: Kinematics, facts: Mapping[str, Any]) -> PhysicalNetwork:
        """Return a network that waits for its weights."""
        phases = [
            PointPhase(PlasticConstants(**each["constants"]), each["points"], each["fraction"])
            for each in facts["phases"]
        ]
        return cls(kinematics, phases)


@dataclass(frozen=True)
class _Part:
    """What the points of one phase add up to."""

    stress: Tensor  # (m, n)
    tangent: Tensor  # (n, m, m), or (m, m) for all, or empty where it was not asked for
    energy: Tensor  # (n,)
    dissipation: Tensor  # (n,)
    state: Tensor  # (k (m + 1), n), or (0, n)


def _elastic(
    constants: PlasticConstants,
    encoder: Tensor,  # (k, m, m)
    volume: Tensor,  # (k,)
    strain: Tensor,  # (m, n)
) -> _Part:
    """Evaluate the points of an elastic phase: together one stiffness."""
    volumetric, deviatoric = _projectors(strain)
    law = 3.0 * constants.bulk * volumetric + 2.0 * constants.shear * deviatoric
    stiffness = torch.einsum("k,kji,jl,klm->im", volume, encoder, law, encoder)
    stress = stiffness @ strain
    energy = 0.5 * (strain * stress).sum(0)
    return _Part(stress, stiffness, energy, torch.zeros_like(energy), strain[:0])


def _plastic(
    constants: PlasticConstants,
    encoder: Tensor,  # (k, m, m)
    volume: Tensor,  # (k,)
    strain: Tensor,  # (m, n)
    state: Tensor,  # (k, m + 1, n)
    tangent: bool,
) -> _Part:
    """Evaluate the points of a plastic phase."""
    (points, m, _), n = encoder.shape, strain.shape[1]
    local = (encoder.reshape(-1, m) @ strain).reshape(points, m, n)
    back = radial_return(constants, local, state[:, :m], state[:, m])
    decoder = (volume[:, None, None] * encoder).reshape(-1, m).T  # (m, k m)
    moduli = strain[:0]
    if tangent:
        volumetric, deviatoric = _projectors(strain)
        pull = "k,kji,jl,klm->kim"
        shear = 2.0 * constants.shear * torch.einsum(pull, volume, encoder, deviatoric, encoder)
        bulk = 3.0 * constants.bulk * torch.einsum(pull, volume, encoder, volumetric, encoder)
        normal = torch.einsum("kji,kjn->kin", encoder, back.trial)
        weighted = (volume[:, None] * back.softening)[:, None] * normal
        moduli = (back.shrink.T @ shear.reshape(points, -1)).reshape(n, m, m) + bulk.sum(0)
        moduli = moduli - torch.einsum("kin,kjn->nij", weighted, normal)
    end = torch.cat([back.plastic, back.accumulated[:, None]], dim=1)
    return _Part(
        decoder @ back.stress.flatten(0, 1),
        moduli,
        volume @ back.energy,
        (constants.yield_stress or 0.0) * (volume @ back.accumulated),
        end.flatten(0, 1),
    )


def _projectors(
    strain: Tensor,  # (m, n)
) -> tuple[Tensor, Tensor]:  # (m, m) each
    """Return 1⊗1/3 and the unit tensor without it, in the components of the strain."""
    identity = torch.eye(len(strain), dtype=strain.dtype, device=strain.device)
    one = identity[: 2 if len(strain) == 3 else 3].sum(0)
    volumetric = torch.outer(one, one) / 3.0
    return volumetric, identity - volumetric
