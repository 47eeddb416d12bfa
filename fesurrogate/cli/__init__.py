"""The command line, ``fesurrogate COMMAND``.

Commands: run, homogenize, generate, precompute, compress, inspect, train, check, doctor.

Exit codes: 0 done (converged), 1 an error in the program, 2 bad input, 3 did not converge, 4
stopped and can be continued, 130 ended at once. Options of PETSc, one dash and a word, are handed
to PETSc before DOLFINx is imported and win over what the TOML and the code set. Messages are
printed once, by rank 0.
"""

# ruff: noqa: F401, I001  each module adds its commands, in the order of the help

from __future__ import annotations

from fesurrogate.cli import solve, learn, tabulate, machine
from fesurrogate.cli.program import main, split_petsc_options

__all__ = ["main", "split_petsc_options"]
