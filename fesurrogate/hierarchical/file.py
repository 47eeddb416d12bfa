"""One HDF5 file of a table, which says by itself what it holds.

    /axes/K            (k,), attributes name and unit; in the order of K
    /quantities/NAME   (k₁, ..., k_p, ...); or, compressed,
    /cores/NAME/K      (r, k, r') each, a tensor train of the axes and of the numbers of an entry
    /ok                (k₁, ..., k_p)
    /held_out          points (N, p), ok (N,), quantities/NAME (N, ...)

Attributes of the file: format, measure, gdim, convention, units, cell, axes, entries
(shape of an entry by name) and meta (JSON), checksum.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fesurrogate.data.manifest import CONVENTIONS
from fesurrogate.data.shard import UNREADABLE, h5py, replace_with
from fesurrogate.errors import InputError
from fesurrogate.hierarchical.axes import Axis
from fesurrogate.hierarchical.tabulation import Scattered, Tabulation
from fesurrogate.hierarchical.tensor_train import expanded
from fesurrogate.kinematics import Array, BoolArray, Kinematics

FORMAT = "fesurrogate table 1"
LARGEST = 2**30
"""Numbers of a quantity, expanded."""
AGAIN = "make it again with: fesurrogate precompute CONFIG"


def write_tabulation(
    tabulation: Tabulation,
    path: str | os.PathLike[str],
    *,
    cores: Mapping[str, Sequence[Array]] | None = None,
) -> None:
    """Write a table in place of the one that may be there, in one move.

    Args:
        tabulation: The table.
        path: The file.
        cores: Tensor trains that are written in place of the quantities, by their names.

    Raises:
        MissingPackageError: h5py is not installed.
        OSError: The file cannot be written.
    """
    memory, place = io.BytesIO(), Path(path)
    arrays = dict(_arrays(tabulation, cores))
    head = {
        "format": FORMAT,
        "measure": tabulation.kinematics.measure,
        "gdim": tabulation.kinematics.gdim,
        "convention": CONVENTIONS[tabulation.kinematics.measure],
        "units": tabulation.units,
        "cell": tabulation.cell,
        "axes": json.dumps([[axis.name, axis.unit] for axis in tabulation.axes]),
        "entries": json.dumps({name: tabulation.trailing(name) for name in tabulation.quantities}),
        "meta": json.dumps(dict(tabulation.meta), default=str),
    }
    with h5py().File(memory, "w") as file:
        for key, value in head.items():
            file.attrs[key] = value
        for name, array in arrays.items():
            file.create_dataset(name, data=array)
        for k, axis in enumerate(tabulation.axes):
            file[f"axes/{k}"].attrs.update({"name": axis.name, "unit": axis.unit})
        file.attrs["checksum"] = _checksum(head, arrays)
    place.parent.mkdir(parents=True, exist_ok=True)
    replace_with(place, memory.getbuffer())


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
        MissingPackageError: h5py is not installed.
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
                raise InputError(f"table {place} says format {said!r}; expected {FORMAT!r}")
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


def _arrays(
    tabulation: Tabulation, cores: Mapping[str, Sequence[Array]] | None
) -> Iterator[tuple[str, NDArray]]:
    for k, axis in enumerate(tabulation.axes):
        yield f"axes/{k}", axis.values
    for name, train in (cores or {}).items():
        for k, core in enumerate(train):
            yield f"cores/{name}/{k}", core
    for name, array in tabulation.quantities.items():
        if name not in (cores or {}):
            yield f"quantities/{name}", array
    yield "ok", tabulation.ok
    held = tabulation.held_out
    if held is not None:
        yield "held_out/points", held.points
        yield "held_out/ok", held.ok
        for name, array in held.quantities.items():
            yield f"held_out/quantities/{name}", array


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
    axes = tuple(
        Axis(name, arrays[f"axes/{k}"], unit)
        for k, (name, unit) in enumerate(json.loads(head["axes"]))
    )
    held = None
    if "held_out/points" in arrays:
        held = Scattered(
            arrays["held_out/points"],
            _below(arrays, "held_out/quantities/"),
            arrays["held_out/ok"].astype(np.bool_),
        )
    ok = arrays["ok"].astype(np.bool_)
    quantities = _below(arrays, "quantities/")
    for name, shape in json.loads(head["entries"]).items():
        if name not in quantities:
            cores = _below(arrays, f"cores/{name}/")
            train = [cores[str(k)] for k in range(len(cores))]
            quantities[name] = quantity_of(train, ok, tuple(shape))
    return Tabulation(
        kinematics,
        axes,
        quantities,
        ok,
        held,
        head["units"],
        head["cell"],
        json.loads(head["meta"]),
    )


def quantity_of(train: Sequence[Array], ok: BoolArray, shape: tuple[int, ...]) -> Array:
    """Return the quantity of a train, NaN where there is no entry; a matrix is symmetric.

    Args:
        train: Cores of the axes, and of the numbers of an entry.
        ok: (k₁, ..., k_p), where there is an entry.
        shape: Of an entry.

    Raises:
        ValueError: The cores are of another table.
    """
    whole = (*ok.shape, math.prod(shape))
    if not train or math.prod(whole) > LARGEST:
        raise ValueError("a quantity is missing, or of more numbers than a table may have")
    if [core.ndim for core in train] != [3] * len(train) or whole != tuple(
        core.shape[1] for core in train
    ):
        raise ValueError("cores do not match the axes")
    entries = expanded(train).reshape(*ok.shape, *shape)
    if len(shape) == 2 and shape[0] == shape[1]:
        entries = 0.5 * (entries + entries.swapaxes(-1, -2))
    entries[~ok] = np.nan
    return entries


def _below(arrays: Mapping[str, NDArray], prefix: str) -> dict[str, NDArray]:
    return {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _checksum(head: Mapping[str, Any], arrays: Mapping[str, NDArray]) -> str:
    digest = hashlib.sha256(json.dumps(dict(sorted(head.items())), default=str).encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode() + array.tobytes())
    return digest.hexdigest()
