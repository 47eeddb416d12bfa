"""The stress over strain as the derivative of an energy: a model of the train room in a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any, final

import numpy as np

from fesurrogate.data.envelope import strain_with
from fesurrogate.hierarchical.axes import Axis
from fesurrogate.hierarchical.representations.base import Representation
from fesurrogate.hierarchical.strains import (
    directions,
    mandel_factors,
    strain_columns,
    torch_for,
)
from fesurrogate.kinematics import Array

if TYPE_CHECKING:
    from fesurrogate.surrogate.network import Network


@final
class Energy(Representation):
    """f = dW/dx of a polynomial or a network W(x, z): its slopes are symmetric, and rest is free.

    Args:
        axes: Of strain and of the model's parameters.
        network: With an energy; torch is needed.
    """

    kind = "energy"

    def __init__(self, axes: Sequence[Axis], network: Network) -> None:
        from fesurrogate.surrogate.material import NetworkMaterial

        self._kinematics = network.kinematics
        self._strain = strain_columns(self._kinematics, axes)
        self._others = [k for k in range(len(axes)) if k not in self._strain]
        names = tuple(axes[k].name for k in self._others)
        if not self._strain or names != tuple(network.parameter_names):
            raise ValueError(f"a model of {network.parameter_names} over {names}")
        self.outputs = len(self._strain)
        self._network, self._material = network, NetworkMaterial(network)

    def respond(
        self,
        points: Array,  # (n, p)
        *,
        slopes: bool,
        kernels: ModuleType | None = None,
    ) -> Array:  # (n, 1 + p, c), or (n, 1, c)
        """Ask the model under the stretches."""
        B = directions(self._kinematics)
        answer = self._material.evaluate(
            strain_with(self._kinematics, points[:, self._strain]),
            parameters=np.ascontiguousarray(points[:, self._others]),
            tangent=slopes,
            sensitivity=slopes and bool(self._others),
        )
        found = np.empty((len(points), 1 + points.shape[1] if slopes else 1, self.outputs))
        found[:, 0] = answer.stress @ B
        if answer.tangent is not None:
            moduli = np.einsum("mi,nmk,kj->nji", B, answer.tangent, B)
            moduli *= mandel_factors(self._kinematics)[:, None]
            found[:, [1 + k for k in self._strain]] = moduli
        if answer.sensitivity is not None:
            found[:, [1 + k for k in self._others]] = answer.sensitivity.swapaxes(1, 2) @ B
        return found

    def arrays(self) -> dict[str, Array]:
        """Return the weights of the model."""
        return {k: v.detach().cpu().numpy() for k, v in self._network.state_dict().items()}

    def facts(self) -> dict[str, Any]:
        """Return what the model is."""
        from fesurrogate.surrogate.architectures import describe

        return {"model": describe(self._network)}

    @classmethod
    def restored(
        cls, axes: Sequence[Axis], facts: Mapping[str, Any], arrays: Mapping[str, Array]
    ) -> Energy:
        """Return the model."""
        with torch_for("a table whose stress is that of an energy"):
            import torch

            from fesurrogate.surrogate.architectures import empty_network

        network = empty_network(facts["model"])
        try:
            network.load_state_dict({k: torch.from_numpy(v.copy()) for k, v in arrays.items()})
        except RuntimeError as error:
            raise ValueError(f"weights do not fit: {error}") from error
        return cls(axes, network)
