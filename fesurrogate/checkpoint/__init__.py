"""What a run needs to go on: written at accepted increments, read on any number of ranks."""

from fesurrogate.checkpoint.archive import read_archive
from fesurrogate.checkpoint.problem import (
    Saved,
    load_beside,
    load_problem,
    original_numbers,
    save_beside,
    save_problem,
)
from fesurrogate.checkpoint.store import Store

__all__ = [
    "Saved",
    "Store",
    "load_beside",
    "load_problem",
    "original_numbers",
    "read_archive",
    "save_beside",
    "save_problem",
]
