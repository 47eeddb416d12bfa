"""Closed-form Materials."""

from fesurrogate.laws.linear import Linear, isotropic_stiffness
from fesurrogate.laws.neo_hookean import NeoHookean

__all__ = ["Linear", "NeoHookean", "isotropic_stiffness"]
