"""What a run's points went through, as a dataset that ``[generate] recorded`` takes."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path
from typing import final

from fesurrogate.build.places import check_files
from fesurrogate.build.problem import REST, MacroModel
from fesurrogate.build.ranks import together
from fesurrogate.data.dataset import Dataset
from fesurrogate.data.manifest import NAME as MANIFEST
from fesurrogate.data.record import Recorder
from fesurrogate.data.shard import h5py
from fesurrogate.data.store import write_dataset
from fesurrogate.fem.stepping import Increment
from fesurrogate.results import versions

logger = logging.getLogger(__name__)


@final
class PathOutput:
    """Records the strain paths of all points and writes them: ``paths``, or ``paths_REGION``.

    Args:
        model: The run's; nothing of it is changed.
        output: Folder of the run.

    Raises:
        InputError: On all ranks: the folder cannot be written.
        MissingPackageError: On all ranks: h5py is not installed.

    Note:
        All methods are collective. Strains and stresses of all increments stay in memory.
    """

    def __init__(self, model: MacroModel, output: Path) -> None:
        self._model, self._comm = model, model.mesh.mesh.comm
        self._recorders = {
            name: Recorder(field, self._comm) for name, field in model.fields.items()
        }
        self._folders = {
            name: output / ("paths" if name == REST else f"paths_{name}") for name in model.fields
        }
        together(self._comm, self._check)

    def _check(self) -> None:
        h5py()
        if self._comm.rank == 0:
            check_files([folder / MANIFEST for folder in self._folders.values()])

    def __call__(self, increment: Increment) -> None:
        """Take an accepted increment."""
        for recorder in self._recorders.values():
            recorder(increment)

    def write(self, increments: int) -> None:
        """Write what was recorded.

        Args:
            increments: That the run has accepted. Paths that lack some of them, as a run that was
                taken up again has not seen its beginning, do not begin at rest: none are written.
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
            together(self._comm, partial(self._write, recorder.dataset(meta), self._folders[name]))

    def _write(self, dataset: Dataset, folder: Path) -> None:
        if self._comm.rank == 0:
            write_dataset(dataset, folder)
