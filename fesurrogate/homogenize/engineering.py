"""What a stiffness means to an engineer: moduli, Poisson's ratios, conductivities, anisotropy.

All stiffnesses are in Mandel components (docs/notation.md). Constants are those of the given axes;
what they leave out is measured beside them: ``orthotropy_departure`` is the relative Frobenius norm
of the couplings that an orthotropic material in these axes does not have.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from fesurrogate.errors import InputError
from fesurrogate.kinematics import Array, Kinematics

CUBIC = 1e-2
"""Departure from cubic symmetry above which a Zener ratio would mean nothing."""


def orthotropic_constants(
    stiffness: Array,  # (6, 6)
) -> dict[str, float]:
    """Return E1, E2, E3, G23, G13, G12 and the six Poisson's ratios of a solid, by compliance.

    A stress along i alone strains i by σ/Ei and j by -νij σ/Ei.

    Raises:
        InputError: The stiffness is not symmetric positive definite, or not (6, 6).
    """
    S = _compliance(stiffness, 6)
    constants = {f"E{i + 1}": 1 / S[i, i] for i in range(3)}
    constants |= {f"G{i + 1}{j + 1}": 1 / (2 * S[6 - i - j, 6 - i - j]) for i, j in _PAIRS}
    ratios = {f"nu{i + 1}{j + 1}": -S[j, i] / S[i, i] for i, j in _PAIRS}
    ratios |= {f"nu{j + 1}{i + 1}": -S[i, j] / S[j, j] for i, j in _PAIRS}
    return _floats({**constants, **ratios, "orthotropy_departure": orthotropy_departure(stiffness)})


_PAIRS = tuple(combinations(range(3), 2))[::-1]  # 23, 13, 12: the order of Mandel's shear


def plane_strain_constants(
    stiffness: Array,  # (3, 3)
) -> dict[str, float]:
    """Return the moduli in the plane where nothing strains across it.

    E1 and E2 answer a stress along one axis with the other stress free and ε_zz = 0 (isotropic:
    E/(1-ν²)), the ratios are those of that test (ν/(1-ν)); ``K12_plane_strain`` is the mean stress
    over the change of area in equal biaxial strain (λ + μ). G12 is the same in and out of plane
    strain.

    Raises:
        InputError: The stiffness is not symmetric positive definite, or not (3, 3).
    """
    S = _compliance(stiffness, 3)
    C = np.asarray(stiffness)
    return _floats(
        {
            "E1_plane_strain": 1 / S[0, 0],
            "E2_plane_strain": 1 / S[1, 1],
            "G12": 1 / (2 * S[2, 2]),
            "nu12_plane_strain": -S[1, 0] / S[0, 0],
            "nu21_plane_strain": -S[0, 1] / S[1, 1],
            "K12_plane_strain": C[:2, :2].sum() / 4,
            "orthotropy_departure": orthotropy_departure(stiffness),
        }
    )


def conductivities(
    conductivity: Array,  # (d, d)
) -> dict[str, float]:
    """Return k1, k2(, k3) along the axes and the principal values, largest first.

    Raises:
        InputError: The conductivity is not symmetric positive definite, or not (2, 2) or (3, 3).
    """
    matrix = np.asarray(conductivity, dtype=np.float64)
    d = len(matrix) if len(matrix) in (2, 3) else 3
    _compliance(matrix, d)
    principal = np.linalg.eigvalsh(matrix)[::-1]
    constants = {f"k{i + 1}": matrix[i, i] for i in range(d)}
    constants |= {f"principal{i + 1}": principal[i] for i in range(d)}
    off_axis = matrix - np.diag(np.diag(matrix))
    return _floats({**constants, "orthotropy_departure": _ratio(off_axis, matrix)})


def small_strain_stiffness(
    kinematics: Kinematics,
    tangent: Array,  # (d * d, d * d), dP/dF at rest
) -> Array:  # Mandel (3, 3) or (6, 6)
    """Return the Mandel stiffness of a finite-strain tangent at an undeformed, stress-free body.

    There dP/dF sees the symmetric part of F alone, so that nothing is lost.
    """
    small = Kinematics(kinematics.gdim, "small")
    basis = small.unpack(np.eye(small.size)).reshape(small.size, -1)  # (m, d * d)
    return basis @ np.asarray(tangent) @ basis.T


# -- symmetry -------------------------------------------------------------------------------


def orthotropy_departure(
    stiffness: Array,  # (3, 3) or (6, 6)
) -> float:
    """Return ‖couplings of shear with anything‖ / ‖stiffness‖: 0 if orthotropic in these axes."""
    C = np.asarray(stiffness, dtype=np.float64)
    d = 2 if len(C) == 3 else 3
    kept = np.eye(len(C), dtype=bool)
    kept[:d, :d] = True
    return _ratio(np.where(kept, 0.0, C), C)


def nearest_isotropic(
    stiffness: Array,  # (3, 3) or (6, 6)
) -> tuple[float, float, float]:
    """Return bulk and shear modulus of the nearest isotropic stiffness, and the relative distance.

    The nearest one in the Frobenius norm is the mean over all rotations (Voigt's). In 2D the bulk
    modulus is that of plane strain, λ + μ. Source: Norris (2006), J. Mech. Mater. Struct. 1, 223.
    """
    C = np.asarray(stiffness, dtype=np.float64)
    d, size = (2, 3) if len(C) == 3 else (3, 6)
    unit = np.eye(size)[:d].sum(axis=0) / np.sqrt(d)  # of a volumetric strain
    volumetric = unit @ C @ unit  # d K
    deviatoric = (np.trace(C) - volumetric) / (size - 1)  # 2 G
    near = deviatoric * np.eye(size) + (volumetric - deviatoric) * np.outer(unit, unit)
    return float(volumetric / d), float(deviatoric / 2), _ratio(C - near, C)


def anisotropy(
    stiffness: Array,  # (3, 3) or (6, 6)
) -> dict[str, float | None]:
    """Return how far a stiffness is from isotropic.

    ``universal`` is 5 G_V/G_R + K_V/K_R - 6 (solids; 0 if isotropic), ``zener`` is C44 over
    (C11 - C12)/2, where the departure from cubic symmetry in these axes is below ``CUBIC`` (None
    elsewhere), ``isotropy_departure`` the relative distance of the nearest isotropic stiffness.

    Source: Ranganathan and Ostoja-Starzewski (2008), Phys. Rev. Lett. 101, 055504, eq. 8.

    Raises:
        InputError: The stiffness is not symmetric positive definite.
    """
    C = np.asarray(stiffness, dtype=np.float64)
    d = 2 if len(C) == 3 else 3
    S = _compliance(C, len(C))
    bulk, shear, distance = nearest_isotropic(C)
    normal, coupling = np.trace(C[:d, :d]) / d, (C[:d, :d].sum() - np.trace(C[:d, :d])) / d
    coupling /= d - 1
    across = np.diag(C)[d:].mean()  # 2 C44
    cubic = np.zeros_like(C)
    cubic[:d, :d] = coupling
    np.fill_diagonal(cubic, [normal] * d + [across] * (len(C) - d))
    departure = _ratio(C - cubic, C)
    result: dict[str, float | None] = {
        "isotropy_departure": distance,
        "cubic_departure": departure,
        "zener": float(across / (normal - coupling)) if departure < CUBIC else None,
    }
    if d == 3:
        volumetric, deviatoric, _ = nearest_isotropic(S)  # 1/(9 K_R) and 1/(4 G_R)
        ratio = 5 * shear * 4 * deviatoric + bulk * 9 * volumetric - 6
        result = {"universal": float(ratio), **result}
    return result


def transversely_isotropic(
    stiffness: Array,  # (6, 6)
    axis: int | None = None,
) -> tuple[Array, int, float]:
    """Return the nearest transversely isotropic stiffness, its axis and the relative distance.

    Hill's moduli of the axis n: k = plane-strain bulk, m = transverse and p = axial shear, n and l;
    the nearest stiffness in the Frobenius norm is the mean over rotations about the axis.
    Source: Hill (1964), J. Mech. Phys. Solids 12, 199, for the moduli.

    Args:
        stiffness: Mandel stiffness of a solid.
        axis: 0, 1 or 2; the one of the three that fits best if None.
    """
    C = np.asarray(stiffness, dtype=np.float64)
    if axis is None:
        return min((transversely_isotropic(C, k) for k in range(3)), key=lambda fit: fit[2])
    k, cross, n, m, p = hill_moduli(C, axis)
    near: Array = np.zeros((6, 6))
    near[:2, :2] = [[k + m, k - m], [k - m, k + m]]
    near[2, :2] = near[:2, 2] = cross
    np.fill_diagonal(near[2:, 2:], [n, 2 * p, 2 * p, 2 * m])
    back = np.argsort(_axis_last(axis))
    near = near[np.ix_(back, back)]
    return near, axis, _ratio(C - near, C)


def hill_moduli(
    stiffness: Array,  # (6, 6)
    axis: int = 2,
) -> tuple[float, float, float, float, float]:
    """Return Hill's k, l, n, m, p of the nearest transversely isotropic stiffness about an axis."""
    components = _axis_last(axis)
    C = np.asarray(stiffness, dtype=np.float64)[np.ix_(components, components)]
    k = C[:2, :2].sum() / 4
    m = ((C[0, 0] + C[1, 1] - 2 * C[0, 1]) / 2 + C[5, 5]) / 4
    return float(k), float(C[2, :2].mean()), float(C[2, 2]), float(m), float(C[3, 3] + C[4, 4]) / 4


def transversely_isotropic_constants(
    stiffness: Array,  # (6, 6)
    axis: int | None = None,
) -> dict[str, float]:
    """Return the constants of the nearest transversely isotropic stiffness.

    ``departure`` is its relative distance, ``axis`` 1, 2 or 3.

    Raises:
        InputError: The stiffness is not symmetric positive definite.
    """
    near, axis, departure = transversely_isotropic(stiffness, axis)
    components = _axis_last(axis)
    constants = orthotropic_constants(near[np.ix_(components, components)])
    return {
        "axis": axis + 1,
        "E_along": constants["E3"],
        "E_across": constants["E1"],
        "G_along": constants["G13"],
        "G_across": constants["G12"],
        "nu_along": constants["nu31"],
        "nu_across": constants["nu12"],
        "K_across": hill_moduli(stiffness, axis)[0],
        "departure": departure,
    }


# -- helpers --------------------------------------------------------------------------------


def _axis_last(axis: int) -> NDArray[np.int64]:  # (6,)
    """Return the Mandel components in axes that are turned so that one comes last."""
    order = np.roll(np.arange(3), -1 - axis)
    return np.concatenate([order, 3 + order])


def _compliance(stiffness: Array, size: int) -> Array:  # (size, size)
    C = np.asarray(stiffness, dtype=np.float64)
    if C.shape != (size, size):
        raise InputError(f"stiffness has shape {C.shape}; expected ({size}, {size})")
    scale = np.abs(C).max()
    if not np.isfinite(scale) or np.abs(C - C.T).max() > 1e-6 * scale:
        raise InputError("the stiffness is not finite and symmetric; engineering constants need it")
    lowest = np.linalg.eigvalsh((C + C.T) / 2)[0]
    if lowest <= 1e-12 * scale:
        raise InputError(
            f"the stiffness has the eigenvalue {lowest:.3g} beside entries of {scale:.3g}: what "
            "does not resist every strain has no compliance, and so no such constants"
        )
    return np.asarray(np.linalg.inv((C + C.T) / 2), dtype=np.float64)


def _ratio(part: Array, whole: Array) -> float:
    scale = float(np.linalg.norm(whole))
    return float(np.linalg.norm(part)) / scale if scale else 0.0


def _floats(constants: dict[str, float]) -> dict[str, float]:
    return {name: float(value) for name, value in constants.items()}
