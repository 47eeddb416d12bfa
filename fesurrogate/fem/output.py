"""Result files: fields over increments for ParaView (XDMF with HDF5), and JSON.

All of it is collective and may be called on any number of ranks; rank 0 writes. What fails on rank
0 (a full disk, no permission) is raised on every rank.
"""

from __future__ import annotations

import json
import logging
import math
import xml.etree.ElementTree as ET
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, final

import numpy as np
from dolfinx import cpp, fem
from dolfinx.mesh import Mesh
from mpi4py import MPI

from fesurrogate.errors import InputError
from fesurrogate.fem import journal
from fesurrogate.fem.compat import geometry_dofmap
from fesurrogate.fem.values import nodal_values, owned_cell_values
from fesurrogate.kinematics import Array
from fesurrogate.whole_file import write_whole

logger = logging.getLogger(__name__)
_TOPOLOGY = {  # (cell, nodes per cell) -> XDMF's name
    ("triangle", 3): "Triangle",
    ("triangle", 6): "Triangle_6",
    ("quadrilateral", 4): "Quadrilateral",
    ("quadrilateral", 9): "Quadrilateral_9",
    ("tetrahedron", 4): "Tetrahedron",
    ("tetrahedron", 10): "Tetrahedron_10",
    ("hexahedron", 8): "Hexahedron",
    ("hexahedron", 27): "Hexahedron_27",
}
# time, group of the mesh, and for every field: name, center, shape, XDMF's kind, key
_Step = tuple[float, str, list[tuple[str, str, tuple[int, ...], str, str]]]


@final
class FieldWriter:
    """Write fields, increment by increment, to ``NAME.xdmf`` and ``NAME.h5``. Collective.

    Every increment is one grid that carries all its fields, so that ParaView can warp by the
    displacement and colour by another field. An increment is first written to the HDF5 file, which
    is then closed; the XDMF file, which names the increments, is replaced after that. A run that
    dies leaves a file with all increments that were complete, and another can go on with it.

    Args:
        path: of the .xdmf file; missing folders are made.
        mesh: the mesh of all fields.
        keep: increments that are kept of files that are there; they are replaced if 0.

    Raises:
        InputError: ``path`` does not end in .xdmf, or XDMF has no such cell.
        OSError: the files cannot be written; on all ranks.

    Note:
        Node and cell numbers in the file depend on the number of ranks, values do not: a run that
        goes on with other ranks adds its mesh.
    """

    def __init__(self, path: str | Path, mesh: Mesh, *, keep: int = 0) -> None:
        self._path = Path(path)
        if self._path.suffix != ".xdmf":
            raise InputError(f"output file {self._path}: expected a name that ends in .xdmf")
        nodes = geometry_dofmap(mesh)
        kind = (mesh.topology.cell_name(), nodes.shape[1])
        if kind not in _TOPOLOGY:
            raise InputError(f"a {kind[0]} with {kind[1]} nodes cannot be written: XDMF has none")
        self._mesh = mesh
        self._steps: list[_Step] = []
        index_map = mesh.geometry.index_map()
        owned = mesh.topology.index_map(mesh.topology.dim).size_local
        order = np.argsort(cpp.io.perm_vtk(mesh.topology.cell_type, kind[1]))  # to VTK's order
        numbers = index_map.local_to_global(nodes[:owned].ravel()).reshape(-1, kind[1])
        points = _gather(mesh.comm, mesh.geometry.x[: index_map.size_local])
        cells = _gather(mesh.comm, numbers[:, order])
        self._topology = _TOPOLOGY[kind]

        def start() -> None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            heavy = self._path.with_suffix(".h5")
            if keep and heavy.is_file():
                self._steps = self._resumed(heavy, points, cells)[:keep]
                if len(self._steps) < keep:
                    logger.warning("%s: %d increments, expected %d", heavy, len(self._steps), keep)
            else:
                self._meshes = {"mesh": (points.shape, cells.shape)}
                self._group = "mesh"
                journal.create(heavy, {"mesh/points": points, "mesh/cells": cells})
            self._write_xml(self._steps)

        run_on_root(mesh.comm, start)
        self._count = mesh.comm.bcast(len(self._steps), root=0)

    def _resumed(self, heavy: Path, points: np.ndarray, cells: np.ndarray) -> list[_Step]:
        """Return the increments that are there; add the mesh where none is the same. On rank 0."""
        with journal.appended(heavy) as file:
            meshes = sorted(name for name in file if name.startswith("mesh"))
            self._meshes = {
                name: (file[name]["points"].shape, file[name]["cells"].shape) for name in meshes
            }
            same = [
                name
                for name in meshes
                if np.array_equal(file[name]["points"][()], points)
                and np.array_equal(file[name]["cells"][()], cells)
            ]
            self._group = same[0] if same else f"mesh_{len(meshes)}"
            if not same:
                file[f"{self._group}/points"], file[f"{self._group}/cells"] = points, cells
                self._meshes[self._group] = points.shape, cells.shape
            groups = file.get("increments", {})
            described = [json.loads(groups[name].attrs["step"]) for name in sorted(groups)]
        return [(time, mesh, [tuple(item) for item in items]) for time, mesh, items in described]

    def write(
        self,
        time: float,
        *,
        nodes: Mapping[str, fem.Function] | None = None,
        cells: Mapping[str, Array | fem.Function] | None = None,
    ) -> None:
        """Add an increment. Collective; the names and their order agree on all ranks.

        Args:
            time: of the increment; the load factor, where there is no time.
            nodes: scalar or vector Functions, interpolated to the nodes of the mesh: a quadratic
                displacement on a linear mesh loses its mid-side values.
            cells: for each owned cell one value, (cells,), a vector, (cells, d), or a full tensor,
                (cells, d*d) or (cells, d, d); or a piecewise constant Function.

        Raises:
            InputError: a value has another shape.
            OSError: the files cannot be written; on all ranks.
        """
        step = f"increments/{self._count:06d}"
        owned_nodes = self._mesh.geometry.index_map().size_local
        owned = [
            ("Node", name, nodal_values(self._mesh, function)[:owned_nodes])
            for name, function in (nodes or {}).items()
        ] + [
            ("Cell", name, owned_cell_values(self._mesh, value, name))
            for name, value in (cells or {}).items()
        ]
        fields = []
        for center, name, values in owned:
            padded, kind = _pad(values, name)
            key = f"{step}/{center.lower()}/{name.replace('/', '_')}"
            fields.append((name, center, kind, key, _gather(self._mesh.comm, padded)))

        def append() -> None:
            described = [(n, c, array.shape, k, key) for n, c, k, key, array in fields]
            added: _Step = (float(time), self._group, described)
            with journal.appended(self._path.with_suffix(".h5")) as file:
                if step in file:  # left by a write that failed, or by a run that was killed
                    del file[step]
                for *_, key, array in fields:
                    file[key] = array
                file.require_group(step).attrs["step"] = json.dumps(added)
            steps = [*self._steps, added]
            self._write_xml(steps)
            self._steps = steps

        run_on_root(self._mesh.comm, append)
        self._count += 1

    def _write_xml(self, steps: Sequence[_Step]) -> None:
        """Replace the XDMF file by one that names all complete increments; on rank 0."""
        heavy = self._path.with_suffix(".h5").name
        root = ET.Element("Xdmf", Version="3.0")
        collection = ET.SubElement(
            ET.SubElement(root, "Domain"),
            "Grid",
            Name="increments",
            GridType="Collection",
            CollectionType="Temporal",
        )

        def item(parent: ET.Element, shape: Sequence[int], number: str, key: str) -> None:
            dimensions = " ".join(map(str, shape))
            attributes = {"Dimensions": dimensions, "NumberType": number, "Precision": "8"}
            ET.SubElement(parent, "DataItem", attributes, Format="HDF").text = f"{heavy}:/{key}"

        for time, mesh, fields in steps:
            points, cells = self._meshes[mesh]
            grid = ET.SubElement(collection, "Grid", Name="mesh", GridType="Uniform")
            ET.SubElement(grid, "Time", Value=repr(time))
            topology = ET.SubElement(
                grid, "Topology", TopologyType=self._topology, NumberOfElements=str(cells[0])
            )
            item(topology, cells, "Int", f"{mesh}/cells")
            geometry = ET.SubElement(grid, "Geometry", GeometryType="XYZ")
            item(geometry, points, "Float", f"{mesh}/points")
            for name, center, shape, kind, key in fields:
                attributes = {"Name": name, "AttributeType": kind, "Center": center}
                item(ET.SubElement(grid, "Attribute", attributes), shape, "Float", key)
        ET.indent(root)
        write_whole(self._path, ET.tostring(root, encoding="utf-8", xml_declaration=True))


