"""The effective stiffness of a view of a cell: with its error, its bounds, and what it means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fesurrogate.errors import InputError
from fesurrogate.homogenize.bounds import hashin_shtrikman, reuss, voigt
from fesurrogate.homogenize.discretisation import Discretisation, discretisation_error
from fesurrogate.homogenize.engineering import (
    anisotropy,
    conductivities,
    hill_moduli,
    nearest_isotropic,
    orthotropic_constants,
    plane_strain_constants,
    transversely_isotropic,
    transversely_isotropic_constants,
)
from fesurrogate.homogenize.views import View, stiffness_at_rest
from fesurrogate.kinematics import Array
from fesurrogate.micro import Cell
from fesurrogate.micro.cells.refine import refined

MAX_UNKNOWNS = {2: 500_000, 3: 120_000}
"""Of a cell that is solved for an estimate of the error only, by dimension of its mesh."""


@dataclass(frozen=True)
class Effective:
    """A view in figures.

    Attributes:
        stiffness: (m, m) on the finest mesh, Mandel; the conductivity of a gradient.
        discretisation: Its error.
        meshes: ``elements`` and ``unknowns`` of each mesh, coarse to fine.
        engineering: Constants, by name; tables of them by symmetry for a solid. A string says why
            there are none.
        anisotropy: Indices, by name.
        bounds: ``voigt`` and ``reuss``, matrices; ``moduli``: of each, ``reuss``, ``hs_lower``,
            ``cell``, ``hs_upper`` and ``voigt``; ``departure`` of the cell from the symmetry that
            Hashin and Shtrikman's bounds need; ``note`` says whether they apply.
    """

    stiffness: Array
    discretisation: Discretisation
    meshes: list[dict[str, int]]
    engineering: dict[str, Any] | str
    anisotropy: dict[str, float | None]
    bounds: dict[str, Any]


def refinements_of(view: View, wanted: int) -> tuple[list[Cell], str]:
    """Return the cells that are finer than the view's, and what to say of those left out."""
    cells: list[Cell] = []
    finer = view.rve.cell
    dimension = finer.mesh.geometry.dim
    for k in range(wanted):
        unknowns = view.rve.num_unknowns * 2 ** (dimension * (k + 1))
        if unknowns > MAX_UNKNOWNS[dimension]:
            return cells, (
                f"refinement {k + 1} of {wanted} is left out: it would take about {unknowns} "
                f"unknowns, more than {MAX_UNKNOWNS[dimension]}; start from a coarser mesh"
            )
        finer = refined(finer)
        cells.append(finer)
    return cells, ""


def effective(view: View, finer: Sequence[Cell], fractions: Mapping[str, float]) -> Effective:
    """Return the effective stiffness of a view and all that is said of it.

    Args:
        view: The cell under one kinematics.
        finer: The same cell, refined once, twice, ...
        fractions: Volume fraction of each phase.

    Raises:
        ConvergenceError: A cell cannot be solved at rest.
    """
    values, meshes = [], []
    for cell in (view.rve.cell, *finer):
        rve = view.rve if cell is view.rve.cell else view.on(cell)
        values.append(stiffness_at_rest(rve))
        elements = sum(len(rows) for rows in cell.phase_cells.values())
        meshes.append({"elements": elements, "unknowns": rve.num_unknowns})
    stiffness = (values[-1] + values[-1].T) / 2
    parts = {name: view.phase_stiffness(name) for name in fractions}
    return Effective(
        stiffness,
        discretisation_error(values),
        meshes,
        _engineering(view, stiffness),
        _anisotropy(view, stiffness),
        _bounds(view, stiffness, parts, fractions),
    )


def _engineering(view: View, stiffness: Array) -> dict[str, Any] | str:
    try:
        if view.kinematics.measure == "gradient":
            return dict(conductivities(stiffness))
        if view.kinematics.gdim == 2:
            return dict(plane_strain_constants(stiffness))
        return {
            "orthotropic": orthotropic_constants(stiffness),
            "transversely_isotropic": transversely_isotropic_constants(
                stiffness, 2 if view.prismatic else None
            ),
        }
    except InputError as error:
        return f"none: {error}"


def _anisotropy(view: View, stiffness: Array) -> dict[str, float | None]:
    if view.kinematics.measure == "gradient":
        principal = np.linalg.eigvalsh(stiffness)
        lowest = float(principal[0])
        return {"ratio": float(principal[-1]) / lowest if lowest > 0 else None}
    try:
        return anisotropy(stiffness)
    except InputError:  # the engineering constants say why
        return {}


def _bounds(
    view: View, stiffness: Array, parts: Mapping[str, Array], fractions: Mapping[str, float]
) -> dict[str, Any]:
    matrices, shares = list(parts.values()), [fractions[name] for name in parts]
    stiffest, softest = voigt(matrices, shares), reuss(matrices, shares)
    limits: Mapping[str, tuple[float | None, float | None]]
    limits, note = {}, "none: see those of the plane" if view.prismatic else "none: see the solid's"
    conduction = view.kinematics.measure == "gradient"
    if _has_own_bounds(view):
        limits, note = hashin_shtrikman(
            parts, fractions, prismatic=view.prismatic, conduction=conduction
        )
    of_cell, departure = _moduli(view, stiffness)
    of_voigt, of_reuss = _moduli(view, stiffest)[0], _moduli(view, softest)[0]
    moduli = {}
    for name, value in of_cell.items():
        low, high = limits.get(name, (None, None))
        moduli[name] = {
            "reuss": of_reuss[name],
            "hs_lower": low,
            "cell": value,
            "hs_upper": high,
            "voigt": of_voigt[name],
        }
    return {
        "voigt": stiffest,
        "reuss": softest,
        "moduli": moduli,
        "departure": departure,
        "note": note,
    }


def _has_own_bounds(view: View) -> bool:
    """Return whether Hashin and Shtrikman speak of this view: a prism is a solid with fibres.

    In elasticity the plane's moduli are among those of the prism, in conduction the prism's beside
    the plane's is a mean.
    """
    if view.kinematics.measure == "gradient":
        return not view.prismatic
    return view.kinematics.gdim == 3


def _moduli(view: View, stiffness: Array) -> tuple[dict[str, float], float]:
    """Return the moduli that bounds are about, and how far the stiffness is from their symmetry."""
    if view.kinematics.measure == "gradient":
        mean = float(np.trace(stiffness)) / len(stiffness)
        scale = float(np.linalg.norm(stiffness))
        apart = float(np.linalg.norm(stiffness - mean * np.eye(len(stiffness))))
        return {"k": mean}, apart / scale if scale else 0.0
    if view.prismatic:
        k, _, _, m, p = hill_moduli(stiffness)
        departure = transversely_isotropic(stiffness, 2)[2]
        return {"K_across": k, "G_across": m, "G_along": p}, departure
    bulk, shear, departure = nearest_isotropic(stiffness)
    return {"K": bulk, "G": shear}, departure
