"""Materials of Materials: the same answers, from other ranks."""

from fesurrogate.combine.balanced import Balanced

__all__ = ["Balanced"]
