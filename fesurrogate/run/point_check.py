"""What ``fesurrogate check`` does: ask one failed point of a run again, alone."""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fesurrogate.build.materials import identify_material
from fesurrogate.config import Settings, read_config
from fesurrogate.config.material import MaterialSettings
from fesurrogate.errors import InputError
from fesurrogate.fem.failure import first_line
from fesurrogate.kinematics import Array
from fesurrogate.material import Material
from fesurrogate.run.failed_points import FailedPoint, read_failed_point

HALVINGS = 12  # of the step, to find how much of it can be solved


@dataclass(frozen=True)
class Answer:
    """What a Material says at a point: its stress (m,), None where there is none, and in words."""

    stress: Array | None
    text: str


@dataclass(frozen=True)
class Checked:
    """What became of a failed point: whether it can be solved now, and all in words."""

    solved: bool
    text: str


def check_point(
    path: Path, number: int = 0, *, config: Path | None = None, allow_code: bool = False
) -> Checked:
    """Ask a point of a file of failed points again.

    Args:
        path: ``failed_points.npz`` of a run.
        number: Of the point, counted from 0.
        config: The TOML of its Material; that of the run if None.
        allow_code: Whether a user's module may be imported.

    Raises:
        InputError: The file or the TOML cannot be used, or the Material takes other arrays.
    """
    point, count = read_failed_point(path, number)
    if config is None and not point.source:
        raise InputError(f"{path} names no TOML: give it with --config")
    settings = read_config(config or point.source)
    made = identify_material(
        _table(settings, point.region), settings, where=point.region, allow_code=allow_code
    )
    material = made.material
    wanted = material.kinematics.size, material.num_state, len(material.parameter_names)
    found = len(point.strain), len(point.state), len(point.parameters)
    if found != wanted:
        raise InputError(
            f"{path} holds strain, state and parameters of {found} numbers; the Material of "
            f"{settings.source} takes {wanted}: give the TOML of the run with --config"
        )
    given = zip(material.parameter_names, point.parameters, strict=True)
    as_before, cold = _asked(material, point, point.strain, hint=True), None
    lines = [
        f"point {number} of {count}: region {point.region}, cell {point.cell} at "
        f"{_numbers(point.coordinates)}, after time {point.time:.6g}, dt {point.dt:.6g}",
        f"strain: {_numbers(point.strain)}",
        f"accepted before: {_numbers(point.accepted_strain)}",
        *(f"{name}: {value:.6g}" for name, value in given),
        f"in the run: {point.error or 'not solved'}",
        f"now: {as_before.text}",
    ]
    if made.fingerprint != point.fingerprint:
        lines.append("the Material is not that of the run (its fingerprint differs)")
    if as_before.stress is None:
        cold = _asked(material, point, point.strain, hint=False)
        lines.append(f"without its hint: {cold.text}")
        part = _solvable_part(material, point)
        lines.append(f"part of the step that can be solved: {part:.4g}")
    return Checked(as_before.stress is not None, "\n".join(lines))


def _table(settings: Settings, region: str) -> MaterialSettings:
    """Return the table of a region as a run takes it."""
    table = settings.tables.get(region)
    if table is None:
        raise InputError(
            f"{settings.source} has no Material for the region {region!r}; give the TOML of the run"
        )
    return table


def _asked(material: Material, point: FailedPoint, strain: Array, *, hint: bool) -> Answer:
    guess: Array = np.zeros(material.num_hint)
    known = point.hint[: len(guess)]  # a wrapper may have added to it
    if hint and len(known) == len(guess):
        guess = known
    options: dict[str, Any] = {"parameters": point.parameters[None], "hint": guess[None]}
    try:
        response = material.evaluate(strain[None], point.state[None], point.dt, **options)
    except Exception as error:
        return Answer(None, f"raised {first_line(error)}\n{traceback.format_exc().rstrip()}")
    report = {name: values[0] for name, values in sorted(response.report.items())}
    said = ", ".join(f"{name} {value:.6g}" for name, value in report.items() if np.ndim(value) == 0)
    if not (response.ok[0] and np.isfinite(response.stress[0]).all()):
        return Answer(None, f"not solved ({said or 'nothing reported'})")
    if response.tangent is not None and not np.isfinite(response.tangent).all():
        return Answer(None, f"not solved (the tangent is not finite; {said or 'nothing reported'})")
    return Answer(response.stress[0], f"stress {_numbers(response.stress[0])} ({said})")


def _solvable_part(material: Material, point: FailedPoint) -> float:
    """Return how much of the way from the accepted strain can be gone in one step, by halving."""
    low, high = 0.0, 1.0
    for _ in range(HALVINGS):
        part = (low + high) / 2
        strain = point.accepted_strain + part * (point.strain - point.accepted_strain)
        if _asked(material, point, strain, hint=False).stress is None:
            high = part
        else:
            low = part
    return low


def _numbers(values: Array) -> str:
    return "(" + ", ".join(f"{value:.6g}" for value in values) + ")"
