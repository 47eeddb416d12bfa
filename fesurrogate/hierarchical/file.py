"""One HDF5 file of a table, which says by itself what it holds.

    /axes/K            (k,); in the order of K
    /quantities/NAME   (k₁, ..., k_p, ...), on the grid
    /kept/NAME/...     arrays of a representation, in place of the grid or beside it
    /ok                (k₁, ..., k_p), where entries could not be computed; left out if all could
    /held_out          points (N, p), ok (N,), quantities/NAME (N, ...)
    /samples           the same, of a table without a grid

Attributes of the file: format, measure, gdim, convention, units, cell, checksum, and contents, JSON
of axes (names and units), kept (kind, form, shape of an entry and facts of each representation) and
meta. They are eight, of fixed length: so HDF5 keeps them in the header, without 5 kB of heaps.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fesurrogate.data.manifest import CONVENTIONS
from fesurrogate.data.shard import UNREADABLE, h5py
from fesurrogate.errors import InputError, MissingPackageError
from fesurrogate.hierarchical.axes import Axis
from fesurrogate.hierarchical.representations import KINDS
from fesurrogate.hierarchical.representations.base import below
from fesurrogate.hierarchical.representations.forms import FORMS, encoded_size
from fesurrogate.hierarchical.tabulation import Kept, Scattered, Tabulation
from fesurrogate.kinematics import Kinematics
from fesurrogate.whole_file import write_whole

FORMAT = "fesurrogate table 3"
COMPACT = 2048
"""Bytes up to which an array lies in its header: small files have many small ones."""
AGAIN = "make it again with: fesurrogate precompute CONFIG"


def write_tabulation(tabulation: Tabulation, path: str | os.PathLike[str]) -> None:
    """Write a table in place of the one that may be there, in one move.

    Args:
        tabulation: The table.
        path: The file.

    Raises:
        MissingPackageError: h5py is not installed.
        OSError: The file cannot be written.
    """
    place = Path(path)
    place.parent.mkdir(parents=True, exist_ok=True)
    write_whole(place, content_of(tabulation))


def content_of(tabulation: Tabulation) -> memoryview:
    """Return the bytes of the file of a table.

    Raises:
        MissingPackageError: h5py is not installed.
    """
    memory = io.BytesIO()
    arrays = dict(_arrays(tabulation))
    kept = {
        name: {
            "kind": each.representation.kind,
            "form": each.form,
            "shape": each.shape,
            "facts": each.representation.facts(),
        }
        for name, each in tabulation.kept.items()
    }
    head = {
        "format": FORMAT,
        "measure": tabulation.kinematics.measure,
        "gdim": tabulation.kinematics.gdim,
        "convention": CONVENTIONS[tabulation.kinematics.measure],
        "units": tabulation.units,
        "cell": tabulation.cell,
        "contents": json.dumps(
            {
                "axes": [[axis.name, axis.unit] for axis in tabulation.axes],
                "kept": kept,
                "meta": dict(tabulation.meta),
            },
            default=str,
        ),
    }
    library = h5py()
    with library.File(memory, "w", libver=("v108", "v110")) as file:
        for key, value in head.items():
            _say(library, file, key, value)
        for name, array in arrays.items():
            _put(library, file, name, array)
        _say(library, file, "checksum", _checksum(head, arrays))
    return memory.getbuffer()


def _say(library: Any, file: Any, key: str, value: str | int) -> None:
    """Write an attribute, a string at its own length."""
    if isinstance(value, int):
        file.attrs[key] = value
        return
    text = value.encode()
    kind = library.string_dtype("utf-8", max(len(text), 1))
    file.attrs.create(key, np.array(text, dtype=kind), dtype=kind)


def _put(library: Any, file: Any, name: str, array: NDArray) -> None:
    """Write an array, a small one into its header, without the times at which it was made."""
    group, _, own = name.rpartition("/")
    place = file.require_group(group) if group else file
    properties = library.h5p.create(library.h5p.DATASET_CREATE)
    properties.set_obj_track_times(False)
    if array.nbytes <= COMPACT:
        properties.set_layout(library.h5d.COMPACT)
    flat = np.ascontiguousarray(array)
    kind = library.h5t.py_create(flat.dtype, logical=True)
    space = library.h5s.create_simple(flat.shape)
    library.h5d.create(place.id, own.encode(), kind, space, properties).write(
        library.h5s.ALL, library.h5s.ALL, flat
    )


def read_tabulation(
    path: str | os.PathLike[str],
    kinematics: Kinematics | None = None,
    *,
    units: str = "",
) -> Tabulation:
    """Read a table and check it.

    Args:
        path: The file.
        kinematics: What the caller needs; None takes what the file holds.
        units: What the caller needs; empty takes what the file holds.

    Raises:
        InputError: The file is missing, cut short, damaged, or of another format, Kinematics
            or units.
        MissingPackageError: h5py, or torch for the stress of an energy, is not installed.
    """
    place, library = Path(path), h5py()
    try:
        content = place.read_bytes()
    except FileNotFoundError:
        raise InputError(
            f"there is no table {place}; make it with: fesurrogate precompute CONFIG"
        ) from None
    except OSError as error:
        raise InputError(f"table {place} cannot be read: {error.strerror}") from error
    try:
        with library.File(io.BytesIO(content), "r") as file:
            head = {key: _plain(value) for key, value in file.attrs.items()}
            if head.get("format") != FORMAT:
                said = head.get("format")
                raise InputError(
                    f"table {place} says format {said!r}; expected {FORMAT!r}: {AGAIN}"
                )
            arrays = dict(_stored(library, file, len(content)))
        given = head.pop("checksum")
        if given != _checksum(head, arrays):
            raise InputError(f"table {place} is damaged (its checksum differs); {AGAIN}")
        found = _assembled(head, arrays)
    except InputError:
        raise
    except UNREADABLE as error:
        raise InputError(f"table {place} is damaged, or was cut short ({error}); {AGAIN}") from None
    if head["convention"] != CONVENTIONS[found.kinematics.measure]:
        raise InputError(f"table {place} uses the components {head['convention']!r}; {AGAIN}")
    if kinematics is not None and found.kinematics != kinematics:
        raise InputError(f"table {place} was made under {found.kinematics}; expected {kinematics}")
    if units and found.units != units:
        raise InputError(f"table {place} has the units {found.units!r}; expected {units!r}")
    return found


def check_cell(tabulation: Tabulation, cell: str, path: Path) -> None:
    """Refuse a table of another cell than the one of a fingerprint.

    Raises:
        InputError: The fingerprints differ.
    """
    if tabulation.cell != cell:
        raise InputError(
            f"table {path} was made of another cell ({tabulation.cell}) than [material.rve] says "
            f"({cell}); {AGAIN}, or leave [material.rve] out"
        )


def _arrays(tabulation: Tabulation) -> Iterator[tuple[str, NDArray]]:
    for k, axis in enumerate(tabulation.axes):
        yield f"axes/{k}", axis.values
    for name, array in tabulation.quantities.items():
        yield f"quantities/{name}", array
    for name, each in tabulation.kept.items():
        for part, array in each.representation.arrays().items():
            yield f"kept/{name}/{part}", array
    if not tabulation.ok.all():
        yield "ok", tabulation.ok
    for place, held in (("held_out", tabulation.held_out), ("samples", tabulation.samples)):
        if held is not None:
            yield f"{place}/points", held.points
            yield f"{place}/ok", held.ok
            for name, array in held.quantities.items():
                yield f"{place}/quantities/{name}", array


def _stored(
    library: Any, group: Any, limit: int, prefix: str = ""
) -> Iterator[tuple[str, NDArray]]:
    """Give every array of numbers that lies in the file itself, by its path."""
    for name in group:
        if not isinstance(group.get(name, getlink=True), library.HardLink):
            raise ValueError(f"{prefix}{name} is a link")
        node = group[name]
        if isinstance(node, library.Group):
            if prefix.count("/") > 2:
                raise ValueError("groups in groups")
            yield from _stored(library, node, limit, f"{prefix}{name}/")
            continue
        if node.external or node.is_virtual or node.nbytes > limit or node.dtype.kind not in "biuf":
            raise ValueError(f"{prefix}{name} is no array of numbers in the file")
        yield f"{prefix}{name}", node[()]


def _assembled(head: Mapping[str, Any], arrays: Mapping[str, NDArray]) -> Tabulation:
    kinematics = Kinematics(int(head["gdim"]), head["measure"])  # type: ignore[arg-type]
    contents = json.loads(head["contents"])
    axes = tuple(
        Axis(name, arrays[f"axes/{k}"], unit) for k, (name, unit) in enumerate(contents["axes"])
    )
    shape = tuple(len(axis.values) for axis in axes)
    ok = arrays.get("ok", np.ones(shape, dtype=np.bool_)).astype(np.bool_)
    kept = {}
    for name, facts in contents["kept"].items():
        kept[name] = _kept(axes, facts, below(arrays, f"kept/{name}/"))
    return Tabulation(
        kinematics,
        axes,
        below(arrays, "quantities/"),
        ok,
        _scattered(arrays, "held_out/"),
        head["units"],
        head["cell"],
        contents["meta"],
        kept,
        _scattered(arrays, "samples/"),
    )


def _kept(axes: tuple[Axis, ...], facts: Mapping[str, Any], arrays: Mapping[str, NDArray]) -> Kept:
    """Return a representation of a file, checked against the axes.

    Raises:
        ValueError: It does not fit.
    """
    if facts["kind"] not in KINDS or facts["form"] not in FORMS:
        raise ValueError(f"a representation {facts['kind']!r} of form {facts['form']!r}")
    try:
        found = KINDS[facts["kind"]].restored(axes, facts["facts"], arrays)
    except MissingPackageError:
        raise
    except InputError as error:
        raise ValueError(str(error)) from error
    shape = tuple(int(size) for size in facts["shape"])
    if found.outputs != encoded_size(facts["form"], shape):
        raise ValueError(f"{found.outputs} numbers for an entry of shape {shape}")
    return Kept(found, facts["form"], shape)


def _scattered(arrays: Mapping[str, NDArray], prefix: str) -> Scattered | None:
    if f"{prefix}points" not in arrays:
        return None
    return Scattered(
        arrays[f"{prefix}points"],
        below(arrays, f"{prefix}quantities/"),
        arrays[f"{prefix}ok"].astype(np.bool_),
    )


def _plain(value: Any) -> Any:
    """Return an attribute as Python's own str or int."""
    own = value.item() if isinstance(value, np.generic | np.ndarray) else value
    return own.decode() if isinstance(own, bytes) else own


def _checksum(head: Mapping[str, Any], arrays: Mapping[str, NDArray]) -> str:
    digest = hashlib.sha256(json.dumps(dict(sorted(head.items())), default=str).encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode() + array.tobytes())
    return digest.hexdigest()
