"""Where in strain space to sample: low-discrepancy points in objective coordinates."""

from __future__ import annotations

import numpy as np

from fesurrogate.errors import InputError, MissingPackageError
from fesurrogate.kinematics import SYMMETRIC_PAIRS, Array, Kinematics


def stretches(
    kinematics: Kinematics,
    samples: int,
    stretch: float,
    *,
    seed: int = 0,
) -> Array:  # (N, 1, m)
    """Return strain paths of one increment each, spread evenly over the envelope.

    A scrambled Sobol sequence over the independent tensor components: of the right stretch U,
    with F = U, at finite strain (an objective Material answers R U by rotating, so no sample is
    spent on R); of the strain at small strain; of the vector for a gradient. The first samples
    of a longer sequence with the same seed are those of a shorter one.

    Args:
        kinematics: The strain measure.
        samples: N, number of paths.
        stretch: Half-width of the envelope: the components of U - I (or of the strain tensor,
            or of the gradient) lie within ±stretch.
        seed: Seed of the scrambling.

    Raises:
        InputError: No samples, or an envelope that holds strains with det F <= 0.
    """
    if samples < 1:
        raise InputError(f"samples is {samples}; expected at least 1")
    if not (np.isfinite(stretch) and stretch > 0.0):
        raise InputError(f"stretch is {stretch!r}; expected a finite number > 0")
    gdim = kinematics.gdim
    if kinematics.measure == "finite" and stretch * gdim >= 1.0:
        raise InputError(
            f"stretch is {stretch}; expected less than 1/{gdim}, beyond which U is no longer "
            "positive definite everywhere in the envelope"
        )
    pairs = SYMMETRIC_PAIRS[gdim]
    columns = gdim if kinematics.measure == "gradient" else len(pairs)
    components = stretch * (2.0 * sobol(samples, columns, seed=seed) - 1.0)
    if kinematics.measure == "gradient":
        return components[:, None, :]
    tensor = np.empty((samples, gdim, gdim))
    for k, (i, j) in enumerate(pairs):
        tensor[:, i, j] = tensor[:, j, i] = components[:, k]
    if kinematics.measure == "finite":
        tensor += np.eye(gdim)
    return kinematics.pack(tensor)[:, None, :]


def sobol(samples: int, columns: int, *, seed: int) -> Array:  # (samples, columns)
    """Return the first points of a scrambled Sobol sequence in the unit cube.

    Source: I. M. Sobol', USSR Comput. Math. Math. Phys. 7 (1967) 86–112, as in scipy.stats.qmc.
    """
    try:
        from scipy.stats import qmc
    except ImportError as error:
        raise MissingPackageError(
            "sampling strains needs scipy; install it with: pip install scipy"
        ) from error
    sequence = qmc.Sobol(columns, scramble=True, rng=np.random.default_rng(seed))
    return sequence.random_base2(max(samples - 1, 0).bit_length())[:samples]
