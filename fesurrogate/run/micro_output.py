"""Localisation in a run: the fields of the cell at chosen macro points, increment by increment.

The rank that owns a point solves its cell (or finds it solved, from its hint) and sends the fields
to rank 0, which has the same cell and writes them: the files do not depend on the number of ranks.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from dataclasses import fields as names_of
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, final

import numpy as np
from dolfinx.mesh import compute_midpoints

from fesurrogate.build.context import naming
from fesurrogate.build.places import check_files
from fesurrogate.build.probes import locate
from fesurrogate.build.problem import MacroModel
from fesurrogate.build.ranks import first_rank_first, together
from fesurrogate.errors import InputError
from fesurrogate.fem.output import FieldWriter, run_on_root
from fesurrogate.fem.places import Place, most_loaded_places, nearest_place
from fesurrogate.fem.points import point_coordinates
from fesurrogate.fem.stepping import Increment
from fesurrogate.kinematics import Array, Kinematics
from fesurrogate.micro import RVEMaterial
from fesurrogate.micro.localise import MicroFields
from fesurrogate.results import MicroEntry, MicroResults

logger = logging.getLogger(__name__)

if TYPE_CHECKING:  # matplotlib is not needed but for pictures
    from fesurrogate.fem.micro_pictures import MicroView


@dataclass(frozen=True)
class Localised:
    """The fields of the cell at a macro point.

    Attributes:
        place: The point.
        fields: Those of its cell.
        stress: Norm of the macro stress there.
        moved: (d,), where the point is in the deformed body.
    """

    place: Place
    fields: MicroFields
    stress: float
    moved: tuple[float, ...]


def has_cells(model: MacroModel) -> bool:
    """Return whether there is a cell to look into; say so if there is none."""
    materials = model.materials.values()
    found = any(isinstance(identified.material, RVEMaterial) for identified in materials)
    if not found and model.mesh.mesh.comm.rank == 0:
        kinds = " and ".join(sorted({repr(identified.kind) for identified in materials}))
        logger.warning(
            "output.micro: left out, there is no cell to look into: kind is %s; it needs kind "
            "'rve', not rotated",
            kinds,
        )
    return found


@final
class MicroOutput:
    """Writes ``micro_NAME.xdmf`` for each point of ``[output.micro]``. Collective, all of it.

    Args:
        model: The problem, in its initial state.
        output: Folder of the files; none are written if None.
        taken: Of the run that goes on, in the state of a checkpoint.

    Attributes:
        last: What each file holds of the last increment; on rank 0, empty elsewhere.

    Raises:
        InputError: On all ranks: a point lies outside the mesh or in a
            region of another Material, there are not as many points, or a file cannot be written.
    """

    def __init__(
        self, model: MacroModel, output: Path | None, *, taken: MicroResults | None = None
    ) -> None:
        wanted = model.settings.output.micro
        assert wanted is not None
        self._comm, self._count = model.mesh.mesh.comm, wanted.most_loaded
        self._u = None if model.settings.kinematics.measure == "gradient" else model.u
        self._cells: dict[str, RVEMaterial] = {
            name: identified.material
            for name, identified in model.materials.items()
            if isinstance(identified.material, RVEMaterial)
        }
        self._fields = {name: model.fields[name] for name in self._cells}
        self._points = {name: point_coordinates(field) for name, field in model.fields.items()}
        with naming("output.micro"):
            self._check_counts()
            self._chosen = {
                f"point_{k + 1}": self._nearest(model, k, x) for k, x in enumerate(wanted.points)
            }
        files = [output / f"micro_{name}.xdmf" for name in self._names()] if output else []
        together(self._comm, lambda: check_files(files) if self._comm.rank == 0 else None)
        first_rank_first(self._comm, self._compile)
        self._starts = {name: field.state for name, field in self._fields.items()}
        self._output, self._writers = output, dict[str, FieldWriter]()
        before = taken.files if taken is not None else {}
        self._entries: dict[str, list[MicroEntry]] = {
            name: list(before.get(name, ())) for name in self._names()
        }
        self._iterations = taken.micro_iterations if taken is not None else 0
        self._kept = {name: len(entries) for name, entries in self._entries.items()}
        self.last: dict[str, Localised] = {}

    def _check_counts(self) -> None:
        for name, field in self._fields.items():
            count = self._comm.allreduce(field.num_points)
            if count < self._count:
                raise InputError(
                    f"most_loaded is {self._count}; expected at most {count}, the number of points "
                    f"of {name!r}"
                )

    def _nearest(self, model: MacroModel, number: int, x: tuple[float, ...]) -> Place:
        with naming(f"points[{number}]"):
            locate(model.mesh.mesh, "", x)
            place = nearest_place(model.fields, self._points, x, self._comm)
            if place.region not in self._cells:
                raise InputError(
                    f"the point {list(x)} lies in {place.region!r}, whose kind is "
                    f"{model.materials[place.region].kind!r}; move it to one of kind 'rve': "
                    f"{', '.join(self._cells)}"
                )
        return place

    def _names(self) -> list[str]:
        """Return the names of the files; where several regions are cells, they tell which."""
        several = len(self._cells) > 1
        return [
            *self._chosen,
            *(
                f"{region}_most_loaded_{k + 1}" if several else f"most_loaded_{k + 1}"
                for region in self._cells
                for k in range(self._count)
            ),
        ]

    def _compile(self) -> None:
        for material in self._cells.values():
            parameters = np.zeros(len(material.parameter_names))
            rest, virgin = material.kinematics.rest, material.initial_state(1)[0]
            material.localise(rest, virgin, parameters=parameters).displacement_function()

    # -- an increment ---------------------------------------------------------------------

    def __call__(self, increment: Increment) -> None:
        """Localise and write an accepted increment."""
        places = [*self._chosen.values()]
        for name, field in self._fields.items():
            places += most_loaded_places({name: field}, self._points, self._count, self._comm)
        for name, place in zip(self._names(), places, strict=True):
            self._fetch(name, place, increment.dt)
            run_on_root(self._comm, partial(self._record, name, increment.time))
        self._starts = {name: field.state for name, field in self._fields.items()}

    def _fetch(self, name: str, place: Place, dt: float) -> None:
        """Bring the fields at a place to rank 0."""
        comm, field = self._comm, self._fields[place.region]
        material, k = self._cells[place.region], place.row
        if comm.rank == place.owner:
            found = material.localise(
                field.current_strain()[k],
                self._starts[place.region][k],
                dt,
                parameters=field.current_parameters()[k],
                hint=field.hint[k, : material.num_hint],  # Balanced adds a column
            )
            assert field.response is not None
            stress, moved = float(np.linalg.norm(field.response.stress[k])), self._moved(place)
            if place.owner != 0:  # a mesh cannot travel; that of rank 0 is the same
                values = {f.name: getattr(found, f.name) for f in names_of(MicroFields)}
                comm.send(({**values, "mesh": None}, stress, moved), dest=0)
        if comm.rank == 0:
            if place.owner != 0:
                values, stress, moved = comm.recv(source=place.owner)
                found = MicroFields(**{**values, "mesh": material.cell.mesh})
            self.last[name] = Localised(place, found, stress, moved)

    def _moved(self, place: Place) -> tuple[float, ...]:
        """Return where a point of this rank is in the deformed body."""
        if self._u is None:
            return place.point
        field, x = self._fields[place.region], np.array(place.point)
        cell = field.cells[place.row // (field.num_points // len(field.cells))]
        shift = self._u.eval(np.pad(x, (0, 3 - len(x))), np.array([cell], dtype=np.int32))
        return tuple(float(value) for value in x + np.ravel(shift))

    def _record(self, name: str, time: float) -> None:
        """Note and write the last fields of a file; on rank 0."""
        found, place = self.last[name].fields, self.last[name].place
        kinematics = self._cells[place.region].kinematics
        self._iterations += found.iterations
        self._entries[name].append(_entry(time, self.last[name]))
        if self._output is None:
            return
        if name not in self._writers:
            path = self._output / f"micro_{name}.xdmf"
            self._writers[name] = FieldWriter(path, found.mesh, keep=self._kept[name])
        cells: dict[str, Array] = {
            "stress": full_tensors(kinematics, found.stress),
            "strain": full_tensors(kinematics, found.strain),
            "stress_norm": found.stress_norm,
            **found.reports,
        }
        if found.von_mises is not None:
            cells["von_mises"] = found.von_mises
        self._writers[name].write(time, nodes={"u": found.displacement_function()}, cells=cells)

    def views(self) -> list[MicroView]:
        """Return the last fields, of cells that could be solved, as they are drawn; on rank 0."""
        from fesurrogate.fem.micro_pictures import MicroView

        shown = []
        solved = {name: found for name, found in self.last.items() if found.fields.ok}
        for name, localised in solved.items():
            place, found = localised.place, localised.fields
            kinematics = self._cells[place.region].kinematics
            fields = {"norm of the stress in the cell": found.stress_norm}
            if "plastic_strain" in found.reports:
                fields["plastic strain"] = found.reports["plastic_strain"]
            scalar = kinematics.measure == "gradient"
            shown.append(
                MicroView(
                    name.replace("_", " "),
                    place.point,
                    localised.moved,
                    found.mesh,
                    None if scalar else found.displacement_function(),
                    fields,
                    magnify=kinematics.measure == "small",
                )
            )
        return shown

    def results(self) -> MicroResults:
        """Return what ``results.json`` holds, the same on every rank."""
        entries, iterations = self._comm.bcast((self._entries, self._iterations), root=0)
        files = {name: tuple(found) for name, found in entries.items()}
        solves = sum(len(found) for found in files.values())
        return MicroResults(rve_solves=solves, micro_iterations=iterations, files=files)


def _entry(time: float, localised: Localised) -> MicroEntry:
    place, found = localised.place, localised.fields
    worst = int(np.argmax(found.stress_norm)) if found.ok else 0
    tdim = found.mesh.topology.dim
    middle = compute_midpoints(found.mesh, tdim, np.array([worst], dtype=np.int32))[0]
    return MicroEntry(
        time=time,
        region=place.region,
        point=list(place.point),
        cell=place.cell,
        solved=found.ok,
        stress=localised.stress,
        largest_stress=float(found.stress_norm[worst]),
        place=middle[: found.mesh.geometry.dim].tolist(),
        largest={
            report: float(np.nanmax(values)) for report, values in found.reports.items() if found.ok
        },
    )


def full_tensors(
    kinematics: Kinematics,
    components: Array,  # (cells, m)
) -> Array:  # (cells, d * d); (cells, d) for a flux
    """Return full tensors, as ParaView wants them."""
    if kinematics.measure != "small":
        return components
    tensor = kinematics.unpack(components)
    return tensor.reshape(len(tensor), kinematics.gdim**2)
