"""Bounds on what a mixture of phases can be, from their stiffnesses and volume fractions alone.

Voigt and Reuss bound any cell. Hashin and Shtrikman bound composites that are isotropic (in the
plane, for fibres) with isotropic phases; beside a cell that is not isotropic they are no bounds on
its single components. A void is a phase of zero stiffness; lower bounds then vanish.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce

import numpy as np

from fesurrogate.errors import InputError
from fesurrogate.homogenize.engineering import (
    hill_moduli,
    nearest_isotropic,
    transversely_isotropic,
)
from fesurrogate.kinematics import Array

Bounds = tuple[float, float]
"""Lower and upper bound."""

ISOTROPIC = 1e-6
"""Relative distance from an isotropic stiffness below which a phase is isotropic."""


def voigt(
    stiffnesses: Sequence[Array],  # each (m, m)
    fractions: Sequence[float],
) -> Array:  # (m, m)
    """Return Σ fᵢ Cᵢ: no mixture is stiffer, C_eff ≤ C in the sense of eigenvalues."""
    matrices, shares = _checked(stiffnesses, fractions)
    return np.einsum("k,kij->ij", shares, matrices)


def reuss(
    stiffnesses: Sequence[Array],  # each (m, m)
    fractions: Sequence[float],
) -> Array:  # (m, m)
    """Return (Σ fᵢ Cᵢ⁻¹)⁻¹: no mixture is softer; what a phase cannot resist, it does not either.

    Springs in series, A (A + B)⁺ B, need no inverse of a singular stiffness. Source: Anderson and
    Duffin (1969), J. Math. Anal. Appl. 26, 576.
    """
    matrices, shares = _checked(stiffnesses, fractions)
    there = np.flatnonzero(shares > 0)
    parts: list[Array] = [matrices[k] / shares[k] for k in there]
    return np.asarray(reduce(_in_series, parts))


def _in_series(first: Array, second: Array) -> Array:
    return np.asarray(first @ np.linalg.pinv(first + second, rcond=1e-13, hermitian=True) @ second)


# -- Hashin and Shtrikman -------------------------------------------------------------------


def solid_bounds(
    bulk: Sequence[float],
    shear: Sequence[float],
    fractions: Sequence[float],
) -> dict[str, Bounds]:
    """Return the bounds ``K`` and ``G`` of an isotropic solid made of isotropic phases.

    Where the stiffest phase in bulk is not the stiffest in shear they hold with a comparison
    material of the largest K and the largest G, but may be wide (Walpole).

    Source: Hashin and Shtrikman (1963), J. Mech. Phys. Solids 11, 127; Walpole (1966), ibid. 14,
    151; in the form of Milton, The Theory of Composites (2002), chapter 23.
    """
    K, G, f = _present(fractions, bulk, shear)

    def zeta(k: float, g: float) -> float:
        return g / 6 * (9 * k + 8 * g) / (k + 2 * g) if g else 0.0

    return {
        "K": (_mixed(K, f, 4 / 3 * G.min()), _mixed(K, f, 4 / 3 * G.max())),
        "G": (_mixed(G, f, zeta(K.min(), G.min())), _mixed(G, f, zeta(K.max(), G.max()))),
    }


def fibre_bounds(
    bulk: Sequence[float],
    transverse: Sequence[float],
    axial: Sequence[float],
    fractions: Sequence[float],
) -> dict[str, Bounds]:
    """Return the bounds ``K_across``, ``G_across`` and ``G_along`` of a prismatic composite.

    It is isotropic in the plane, as its phases are. Fibres of any cross-section.

    Args:
        bulk: Plane-strain bulk modulus k of each phase (isotropic: K + G/3).
        transverse: Shear modulus m in the plane.
        axial: Shear modulus p along the fibres.
        fractions: Volume fractions.

    Source: Hashin (1965), J. Mech. Phys. Solids 13, 119; Walpole (1969), ibid. 17, 235.
    """
    k, m, p, f = _present(fractions, bulk, transverse, axial)

    def zeta(k: float, m: float) -> float:
        return k * m / (k + 2 * m) if m else 0.0

    return {
        "K_across": (_mixed(k, f, m.min()), _mixed(k, f, m.max())),
        "G_across": (_mixed(m, f, zeta(k.min(), m.min())), _mixed(m, f, zeta(k.max(), m.max()))),
        "G_along": (_mixed(p, f, p.min()), _mixed(p, f, p.max())),
    }


def conduction_bounds(
    conductivity: Sequence[float],
    fractions: Sequence[float],
    *,
    gdim: int,
) -> dict[str, Bounds]:
    """Return the bounds ``k`` of an isotropic conductor made of isotropic phases, in 2D or 3D.

    Source: Hashin and Shtrikman (1962), J. Appl. Phys. 33, 3125; in any
    dimension: Milton, The Theory of Composites (2002), chapter 23.
    """
    k, f = _present(fractions, conductivity)
    return {"k": (_mixed(k, f, (gdim - 1) * k.min()), _mixed(k, f, (gdim - 1) * k.max()))}


def _mixed(moduli: Array, fractions: Array, comparison: float) -> float:
    """Return (Σ fᵢ / (xᵢ + y))⁻¹ - y; 0 where a phase without stiffness is compared with none."""
    if (moduli + comparison).min() <= 0:
        return 0.0
    return max(float(1 / np.sum(fractions / (moduli + comparison)) - comparison), 0.0)


def _present(fractions: Sequence[float], *moduli: Sequence[float]) -> list[Array]:
    """Return moduli and fractions of the phases that are there at all."""
    shares = np.asarray(fractions, dtype=np.float64)
    rows = [np.asarray(values, dtype=np.float64) for values in moduli]
    _check_fractions(shares, len(rows[0]))
    if min(row.min() for row in rows) < 0:
        raise InputError(f"moduli are {[row.tolist() for row in rows]}; expected none below 0")
    return [row[shares > 0] for row in (*rows, shares)]


# -- which apply ----------------------------------------------------------------------------


def hashin_shtrikman(
    stiffnesses: Mapping[str, Array],  # Mandel (6, 6), or conductivities (d, d)
    fractions: Mapping[str, float],
    *,
    prismatic: bool = False,
    conduction: bool = False,
) -> tuple[dict[str, Bounds], str]:
    """Return the bounds that apply to phases of these stiffnesses, and what to know of them.

    Args:
        stiffnesses: Of each phase; zero for a void.
        fractions: Of each phase.
        prismatic: Whether the cell is a cross-section along z: the phases may then be transversely
            isotropic about z.
        conduction: Whether the stiffnesses are conductivities.

    Returns:
        The bounds by modulus (none where a phase is not isotropic enough), and a sentence.
    """
    names = list(stiffnesses)
    shares = [fractions[name] for name in names]
    matrices = [np.asarray(stiffnesses[name], dtype=np.float64) for name in names]
    if conduction:
        skew = _anisotropic(names, [(C, np.eye(len(C)) * np.trace(C) / len(C)) for C in matrices])
        if skew:
            return {}, f"none: {skew} does not conduct alike in all directions"
        values = [float(np.trace(C)) / len(C) for C in matrices]
        return conduction_bounds(values, shares, gdim=len(matrices[0])), _for("isotropic")
    if prismatic:
        near = [transversely_isotropic(C, 2)[0] if C.any() else C for C in matrices]
        skew = _anisotropic(names, list(zip(matrices, near, strict=True)))
        if skew:
            return {}, f"none: {skew} is not isotropic in the plane"
        hill = [hill_moduli(C) for C in matrices]  # k, l, n, m, p
        k, m, p = ([moduli[i] for moduli in hill] for i in (0, 3, 4))
        ordered = _well_ordered(k, m, shares)
        return fibre_bounds(k, m, p, shares), _for("isotropic in the plane", ordered)
    moduli = [nearest_isotropic(C) if C.any() else (0.0, 0.0, 0.0) for C in matrices]
    skew = ", ".join(n for n, (*_, gap) in zip(names, moduli, strict=True) if gap > ISOTROPIC)
    if skew:
        return {}, f"none: {skew} is not isotropic"
    K, G = [bulk for bulk, *_ in moduli], [shear for _, shear, _ in moduli]
    return solid_bounds(K, G, shares), _for("isotropic", _well_ordered(K, G, shares))


def _anisotropic(names: Sequence[str], pairs: Sequence[tuple[Array, Array]]) -> str:
    """Return the names of those that differ from their isotropic neighbour."""
    far = [np.linalg.norm(C - near) > ISOTROPIC * np.linalg.norm(C) for C, near in pairs]
    return ", ".join(name for name, apart in zip(names, far, strict=True) if apart)


def _for(symmetry: str, ordered: bool = True) -> str:
    text = f"bounds on a composite that is {symmetry}"
    return text if ordered else f"{text}; not the best, as no phase is stiffest in every respect"


def _well_ordered(first: Sequence[float], second: Sequence[float], shares: Sequence[float]) -> bool:
    """Return whether the phases rank alike in both moduli."""
    there = [(a, b) for a, b, share in zip(first, second, shares, strict=True) if share > 0]
    return all((a - c) * (b - d) >= 0 for a, b in there for c, d in there)


def _checked(stiffnesses: Sequence[Array], fractions: Sequence[float]) -> tuple[Array, Array]:
    matrices = np.array([np.asarray(C, dtype=np.float64) for C in stiffnesses])
    shares = np.asarray(fractions, dtype=np.float64)
    _check_fractions(shares, len(matrices))
    return (matrices + matrices.transpose(0, 2, 1)) / 2, shares


def _check_fractions(shares: Array, phases: int) -> None:
    if len(shares) != phases or not (shares >= 0).all() or abs(shares.sum() - 1) > 1e-6:
        raise InputError(
            f"fractions are {shares.tolist()} for {phases} phases; expected one each, not "
            "negative, of sum 1"
        )
