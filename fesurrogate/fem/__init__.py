"""The macro scale in DOLFINx: a Material at quadrature points, and the problem around it."""

from fesurrogate.fem.field import MaterialField
from fesurrogate.fem.problem import MacroProblem, SolveResult
from fesurrogate.fem.stepping import Increment, run_increments
from fesurrogate.fem.strain import strain_of

__all__ = [
    "Increment",
    "MacroProblem",
    "MaterialField",
    "SolveResult",
    "run_increments",
    "strain_of",
]
