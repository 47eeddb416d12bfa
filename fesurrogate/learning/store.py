"""What was learned, on disk: an ordinary dataset and an ordinary model file."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from fesurrogate.data.store import write_dataset
from fesurrogate.learning.history import LearningPaths
from fesurrogate.learning.material import Learning
from fesurrogate.learning.samples import held_out
from fesurrogate.results import versions
from fesurrogate.surrogate import save_model
from fesurrogate.train.errors import errors_on
from fesurrogate.train.sequence import path_errors
from fesurrogate.whole_file import remove_half_written

DATASET, MODEL = "dataset", "model.safetensors"


def store(learning: Learning | LearningPaths, folder: Path) -> None:
    """Write samples and model into a folder, in place of those that are there.

    Each is replaced in one move, so that whoever reads meets a whole one. Nothing is written as
    long as there are no samples. To be called on one rank.

    Args:
        learning: What has learned.
        folder: Made if it is not there.

    Raises:
        InputError: Another process writes there.
        OSError: It cannot be written.
    """
    samples = learning.samples
    if not len(samples):
        return
    facts = {
        **learning.meta,
        "versions": versions(),
        "held_out": int(held_out(samples).sum()),
    }
    data = replace(samples, meta=facts)
    folder.mkdir(parents=True, exist_ok=True)
    remove_half_written(folder)
    write_dataset(data, folder / DATASET)
    if learning.fitted is None or not held_out(samples).any():
        (folder / MODEL).unlink(missing_ok=True)  # one of before is not of these samples
        return
    network = learning.fitted.network()
    judging = samples.take(np.flatnonzero(held_out(samples)))
    measured = path_errors if network.num_state else errors_on
    card = {
        **facts,
        "dataset": data.fingerprint,
        "train": asdict(learning.train),
        "errors": asdict(measured(network, judging)),
    }
    save_model(folder / MODEL, network, card, trust=learning.fitted.trust)
