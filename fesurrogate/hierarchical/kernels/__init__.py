"""Look-ups as machine code: splines, their products and trains, and what entries are made of them.

Only :mod:`fesurrogate.hierarchical.compiled` imports this room, where Numba is there. Points go
through one by one: a point's answer depends neither on its place in a batch nor on the others. No
kernel calls one of another file: Numba's cache would not see that one change.
"""

from fesurrogate.hierarchical.kernels.forms import definite, symmetric
from fesurrogate.hierarchical.kernels.products import products
from fesurrogate.hierarchical.kernels.splines import local
from fesurrogate.hierarchical.kernels.trains import trains

__all__ = ["definite", "local", "products", "symmetric", "trains"]
