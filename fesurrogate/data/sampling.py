"""Where in the unit cube, and in strain space, to sample: points spread evenly, by seed."""

from __future__ import annotations

from typing import Any

import numpy as np

from fesurrogate.data.envelope import Extent, envelope_of
from fesurrogate.errors import InputError, MissingPackageError
from fesurrogate.kinematics import Array, Kinematics


def stretches(
    kinematics: Kinematics,
    samples: int,
    stretch: Extent,
    *,
    seed: int = 0,
) -> Array:  # (N, 1, m)
    """Return strain paths of one increment each, spread evenly over the envelope.

    A scrambled Sobol sequence over the independent components of :class:`Envelope`. The first
    samples of a longer sequence with the same seed are those of a shorter one.

    Args:
        kinematics: The strain measure.
        samples: N, number of paths.
        stretch: The components of U - I (or of the strain tensor, or of the gradient) lie within
            ±stretch, or within [low, high] of each.
        seed: Seed of the scrambling.

    Raises:
        InputError: No samples, or an envelope that holds strains with det F <= 0.
    """
    if samples < 1:
        raise InputError(f"samples is {samples}; expected at least 1")
    envelope = envelope_of(kinematics, stretch)
    cube = sobol(samples, len(envelope.low), seed=seed)
    return envelope.strain(scaled(cube, envelope.low, envelope.high))[:, None, :]


def scaled(
    cube: Array,  # (n, c), in [0, 1]
    low: Array,  # (c,)
    high: Array,  # (c,)
) -> Array:  # (n, c)
    """Return points of the unit cube moved to a box."""
    middle, half = 0.5 * (low + high), 0.5 * (high - low)
    return middle + half * (2.0 * cube - 1.0)


def sobol(samples: int, columns: int, *, seed: int) -> Array:  # (samples, columns)
    """Return the first points of a scrambled Sobol sequence in the unit cube.

    Source: I. M. Sobol', USSR Comput. Math. Math. Phys. 7 (1967) 86–112, as in scipy.stats.qmc.
    """
    sequence = _qmc().Sobol(columns, scramble=True, rng=np.random.default_rng(seed))
    return sequence.random_base2(max(samples - 1, 0).bit_length())[:samples]


def latin_hypercube(samples: int, columns: int, *, seed: int) -> Array:  # (samples, columns)
    """Return a Latin hypercube: one point in each of N slices of each axis.

    The points are those of this N alone: a hypercube of more points does not begin with them.

    Source: M. D. McKay, R. J. Beckman, W. J. Conover, Technometrics 21 (1979) 239–245, as in
    scipy.stats.qmc.
    """
    return _qmc().LatinHypercube(columns, rng=np.random.default_rng(seed)).random(samples)


def _qmc() -> Any:
    try:
        from scipy.stats import qmc
    except ImportError as error:
        raise MissingPackageError(
            "sampling strains needs scipy; install it with: pip install scipy"
        ) from error
    return qmc
