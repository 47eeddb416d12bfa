"""What ``fesurrogate homogenize`` does: the effective properties of a cell, in figures."""

from fesurrogate.homogenize.command import Homogenized, homogenize

__all__ = ["Homogenized", "homogenize"]
