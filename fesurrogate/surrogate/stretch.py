"""Functions of the objective strain x as stress over F, for NumPy: what makes them objective.

x are the Mandel components of the Biot strain U - I at finite strain, else those of the strain or
gradient itself. A function f(x), the stress conjugate to x, turns with the body by itself.
"""

from __future__ import annotations

from typing import final

import numpy as np
import torch
from torch import Tensor

from fesurrogate.kinematics import Array, Kinematics
from fesurrogate.surrogate.biot import biot_strain, pull_back
from fesurrogate.surrogate.objective import components, push_forward


@final
class Stretch:
    """The stretch of deformation gradients, and the way back from f(x) to P and dP/dF.

    Args:
        kinematics: Of measure ``finite``.
        strain: (n, m), admissible.

    Attributes:
        components: (n, q), x.
    """

    def __init__(
        self,
        kinematics: Kinematics,
        strain: Array,  # (n, m)
    ) -> None:
        self._kinematics = kinematics
        self._columns = _tensor(strain).T.contiguous()  # (m, n)
        e = components(kinematics, self._columns)
        x, self._inverse = biot_strain(e, kinematics.gdim)
        self.components: Array = np.ascontiguousarray(x.T.numpy())

    def stress(
        self,
        first: Array,  # (n, q), f
        second: Array | None = None,  # (n, q, q), df/dx, symmetric or not
    ) -> tuple[Array, Array | None]:  # (n, m), (n, m, m)
        """Return P and, where df/dx is given, dP/dF."""
        slope = None if second is None else _tensor(second).permute(1, 2, 0).contiguous()
        pulled = pull_back(
            self._inverse, _tensor(first).T.contiguous(), slope, self._kinematics.gdim
        )
        stress, tangent = push_forward(self._kinematics, self._columns, *pulled)
        moduli = None if tangent is None else tangent.permute(2, 0, 1).contiguous().numpy()
        return np.ascontiguousarray(stress.T.numpy()), moduli


def _tensor(array: Array) -> Tensor:
    return torch.from_numpy(np.require(array, np.float64, requirements=["C", "W"]))
