"""What a run has learned: its lessons increment by increment, the dataset and model it leaves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from fesurrogate.build.guard import learning_of
from fesurrogate.build.problem import MacroModel
from fesurrogate.config import Settings
from fesurrogate.errors import InputError
from fesurrogate.fem.output import run_on_root
from fesurrogate.learning import Learning, LearningPaths
from fesurrogate.results import LearningEntry

LEARNED = "learned"
"""Folder in that of the run; with several Materials that learn, it has one for each region."""


def check_starts(settings: Settings, output: Path) -> None:
    """Refuse to begin from what the run itself will leave: a restart could not begin from it again.

    Args:
        settings: The problem.
        output: Folder of the run.

    Raises:
        InputError: A ``start`` lies in the folder of what is learned there.
    """
    own = (output / LEARNED).resolve()
    for table in settings.tables.values():
        start = table.learning.start if table.learns and table.learning else None
        if start is not None and start.resolve().is_relative_to(own):
            raise InputError(
                f"learning.start is {start}, which this run writes itself; name another folder "
                "for this run with --output, or move that one away first"
            )


def learning_materials(model: MacroModel) -> dict[str, Learning | LearningPaths]:
    """Return the Materials that learn, each once, by the first region that has it."""
    found: dict[str, Learning | LearningPaths] = {}
    for name, field in model.fields.items():
        material = learning_of(field.material)
        if material is not None and all(material is not other for other in found.values()):
            found[name] = material
    return found


def lessons(model: MacroModel) -> tuple[LearningEntry, ...]:
    """Return what the increment that was just accepted has taught, each with its region.

    A Material that several regions share has learned from each of them.
    """
    return tuple(
        replace(lesson, region=name)
        for name, material in learning_materials(model).items()
        for lesson in material.lessons()
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
        errors = []
        for name, material in found.items():
            try:
                store(material, output / LEARNED if len(found) == 1 else output / LEARNED / name)
            except (InputError, OSError) as error:
                errors.append(error)  # what the others have learned is written all the same
        if errors:
            raise errors[0]

    if found:
        run_on_root(model.mesh.mesh.comm, write)
