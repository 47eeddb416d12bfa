"""How kernels are compiled, and kept for later runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit

OPTIONS: dict[str, Any] = {"error_model": "numpy", "fastmath": {"contract"}, "nogil": True}


def compiled(function: Callable) -> Any:
    """Compile a function at its first call, or take it from the cache."""
    try:
        return njit(cache=True, **OPTIONS)(function)
    except RuntimeError:  # neither the folder of this file nor the user's cache can be written to
        return njit(**OPTIONS)(function)
