"""Where a table has no answer, as a measure of doubt: by it a guard falls back."""

from __future__ import annotations

from typing import final

import numpy as np

from fesurrogate.kinematics import Array
from fesurrogate.material import Response
from fesurrogate.trust import Measure


@final
class Outside(Measure):
    """Doubt of a point that is outside of the axes, or beside an entry that failed; else none."""

    name = "outside"

    def doubt(
        self,
        strain: Array,  # (n, m)
        parameters: Array,  # (n, p)
        response: Response,
    ) -> Array:  # (n,), >= 0
        """Return 0 where the table answered, else inf."""
        return np.where(response.ok, 0.0, np.inf)
