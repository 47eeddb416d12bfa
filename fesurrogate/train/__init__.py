"""Dataset in, fitted network out."""

from fesurrogate.train.errors import Errors, errors_on
from fesurrogate.train.fit import fit
from fesurrogate.train.result import FitResult

__all__ = ["Errors", "FitResult", "errors_on", "fit"]
