"""Tables of laws as Materials, and as phases of a cell."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from fesurrogate.build.context import Context
from fesurrogate.config.material import MaterialSettings
from fesurrogate.config.phase import PhaseSettings
from fesurrogate.errors import InputError
from fesurrogate.kinematics import Kinematics
from fesurrogate.laws import (
    Conductor,
    IsotropicElastic,
    J2Plasticity,
    NeoHookean,
    Ogden,
    TransverselyIsotropic,
    Viscoelastic,
)
from fesurrogate.material import Material


@dataclass(frozen=True)
class Law:
    """What makes the Material of a kind.

    Attributes:
        measures: Strain measures that the law is meant for.
        make: Called as ``make(kinematics, **constants, parameters=names)``, with the names of the
            constants that are given a point.
    """

    measures: tuple[str, ...]
    make: Callable[..., Material]


def law(table: MaterialSettings, context: Context) -> tuple[Material, Any]:
    """Return the Material of a closed-form law's table, and what it is made of."""
    constants = asdict(getattr(table, table.kind))
    return _made(table.kind, constants, context.kinematics, context.parameters), constants


def make_phase(
    phase: PhaseSettings, kinematics: Kinematics, *, parameters: Sequence[str] = ()
) -> Any:
    """Return the Phase or the Material of a phase of a cell.

    Args:
        phase: Its table.
        kinematics: Of the cell.
        parameters: Names of its constants that are given a point.

    Raises:
        InputError: Its law is for another measure, a constant is out of range, or a parameter is
            no constant of a law that is a Material.
    """
    from fesurrogate.micro import conductor, linear_elastic, neo_hookean

    # their constants become parameters in the cell
    energies: dict[str, tuple[str, Callable[..., Any]]] = {
        "neo_hookean": ("finite", neo_hookean),
        "linear_elastic": ("small", linear_elastic),
        "conductor": ("gradient", conductor),
    }
    if phase.kind not in energies:
        return _made(phase.kind, phase.constants, kinematics, parameters)
    measure, make = energies[phase.kind]
    _check_measure(phase.kind, (measure,), kinematics)
    return make(**phase.constants)


def _made(
    kind: str, constants: dict[str, Any], kinematics: Kinematics, parameters: Sequence[str]
) -> Material:
    chosen = LAWS[kind]
    _check_measure(kind, chosen.measures, kinematics)
    return chosen.make(kinematics, **constants, parameters=tuple(parameters))


def _check_measure(kind: str, measures: tuple[str, ...], kinematics: Kinematics) -> None:
    if kinematics.measure not in measures:
        raise InputError(
            f"kind {kind!r} is of measure {' or '.join(map(repr, measures))}, but "
            f"kinematics.measure is {kinematics.measure!r}; change one of them"
        )


def _in_space(law: Callable[..., Material]) -> Callable[..., Material]:
    """Return the maker of a law that knows its measure itself."""
    return lambda kinematics, **constants: law(kinematics.gdim, **constants)


def _linear(
    kinematics: Kinematics,
    *,
    young: float | None,
    poisson: float | None,
    conductivity: float | None,
    parameters: Sequence[str],
) -> Material:
    if (kinematics.measure == "gradient") != (conductivity is not None):
        needed = "conductivity" if kinematics.measure == "gradient" else "young and poisson"
        raise InputError(f"kinematics.measure {kinematics.measure!r} needs {needed}")
    if conductivity is None:
        assert young is not None and poisson is not None
        return IsotropicElastic(kinematics, young=young, poisson=poisson, parameters=parameters)
    return Conductor(kinematics.gdim, conductivity=conductivity, parameters=parameters)


LAWS = {
    "neo_hookean": Law(("finite",), _in_space(NeoHookean)),
    "ogden": Law(("finite",), _in_space(Ogden)),
    "linear": Law(("small", "finite", "gradient"), _linear),
    "transversely_isotropic": Law(("small",), TransverselyIsotropic),
    "viscoelastic": Law(("small",), _in_space(Viscoelastic)),
    "j2_plasticity": Law(("small",), _in_space(J2Plasticity)),
}
"""By ``kind``; the constants of each are those of ``fesurrogate/config/phase.py``."""
