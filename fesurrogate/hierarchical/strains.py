"""Strain as axes of a table, and what is tabulated over it.

Axes are the independent tensor components of :class:`fesurrogate.data.envelope.Envelope`: of U - I
at finite strain, of the strain, or of the gradient, named ``strain.xx`` and so on. x are their
Mandel components. A table holds

    stress   f, conjugate to x: at finite strain Biot's, the symmetric part of P under F = U,
    tangent  df/dx,
    energy   the density W, f = dW/dx.

A cell under F = R U answers R P(U): the stretch says all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from fesurrogate.data.envelope import component_names, envelope_of
from fesurrogate.errors import InputError, MissingPackageError
from fesurrogate.hierarchical.axes import Axis
from fesurrogate.kinematics import SYMMETRIC_PAIRS, Array, Kinematics

PREFIX = "strain."
QUANTITIES = ("stress", "tangent", "energy")
"""What may be tabulated over strain."""


def strain_axes(kinematics: Kinematics) -> tuple[str, ...]:
    """Return the names of the q axes of strain."""
    return tuple(PREFIX + name for name in component_names(kinematics))


def strain_columns(kinematics: Kinematics, axes: Sequence[Axis]) -> list[int]:
    """Return the positions of the strain's axes, in the order of its components; none or all.

    Raises:
        InputError: Some are there and some are not, or hold strains with U not positive definite.
    """
    names, wanted = [axis.name for axis in axes], strain_axes(kinematics)
    given = [name for name in names if name.startswith(PREFIX)]
    if not given:
        return []
    if set(given) != set(wanted):
        raise InputError(
            f"the axes of strain are {', '.join(given)}; expected {', '.join(wanted)}, all of them"
        )
    columns = [names.index(name) for name in wanted]
    envelope_of(kinematics, tuple(ends(axes[k]) for k in columns))
    return columns


def ends(axis: Axis) -> tuple[float, float]:
    """Return the first and the last value of an axis."""
    return float(axis.values[0]), float(axis.values[-1])


def mandel_factors(kinematics: Kinematics) -> Array:  # (q,)
    """Return x over the tensor components that axes have."""
    if kinematics.measure == "gradient":
        return np.ones(kinematics.size)
    return np.array([1.0 if i == j else np.sqrt(2.0) for i, j in SYMMETRIC_PAIRS[kinematics.gdim]])


def directions(kinematics: Kinematics) -> Array:  # (m, q)
    """Return d strain/dx along F = U: f = stress · d strain/dx."""
    if kinematics.measure != "finite":
        return np.eye(kinematics.size)
    pairs, d = SYMMETRIC_PAIRS[kinematics.gdim], kinematics.gdim
    found = np.zeros((d, d, len(pairs)))
    for k, (i, j) in enumerate(pairs):
        found[i, j, k] = found[j, i, k] = 1.0 if i == j else np.sqrt(0.5)
    return found.reshape(d * d, len(pairs))


def tabulated(
    kinematics: Kinematics,
    stress: Array,  # (n, m), at strains of strain_with
    tangent: Array | None,  # (n, m, m)
    energy: Array | None,  # (n,)
) -> dict[str, Array]:
    """Return the quantities by name."""
    B = directions(kinematics)
    found: dict[str, Array] = {"stress": stress @ B}
    if tangent is not None:
        found["tangent"] = np.einsum("mi,nmk,kj->nij", B, tangent, B)
    if energy is not None:
        found["energy"] = energy
    return found


def stretch_of(
    kinematics: Kinematics,
    strain: Array,  # (n, m), admissible
) -> Any:
    """Return the :class:`~fesurrogate.surrogate.stretch.Stretch` of deformation gradients.

    Raises:
        MissingPackageError: torch is not installed.
    """
    with torch_for("a table over finite strain"):
        from fesurrogate.surrogate.stretch import Stretch
    return Stretch(kinematics, strain)


@contextmanager
def torch_for(what: str) -> Iterator[None]:
    """Say of an import within what it was for, where torch is missing.

    Raises:
        MissingPackageError: torch is not installed.
    """
    try:
        yield
    except ImportError as error:
        raise MissingPackageError(
            f"{what} needs torch; install it with: pip install torch"
        ) from error


def check_quantities(names: Sequence[str], over_strain: bool) -> None:
    """Refuse quantities at rest over strain, and quantities over strain without its axes.

    Raises:
        InputError: As said.
    """
    wrong = [name for name in names if (name in QUANTITIES) != over_strain]
    if wrong and over_strain:
        raise InputError(
            f"{', '.join(wrong)} is of the cell at rest, and the axes are of strain; expected "
            f"{', '.join(QUANTITIES)}: give what is of rest a table of its own"
        )
    if wrong:
        raise InputError(
            f"{', '.join(wrong)} needs strain as axes, one for each component: add such as "
            '[precompute.axes."strain.xx"] with low, high and points'
        )


def has_strain(values: Mapping[str, Any]) -> bool:
    """Return whether any of the names is an axis of strain."""
    return any(name.startswith(PREFIX) for name in values)
