"""Datasets and models that are made once and reused while what they are made from is the same."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from fesurrogate.build.materials import identify_material
from fesurrogate.build.places import check_files
from fesurrogate.build.ranks import threads_per_rank, together
from fesurrogate.config import Settings
from fesurrogate.data.dataset import FORMAT, Dataset
from fesurrogate.errors import InputError

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class EnsuredDataset:
    """A dataset, its file, and whether it was there before."""

    dataset: Dataset
    path: Path
    reused: bool


@dataclass(frozen=True)
class EnsuredModel:
    """A model file, its card, and whether it was there before."""

    path: Path
    card: Mapping[str, Any]
    reused: bool

    @property
    def summary(self) -> str:
        """One line on what it is worth."""
        errors = self.card["errors"]
        tangent = "" if errors["tangent"] is None else f", tangent {errors['tangent']:.3%}"
        return (
            f"error on {errors['points']} unseen points: stress {errors['stress']:.3%}"
            f" (worst {errors['worst']:.3%}){tangent}"
        )


def ensure_dataset(
    settings: Settings,
    comm: Any = None,
    *,
    fresh: bool = False,
    progress: bool = False,
    allow_code: bool = False,
) -> EnsuredDataset:
    """Return the dataset that ``[generate]`` asks for, generated unless it is there. Collective.

    It is reused if its Material (by fingerprint), Kinematics and ``[generate]`` are the same.

    Args:
        settings: ``[generate].source`` says which kind of ``[material]`` is sampled.
        comm: An mpi4py communicator; None works alone.
        fresh: Generate in any case.
        progress: Whether rank 0 shows rate and time left.
        allow_code: Whether a user's module may be imported.

    Raises:
        InputError: On all ranks: the settings cannot be used.
    """
    from fesurrogate.data.generate import generate
    from fesurrogate.data.sampling import stretches

    if settings.material is None:
        raise InputError("generate: there is no [material] table to sample from")
    wanted, path = settings.generate, settings.dataset
    table = replace(settings.material, kind=wanted.source)
    source = identify_material(table, settings, comm, allow_code=allow_code)
    if source.material.parameter_names:
        names = ", ".join(source.material.parameter_names)
        raise InputError(
            f"generate: the source has the parameters {names}, which are not sampled yet; leave "
            "out [material.parameters]"
        )
    request = fingerprint(FORMAT, repr(settings.kinematics), source.fingerprint, asdict(wanted))
    found = together(comm, lambda: None if fresh else _stored(path, request))
    if all([found is not None] if comm is None else comm.allgather(found is not None)):
        assert found is not None
        return EnsuredDataset(found, path, True)
    first = comm is None or comm.rank == 0
    together(comm, lambda: check_files([path]) if first else None)
    strains = stretches(settings.kinematics, wanted.samples, wanted.stretch, seed=wanted.seed)
    meta = {
        "request": request,
        "material": {"kind": source.kind, "fingerprint": source.fingerprint},
        "generate": asdict(wanted),
    }
    dataset = generate(
        source.material, strains, comm, tangents=wanted.tangents, progress=progress, meta=meta
    )
    together(comm, lambda: dataset.save(path) if first else None)
    return EnsuredDataset(dataset, path, False)


def ensure_model(
    settings: Settings,
    dataset: Dataset | None = None,
    *,
    comm: Any = None,
    fresh: bool = False,
    progress: bool = False,
) -> EnsuredModel:
    """Return the model that ``[train]`` asks for, trained unless it is there. Collective.

    It is reused if the dataset (by fingerprint) and ``[train]`` are the same. Rank 0 trains while
    the others wait. Needs no DOLFINx.

    Args:
        settings: ``[train]`` and the folder.
        dataset: What to train on; the file that ``generate`` writes if None.
        comm: An mpi4py communicator; None works alone.
        fresh: Train in any case.
        progress: Whether rank 0 shows a progress bar.

    Raises:
        InputError: On all ranks: there is no dataset, or one that cannot be learned from.
    """
    threads = threads_per_rank(comm)  # the ranks that wait are not idle

    def work() -> tuple[dict[str, Any], bool] | None:
        if comm is not None and comm.rank > 0:
            return None
        import torch

        torch.set_num_threads(min(threads, torch.get_num_threads()))
        data = dataset or Dataset.load(settings.dataset, settings.kinematics)
        return _train(settings, data, fresh=fresh, progress=progress)

    done = together(comm, work)
    card, reused = done if comm is None else comm.bcast(done, root=0)  # type: ignore[misc]
    return EnsuredModel(settings.model, card, reused)


def _train(
    settings: Settings, dataset: Dataset, *, fresh: bool, progress: bool
) -> tuple[dict[str, Any], bool]:
    """Return the card of the model on disk, and whether it was there before."""
    from fesurrogate.surrogate import load_model, save_model
    from fesurrogate.surrogate.model_file import FORMAT as MODEL_FORMAT
    from fesurrogate.train import fit

    path = settings.model
    request = fingerprint(MODEL_FORMAT, dataset.fingerprint, asdict(settings.train))
    if not fresh and path.is_file():
        try:
            _, card = load_model(path)
        except InputError as error:
            logger.warning("%s; training it again", error)
        else:
            if card.get("request") == request:
                return card, True
    check_files([path])
    fitted = fit(dataset, settings.train, progress=progress)
    facts = {
        "request": request,
        "dataset": dataset.fingerprint,
        "material": dataset.meta.get("material"),
        "envelope": dataset.meta.get("generate"),
        "train": asdict(settings.train),
        "errors": asdict(fitted.errors),
        "seconds": fitted.seconds,
    }
    save_model(path, fitted.network, facts)
    return load_model(path)[1], False


def fingerprint(*ingredients: Any) -> str:
    """Return a hash (16 hex digits) of anything that JSON can say."""
    text = json.dumps(ingredients, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _stored(path: Path, request: str) -> Dataset | None:
    """Return the dataset at the path if it answers the request."""
    if not path.is_file():
        return None
    try:
        dataset = Dataset.load(path)
    except InputError as error:
        logger.warning("%s; generating it again", error)
        return None
    return dataset if dataset.meta.get("request") == request else None
