"""What a dataset keeps of the fields of its cell."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fesurrogate.errors import InputError
from fesurrogate.material import Material

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from fesurrogate.data.farm import Fields
    from fesurrogate.kinematics import Array
    from fesurrogate.micro import RVEMaterial


def with_fields(source: Material, *, slopes: bool) -> tuple[str, RVEMaterial, Fields]:
    """Return the fingerprint of a cell, the cell as it is to be asked, and what is kept of it.

    Kept are the fluctuations, and sketches of their derivatives by the strain, which every tangent
    has solved for; both in single precision.

    Args:
        source: What answers.
        slopes: Whether tangents are asked for, so that derivatives are there.

    Raises:
        InputError: The Material is not a cell, or a turned one.
    """
    from fesurrogate.data.farm import FLUCTUATION, SLOPES
    from fesurrogate.micro import RVEMaterial
    from fesurrogate.warmstart import Sensitivity
    from fesurrogate.warmstart.sketch import sketched_slopes

    if not isinstance(source, RVEMaterial):
        raise InputError(
            f"generate: fields are those of a cell, but the source is {type(source).__name__}; "
            "take source = 'rve' without rotated, or fields = false"
        )
    kinematics, unknowns = source.kinematics, source.num_unknowns
    m = kinematics.size

    def fluctuations(strain: Array, hint: Array) -> Mapping[str, NDArray]:
        return {FLUCTUATION: hint[:, :unknowns].astype(np.float32)}

    def both(strain: Array, hint: Array) -> Mapping[str, NDArray]:
        relaxations = hint[:, unknowns + m :].reshape(-1, unknowns, m)
        sketches = sketched_slopes(kinematics, strain, relaxations).astype(np.float32)
        return {**fluctuations(strain, hint), SLOPES: sketches}

    if not slopes:
        return source.fingerprint, source, fluctuations
    return source.fingerprint, source.beginning_with(Sensitivity(kinematics)), both
