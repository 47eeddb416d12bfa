"""Materials of Materials: the same answers from other ranks, or from another model."""

from fesurrogate.combine.balanced import Balanced
from fesurrogate.combine.corrected import Corrected
from fesurrogate.combine.gathered import Gathered, server_number
from fesurrogate.combine.guarded import Guarded
from fesurrogate.combine.surrogate_tangent import SurrogateTangent

__all__ = ["Balanced", "Corrected", "Gathered", "Guarded", "SurrogateTangent", "server_number"]
