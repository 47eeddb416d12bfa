"""``[material.guard]``: a surrogate where it is trusted, the reference elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from fesurrogate.build.context import naming
from fesurrogate.build.ranks import together
from fesurrogate.combine import Balanced, Guarded
from fesurrogate.combine.guarded import Truth
from fesurrogate.config.material import GuardSettings, MaterialSettings
from fesurrogate.errors import InputError
from fesurrogate.laws.rotated import Rotated
from fesurrogate.learning import Learning, LearningPaths
from fesurrogate.material import Material
from fesurrogate.trust import FixedMeasure, Trust, trust_from


def guarded(
    surrogate: Material,
    reference: Material,
    guard: GuardSettings,
    model: Path | None,
    *,
    increments: int,
    where: str,
    comm: Any = None,
) -> Guarded:
    """Return the surrogate with its guard. Collective.

    Args:
        surrogate: What the model file or the table holds, as a Material.
        reference: What answers elsewhere; its points are spread over the ranks of ``comm``.
        guard: The settings.
        model: The model file, with the record of its trust; None of a table, which is trusted
            wherever it has an answer.
        increments: Of the run, where it is known; 0 otherwise.
        where: Name of the table, for messages.
        comm: An mpi4py communicator, if all ranks evaluate together; else None.

    Raises:
        InputError: On all ranks: the model's trust is not calibrated, or the two do not match.
    """
    from fesurrogate.hierarchical.outside import Outside
    from fesurrogate.surrogate.model_file import load_trust

    def made() -> Guarded:
        with naming(f"{where}.guard"):
            if surrogate.num_state:
                check_room(guard, increments)
            if model is None:
                trust = Trust([FixedMeasure(Outside())], guard.tolerance)
            else:
                trust = trust_from(
                    load_trust(model), surrogate.kinematics, guard.tolerance, names=guard.measures
                )
            exact = reference if comm is None or comm.size == 1 else Balanced(reference, comm)
            return Guarded(
                surrogate, exact, trust,
                policy=guard.policy, max_increments=guard.max_increments, comm=comm,
            )  # fmt: skip

    return together(comm, made)


def check_room(guard: GuardSettings, increments: int) -> None:
    """Refuse paths that are too short for a run.

    Raises:
        InputError: They are.
    """
    if increments > guard.max_increments:
        raise InputError(
            f"max_increments is {guard.max_increments}, but the run has {increments} "
            "increments, and paths as long must be kept: give at least as many, and some "
            "more for steps that are cut"
        )


def reference_table(
    table: MaterialSettings, turned: Sequence[str], names: Sequence[str]
) -> MaterialSettings:
    """Return the table of the Material that answers where the surrogate is not trusted.

    Args:
        table: That of the surrogate.
        turned: Parameters of an orientation, which both have outside of the guard.
        names: Parameters of the surrogate, in whose order the reference has them.
    """
    assert table.guard is not None
    given = {name: value for name, value in (table.parameters or {}).items() if name not in turned}
    given = {name: given[name] for name in names if name in given} | given
    return replace(
        table, kind=table.guard.reference, guard=None, rotated=False, parameters=given or None
    )


def guard_of(material: Material) -> tuple[Guarded, Material] | None:
    """Return the guard in a Material, which may be turned, and its reference turned alike.

    The reference is asked as :class:`~fesurrogate.combine.guarded.Truth` says. None where no guard
    is.
    """
    if isinstance(material, Learning | LearningPaths):
        return guard_of(material.guarded)
    if isinstance(material, Guarded):
        return material, Truth(material)
    if isinstance(material, Rotated) and (inner := guard_of(material.material)) is not None:
        return inner[0], material.around(inner[1])
    return None


def learning_of(material: Material) -> Learning | LearningPaths | None:
    """Return the Material that learns in a Material, which may be turned; None where none is."""
    if isinstance(material, Learning | LearningPaths):
        return material
    return learning_of(material.material) if isinstance(material, Rotated) else None
