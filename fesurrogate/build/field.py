"""The shortest way from a TOML into a FEniCS script."""

from __future__ import annotations

from pathlib import Path

from dolfinx import fem

from fesurrogate.build.materials import load_material
from fesurrogate.config import Settings
from fesurrogate.fem.field import MaterialField
from fesurrogate.fem.strain import strain_of


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
    comm = u.function_space.mesh.comm
    material = load_material(source, comm, kind=kind, allow_code=allow_code)
    return MaterialField(material, strain_of(u, material.kinematics), degree=degree)
