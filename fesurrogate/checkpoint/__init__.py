"""What a run needs to go on: written at accepted increments, read on any number of ranks."""

from fesurrogate.checkpoint.archive import read_archive
from fesurrogate.checkpoint.beside import PointRows, load_beside, save_beside
from fesurrogate.checkpoint.cells import mesh_fingerprint, original_numbers
from fesurrogate.checkpoint.problem import Saved, load_problem, save_problem
from fesurrogate.checkpoint.store import Store

__all__ = [
    "PointRows",
    "Saved",
    "Store",
    "load_beside",
    "load_problem",
    "mesh_fingerprint",
    "original_numbers",
    "read_archive",
    "save_beside",
    "save_problem",
]
