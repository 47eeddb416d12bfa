"""Materials of Materials: the same answers, from other ranks."""

from fesurrogate.combine.balanced import Balanced
from fesurrogate.combine.gathered import Gathered, server_number

__all__ = ["Balanced", "Gathered", "server_number"]
