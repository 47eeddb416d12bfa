"""Settings as boundary conditions and dead loads, each a constant that follows a schedule."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
import ufl
from dolfinx import fem
from dolfinx.mesh import exterior_facet_indices, meshtags
from numpy.typing import NDArray

from fesurrogate.build.context import naming
from fesurrogate.config import Schedule, Settings
from fesurrogate.errors import InputError
from fesurrogate.fem.mesh import TaggedMesh
from fesurrogate.kinematics import Array

logger = logging.getLogger(__name__)

AXES = {"x": 0, "y": 1, "z": 2}


@dataclass
class Load:
    """A constant of the problem that follows a schedule."""

    constant: fem.Constant
    value: Array
    schedule: Schedule | None


def boundary_facets(tagged: TaggedMesh, name: str) -> NDArray[np.int32]:
    """Return the exterior facets of a boundary on this rank. Collective."""
    mesh = tagged.mesh
    facets = np.intersect1d(tagged.facets(name), exterior_facet_indices(mesh.topology))
    if mesh.comm.allreduce(len(facets)) == 0:
        raise InputError(
            f"the group {name!r} has no facets on the boundary of the mesh; name another, or mark "
            "boundary facets in the mesh"
        )
    return facets.astype(np.int32)


def _vector(value: float | tuple[float, ...], size: int, what: str) -> Array:
    """Return a load as an array (d,), or () for a scalar unknown (size 0)."""
    array = np.asarray(value, dtype=np.float64)
    expected = (size,) if size else ()
    if array.shape != expected:
        text = f"{size} numbers" if size else "one number"
        raise InputError(f"{what} is {np.asarray(value).tolist()}; expected {text}")
    return array


def dirichlet_conditions(
    settings: Settings, tagged: TaggedMesh, V: fem.FunctionSpace
) -> tuple[list[fem.DirichletBC], list[Load]]:
    """Return the conditions of ``[[dirichlet]]`` and what moves them. Collective.

    Raises:
        InputError: There is none, or one does not fit the unknown or the mesh.
    """
    mesh, size = tagged.mesh, V.num_sub_spaces
    if not settings.dirichlet:
        raise InputError("there is no [[dirichlet]]: nothing holds the body; add at least one")
    bcs, loads = [], []
    for k, wanted in enumerate(settings.dirichlet):
        with naming(f"dirichlet[{k}]"):
            boundary_facets(tagged, wanted.boundary)
            facets, dim = tagged.facets(wanted.boundary), mesh.topology.dim - 1
            if wanted.component is None:
                clamped = np.zeros(size) if size and wanted.value == 0.0 else wanted.value
                value = _vector(clamped, size, "value")  # type: ignore[arg-type]
                space = V
            else:
                axis = AXES.get(str(wanted.component), wanted.component)
                if not (isinstance(axis, int) and axis < size):
                    raise InputError(
                        f"component is {wanted.component!r}, but the unknown has {size or 1}"
                    )
                value = _vector(wanted.value, 0, "value (of one component)")
                space = V.sub(axis)
            dofs = fem.locate_dofs_topological(space, dim, facets)
            constant = fem.Constant(mesh, np.zeros_like(value))
            bcs.append(fem.dirichletbc(constant, dofs, space))
            loads.append(Load(constant, value, wanted.schedule))
    return bcs, loads


def warn_of_free_axes(settings: Settings, V: fem.FunctionSpace) -> None:
    """Say along which axes no ``[[dirichlet]]`` holds the body."""
    held = {AXES.get(str(each.component), each.component) for each in settings.dirichlet}
    free = [axis for axis in range(V.num_sub_spaces) if not held & {axis, None}]
    if free:
        axes = " and ".join("xyz"[axis] for axis in free)
        logger.warning("no [[dirichlet]] holds the body along %s: it may end anywhere", axes)


def dead_loads(
    settings: Settings, tagged: TaggedMesh, V: fem.FunctionSpace
) -> tuple[Any | None, list[Load]]:
    """Return the form of ``[[traction]]`` and ``[body]``, if any, and what moves it. Collective.

    Raises:
        InputError: One does not fit the unknown or the mesh.
    """
    mesh, size, v = tagged.mesh, V.num_sub_spaces, ufl.TestFunction(V)
    boundaries: dict[str, NDArray[np.int32]] = {}
    for k, traction in enumerate(settings.traction):
        with naming(f"traction[{k}]"):
            boundaries.setdefault(traction.boundary, boundary_facets(tagged, traction.boundary))
    terms, loads = [], []
    facets = np.concatenate([np.zeros(0, np.int32), *boundaries.values()])
    marks = [np.full(len(f), i, dtype=np.int32) for i, f in enumerate(boundaries.values(), 1)]
    values = np.concatenate([np.zeros(0, np.int32), *marks])
    order = np.argsort(facets)
    tags = meshtags(mesh, mesh.topology.dim - 1, facets[order], values[order])
    ds = ufl.Measure("ds", domain=mesh, subdomain_data=tags)
    for k, traction in enumerate(settings.traction):
        with naming(f"traction[{k}]"):
            value = _vector(traction.value, size, "value")
        constant = fem.Constant(mesh, np.zeros_like(value))
        measure = ds(list(boundaries).index(traction.boundary) + 1)
        terms.append(ufl.inner(constant, v) * measure)
        loads.append(Load(constant, value, traction.schedule))
    if settings.body is not None:
        with naming("body"):
            value = _vector(settings.body.force, size, "force")
        constant = fem.Constant(mesh, np.zeros_like(value))
        terms.append(ufl.inner(constant, v) * ufl.dx(domain=mesh))
        loads.append(Load(constant, value, settings.body.schedule))
    return (sum(terms[1:], terms[0]) if terms else None), loads