def write_json(path: str | Path, content: Mapping[str, Any], comm: MPI.Intracomm) -> None:
    """Write a JSON file on rank 0, replacing an old one only by a whole new one. Collective.

    NumPy numbers and arrays become numbers and lists; what is not finite becomes null.

    Raises:
        OSError: the file cannot be written; on all ranks.
    """

    def write() -> None:
        text = json.dumps(_plain(content), indent=2, allow_nan=False) + "\n"
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        write_whole(Path(path), text.encode())

    run_on_root(comm, write)


def run_on_root(comm: MPI.Intracomm, action: Callable[[], None]) -> None:
    """Run an action on rank 0 and raise its failure on every rank. Collective.

    Raises:
        OSError: the action raised one on rank 0.
        InputError: it raised one there.
        RuntimeError: it raised another exception there.
    """
    failure: Exception | None = None
    if comm.rank == 0:
        try:
            action()
        except Exception as problem:
            failure = problem
    kinds: tuple[type[Exception], ...] = (OSError, InputError)
    kind = next((kind for kind in kinds if isinstance(failure, kind)), RuntimeError)
    said = comm.bcast(failure and (kind, str(failure)), root=0)
    if said is not None:
        raise said[0](said[1]) from failure


def _gather(comm: MPI.Intracomm, local: np.ndarray) -> np.ndarray:
    """Return the rows of all ranks, in order of ranks, on rank 0; no rows elsewhere."""
    parts = comm.gather(np.ascontiguousarray(local), root=0)
    return local[:0] if parts is None else np.concatenate(parts)


def _pad(values: Array, name: str) -> tuple[Array, str]:  # (rows, 1 | 3 | 9)
    """Return values as ParaView wants them, plane vectors and tensors filled with zeros."""
    rows, size = len(values), math.prod(values.shape[1:])
    if size == 1:
        return values.reshape(rows), "Scalar"
    if values.ndim == 2 and size in (2, 3):
        return np.pad(values, ((0, 0), (0, 3 - size))), "Vector"
    if size in (4, 9):
        d = math.isqrt(size)
        tensor = np.zeros((rows, 3, 3))
        tensor[:, :d, :d] = values.reshape(rows, d, d)
        return tensor.reshape(rows, 9), "Tensor"
    raise InputError(
        f"field {name!r} has {size} components; expected 1, a vector (2 or 3) or a full tensor "
        "(4 or 9)"
    )


def _plain(value: Any) -> Any:
    """Return a value as JSON knows it."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
