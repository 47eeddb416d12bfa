"""The cell of a TOML under every kinematics it has an answer in.

A view is one of them: ``plane`` (plane strain, or conduction in the plane) and ``solid``, which a
plane cell has as the section of a prism, in generalised plane strain.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from fesurrogate.build.cell_makers import make_cell_of
from fesurrogate.build.cells import fill_cell, phases_of
from fesurrogate.build.context import Context, context_of, naming
from fesurrogate.config import Settings
from fesurrogate.config.cell import RVESettings
from fesurrogate.errors import ConvergenceError, InputError
from fesurrogate.homogenize.engineering import small_strain_stiffness
from fesurrogate.kinematics import Array, Kinematics
from fesurrogate.material import Material
from fesurrogate.micro import Cell, Phase, RVEMaterial, laminate_cell

Phases = Mapping[str, Phase | Material]


@dataclass(frozen=True)
class View:
    """A cell under one kinematics.

    Attributes:
        name: ``plane`` or ``solid``.
        rve: The cell with its phases.
        phases: The same phases.
        table: ``[material.rve]``.
        context: What it means something in.
    """

    name: str
    rve: RVEMaterial
    phases: Phases
    table: RVESettings
    context: Context

    @property
    def kinematics(self) -> Kinematics:
        """The strain measure of the view."""
        return self.rve.kinematics

    @property
    def prismatic(self) -> bool:
        """Whether a plane cell stands for a prism."""
        return self.rve.cell.mesh.geometry.dim < self.kinematics.gdim

    def on(self, cell: Cell) -> RVEMaterial:
        """Return the same phases in another cell."""
        filled: RVEMaterial = fill_cell(cell, self.phases, self.table, self.context)
        return filled

    def phase_stiffness(self, name: str) -> Array:
        """Return the stiffness of a phase by itself, at rest; zero of the void."""
        if name == self.rve.cell.void:
            return np.zeros_like(stiffness_at_rest(self.rve))
        return stiffness_of(self.phases[name], self.kinematics, self.rve.cell.mesh.geometry.dim)


def views_of(settings: Settings, *, allow_code: bool = False) -> tuple[list[View], list[str]]:
    """Return the views of the TOML's cell, that of its kinematics first, and what to know of them.

    Args:
        settings: The TOML.
        allow_code: Whether a user's module may be imported.

    Raises:
        InputError: The tables of the cell or of its phases are unusable.
    """
    assert settings.material is not None and settings.material.rve is not None
    table, kinematics, notes = settings.material.rve, settings.kinematics, []
    context = context_of(settings, allow_code=allow_code)
    if settings.material.parameters or settings.material.rotated:
        notes.append(
            "[material.parameters] and rotated are left out: the cell is that of the constants in "
            "the tables of its phases, in its own axes"
        )
    with naming("material.rve"):
        cell = make_cell_of(table, kinematics)
        views = [_view("plane" if kinematics.gdim == 2 else "solid", cell, table, context)]
    if kinematics.gdim == 2:
        solid = replace(context, kinematics=Kinematics(3, kinematics.measure))
        try:
            views.append(_view("solid", cell, table, solid))
        except InputError as error:
            notes.append(f"the prism of this section is left out: {error}")
    return views, notes


def stiffness_at_rest(rve: RVEMaterial) -> Array:  # (m, m); Mandel at small and finite strain
    """Return the stiffness of the virgin, undeformed cell, in Mandel components.

    Raises:
        ConvergenceError: The cell cannot be solved at rest.
    """
    return _mandel(rve.kinematics, tangent_at_rest(rve))


def tangent_at_rest(material: Material) -> Array:  # (m, m)
    """Return d stress / d strain of a virgin, undeformed Material.

    Raises:
        ConvergenceError: It cannot be solved at rest.
    """
    response = material.evaluate(material.kinematics.rest[None])
    if not response.ok.all() or response.tangent is None:
        raise ConvergenceError(
            "the cell has no stiffness at rest: its equations are singular there; look for a part "
            "that hangs on nothing"
        )
    return np.asarray(response.tangent[0])


def stiffness_of(
    phase: Phase | Material, kinematics: Kinematics, dimension: int
) -> Array:  # (m, m); Mandel at small and finite strain
    """Return the stiffness of a phase at rest; of an energy, by a cell that is nothing else."""
    if not isinstance(phase, Material):
        plain = laminate_cell(2 if dimension == 2 else 3, {"phase": 1.0}, resolution=1)
        phase = RVEMaterial(plain, {"phase": phase}, kinematics, degree=1)
    return _mandel(kinematics, tangent_at_rest(phase))


def _mandel(kinematics: Kinematics, tangent: Array) -> Array:
    finite = kinematics.measure == "finite"
    return small_strain_stiffness(kinematics, tangent) if finite else tangent


def _view(name: str, cell: Cell, table: RVESettings, context: Context) -> View:
    phases, _ = phases_of(table, context)
    return View(name, fill_cell(cell, phases, table, context), phases, table, context)
