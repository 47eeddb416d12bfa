"""Initial guesses for Newton's method, of the cell and of the macro problem.

A guess makes the exact answer come sooner and never another one: the tolerance does not refer to
it, it is taken only where it is nearer to equilibrium than the classical guess (by the residual of
the cell, by Newton's correction of the macro problem), and what fails from it is solved again from
the classical one. Guesses of the cell are what
:class:`fesurrogate.micro.guess.InitialGuess` says, those of the macro problem what
:class:`fesurrogate.fem.stepping.Predictor` says.
"""

from fesurrogate.warmstart.dynamic_modes import DynamicModes
from fesurrogate.warmstart.extrapolation import Extrapolation
from fesurrogate.warmstart.fit import fit_modes
from fesurrogate.warmstart.increments import Sensitivity, Zero
from fesurrogate.warmstart.learn import learn_modes
from fesurrogate.warmstart.modes import FluctuationModes
from fesurrogate.warmstart.surrogate import Led

__all__ = [
    "DynamicModes",
    "Extrapolation",
    "FluctuationModes",
    "Led",
    "Sensitivity",
    "Zero",
    "fit_modes",
    "learn_modes",
]
