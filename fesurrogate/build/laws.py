"""Tables of laws as Materials, and as phases of a cell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np

from fesurrogate.build.context import Context
from fesurrogate.config_material import MaterialSettings
from fesurrogate.config_phase import PhaseSettings
from fesurrogate.errors import InputError
from fesurrogate.kinematics import Kinematics
from fesurrogate.material import Material

MEASURES = {
    "neo_hookean": "finite",
    "linear_elastic": "small",
    "conductor": "gradient",
    "j2_plasticity": "small",
}
"""The measure of each kind of phase."""


def make_phase(phase: PhaseSettings, kinematics: Kinematics) -> Any:
    """Return the Phase or the Material of a phase of a cell.

    Raises:
        InputError: Its law is for another measure, or a constant is out of range.
    """
    from fesurrogate.laws import J2Plasticity
    from fesurrogate.micro import Phase, conductor, linear_elastic, neo_hookean

    makers: dict[str, Callable[..., Phase | Material]] = {
        "neo_hookean": neo_hookean,
        "linear_elastic": linear_elastic,
        "conductor": conductor,
        "j2_plasticity": partial(J2Plasticity, kinematics.gdim),
    }
    measure = MEASURES[phase.kind]
    if measure != kinematics.measure:
        raise InputError(
            f"kind {phase.kind!r} is of measure {measure!r}, but kinematics.measure is "
            f"{kinematics.measure!r}"
        )
    return makers[phase.kind](**phase.constants)


# -- one function a kind: the Material, and what it is made of (JSON) ------------------------


def neo_hookean(table: MaterialSettings, context: Context) -> tuple[Material, Any]:
    """Return the neo-Hookean law of its table."""
    from fesurrogate.laws import NeoHookean

    assert table.neo_hookean is not None
    if context.kinematics.measure != "finite":
        raise InputError(
            f"needs kinematics.measure 'finite', not {context.kinematics.measure!r}; take kind "
            "'linear', or change the measure"
        )
    constants = asdict(table.neo_hookean)
    return NeoHookean(context.kinematics.gdim, **constants), constants


def j2_plasticity(table: MaterialSettings, context: Context) -> tuple[Material, Any]:
    """Return J2 plasticity of its table."""
    from fesurrogate.laws import J2Plasticity

    assert table.j2_plasticity is not None
    if context.kinematics.measure != "small":
        raise InputError(
            f"needs kinematics.measure 'small', not {context.kinematics.measure!r}; change the "
            "measure, or take kind 'neo_hookean'"
        )
    constants = asdict(table.j2_plasticity)
    return J2Plasticity(context.kinematics.gdim, **constants), constants


def linear(table: MaterialSettings, context: Context) -> tuple[Material, Any]:
    """Return the linear law of its table."""
    from fesurrogate.laws import Linear, isotropic_stiffness

    assert table.linear is not None
    constants, kinematics = asdict(table.linear), context.kinematics
    conductivity = table.linear.conductivity
    if (kinematics.measure == "gradient") != (conductivity is not None):
        needed = "conductivity" if kinematics.measure == "gradient" else "young and poisson"
        raise InputError(f"kinematics.measure {kinematics.measure!r} needs {needed}")
    if conductivity is None:
        assert table.linear.young is not None and table.linear.poisson is not None
        stiffness = isotropic_stiffness(
            kinematics, young=table.linear.young, poisson=table.linear.poisson
        )
    elif conductivity > 0:
        stiffness = conductivity * np.eye(kinematics.gdim)
    else:
        raise InputError(f"conductivity is {conductivity}; expected a number > 0")
    return Linear(kinematics, stiffness), constants
