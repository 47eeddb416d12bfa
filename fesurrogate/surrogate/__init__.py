"""Networks that stand in for a Material, their model file, and the Material made of them."""

from fesurrogate.surrogate.energy import EnergyNetwork
from fesurrogate.surrogate.material import NetworkMaterial
from fesurrogate.surrogate.network import Network, NetworkResponse

__all__ = [
    "EnergyNetwork",
    "Network",
    "NetworkMaterial",
    "NetworkResponse",
]
