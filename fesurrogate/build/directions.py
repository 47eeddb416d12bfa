"""Directions of strain, for quantities that are computed by direction."""

from __future__ import annotations

import numpy as np

from fesurrogate.config.precompute import PrecomputeSettings
from fesurrogate.errors import InputError
from fesurrogate.kinematics import Array


def directions_of(wanted: PrecomputeSettings, size: int) -> Array:  # (k, m)
    """Return the strains of norm 1 that ``[precompute]`` asks for.

    Those that are listed; where a number is given, as many normally distributed points of a
    Sobol sequence, which are spread evenly over the sphere; else the unit strains.

    Raises:
        InputError: One has another number of components, or no length.
    """
    from scipy.special import ndtri

    from fesurrogate.data.sampling import sobol

    listed = wanted.directions
    if listed is None:
        return np.eye(size)
    if isinstance(listed, int):
        given = ndtri(sobol(listed, size, seed=wanted.seed))
    else:
        bad = [row for row in listed if len(row) != size or not 0 < np.linalg.norm(row) < np.inf]
        if bad or not listed:
            raise InputError(
                f"precompute.directions holds {list(bad[0]) if bad else 'nothing'}; expected "
                f"strains of {size} Mandel components that are not all zero"
            )
        given = np.array(listed)
    return np.asarray(given / np.linalg.norm(given, axis=1, keepdims=True))
