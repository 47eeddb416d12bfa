"""The checkpoints of a run: what they keep of it beside the problem's state, when, and for whom."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, final

import numpy as np
from mpi4py import MPI

from fesurrogate.build.problem import MacroModel
from fesurrogate.build.ranks import together
from fesurrogate.checkpoint import (
    Saved,
    Store,
    load_beside,
    load_problem,
    mesh_fingerprint,
    original_numbers,
    save_problem,
)
from fesurrogate.checkpoint.archive import Archive
from fesurrogate.config import OutputSettings
from fesurrogate.errors import InputError
from fesurrogate.fem.stepping import Position
from fesurrogate.results import HistoryEntry, MicroEntry, MicroResults
from fesurrogate.run.micro_output import MicroOutput
from fesurrogate.warmstart import Led

logger = logging.getLogger(__name__)
CHECKPOINTS = "checkpoint"
"""Folder of the checkpoints, in that of the run."""


@dataclass(frozen=True)
class Taken:
    """What a run goes on from; by default from nothing.

    Attributes:
        position: How far the load has come.
        history: The increments so far.
        seconds: ``setup``, ``output`` and ``total`` so far.
        micro: Localisation so far.
        restarts: Times at which the run was taken up, now included.
    """

    position: Position = Position()
    history: Sequence[HistoryEntry] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
    micro: MicroResults | None = None
    restarts: tuple[float, ...] = ()


@final
class Keeper:
    """Writes the checkpoints of a run and takes one up. Every method is collective.

    Attributes:
        newest: The checkpoint that was written or taken last.
    """

    def __init__(
        self,
        output: Path | None,
        comm: MPI.Intracomm,
        settings: OutputSettings,
        led: Led | None = None,
    ) -> None:
        self.newest: Path | None = None
        self._comm = comm
        self._store = Store(output / CHECKPOINTS) if output is not None else None
        self._identity: dict[str, str] = {}
        self._restarts: tuple[float, ...] = ()
        self._since = 0
        self._written = time.perf_counter()
        self._settings, self._led = settings, led
        self._position: Position | None = None

    @classmethod
    @contextmanager
    def held(
        cls,
        output: Path | None,
        comm: MPI.Intracomm,
        settings: OutputSettings,
        *,
        led: Led | None = None,
    ) -> Iterator[Keeper]:
        """Give the keeper of a folder, from which other runs are kept out until the block ends.

        Args:
            output: The folder; nothing is kept if None.
            comm: The ranks.
            settings: When checkpoints are written.
            led: What leads the run, whose states are kept, too.

        Raises:
            InputError: On all ranks: another run is at work there, or it cannot be written to.
        """
        keeper = cls(output, comm, settings, led)
        with ExitStack() as stack:

            def enter() -> None:
                try:
                    if keeper._store is not None and comm.rank == 0:
                        stack.enter_context(keeper._store.held())
                except OSError as error:
                    raise InputError(f"cannot write to {output}: {error.strerror}") from error

            together(comm, enter)
            yield keeper

    def take(self, model: MacroModel) -> Taken:
        """Bring a problem to its newest checkpoint; to its start where there is none.

        Raises:
            InputError: On all ranks: the checkpoints are of another run, damaged or hostile.
        """
        if self._store is None:
            raise InputError("there is nothing to restart from: the run has no output folder")
        store, comm = self._store, self._comm
        source = together(comm, lambda: store.newest() if comm.rank == 0 else None)
        try:
            if comm.bcast(source is None, root=0):
                if comm.rank == 0:
                    logger.warning("no checkpoint in %s: the run begins anew", store.folder)
                return Taken()
            return self._taken(model, source)
        finally:
            if source is not None:
                source.close()

    def _taken(self, model: MacroModel, source: Archive | None) -> Taken:
        self.newest = self._comm.bcast(source.path if source is not None else None, root=0)
        saved = load_problem(source, model.problem, model.fields, self._identity_of(model))
        try:
            taken = _from_json(saved)
            self._resume(source, saved)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(f"{self.newest} is no checkpoint of this version ({error})") from error
        self._restarts, self._position = taken.restarts, taken.position
        return taken

    def _resume(self, source: Archive | None, saved: Saved) -> None:
        """Let what leads the run go on from where it was; without that it begins anew."""
        facts = saved.extra.get("led")
        if self._led is None or facts is None:
            return
        _, expected = self._led.kept()
        rows = load_beside(source, expected, self._comm)
        if rows is not None:
            self._led.resume(facts, rows)

    def due(self, last: bool) -> bool:
        """Return whether to write a checkpoint of the increment that was just accepted.

        Args:
            last: Whether it is the last one.
        """
        self._since += 1
        wanted = self._settings
        waited = time.perf_counter() - self._written >= 60 * wanted.checkpoint_minutes
        often = wanted.checkpoint > 0 and self._since >= wanted.checkpoint
        wants = self._store is not None and often and (waited or last)
        return bool(self._comm.bcast(wants, root=0))  # clocks differ

    def write(
        self,
        model: MacroModel,
        position: Position,
        history: Sequence[HistoryEntry],
        seconds: Mapping[str, float],
        micro: MicroOutput | None,
    ) -> None:
        """Write a checkpoint of the accepted state, unless the newest one is of it.

        Raises:
            OSError: On all ranks: it cannot be written. Those before are as they were.
        """
        assert self._store is not None
        if position == self._position:
            return
        led, beside = self._led.kept() if self._led else (None, [])
        extra = {
            "history": [asdict(entry) for entry in history],
            "seconds": dict(seconds),
            "micro": asdict(micro.results()) if micro else None,
            "restarts": list(self._restarts),
            "led": led,
        }
        saved = Saved(position, self._identity_of(model), extra)
        self.newest = save_problem(self._store, model.problem, model.fields, saved, beside=beside)
        self._since, self._written, self._position = 0, time.perf_counter(), position

    def said(self) -> str:
        """Return where the checkpoint lies, for the end of a message."""
        if self.newest is None:
            return "; there is no checkpoint"
        return f"; the checkpoint is {self.newest}: continue with --restart"

    def _identity_of(self, model: MacroModel) -> dict[str, str]:
        if not self._identity:
            self._identity = identity(model)
        return self._identity


def identity(model: MacroModel) -> dict[str, str]:
    """Return a hash of each part that a run is made of. Collective.

    What may change between two parts of a run is left out: PETSc's options of the macro scale,
    initial guesses, ``max_cuts``, and what is written.
    """
    settings, mesh = model.settings, model.mesh.mesh
    numbers = original_numbers(mesh)
    regions = {}
    for name, held in model.fields.items():
        every = mesh.comm.allgather(numbers[held.cells])
        regions[name] = np.sort(np.concatenate(every)).tolist()
    tables = settings.tables
    made = {
        name: (material.fingerprint, tables[name].parameters)
        for name, material in model.materials.items()
    }
    loads = settings.dirichlet, settings.traction, settings.body
    parts: dict[str, Any] = {
        "kinematics": settings.kinematics,
        "mesh": mesh_fingerprint(mesh),
        "regions": regions,
        "macro": replace(settings.macro, initial_guess="previous", surrogate="network"),
        "material": made,
        "loads": loads,
        "steps": settings.steps.end_times,
        "probes and reactions": (settings.probe, settings.reaction),
    }
    return {
        name: hashlib.sha256(repr(part).encode()).hexdigest()[:16] for name, part in parts.items()
    }


def _from_json(saved: Saved) -> Taken:
    """Return what a checkpoint keeps beside the state; raises whatever a hostile one makes it."""
    extra = saved.extra
    history = tuple(_entry(HistoryEntry, entry) for entry in extra["history"])
    if any(entry.time > saved.position.time for entry in history):
        raise ValueError("increments beyond the time of the checkpoint")
    micro = extra["micro"]
    if micro is not None:
        files = {
            str(name): tuple(_entry(MicroEntry, entry) for entry in entries)
            for name, entries in micro["files"].items()
        }
        micro = MicroResults(
            rve_solves=int(micro["rve_solves"]),
            micro_iterations=int(micro["micro_iterations"]),
            files=files,
        )
    restarts = (*(float(time) for time in extra["restarts"]), saved.position.time)
    seconds = {str(name): float(spent) for name, spent in extra["seconds"].items()}
    return Taken(saved.position, history, seconds, micro, restarts)


def _entry(kind: Any, entry: Mapping[str, Any]) -> Any:
    known = {item.name: entry[item.name] for item in fields(kind) if item.name in entry}
    known["time"] = float(known["time"])
    if "residual_norms" in known:
        known["newton_iterations"] = int(known["newton_iterations"])
        known["residual_norms"] = tuple(float(norm) for norm in known["residual_norms"])
    for name in ("reaction", "probes"):
        if name in known:
            known[name] = {str(k): [float(x) for x in v] for k, v in known[name].items()}
    return kind(**known)
