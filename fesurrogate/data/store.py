"""A dataset on disk: a folder with ``manifest.json`` and HDF5 shards.

It is made in three steps: :func:`begin` writes a manifest that says what is to come, shards are
added by anyone and in any order, :func:`finish` lists them in the manifest. A process may be
killed at any moment in between: what was written is found again by :func:`begin`.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import final

import numpy as np
from numpy.typing import NDArray

from fesurrogate.data.dataset import ARRAYS, Dataset
from fesurrogate.data.lock import locked
from fesurrogate.data.manifest import NAME as MANIFEST
from fesurrogate.data.manifest import Manifest, read_manifest
from fesurrogate.data.shard import SUFFIX, Shard, read_shard, write_shard
from fesurrogate.errors import InputError
from fesurrogate.kinematics import Kinematics
from fesurrogate.whole_file import remove_half_written

logger = logging.getLogger(__name__)
RESUME = "finish it with: fesurrogate generate CONFIG"
SHARD = re.compile(rf"[0-9a-f]{{12}}-[0-9a-f]{{16}}{re.escape(SUFFIX)}")
BYTES_PER_SHARD = 64 * 2**20


def new_uid() -> str:
    """Return a name that no other dataset has."""
    return uuid.uuid4().hex[:12]


def begin(folder: Path, wanted: Manifest, *, fresh: bool = False) -> tuple[Manifest, NDArray]:
    """Make a folder ready for the shards of a dataset, keeping those that answer the request.

    To be called by one process, which holds the lock of the folder.

    Args:
        folder: Of the dataset, made if it is not there.
        wanted: What is to be made; its uid counts only where a new dataset is begun.
        fresh: Whether nothing there is kept.

    Returns:
        The manifest as written, and the numbers of the paths that are still to be computed.

    Raises:
        InputError: The folder holds what is not of this dataset.
    """
    old = stored(folder)
    if old is not None and not fresh and old.request == wanted.request:
        begun = replace(wanted, uid=old.uid, discard=old.discard)
    else:
        begun = replace(wanted, discard=old.uid if old is not None else "")
    if not fresh:
        _check_foreign(folder, {begun.uid, begun.discard} | ({old.discard} if old else set()))
    begun = replace(begun, shards={}, complete=False)
    there = _scan(folder, begun, "computed again")[0]
    if old is not None and begun.uid == old.uid:
        _check_added(folder, old, begun, there)
    _keep_shards(folder, {begun.uid, begun.discard})
    begun.write(folder)
    remove_half_written(folder)
    _keep_shards(folder, {begun.uid})
    return begun, np.setdiff1d(np.arange(begun.paths), there)


def _check_added(folder: Path, old: Manifest, begun: Manifest, there: NDArray[np.int64]) -> None:
    """Refuse to give a number to two points: one that was drawn and one that is added."""
    known = len(old.added)
    if begun.added[:known] != old.added:
        raise InputError(f"{folder} was added to by another run meanwhile; run this one again")
    new = [batch["first"] for batch in begun.added[known:]]
    if new and len(there) and there[-1] >= min(new):
        held = there[-1] + 1
        raise InputError(
            f"{folder} holds {held} paths of which {min(new)} are asked for; points can be added "
            f"only behind all; give samples = {held}, or begin anew with --fresh"
        )


def finish(folder: Path, begun: Manifest) -> Manifest:
    """List the shards of a dataset in its manifest, once all its paths are written.

    To be called by one process, which holds the lock. What is said of cost and failures counts
    all runs that it took.

    Raises:
        InputError: Paths are missing.
    """
    there, files, seconds, failed = _scan(folder, begun, "left out")
    missing = np.setdiff1d(np.arange(begun.paths), there)
    if len(missing):
        raise InputError(f"dataset {folder}: {len(missing)} of {begun.paths} paths are missing")
    points = max(len(there) * begun.increments, 1)
    facts = {**begun.meta, "seconds_per_point": seconds / points, "failed": failed}
    whole = replace(begun, meta=facts, shards=files, complete=True, discard="")
    whole.write(folder)
    for path in folder.glob(f"{begun.uid}-*{SUFFIX}"):
        if path.name not in files:
            path.unlink()  # the same paths once more, from a rank that outlived a killed run
    return whole


def stored(folder: Path) -> Manifest | None:
    """Return the manifest of a folder; None where it is missing or cannot be used."""
    if not (folder / MANIFEST).exists():
        return None
    try:
        return read_manifest(folder)
    except InputError as error:
        logger.warning("%s", error)
        return None


def intact(folder: Path, head: Manifest) -> bool:
    """Return whether a dataset is complete and all its shards are what they were."""
    try:
        return head.complete and all(
            hashlib.sha256((folder / name).read_bytes()).hexdigest() == expected
            for name, expected in head.shards.items()
        )
    except OSError:
        return False


@final
class Writer:
    """Collects answers of one process and writes them as shards now and then.

    Args:
        folder: Of the dataset.
        uid: Of the dataset.
        due: Says whether it is time to write; asked after each addition.
    """

    def __init__(self, folder: Path, uid: str, due: Callable[[], bool]) -> None:
        self._folder, self._uid, self._due = folder, uid, due
        self._parts: list[Shard] = []
        self._bytes = 0

    def add(self, part: Shard) -> None:
        """Take answers; write all that were taken if it is time, or they are many."""
        self._parts.append(part)
        arrays = (*part.arrays.values(), *part.reports.values())
        self._bytes += sum(array.nbytes for array in arrays)
        if self._bytes >= BYTES_PER_SHARD or self._due():
            self.flush()

    def flush(self) -> None:
        """Write what was taken and not yet written."""
        if self._parts:
            write_shard(self._folder, self._uid, joined(self._parts))
        self._parts, self._bytes = [], 0


def joined(parts: list[Shard]) -> Shard:
    """Return the rows of several shards as one.

    Raises:
        InputError: They do not hold the same arrays in the same shapes.
    """

    def stacked(kind: str) -> dict[str, NDArray]:
        found = [getattr(part, kind) for part in parts]
        names = set(found[0])
        if any(set(other) != names for other in found):
            raise InputError(f"shards hold different {kind}: {', '.join(map(str, found))}")
        try:
            return {name: np.concatenate([other[name] for other in found]) for name in found[0]}
        except ValueError as error:
            raise InputError(f"shards hold {kind} of different shapes: {error}") from error

    return Shard(
        np.concatenate([part.paths for part in parts]),
        stacked("arrays"),
        stacked("reports"),
        sum(part.seconds for part in parts),
    )


def read_dataset(
    folder: str | os.PathLike[str], kinematics: Kinematics | None = None, *, units: str = ""
) -> Dataset:
    """Read a dataset and check it.

    Args:
        folder: Its folder.
        kinematics: What the caller needs; None takes what the dataset holds.
        units: What the caller needs; empty takes what the dataset holds.

    Raises:
        InputError: It is missing, unfinished, damaged, of another format, convention, Kinematics
            or units, or its folder holds shards of another dataset.
        MissingPackageError: h5py is not installed.
    """
    place = Path(folder)
    head = read_manifest(place)
    if kinematics is not None and head.kinematics != kinematics:
        raise InputError(f"dataset {place} was made under {head.kinematics}; expected {kinematics}")
    if units and head.units != units:
        raise InputError(f"dataset {place} has the units {head.units!r}; expected {units!r}")
    if not head.complete:
        raise InputError(f"dataset {place} is unfinished; {RESUME}")
    _check_foreign(place, {head.uid, head.discard})
    parts = []
    for name, expected in head.shards.items():
        if not (place / name).is_file():
            raise InputError(f"dataset {place}: its shard {name} is missing; {RESUME}")
        shard, digest = read_shard(place / name, head.uid)
        if digest != expected:
            raise InputError(f"{place / name} is damaged (its checksum differs); {RESUME}")
        parts.append(shard)
    return _assembled(place, head, parts)


def write_dataset(dataset: Dataset, folder: str | os.PathLike[str]) -> None:
    """Write a dataset that is in memory, in place of the one that may be there.

    The manifest is replaced in one move when all is written: a kill leaves the one or the other.

    Raises:
        InputError: Another run writes there.
        MissingPackageError: h5py is not installed.
    """
    place = Path(folder)
    head = Manifest(
        new_uid(), dataset.fingerprint, dataset.kinematics, len(dataset), dataset.increments,
        dataset.parameter_names, dataset.units, dataset.meta,
    )  # fmt: skip
    with locked(place):
        old = stored(place)
        if old is not None:
            _keep_shards(place, {old.uid})
        (head if old is None else replace(old, discard=head.uid)).write(place)
        arrays = {name: getattr(dataset, name) for name in ARRAYS}
        shard = Shard(
            np.arange(len(dataset)),
            {name: array for name, array in arrays.items() if array is not None},
            dataset.reports,
        )
        name, digest = write_shard(place, head.uid, shard)
        discard = "" if old is None else old.uid
        replace(head, shards={name: digest}, complete=True, discard=discard).write(place)
        remove_half_written(place)
        _keep_shards(place, {head.uid})


def _scan(
    folder: Path, head: Manifest, consequence: str
) -> tuple[NDArray[np.int64], dict[str, str], float, int]:
    """Return what the shards there hold: paths, {file: sha256}, seconds and failed points.

    A shard that adds no path is passed over, one that is damaged removed with a warning.
    """
    found: list[NDArray[np.int64]] = [np.zeros(0, dtype=np.int64)]
    files: dict[str, str] = {}
    seconds, failed = 0.0, 0
    for path in sorted(folder.glob(f"{head.uid}-*{SUFFIX}")):
        try:
            shard, digest = read_shard(path, head.uid)
        except InputError as error:
            logger.warning("%s; its paths are %s", error, consequence)
            path.unlink()
            continue
        new = ~np.isin(shard.paths, np.concatenate(found))
        if new.any():
            found.append(shard.paths)
            files[path.name] = digest
            seconds += shard.seconds
            failed += int((~shard.arrays["ok"][new & (shard.paths < head.paths)]).sum())
    return np.unique(np.concatenate(found)), files, seconds, failed


def _check_foreign(folder: Path, uids: set[str]) -> None:
    names = [path.name for path in _shards(folder)]
    foreign = [name for name in names if _uid(name) not in uids]
    if foreign:
        raise InputError(
            f"{folder} holds {foreign[0]}{' and others' if len(foreign) > 1 else ''}, which is not "
            "of this dataset; move it away, or begin anew with --fresh"
        )


def _keep_shards(folder: Path, uids: set[str]) -> None:
    """Remove the shards of other datasets: before a manifest forgets that they may lie there."""
    for path in _shards(folder):
        if _uid(path.name) not in uids:
            path.unlink()


def _uid(name: str) -> str:
    """Return the dataset of a shard."""
    return name.partition("-")[0]


def _shards(folder: Path) -> list[Path]:
    """Return all that has the name of a shard."""
    return [path for path in sorted(folder.iterdir()) if SHARD.fullmatch(path.name)]


def _assembled(place: Path, head: Manifest, parts: list[Shard]) -> Dataset:
    """Return the dataset of all shards, its paths in order, each once."""
    try:
        whole = joined(parts)
        paths, rows = np.unique(whole.paths, return_index=True)
        rows = rows[: head.paths]
        if len(rows) < head.paths or (paths[: head.paths] != np.arange(head.paths)).any():
            raise InputError(f"{head.paths} paths expected, others found")
        arrays = {name: whole.arrays[name][rows] for name in whole.arrays if name in ARRAYS}
        for name, array in arrays.items():
            arrays[name] = array.astype(bool if name == "ok" else np.float64, copy=False)
        if arrays["strain"].shape[1] != head.increments:
            raise InputError(f"{head.increments} increments expected, others found")
        return Dataset(
            head.kinematics, arrays["strain"], arrays["stress"], arrays.get("tangent"),
            arrays["ok"], arrays.get("dt"), arrays["parameters"], head.parameter_names,
            {name: array[rows] for name, array in whole.reports.items()}, head.units,
            {**head.meta, "request": head.request},
        )  # fmt: skip
    except (InputError, KeyError, IndexError, TypeError, ValueError) as error:
        raise InputError(f"dataset {place} is inconsistent ({error}); {RESUME} --fresh") from error
