"""A plane cell as the section of a prism: its settings under the kinematics of the solid."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from fesurrogate.build.context import Context
from fesurrogate.config.cell import RVESettings
from fesurrogate.config.phase import PhaseSettings
from fesurrogate.kinematics import Kinematics
from fesurrogate.laws.rotated import NAMES as ROTATION_NAMES

(ANGLE,) = ROTATION_NAMES[2]


def in_space(table: RVESettings, context: Context) -> tuple[RVESettings, Context]:
    """Return the settings of a plane cell and its context, for the solid.

    What the plane turns by an angle, the solid turns about z: a direction has no third component,
    and a parameter ``PHASE.angle`` becomes the three of a rotation vector.
    """
    phases = {name: _phase(phase) for name, phase in table.phases.items()}
    names: list[str] = []
    for name in context.parameters:
        place, _, key = name.rpartition(".")
        turned = key == ANGLE and place in phases and phases[place].rotated
        names += [f"{place}.{axis}" for axis in ROTATION_NAMES[3]] if turned else [name]
    kinematics = Kinematics(3, context.kinematics.measure)
    solid = replace(context, kinematics=kinematics, parameters=tuple(names))
    return replace(table, phases=phases), solid


def _phase(phase: PhaseSettings) -> PhaseSettings:
    changed: dict[str, Any] = {}
    direction = phase.constants.get("direction", ())
    if len(direction) == 2:
        changed["direction"] = (*direction, 0.0)
    if isinstance(phase.orientation, int | float):
        changed["orientation"] = (0.0, 0.0, phase.orientation)
    return replace(phase, **changed)
