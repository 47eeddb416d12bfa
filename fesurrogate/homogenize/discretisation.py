"""What refining a mesh says of the error of a value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fesurrogate.kinematics import Array


@dataclass(frozen=True)
class Discretisation:
    """What refining says of the error of the finest value.

    Attributes:
        error: Estimated ‖finest - exact‖ / ‖finest‖; None without a refinement.
        componentwise: Estimated error of each component; None without a refinement.
        order: Order of convergence that the extrapolation took.
        observed: Whether three meshes have shown that order; else it is assumed.
        changes: ‖difference‖ / ‖finest‖ of neighbouring meshes, coarse to fine.
        method: In words.
    """

    error: float | None
    componentwise: Array | None
    order: float | None
    observed: bool
    changes: list[float]
    method: str


def discretisation_error(
    values: Sequence[Array],
) -> Discretisation:
    """Return an estimate of the error of the last of the values, each of a mesh cut in two.

    From an error that falls as c h^q, finest - exact = (coarser - finest) / (2^q - 1). Three meshes
    show q, which is not taken to be more than 4 nor less than 1/2. Two do not: q = 1 is then the
    order at the tip of a crack, where energies converge slowest in a body of one phase and voids;
    elsewhere the estimate is too large.
    """
    finest = np.asarray(values[-1])
    scale = float(np.linalg.norm(finest))
    steps = [np.asarray(a) - np.asarray(b) for a, b in zip(values, values[1:], strict=False)]
    changes = [float(np.linalg.norm(step)) / scale for step in steps]
    if not steps:
        return Discretisation(None, None, None, False, [], "not estimated: one mesh only")
    order, observed = 1.0, False
    if len(changes) > 1 and changes[-1] > 1e-12:
        order = float(np.clip(np.log2(changes[-2] / changes[-1]), 0.5, 4.0))
        observed = True
    error = changes[-1] / (2**order - 1)
    cut = "the last mesh and the one before it, each element cut in two along each direction"
    if observed:
        how = f"change between {cut}, over 2^q - 1 with the order q that three meshes show"
    else:
        how = f"change between {cut}: the error if it falls with the first power of the mesh size"
    how += "; what the mesh leaves out of curved interfaces is not in it"
    return Discretisation(error, np.abs(steps[-1]) / (2**order - 1), order, observed, changes, how)
