"""Networks that stand in for a Material, their model file, and the Material made of them."""

from fesurrogate.surrogate.energy import EnergyNetwork
from fesurrogate.surrogate.material import NetworkMaterial
from fesurrogate.surrogate.model_file import load_model, load_network_material, save_model
from fesurrogate.surrogate.network import Network, NetworkResponse
from fesurrogate.surrogate.polyconvex import PolyconvexNetwork
from fesurrogate.surrogate.stress import StressNetwork

__all__ = [
    "EnergyNetwork",
    "Network",
    "NetworkMaterial",
    "NetworkResponse",
    "PolyconvexNetwork",
    "StressNetwork",
    "load_model",
    "load_network_material",
    "save_model",
]
