"""Machine-learned surrogates in two-scale finite element analysis with DOLFINx.

``import fesurrogate`` needs NumPy alone: the rooms that need more are imported by name
(``fesurrogate.fem``, ``fesurrogate.micro``, ``fesurrogate.surrogate`` ...).
"""

from fesurrogate.errors import ConvergenceError, InputError, MissingPackageError
from fesurrogate.kinematics import Kinematics
from fesurrogate.material import Material, Response

__version__ = "0.1.0"

__all__ = [
    "ConvergenceError",
    "InputError",
    "Kinematics",
    "Material",
    "MissingPackageError",
    "Response",
    "__version__",
]
