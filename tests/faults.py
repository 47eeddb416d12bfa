"""A Material that breaks on purpose: ``kind = "faults:make"``, with what breaks in its table."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, final

import numpy as np
from mpi4py import MPI

from fesurrogate.kinematics import Array, Kinematics
from fesurrogate.laws import J2Plasticity
from fesurrogate.material import Material, Response


@final
class Faulty(Material):
    """J2 plasticity that breaks on the last rank, once a strain is larger than ``above``.

    Args:
        kinematics: Of small strain.
        fault: ``nan``, ``nan_tangent``, ``raise``, ``slow``, ``terminate`` or ``none``.
        above: Norm of the strain of a point from which on it breaks.
        repair: Whether it works where the step is shorter than ``above_dt``.
    """

    def __init__(
        self, kinematics: Kinematics, *, fault: str, above: float = 0.0, above_dt: float = 0.0
    ) -> None:
        self.kinematics = kinematics
        self.law = J2Plasticity(
            kinematics.gdim, young=100.0, poisson=0.3, yield_stress=1.0, hardening=5.0
        )
        self.num_state = self.law.num_state
        self.fault, self.above, self.above_dt = fault, above, above_dt
        self.learned = np.zeros(1)  # something that accept() changes

    def respond(self, strain: Array, state: Array, dt: float, **options: Any) -> Response:
        """Answer as the law does, or break."""
        response = self.law.respond(strain, state, dt, **options)
        here = MPI.COMM_WORLD.rank == MPI.COMM_WORLD.size - 1
        worst = np.linalg.norm(strain, axis=1) > self.above
        if not (here and worst.any() and dt > self.above_dt):
            return response
        if self.fault == "nan":
            stress = response.stress.copy()
            stress[np.argmax(worst)] = np.nan  # says that it is solved
            response = replace(response, stress=stress)
        elif self.fault == "nan_tangent" and response.tangent is not None:
            tangent = response.tangent.copy()
            tangent[np.argmax(worst), 0, 0] = np.nan
            response = replace(response, tangent=tangent)
        elif self.fault == "raise":
            raise ZeroDivisionError(f"at {int(worst.sum())} points")
        elif self.fault == "slow":
            time.sleep(0.1)
        elif self.fault == "terminate":
            os.kill(os.getpid(), signal.SIGTERM)
        return response

    def accept(self, strain: Array, response: Response) -> None:
        """Count the increments."""
        self.learned = self.learned + 1.0

    def snapshot(self) -> dict[str, Array]:
        """Return the count."""
        return {"learned": self.learned}

    def restore(self, arrays: Mapping[str, Array]) -> None:
        """Take the count."""
        self.learned = arrays["learned"].copy()


def make(kinematics: Kinematics, table: Mapping[str, Any]) -> Faulty:
    """Return the Material of a TOML."""
    return Faulty(kinematics, **{"fault": "none", **table})


PLATE = """
title = "plate"
[kinematics]
gdim = 2
[mesh]
generator = "rectangle"
cells = [4, 2]
upper = [2.0, 1.0]
cell = "triangle"
[macro]
degree = 3
[material]
kind = "faults:make"
[material.factory]
fault = "none"
[[dirichlet]]
boundary = "left"
[[dirichlet]]
boundary = "right"
value = [0.06, 0.03]
[[reaction]]
boundary = "left"
[steps]
increments = 4
[output]
folder = "output"
pictures = false
"""
"""A plate whose right side is moved until half of it flows; strains up to about 0.05."""
