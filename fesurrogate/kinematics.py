"""Strain measures: how many components a strain has, and how tensors are packed into vectors.

Small strain uses Mandel components, 2D ``[xx, yy, √2 xy]`` and 3D
``[xx, yy, zz, √2 yz, √2 xz, √2 xy]``, so that stress · strain is the double contraction. Finite
strain uses the row-major deformation gradient F and first Piola-Kirchhoff stress P. A gradient
(of temperature, say) and its flux are plain vectors.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fesurrogate.errors import InputError

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

SYMMETRIC_PAIRS: dict[int, tuple[tuple[int, int], ...]] = {
    2: ((0, 0), (1, 1), (0, 1)),
    3: ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)),
}
"""Index pairs (i, j) of the Mandel components, in order; off-diagonal ones carry a factor √2."""


@dataclass(frozen=True)
class Kinematics:
    """A strain measure in a space dimension.

    Attributes:
        gdim: Space dimension d; 2 means plane strain.
        measure: ``small`` (Mandel strain and Cauchy stress), ``finite`` (F and P) or
            ``gradient`` (gradient and flux).
    """

    gdim: Literal[2, 3]
    measure: Literal["small", "finite", "gradient"] = "small"

    def __post_init__(self) -> None:
        if self.gdim not in (2, 3):
            raise InputError(f"gdim is {self.gdim!r}; expected 2 or 3")
        if self.measure not in ("small", "finite", "gradient"):
            raise InputError(
                f"measure is {self.measure!r}; expected 'small', 'finite' or 'gradient'"
            )

    @property
    def size(self) -> int:
        """Number of components m."""
        if self.measure == "small":
            return len(SYMMETRIC_PAIRS[self.gdim])
        return self.gdim**2 if self.measure == "finite" else self.gdim

    @property
    def rest(self) -> Array:
        """Strain of the undeformed body, shape (m,): the identity at finite strain, else zero."""
        if self.measure == "finite":
            return np.eye(self.gdim).ravel()
        return np.zeros(self.size)

    def pack(
        self,
        tensor: Array,  # (n, d, d); (n, d) for a gradient
    ) -> Array:  # (n, m)
        """Return the components of a batch of tensors (the symmetric part at small strain)."""
        if self.measure == "gradient":
            return np.array(tensor, dtype=np.float64)
        if self.measure == "finite":
            return tensor.reshape(-1, self.size).copy()
        columns = [
            tensor[:, i, i] if i == j else (tensor[:, i, j] + tensor[:, j, i]) / np.sqrt(2.0)
            for i, j in SYMMETRIC_PAIRS[self.gdim]
        ]
        return np.stack(columns, axis=1)

    def unpack(
        self,
        vector: Array,  # (n, m)
    ) -> Array:  # (n, d, d); (n, d) for a gradient
        """Return the tensors of a batch of component rows: the inverse of :meth:`pack`."""
        if self.measure == "gradient":
            return np.array(vector, dtype=np.float64)
        if self.measure == "finite":
            return vector.reshape(-1, self.gdim, self.gdim).copy()
        tensor = np.empty((len(vector), self.gdim, self.gdim))
        for k, (i, j) in enumerate(SYMMETRIC_PAIRS[self.gdim]):
            tensor[:, i, j] = tensor[:, j, i] = vector[:, k] / (1.0 if i == j else np.sqrt(2.0))
        return tensor

    def admissible(
        self,
        strain: Array,  # (n, m)
    ) -> BoolArray:  # (n,)
        """Return which strains a Material can answer: numbers, and at finite strain det F > 0.

        The others fail as data (``ok = False``), never as exceptions.
        """
        ok = np.asarray(np.isfinite(strain).all(axis=1), dtype=np.bool_)
        if self.measure == "finite":
            with np.errstate(invalid="ignore", over="ignore"):
                jacobian = determinant(strain, self.gdim)
            ok = ok & np.isfinite(jacobian) & (jacobian > 0.0)
        return ok


def determinant(
    gradient: Array,  # (n, d * d), row-major
    gdim: int,
) -> Array:  # (n,)
    """Return the determinants of a batch of second-order tensors given as rows."""
    if gdim == 2:
        a, b, c, d = gradient.T
        return a * d - b * c
    a, b, c, d, e, f, g, h, i = gradient.T
    return a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)


def polar_decomposition(
    kinematics: Kinematics,
    strain: Array,  # (n, m)
) -> tuple[Array, Array | None]:  # (n, m), (n, d, d)
    """Return U and R of F = R U; another measure is what an observer who turns sees already.

    An F that is not finite counts as rest: it has neither, and a batch must not fail by it.
    """
    if kinematics.measure != "finite":
        return strain, None
    finite = np.isfinite(strain).all(axis=1, keepdims=True)
    F = kinematics.unpack(np.where(finite, strain, kinematics.rest))  # (n, d, d)
    left, stretch, right = np.linalg.svd(F)
    U = np.einsum("nki,nk,nkj->nij", right, stretch, right)
    return U.reshape(strain.shape), left @ right
