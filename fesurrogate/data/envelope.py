"""The part of strain space that is sampled, in coordinates that waste nothing on rotations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fesurrogate.errors import InputError
from fesurrogate.kinematics import SYMMETRIC_PAIRS, Array, Kinematics

Extent = float | tuple[tuple[float, float], ...]
"""Half-width of all components, or [low, high] of each."""


@dataclass(frozen=True)
class Envelope:
    """A box of the q independent tensor components of a strain.

    They are those of U - I with the right stretch U at finite strain (an objective Material
    answers R U by rotating), of the strain tensor at small strain (not scaled as Mandel's are), or
    of the gradient; in the order [xx, yy, xy], [xx, yy, zz, yz, xz, xy].

    Attributes:
        kinematics: The strain measure.
        low: (q,).
        high: (q,).
    """

    kinematics: Kinematics
    low: Array
    high: Array

    def strain(
        self,
        components: Array,  # (..., q)
    ) -> Array:  # (..., m)
        """Return the strains that have these components."""
        return strain_with(self.kinematics, components)


def envelope_of(kinematics: Kinematics, stretch: Extent, *, around_rest: bool = False) -> Envelope:
    """Return the envelope of an extent.

    Args:
        kinematics: The strain measure.
        stretch: Half-width, or [low, high] of each component.
        around_rest: Whether it must hold the undeformed body, as paths that begin there need.

    Raises:
        InputError: It is empty, of another number of components, or holds strains with U not
            positive definite.
    """
    q = len(component_names(kinematics))
    if isinstance(stretch, int | float):
        if not (np.isfinite(stretch) and stretch > 0.0):
            raise InputError(f"stretch is {stretch!r}; expected a finite number > 0")
        bounds: Array = np.array([[-float(stretch)] * q, [float(stretch)] * q])
    else:
        pairs = np.array(stretch, dtype=np.float64).reshape(-1, 2)
        if len(pairs) != q or not np.isfinite(pairs).all() or (pairs[:, 0] >= pairs[:, 1]).any():
            raise InputError(
                f"stretch is {stretch}; expected a number, or [low, high] with low < high for "
                f"each of {', '.join(component_names(kinematics))}"
            )
        bounds = pairs.T.copy()
    low, high = bounds
    if around_rest and ((low > 0.0) | (high < 0.0)).any():
        raise InputError(
            f"stretch is {stretch}; expected low <= 0 <= high, since paths begin at rest"
        )
    _check_positive(kinematics, stretch, low, high)
    return Envelope(kinematics, low, high)


def component_names(kinematics: Kinematics) -> tuple[str, ...]:
    """Return the names of the q independent components."""
    axes = "xyz"[: kinematics.gdim]
    if kinematics.measure == "gradient":
        return tuple(axes)
    return tuple(axes[i] + axes[j] for i, j in SYMMETRIC_PAIRS[kinematics.gdim])


def components_of(
    kinematics: Kinematics,
    strain: Array,  # (n, m)
) -> Array:  # (n, q)
    """Return the independent components of strains; at finite strain those of sqrt(FᵀF) - I."""
    tensor = kinematics.unpack(strain)
    if kinematics.measure == "gradient":
        return tensor
    if kinematics.measure == "finite":
        _, stretch, axes = np.linalg.svd(tensor)
        tensor = np.swapaxes(axes, 1, 2) @ (stretch[:, :, None] * axes) - np.eye(kinematics.gdim)
    return np.stack([tensor[:, i, j] for i, j in SYMMETRIC_PAIRS[kinematics.gdim]], axis=1)


def strain_with(
    kinematics: Kinematics,
    components: Array,  # (..., q)
) -> Array:  # (..., m)
    """Return the strains that have given components, without rotation: of stretches, U itself."""
    d = kinematics.gdim
    flat = components.reshape(-1, components.shape[-1])
    if kinematics.measure == "gradient":
        return components.copy()
    tensor = np.empty((len(flat), d, d))
    for k, (i, j) in enumerate(SYMMETRIC_PAIRS[d]):
        tensor[:, i, j] = tensor[:, j, i] = flat[:, k]
    if kinematics.measure == "finite":
        tensor += np.eye(d)
    return kinematics.pack(tensor).reshape(*components.shape[:-1], kinematics.size)


def _check_positive(kinematics: Kinematics, stretch: Extent, low: Array, high: Array) -> None:
    """Refuse an envelope in which Gershgorin's circles reach zero (exact for a half-width)."""
    if kinematics.measure != "finite":
        return
    d = kinematics.gdim
    smallest = 1.0 + low[:d]
    for k, (i, j) in enumerate(SYMMETRIC_PAIRS[d]):
        if i != j:
            smallest[[i, j]] -= max(abs(low[k]), abs(high[k]))
    if smallest.min() <= 0.0:
        raise InputError(
            f"stretch is {stretch}; expected less than 1/{d} on each side (exactly: shears whose "
            "sum in a row stays below its 1 + low), beyond which U is no longer positive definite "
            "everywhere in the envelope"
        )
