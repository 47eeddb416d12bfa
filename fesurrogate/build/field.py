"""The shortest way from a TOML into a FEniCS script."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import ufl
from dolfinx import fem, mesh
from mpi4py import MPI

from fesurrogate.build.context import naming
from fesurrogate.build.expression import formula
from fesurrogate.build.materials import load_material
from fesurrogate.config import Settings, read_config
from fesurrogate.config.material import MaterialSettings
from fesurrogate.errors import InputError
from fesurrogate.fem.field import MaterialField
from fesurrogate.fem.strain import strain_of
from fesurrogate.material import Material


def load_field(
    source: str | Path | Settings,
    u: fem.Function,
    *,
    degree: int,
    kind: str | None = None,
    allow_code: bool = False,
) -> MaterialField:
    """Return the field of a TOML's ``[material]`` for a displacement of one's own. Collective.

    Its ``residual(v)`` and ``jacobian(du, v)`` go into any UFL problem of u, and ``update()`` is
    called whenever u has changed.

    Args:
        source: Path of the TOML, or its settings.
        u: The unknown; its strain is that of the TOML's ``[kinematics]``.
        degree: Quadrature degree.
        kind: Taken in place of the table's ``kind``.
        allow_code: Whether ``kind = "module:factory"`` may import the user's module.

    Raises:
        InputError: On all ranks, with the same message: the TOML, or what it names, is unusable.
    """
    domain = u.function_space.mesh
    settings = source if isinstance(source, Settings) else read_config(source)
    material = load_material(settings, domain.comm, kind=kind, allow_code=allow_code, gather=True)
    assert settings.material is not None
    with naming("material"):
        parameters = parameters_of(material, settings.material, domain)
    strain = strain_of(u, material.kinematics)
    field = MaterialField(material, strain, degree=degree, parameters=parameters)
    with naming("material"):
        check_parameters(field)
    return field


def parameters_of(material: Material, table: MaterialSettings, domain: mesh.Mesh) -> Any | None:
    """Return the UFL vector of a Material's parameters from its table; None if it has none.

    Raises:
        InputError: A formula cannot be read.
    """
    if not material.parameter_names:
        return None
    values = []
    for name in material.parameter_names:
        with naming(f"parameters.{name}"):
            values.append(formula((table.parameters or {})[name], domain))
    return ufl.as_vector(values)


def check_parameters(field: MaterialField) -> None:
    """Refuse parameters that are no numbers, or that the Material cannot take. Collective.

    Raises:
        InputError: On all ranks, with the name of the first such parameter.
    """
    names, comm = field.material.parameter_names, field.mesh.comm
    parameters = field.current_parameters()  # (n, p)
    wrong = (~np.isfinite(parameters)).sum(axis=0)  # (p,)
    wrong = comm.allreduce(wrong, op=MPI.SUM)
    points = comm.allreduce(field.num_points, op=MPI.SUM)
    for name, number in zip(names, wrong, strict=True):
        if number:
            raise InputError(
                f"parameters.{name} is not finite at {number} of {points} points; expected a "
                "formula that is a number at every point of the body"
            )
    for k, name in enumerate(names):
        if name not in field.material.parameter_ranges:
            continue
        low, high = field.material.parameter_ranges[name]
        least = comm.allreduce(parameters[:, k].min(initial=np.inf), op=MPI.MIN)
        largest = comm.allreduce(parameters[:, k].max(initial=-np.inf), op=MPI.MAX)
        if points and not (low <= least and largest <= high):
            raise InputError(
                f"parameters.{name} is from {least:.6g} to {largest:.6g} in the body; expected "
                f"values from {low:.6g} to {high:.6g}: change the formula, or widen the "
                "table where it is one"
            )
