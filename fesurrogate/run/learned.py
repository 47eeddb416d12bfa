"""What a run has learned: its lessons increment by increment, the dataset and model it leaves."""

from __future__ import annotations

import logging
from pathlib import Path

from mpi4py import MPI

from fesurrogate.build.guard import learning_of
from fesurrogate.build.problem import MacroModel
from fesurrogate.learning import Learning
from fesurrogate.results import LearningEntry

logger = logging.getLogger(__name__)
LEARNED = "learned"
"""Folder in that of the run; with several Materials that learn, it has one for each region."""


def learning_materials(model: MacroModel) -> dict[str, Learning]:
    """Return the Materials that learn, each once, by the first region that has it."""
    found: dict[str, Learning] = {}
    for name, field in model.fields.items():
        material = learning_of(field.material)
        if material is not None and all(material is not other for other in found.values()):
            found[name] = material
    return found


def lessons(model: MacroModel) -> tuple[LearningEntry, ...]:
    """Return what the increment that was just accepted has taught."""
    return tuple(
        lesson for material in learning_materials(model).values() for lesson in material.lessons()
    )


def write_learned(model: MacroModel, output: Path) -> None:
    """Write the dataset and the model of every Material that learns. Collective.

    Raises:
        OSError: They cannot be written; on all ranks.
    """
    from fesurrogate.learning.store import store

    comm: MPI.Intracomm = model.mesh.mesh.comm
    found = learning_materials(model)
    text = ""
    if comm.rank == 0:
        try:
            for name, material in found.items():
                folder = output / LEARNED if len(found) == 1 else output / LEARNED / name
                store(material, folder)
        except OSError as error:
            text = str(error)
    text = comm.bcast(text, root=0)
    if text:
        raise OSError(text)
