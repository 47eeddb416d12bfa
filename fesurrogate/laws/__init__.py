"""Closed-form Materials."""

from fesurrogate.laws.conductor import Conductor
from fesurrogate.laws.isotropic import IsotropicElastic
from fesurrogate.laws.j2 import J2Plasticity
from fesurrogate.laws.linear import Linear, isotropic_stiffness
from fesurrogate.laws.neo_hookean import NeoHookean
from fesurrogate.laws.ogden import TRELOAR_RUBBER, Ogden
from fesurrogate.laws.rotated import Rotated
from fesurrogate.laws.transversely_isotropic import TransverselyIsotropic
from fesurrogate.laws.viscoelastic import Viscoelastic

__all__ = [
    "TRELOAR_RUBBER",
    "Conductor",
    "IsotropicElastic",
    "J2Plasticity",
    "Linear",
    "NeoHookean",
    "Ogden",
    "Rotated",
    "TransverselyIsotropic",
    "Viscoelastic",
    "isotropic_stiffness",
]
