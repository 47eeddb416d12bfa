"""Models that are made once and reused while what they are made from is the same."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fesurrogate.build.calibration import calibration_of, trust_record
from fesurrogate.build.dataset import fingerprint
from fesurrogate.build.places import check_files
from fesurrogate.build.trained import Card, EnsuredModel, ensured, known_card
from fesurrogate.config import Settings
from fesurrogate.data.dataset import Dataset
from fesurrogate.data.store import read_dataset
from fesurrogate.errors import InputError

if TYPE_CHECKING:
    from fesurrogate.train import FitResult

logger = logging.getLogger(__name__)


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

    def train() -> tuple[Card, bool]:
        data = dataset or read_dataset(settings.dataset, settings.kinematics)
        return _train(settings, data, fresh=fresh, progress=progress)

    return ensured(comm, settings.model, train, summary=_summary)


def _summary(errors: Mapping[str, Any]) -> str:
    tangent = "" if errors["tangent"] is None else f", tangent {errors['tangent']:.3%}"
    return (
        f"error on {errors['points']} unseen points: stress {errors['stress']:.3%}"
        f" (worst {errors['worst']:.3%}){tangent}"
    )


def _train(
    settings: Settings, dataset: Dataset, *, fresh: bool, progress: bool
) -> tuple[Card, bool]:
    """Return the card of the model on disk, and whether it was there before."""
    from fesurrogate.surrogate import NetworkMaterial, load_model, save_model
    from fesurrogate.surrogate.model_file import FORMAT as MODEL_FORMAT
    from fesurrogate.train import fit

    path = settings.model
    transfer = settings.train.transfer
    start = None if transfer is None else _content(transfer.model)
    unseen = None
    if settings.calibration is not None:
        unseen = read_dataset(calibration_of(settings).dataset, settings.kinematics)
    request = fingerprint(
        MODEL_FORMAT, dataset.fingerprint, asdict(settings.train), start,
        None if unseen is None else unseen.fingerprint,
    )  # fmt: skip
    known = None if fresh else known_card(path, request, load_model)
    if known is not None:
        return known, True
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
        "ensemble_calibrated": fitted.calibrated,
    }
    trust = None
    if unseen is not None:
        trust = trust_record(NetworkMaterial(fitted.network), dataset, unseen)
    save_model(path, fitted.network, facts, trust=trust)
    if settings.output.pictures:
        _draw(path.with_name("training.png"), settings, dataset, fitted)
    return load_model(path)[1], False


def _content(path: Path) -> str:
    """Return a hash of the model from which training starts."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise InputError(
            f"train.transfer.model {path} cannot be read ({error.strerror}); give a model file"
        ) from error


def _draw(path: Path, settings: Settings, dataset: Dataset, fitted: FitResult) -> None:
    """Write the picture of the training, where matplotlib is installed."""
    try:
        from fesurrogate.train.pictures import draw_training
    except ImportError:
        logger.warning("no %s: matplotlib is not installed", path.name)
        return
    from fesurrogate.train.result import parts_of

    train = settings.train
    draw_training(path, fitted, parts_of(dataset, train.validation, seed=train.seed).judging)
