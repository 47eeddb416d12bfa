"""Settings as a macro problem: mesh, regions, boundary conditions, loads and what is measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from dolfinx import fem
from dolfinx.mesh import Mesh
from mpi4py import MPI
from numpy.typing import NDArray

from fesurrogate.build.context import naming
from fesurrogate.build.field import check_parameters, parameters_of
from fesurrogate.build.loads import (
    Load,
    boundary_facets,
    dead_loads,
    dirichlet_conditions,
    warn_of_free_axes,
)
from fesurrogate.build.materials import IdentifiedMaterial, identify_material
from fesurrogate.build.memory import estimate_memory
from fesurrogate.build.probes import Probe, locate
from fesurrogate.build.tangent import with_surrogate_tangent
from fesurrogate.combine import Balanced
from fesurrogate.config import MacroSettings, Settings
from fesurrogate.config.material import MaterialSettings
from fesurrogate.config.settings import REST
from fesurrogate.errors import InputError
from fesurrogate.fem.field import MaterialField
from fesurrogate.fem.mesh import TaggedMesh, box, cook_membrane, read_mesh, rectangle
from fesurrogate.fem.problem import MacroProblem
from fesurrogate.fem.strain import strain_of
from fesurrogate.material import Material
from fesurrogate.memory import MemoryEstimate, check_fits


@dataclass
class MacroModel:
    """A macro problem as built from settings.

    Attributes:
        settings: What it was built from.
        mesh: The mesh with its names.
        u: The unknown.
        materials: Material of each region; ``material`` where no region is.
        fields: Field of each region.
        problem: The macro problem.
        loads: What :meth:`apply_load` moves.
        probes: Points whose displacement is recorded.
        reactions: Facets of the boundaries whose reaction is recorded.
        memory: What this rank will need.
    """

    settings: Settings
    mesh: TaggedMesh
    u: fem.Function
    materials: Mapping[str, IdentifiedMaterial]
    fields: Mapping[str, MaterialField]
    problem: MacroProblem
    loads: list[Load]
    probes: list[Probe]
    memory: MemoryEstimate
    reactions: dict[str, NDArray[np.int32]] = field(default_factory=dict)

    def apply_load(self, time: float) -> None:
        """Set loads and boundary values for a time."""
        for load in self.loads:
            load.constant.value = self.settings.steps.factor(load.schedule, time) * load.value

    def measure(self) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
        """Return reactions by name and displacements of probes by name. Collective."""
        reactions = {
            name: [float(value) for value in self.problem.reaction(facets)]
            for name, facets in self.reactions.items()
        }
        return reactions, {
            probe.name: [float(value) for value in probe.evaluate(self.u)] for probe in self.probes
        }


def build_problem(
    settings: Settings,
    comm: MPI.Intracomm,
    *,
    allow_code: bool = False,
    beside: MacroModel | None = None,
    wrap: Callable[[Material], Material] | None = None,
) -> MacroModel:
    """Return the macro problem of the settings, checked as far as it can be unsolved. Collective.

    Args:
        settings: The problem.
        comm: Communicator of the macro mesh.
        allow_code: Whether a user's module may be imported.
        beside: A problem of the same body, whose mesh and space of the unknown are taken.
        wrap: Called with the Material of each region, for the one that is taken in its place.

    Raises:
        InputError: On all ranks, with the same message.
    """
    tagged = build_mesh(settings, comm) if beside is None else beside.mesh
    mesh, kinematics = tagged.mesh, settings.kinematics
    shape = () if kinematics.measure == "gradient" else (kinematics.gdim,)
    if beside is None:
        V = fem.functionspace(mesh, ("Lagrange", settings.macro.degree, shape))
    else:
        V = beside.u.function_space
    u = fem.Function(V, name="u")

    regions = _regions(settings, tagged)
    bcs, loads = dirichlet_conditions(settings, tagged, V)
    if beside is None:
        warn_of_free_axes(settings, V)
    external, dead = dead_loads(settings, tagged, V)
    probes = []
    for k, probe in enumerate(settings.probe):
        with naming(f"probe[{k}]"):
            probes.append(locate(mesh, probe.name, probe.point))
    reactions = {}
    for k, reaction in enumerate(settings.reaction):
        with naming(f"reaction[{k}]"):
            name = reaction.name or reaction.boundary
            reactions[name] = boundary_facets(tagged, reaction.boundary)
    names = [*(p.name for p in probes)], [*(r.name or r.boundary for r in settings.reaction)]
    if any(len(set(group)) < len(group) for group in names):
        raise InputError(f"probes {names[0]} and reactions {names[1]}: a name is given twice")

    materials: dict[str, IdentifiedMaterial] = {}
    fields: dict[str, MaterialField] = {}
    tables: list[tuple[MaterialSettings, IdentifiedMaterial]] = []
    for name, (table, _) in regions.items():
        asked = table if table.learns else _without_values(table)
        known = next((material for other, material in tables if other == asked), None)
        where = name if name == REST else f"regions.{name}"
        materials[name] = known or identify_material(
            table, settings, comm, where=where, allow_code=allow_code, gather=True
        )
        tables.append((asked, materials[name]))
    degree = _quadrature_degree(settings.macro, mesh)
    spread = {
        name: comm.size > 1 and table.balanced and table.kind == "rve"
        for name, (table, _) in regions.items()
    }
    served = [(materials[k].material, len(cells), spread[k]) for k, (_, cells) in regions.items()]
    memory = estimate_memory(V, served, degree=degree, options=settings.solver.macro)
    check_fits(memory, comm)
    for name, (_, cells) in regions.items():
        material, table = materials[name].material, regions[name][0]
        where = name if name == REST else f"regions.{name}"
        with naming(where):
            parameters = parameters_of(material, table, mesh)
        if spread[name]:
            material = Balanced(material, comm)
        if table.kind == "rve" and table.tangent is not None:
            material = with_surrogate_tangent(
                material, materials[name].material, table, settings, comm,
                where=where, allow_code=allow_code,
            )  # fmt: skip
        if wrap is not None:
            material = wrap(material)
        strain = strain_of(u, kinematics)
        fields[name] = MaterialField(
            material, strain, degree=degree, cells=cells, parameters=parameters
        )
        with naming(where):
            check_parameters(fields[name])
    problem = MacroProblem(
        u, list(fields.values()), bcs=bcs, external=external, options=settings.solver.macro
    )
    return MacroModel(
        settings, tagged, u, materials, fields, problem, [*loads, *dead], probes, memory, reactions
    )


def build_mesh(settings: Settings, comm: MPI.Intracomm) -> TaggedMesh:
    """Return the mesh that ``[mesh]`` describes. Collective.

    Raises:
        InputError: On all ranks: no such mesh, or one of another dimension.
    """
    wanted, gdim = settings.mesh, settings.kinematics.gdim
    if wanted is None:
        raise InputError("there is no [mesh] table; add one with file or generator")
    with naming("mesh"):
        if wanted.file is not None:
            return read_mesh(wanted.file, comm, gdim=gdim)
        assert wanted.generator is not None
        makers: dict[str, tuple[int, Callable[..., TaggedMesh]]] = {
            "rectangle": (2, rectangle),
            "box": (3, box),
            "cook_membrane": (2, cook_membrane),
        }
        dim, maker = makers[wanted.generator]
        if dim != gdim:
            raise InputError(
                f"generator {wanted.generator!r} makes a {dim}D mesh, but kinematics.gdim is {gdim}"
            )
        return maker(comm, **wanted.arguments)


def _without_values(table: MaterialSettings) -> MaterialSettings:
    """Return a table with the names of its parameters alone, as a Material knows no more."""
    names: dict[str, float | str] = dict.fromkeys(table.parameters or {}, 0.0)
    return replace(table, parameters=names or None)


def _quadrature_degree(macro: MacroSettings, mesh: Mesh) -> int:
    """Return the degree that is wanted, or the lowest that leaves no mode without stiffness."""
    if macro.quadrature_degree is not None:
        return macro.quadrature_degree
    simplex = mesh.topology.cell_name() in ("triangle", "tetrahedron")
    return max(1, 2 * (macro.degree - 1)) if simplex else 2 * macro.degree


def _regions(
    settings: Settings, tagged: TaggedMesh
) -> dict[str, tuple[MaterialSettings, NDArray[np.int32]]]:
    """Return table and owned cells of each region, and of the rest where there is one."""
    comm, base = tagged.mesh.comm, settings.material
    owned = tagged.mesh.topology.index_map(tagged.mesh.topology.dim).size_local
    rest = np.ones(owned, dtype=bool)
    regions = {}
    tables = settings.tables
    for name in settings.regions:
        with naming(f"regions.{name}"):
            if name == REST and base is not None:
                raise InputError(f"the name is that of the table [{REST}]; rename the group")
            cells = tagged.cells(name)
            if comm.allreduce(len(cells)) == 0:
                raise InputError(f"the group {name!r} has no cells; remove the region")
        rest[cells] = False
        regions[name] = (tables[name], cells)
    left = np.flatnonzero(rest).astype(np.int32)
    count = comm.allreduce(len(left))
    if count and base is None:
        groups = ", ".join(map(repr, tagged.group_names(tagged.mesh.topology.dim)))
        raise InputError(
            f"{count} cells have no material: the mesh has the groups {groups}, and there are "
            f"tables for {', '.join(map(repr, settings.regions)) or 'none'}; add [material] for "
            "the rest or a table [regions.NAME] for each group"
        )
    if count:
        regions[REST] = (tables[REST], left)
    return regions
