"""The architectures that a model file may name: one table from class names to classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fesurrogate.errors import InputError
from fesurrogate.kinematics import Kinematics
from fesurrogate.surrogate.energy import EnergyNetwork
from fesurrogate.surrogate.ensemble import Ensemble
from fesurrogate.surrogate.gaussian_process import GaussianProcess
from fesurrogate.surrogate.network import Network
from fesurrogate.surrogate.physical import PhysicalNetwork
from fesurrogate.surrogate.polyconvex import PolyconvexNetwork
from fesurrogate.surrogate.polynomial_energy import PolynomialEnergy
from fesurrogate.surrogate.recurrent import RecurrentNetwork
from fesurrogate.surrogate.stress import StressNetwork

ARCHITECTURES: dict[str, type[Network]] = {
    "PolyconvexNetwork": PolyconvexNetwork,
    "StressNetwork": StressNetwork,
    "EnergyNetwork": EnergyNetwork,
    "Ensemble": Ensemble,
    "GaussianProcess": GaussianProcess,
    "PhysicalNetwork": PhysicalNetwork,
    "PolynomialEnergy": PolynomialEnergy,
    "RecurrentNetwork": RecurrentNetwork,
}


def describe(network: Network) -> dict[str, Any]:
    """Return the JSON of which :func:`empty_network` makes a network of the same shape."""
    return {
        "network": type(network).__name__,
        "architecture": network.architecture(),
        "kinematics": {"gdim": network.kinematics.gdim, "measure": network.kinematics.measure},
    }


def empty_network(facts: Mapping[str, Any]) -> Network:
    """Return a network of the shape that :func:`describe` said, waiting for its weights.

    Raises:
        InputError: An unknown architecture, or sizes that are out of range.
    """
    kind = facts["network"]
    if kind not in ARCHITECTURES:
        raise InputError(
            f"network is {kind!r}; this version knows {', '.join(ARCHITECTURES)}: "
            "update fesurrogate"
        )
    kinematics = Kinematics(facts["kinematics"]["gdim"], facts["kinematics"]["measure"])
    return ARCHITECTURES[kind].from_architecture(kinematics, facts["architecture"])
