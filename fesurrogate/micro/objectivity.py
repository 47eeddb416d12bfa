"""What an observer who turns knows of a fluctuation's derivative without solving for it."""

from __future__ import annotations

import numpy as np

from fesurrogate.kinematics import Array, Kinematics
from fesurrogate.micro.strain import rotation_of


def with_rotations(
    relaxation: Array,  # (unknowns, m)
    kinematics: Kinematics,
    strain: Array,  # (m,)
    *,
    q: Array,  # (unknowns,)
) -> Array:  # (unknowns, m)
    """Return a guess of dq/dF that is exact where F turns: q(Q F) = Q q(F), so S[Ω F] = Ω q.

    With F = R U it stays what it is where only U changes, and F by R dU.

    Args:
        relaxation: The guess.
        kinematics: Of the cell; but at finite strain there is nothing to know.
        strain: Where it is guessed.
        q: Fluctuation in equilibrium there.
    """
    d, rotation = kinematics.gdim, rotation_of(kinematics, strain)
    if rotation is None:
        return relaxation
    F, nodal, basis = strain.reshape(d, d), q.reshape(-1, d), spins(d)
    turned = np.stack([(spin @ F).ravel() for spin in basis], axis=1)  # (m, r)
    exact = np.stack([(nodal @ spin.T).ravel() for spin in basis], axis=1)  # (unknowns, r)
    blind = (rotation @ basis).reshape(len(basis), -1)  # (r, m), to R dU
    share = np.linalg.solve(blind @ turned, blind)  # (r, m), of dF that turns
    return np.asarray(relaxation + (exact - relaxation @ turned) @ share)


def spins(d: int) -> Array:  # (r, d, d)
    """Return a basis of the antisymmetric tensors."""
    i, j = np.tril_indices(d, -1)
    basis = np.zeros((len(i), d, d))
    basis[np.arange(len(i)), i, j] = 1.0
    basis[np.arange(len(i)), j, i] = -1.0
    return basis
