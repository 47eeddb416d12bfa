"""Kernels as machine code: whether Numba serves, how it compiles, and what it keeps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

OPTIONS: dict[str, Any] = {"error_model": "numpy", "fastmath": {"contract"}, "nogil": True}


def obstacle() -> str:
    """Return why nothing can be compiled; empty where it can."""
    try:
        from numba import config
    except ImportError as error:
        return f"it needs Numba: {error}"
    return "NUMBA_DISABLE_JIT is set" if config.DISABLE_JIT else ""


def compiled(function: Callable) -> Any:
    """Compile a function at its first call, or take it from the cache.

    Numba looks for changes in the file of the function only, not in those of what it calls.
    """
    from numba import njit

    try:
        return njit(cache=True, **OPTIONS)(function)
    except RuntimeError:  # neither the folder of its file nor the user's cache can be written to
        return njit(**OPTIONS)(function)
