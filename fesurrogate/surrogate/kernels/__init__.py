"""Energy networks as machine code: blocks of points pass through all of it in the first cache.

Only :mod:`fesurrogate.surrogate.compiled` imports this room, where Numba is there. A block holds
``POINTS`` points, on the last axis, so that every innermost loop has a fixed length and becomes
vector instructions; a point's answer depends neither on its place in a block nor on the others. The
perceptron runs in the dtype of the weights, the closed form in float64.
"""
