"""Datasets on disk: generated once, taken up where a run was stopped, reused while they fit."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fesurrogate.build.family import fingerprint_of
from fesurrogate.build.materials import identify_material
from fesurrogate.build.places import check_files
from fesurrogate.build.ranks import together
from fesurrogate.config import Settings
from fesurrogate.data.added import Batch, Extended, batches_of
from fesurrogate.data.dataset import Dataset
from fesurrogate.data.manifest import ADDED, FORMAT, Manifest
from fesurrogate.data.manifest import NAME as MANIFEST
from fesurrogate.data.store import Writer, begin, finish, intact, new_uid, read_dataset, stored
from fesurrogate.errors import InputError
from fesurrogate.laws.rotated import NAMES as ROTATION_NAMES
from fesurrogate.material import Material
from fesurrogate.progress import progress_bar
from fesurrogate.results import versions

if TYPE_CHECKING:
    from fesurrogate.data.farm import Wanted
    from fesurrogate.data.plan import Loading

SECONDS_BETWEEN_SHARDS = 10.0
SHARE_BETWEEN_SHARDS = 0.02
"""A kill costs at most the work of the longer of both: seconds, or a share of the run so far."""


@dataclass(frozen=True)
class EnsuredDataset:
    """A dataset on disk, and whether it was there before."""

    manifest: Manifest
    path: Path
    reused: bool

    @cached_property
    def dataset(self) -> Dataset:
        """The whole of it; read when it is first asked for, on the rank that asks.

        Raises:
            InputError: It is no longer there.
        """
        found = read_dataset(self.path)
        if found.meta["request"] != self.manifest.request or len(found) < self.manifest.paths:
            raise InputError(f"dataset {self.path} was replaced by another; generate it again")
        return found.take(slice(0, self.manifest.paths))


def ensure_dataset(
    settings: Settings,
    comm: Any = None,
    *,
    more: Batch | None = None,
    fresh: bool = False,
    progress: bool = False,
    allow_code: bool = False,
) -> EnsuredDataset:
    """Make the dataset that ``[generate]`` asks for, unless it is there. Collective.

    It is reused if its Material (by fingerprint), Kinematics and ``[generate]`` are the same. What
    an interrupted run has written, or one that asked for fewer samples, is kept, and so are points
    that were added; a dataset with such is not made smaller. One that was made from something else
    is replaced.

    Args:
        settings: ``[generate].source`` says which kind of ``[material]`` is sampled.
        comm: An mpi4py communicator; None works alone.
        more: Points to add behind all that are there.
        fresh: Generate in any case.
        progress: Whether rank 0 shows rate and time left.
        allow_code: Whether a user's module may be imported.

    Raises:
        InputError: On all ranks: the settings cannot be used, or another run writes there.
    """
    from fesurrogate.data.farm import Wanted, check_source
    from fesurrogate.data.plan import plan_of

    if settings.material is None:
        raise InputError("generate: there is no [material] table to sample from")
    wanted, path = settings.generate, settings.dataset
    turned = set(ROTATION_NAMES[settings.kinematics.gdim]) if settings.material.rotated else set()
    rotated = bool(turned & set(wanted.parameters))  # else what is turned is sampled as it is
    lacking = set(settings.material.parameters or ()) - set(wanted.parameters)
    lacking -= set() if rotated else turned
    if lacking:
        raise InputError(
            f"generate.parameters lacks {', '.join(sorted(lacking))} of [material.parameters], "
            "whose values are those of a run: give the range that is sampled, "
            + ", ".join(f'"{name}" = [low, high]' for name in sorted(lacking))
        )
    ranges: dict[str, float | str] = dict.fromkeys(wanted.parameters, 0.0)
    table = replace(
        settings.material, kind=wanted.source, parameters=ranges or None, guard=None,
        rotated=rotated,
    )  # fmt: skip
    if table.rve is not None:
        table = replace(table, rve=replace(table.rve, initial_guess="previous"))
    source = identify_material(table, settings, comm, ranges=True, allow_code=allow_code)
    check_source(source.material)
    names = source.material.parameter_names
    recorded = together(
        comm,
        lambda: read_dataset(wanted.recorded, settings.kinematics) if wanted.recorded else None,
    )
    asked = json.loads(json.dumps(asdict(wanted), default=str))
    free = ("samples", "units") if wanted.sequence == "sobol" else ("units",)
    unasked = (*free, "recorded", "active")
    kept = {key: value for key, value in asked.items() if key not in unasked}
    if not wanted.fields:
        del kept["fields"]  # datasets from before there were any are what they were
    elif wanted.tangents:
        kept["slopes"] = True
    kept["recorded"] = recorded.fingerprint if recorded is not None else None
    request = fingerprint(FORMAT, repr(settings.kinematics), source.fingerprint, kept)
    drawn, batches = (0, ()) if fresh else _before(path, request, comm)
    batches = batches if more is None else (*batches, more)
    if batches:
        wanted = replace(wanted, samples=max(wanted.samples, drawn))
    plan: Loading = plan_of(settings.kinematics, wanted, names, recorded=recorded)
    if batches:
        plan = Extended(plan, batches)
    cell = None
    if table.kind == "rve" and table.rve is not None:
        cell = fingerprint_of(table.rve, settings.kinematics, names)
    meta = {
        "material": {"kind": source.kind, "fingerprint": source.fingerprint, "cell": cell},
        "generate": asked,
        "ranks": 1 if comm is None else comm.size,
        "versions": versions(),
    }
    material, fields = source.material, None
    if wanted.fields:
        from fesurrogate.build.fields import with_fields

        meta["cell"], material, fields = with_fields(material, slopes=wanted.tangents)
    if batches:
        meta[ADDED] = [batch.described() for batch in batches]
    head = Manifest(
        new_uid(), request, settings.kinematics, plan.samples, plan.increments, names,
        wanted.units, meta,
    )  # fmt: skip
    return ensure_stored(
        path, head, material, plan, comm,
        wanted=Wanted(wanted.tangents, wanted.reports, fields),
        fresh=fresh, progress=progress,
    )  # fmt: skip


def _before(path: Path, request: str, comm: Any) -> tuple[int, tuple[Batch, ...]]:
    """Return how many paths of a dataset were drawn, and what was added to them. Collective."""

    def look() -> tuple[int, tuple[Batch, ...]]:
        old = stored(path) if comm is None or comm.rank == 0 else None
        if old is None or old.request != request:
            return 0, ()
        batches = batches_of(old)
        return old.paths - sum(len(batch) for batch in batches), batches

    found = together(comm, look)
    return found if comm is None else comm.bcast(found)


def ensure_stored(
    path: Path,
    head: Manifest,
    source: Material,
    plan: Any,
    comm: Any = None,
    *,
    wanted: Wanted,
    title: str = "generate",
    fresh: bool = False,
    progress: bool = False,
) -> EnsuredDataset:
    """Compute what is missing of a dataset, unless just that is there. Collective.

    Args:
        path: Folder of the dataset.
        head: What is asked for.
        source: The Material that answers.
        plan: The strain paths, a Loading.
        comm: An mpi4py communicator; None works alone.
        wanted: What is kept of the answers.
        title: Of the progress bar.
        fresh: Compute in any case.
        progress: Whether rank 0 shows rate and time left.

    Raises:
        InputError: On all ranks: another run writes there, or the folder cannot be used.
    """
    first = comm is None or comm.rank == 0
    found = together(comm, lambda: _there(path, head) if first and not fresh else None)
    found = found if comm is None else comm.bcast(found)
    if found is not None:
        return EnsuredDataset(found, path, True)
    together(comm, lambda: check_files([path / MANIFEST]) if first else None)
    made, computed = _made(
        path, head, source, plan, comm,
        wanted=wanted, title=title, fresh=fresh, progress=progress,
    )  # fmt: skip
    return EnsuredDataset(made, path, computed == 0)


def _there(path: Path, head: Manifest) -> Manifest | None:
    """Return the manifest of a finished dataset that is just what is asked for."""
    old = stored(path)
    if old is None:
        return None
    same = (old.request, old.paths, old.units) == (head.request, head.paths, head.units)
    return old if same and intact(path, old) else None


def _made(
    path: Path,
    head: Manifest,
    source: Material,
    plan: Any,
    comm: Any,
    *,
    wanted: Wanted,
    title: str,
    fresh: bool,
    progress: bool,
) -> tuple[Manifest, int]:
    """Compute and write what is missing of a dataset; return how many paths that were."""
    from fesurrogate.data.farm import farm
    from fesurrogate.data.lock import locked

    first = comm is None or comm.rank == 0
    with ExitStack() as stack:

        def start() -> Any:
            if not first:
                return None
            stack.enter_context(locked(path))
            return begin(path, head, fresh=fresh)

        started = together(comm, start)
        begun, missing = started if comm is None else comm.bcast(started)
        writer = Writer(path, begun.uid, clock())
        there = begun.paths - len(missing)
        title += f" ({there} of {begun.paths} were there)" if there else ""
        shown = progress and first
        with progress_bar(title, len(missing), unit="paths", enabled=shown) as advance:
            try:
                farm(
                    source, plan, missing, comm,
                    wanted=wanted, keep=writer.add, advance=advance,
                )  # fmt: skip
            except BaseException:
                writer.flush()  # what an error or Ctrl-C would lose
                raise
        together(comm, writer.flush)
        whole = together(comm, lambda: finish(path, begun) if first else None)
        whole = whole if comm is None else comm.bcast(whole)
        assert whole is not None
        return whole, len(missing)


def fingerprint(*ingredients: Any) -> str:
    """Return a hash (16 hex digits) of anything that JSON can say."""
    text = json.dumps(ingredients, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def clock() -> Callable[[], bool]:
    """Return a function that says whether it is time to write again."""
    begin = last = time.monotonic()

    def due() -> bool:
        nonlocal last
        now = time.monotonic()
        if now - last < max(SECONDS_BETWEEN_SHARDS, SHARE_BETWEEN_SHARDS * (now - begin)):
            return False
        last = now
        return True

    return due
