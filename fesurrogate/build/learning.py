"""``[material.learning]``: a guarded surrogate that is fitted while the run goes on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fesurrogate.build.context import Context, naming
from fesurrogate.build.guard import check_room
from fesurrogate.build.ranks import together
from fesurrogate.combine import Balanced
from fesurrogate.config import Settings
from fesurrogate.config.learning import LearningSettings
from fesurrogate.config.material import GuardSettings, MaterialSettings, NetworkSettings
from fesurrogate.data.dataset import Dataset
from fesurrogate.data.store import read_dataset
from fesurrogate.errors import InputError
from fesurrogate.kinematics import Kinematics
from fesurrogate.learning import Learning, LearningPaths, Untaught, untaught
from fesurrogate.material import Material

if TYPE_CHECKING:
    from fesurrogate.build.materials import IdentifiedMaterial

DATASET = "dataset"
"""Folder of the dataset, in that of what a run has learned."""


def check_learning(table: MaterialSettings, where: str) -> None:
    """Refuse what a Material that learns cannot be.

    Raises:
        InputError: There is no guard, or one that asks for what learning does not give.
    """
    network, guard = table.network or NetworkSettings(), table.guard
    with naming(f"{where}.learning"):
        if guard is None:
            raise InputError(f"only a guarded surrogate learns; add [{where}.guard]")
        if guard.policy != "fallback":
            raise InputError(
                f"guard.policy is {guard.policy!r}; expected 'fallback': one learns from the "
                "points that fall back"
            )
        if network.model is not None or network.servers or network.device != "cpu":
            raise InputError(
                "[network] names a model or a device; leave it out: the model comes from the run, "
                "and where it begins from data, start names their dataset"
            )


def untaught_of(table: MaterialSettings, context: Context) -> tuple[Material, Any]:
    """Return what stands for the surrogate before anything is learned."""
    return Untaught(context.kinematics, context.parameters), "learning"


def learning(
    table: MaterialSettings,
    settings: Settings,
    reference: IdentifiedMaterial,
    *,
    where: str,
    threads: int,
    comm: Any = None,
) -> tuple[Learning | LearningPaths, Any]:
    """Return the Material that learns, and what it is made of beside its reference. Collective.

    Args:
        table: Checked by :func:`check_learning`.
        settings: The whole; ``[train]`` says what is fitted.
        reference: What is learned from.
        where: Name of the table, for messages.
        threads: Of torch.
        comm: An mpi4py communicator, if all ranks evaluate together; else None.

    Raises:
        InputError: On all ranks: data to begin with that do not fit, or a reference with
            history and what is not learned with it.
    """
    import torch

    guard, wanted = table.guard, table.learning or LearningSettings()
    assert guard is not None
    first = comm is None or comm.rank == 0

    def read() -> Dataset | None:
        with naming(f"{where}.learning.start"):
            if wanted.start is None or not first:
                return None
            return _checked(_read(wanted.start, settings.kinematics), reference.fingerprint)

    start = together(comm, read)
    if comm is not None:
        start = comm.bcast(start, root=0)

    meta = {"material": {"kind": guard.reference, "fingerprint": reference.fingerprint}}

    def made() -> Learning | LearningPaths:
        with naming(f"{where}.learning"):
            exact = reference.material
            if comm is not None and comm.size > 1:
                exact = Balanced(exact, comm)
            if exact.num_state:
                _check_history(guard, len(settings.steps.end_times))
                return LearningPaths(
                    exact, settings.train,
                    tolerance=guard.tolerance, max_increments=guard.max_increments,
                    settings=wanted, start=start, meta=meta, comm=comm,
                    threads=min(threads, torch.get_num_threads()),
                )  # fmt: skip
            begin = untaught(
                exact, settings.train, tolerance=guard.tolerance, measures=guard.measures
            )
            return Learning(
                begin, settings.train,
                settings=wanted, start=start, meta=meta, comm=comm,
                threads=min(threads, torch.get_num_threads()),
            )  # fmt: skip

    kept = {**asdict(wanted), "start": None if start is None else start.fingerprint}
    return together(comm, made), [kept, repr(settings.train)]


def _check_history(guard: GuardSettings, increments: int) -> None:
    """Refuse what is not learned with history."""
    check_room(guard, increments)
    if guard.certify:
        raise InputError(
            "guard.certify, with history, asks for one model from begin to end; leave it out, and "
            "certify a run with the model that this one leaves behind"
        )
    if guard.measures not in (None, ("deviation",)):
        raise InputError(
            f"guard.measures are {list(guard.measures or ())}; what is learned with history is "
            'judged by "deviation" alone'
        )


def _read(place: Path, kinematics: Kinematics) -> Dataset:
    """Read a dataset from its folder, or from that of what a run has learned."""
    inside = place / DATASET
    return read_dataset(inside if inside.is_dir() else place, kinematics)


def _checked(dataset: Dataset, fingerprint: str) -> Dataset:
    """Refuse the dataset of another Material, where it says of which it is."""
    made = dataset.meta.get("material")
    found = made.get("fingerprint") if isinstance(made, Mapping) else None
    if found is not None and found != fingerprint:
        raise InputError(
            f"the dataset is of another material ({found}; this one is {fingerprint}): name one "
            "that was made from the same cell, or none"
        )
    return dataset
