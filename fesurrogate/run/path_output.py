"""What a run's points went through, as a dataset that ``[generate] recorded`` takes.

Each accepted increment goes to a file beside the checkpoints, point by point under the number of
its cell: a run that is taken up again, on any number of ranks, knows its beginning.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import final

import numpy as np

from fesurrogate.build.places import check_files
from fesurrogate.build.problem import MacroModel
from fesurrogate.build.ranks import together
from fesurrogate.checkpoint import PointRows, Store, load_beside, original_numbers, save_beside
from fesurrogate.checkpoint.archive import Archive
from fesurrogate.config.settings import REST
from fesurrogate.data.manifest import NAME as MANIFEST
from fesurrogate.data.record import Recorder
from fesurrogate.data.shard import h5py
from fesurrogate.data.store import write_dataset
from fesurrogate.errors import InputError
from fesurrogate.fem.output import run_on_root
from fesurrogate.fem.stepping import Increment
from fesurrogate.kinematics import Array
from fesurrogate.results import versions

logger = logging.getLogger(__name__)
JOURNAL = "checkpoint/paths"
"""Folder of the increments, in that of the run."""


@final
class PathOutput:
    """Records the strain paths of all points and writes them: ``paths``, or ``paths_REGION``.

    Args:
        model: The run's; nothing of it is changed.
        output: Folder of the run.
        times: Of the increments that the run has accepted before; none of a run that begins.

    Raises:
        InputError: On all ranks: the folder cannot be written.
        MissingPackageError: On all ranks: h5py is not installed.

    Note:
        All methods are collective. Strains and stresses of all increments stay in memory.
    """

    def __init__(self, model: MacroModel, output: Path, times: Sequence[float] = ()) -> None:
        self._model, self._comm = model, model.mesh.mesh.comm
        self._recorders = {
            name: Recorder(field, self._comm) for name, field in model.fields.items()
        }
        self._folders = {
            name: output / ("paths" if name == REST else f"paths_{name}") for name in model.fields
        }
        self._journal = Store(output / JOURNAL)
        together(self._comm, partial(self._check, len(times)))
        self._whole = all(self._taken_up(k + 1, time) for k, time in enumerate(times))

    def _check(self, count: int) -> None:
        h5py()
        if self._comm.rank == 0:
            check_files([folder / MANIFEST for folder in self._folders.values()])
            self._journal.cut(count)

    def _taken_up(self, number: int, time: float) -> bool:
        """Take an increment of before from its file; return whether it is there."""
        comm = self._comm

        def opened() -> Archive | None:
            try:
                return self._journal.opened(number) if comm.rank == 0 else None
            except InputError as error:
                logger.warning("%s", error)
                return None

        source = together(comm, opened)
        try:
            facts = comm.bcast(source.facts if source is not None else None, root=0)
            if facts is None or facts.get("time") != time:
                return False
            found = load_beside(source, self._rows(empty=True), comm)
        except InputError as error:
            if comm.rank == 0:
                logger.warning("%s", error)
            return False
        finally:
            if source is not None:
                source.close()
        if found is None or not isinstance(facts.get("dt"), float):
            return False
        for k, recorder in enumerate(self._recorders.values()):
            strain, stress, ok = found[3 * k : 3 * k + 3]
            recorder.take({"strain": strain, "stress": stress, "ok": ok[:, 0] != 0.0}, facts["dt"])
        return True

    def _rows(self, *, empty: bool = False) -> list[PointRows]:
        """Return strain, stress and success of the points of each field, at its last increment."""
        rows: list[PointRows] = []
        for name, recorder in self._recorders.items():
            field = self._model.fields[name]
            m = field.material.kinematics.size
            if empty:
                parts: list[Array] = [np.zeros((field.num_points, k)) for k in (m, m, 1)]
            else:
                now = recorder.newest()
                parts = [now["strain"], now["stress"], now["ok"][:, None].astype(np.float64)]
            rows += [(field, part) for part in parts]
        return rows

    def __call__(self, increment: Increment) -> None:
        """Take an accepted increment.

        Raises:
            OSError: On all ranks: it cannot be written.
        """
        if not self._whole:
            return
        for recorder in self._recorders.values():
            recorder(increment)
        facts = {"time": increment.time, "dt": float(increment.dt)}
        save_beside(self._journal, self._rows(), facts, self._comm)

    def write(self, increments: int) -> None:
        """Write what was recorded, the points in the order of their cells in the mesh's file.

        Args:
            increments: That the run has accepted. Paths that lack some of them, as of a run whose
                first part did not record them, do not begin at rest: none are written.
        """
        for name, recorder in self._recorders.items():
            if not recorder.increments or recorder.increments < increments:
                if self._comm.rank == 0:
                    logger.warning(
                        "%s is not written: %d of %d increments were recorded",
                        self._folders[name], recorder.increments, increments,
                    )  # fmt: skip
                continue
            source = self._model.materials[name]
            meta = {
                "material": {"kind": source.kind, "fingerprint": source.fingerprint},
                "region": name,
                "versions": versions(),
            }
            dataset = recorder.dataset(meta).take(self._order(name))
            run_on_root(self._comm, partial(write_dataset, dataset, self._folders[name]))

    def _order(self, name: str) -> np.ndarray:  # (N,)
        """Return the numbers of the points of all ranks, by cell in the mesh's file."""
        field = self._model.fields[name]
        cells = original_numbers(field.mesh)[field.cells]
        own = np.repeat(cells, field.num_points // max(1, len(cells)))
        return np.argsort(np.concatenate(self._comm.allgather(own)), kind="stable")
