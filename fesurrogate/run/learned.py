"""What a run has learned: its lessons increment by increment, the dataset and model it leaves."""

from __future__ import annotations

from pathlib import Path

from fesurrogate.build.guard import learning_of
from fesurrogate.build.problem import MacroModel
from fesurrogate.fem.output import run_on_root
from fesurrogate.learning import Learning
from fesurrogate.results import LearningEntry

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
        InputError: Another process writes there; on all ranks.
        OSError: They cannot be written; on all ranks.
    """
    from fesurrogate.learning.store import store

    found = learning_materials(model)

    def write() -> None:
        for name, material in found.items():
            store(material, output / LEARNED if len(found) == 1 else output / LEARNED / name)

    if found:
        run_on_root(model.mesh.mesh.comm, write)
