"""What the points of a field have cost."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from fesurrogate.kinematics import BoolArray
from fesurrogate.material import Response


@dataclass
class Tally:
    """What a field has cost so far, on this rank.

    Attributes:
        updates: Calls of the Material.
        points: Points evaluated, all calls together.
        failed: Points that could not be solved, all calls together.
        seconds: Wall time inside the Material.
        counts: Sums of the integer reports of the Material (``rve_solves`` and so on).
    """

    updates: int = 0
    points: int = 0
    failed: int = 0
    seconds: float = 0.0
    counts: Counter = field(default_factory=Counter)

    def count(
        self,
        response: Response | None,
        ok: BoolArray,  # (n,)
    ) -> None:
        """Add a call of the Material for n points; None where it gave no answer."""
        self.updates += 1
        self.points += len(ok)
        self.failed += int((~ok).sum())
        for name, values in response.report.items() if response else ():
            if np.issubdtype(values.dtype, np.integer):
                self.counts[name] += int(values.sum())
