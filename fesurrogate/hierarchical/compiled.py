"""Whether look-ups run as machine code: where Numba is, and a batch is large enough to wait for it.

The loops of :mod:`fesurrogate.hierarchical.kernels` and the NumPy beside them agree to round-off.
Which of them answers depends on the size of the batch alone, so that the same question has the same
answer always.
"""

from __future__ import annotations

import logging
from functools import cache
from types import ModuleType

from fesurrogate.machine_code import obstacle

logger = logging.getLogger(__name__)

LEAST = 10_000
"""Points of a batch from which on it pays to load them: some seconds where nothing is kept yet."""


def kernels_for(
    count: int,  # of points
) -> ModuleType | None:
    """Return the compiled loops for a batch, None where NumPy is to answer it."""
    return loaded() if count >= LEAST else None


@cache
def loaded() -> ModuleType | None:
    """Return the compiled loops; None where Numba is missing or switched off."""
    if obstacle():
        return None
    logger.info("Loading the kernels of tables; compiling them takes some seconds, once")
    from fesurrogate.hierarchical import kernels

    return kernels
