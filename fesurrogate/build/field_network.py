"""Field networks of settings, trained once and reused while what they are made from is the same."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fesurrogate.build.cell_image import check_alike, facts_of
from fesurrogate.build.dataset import fingerprint
from fesurrogate.build.places import check_files
from fesurrogate.build.trained import Card, EnsuredModel, ensured, known_card
from fesurrogate.config import Settings
from fesurrogate.data.farm import FLUCTUATION
from fesurrogate.data.store import read_dataset
from fesurrogate.errors import InputError

if TYPE_CHECKING:
    from fesurrogate.train.field import CellFields

DATASET, IMAGE = "dataset", "cell_image.npz"
"""What is in an output folder."""


def ensure_field_network(
    settings: Settings, *, comm: Any = None, fresh: bool = False, progress: bool = False
) -> EnsuredModel:
    """Return the field network that ``[train]`` asks for, trained unless it is there. Collective.

    It is reused if datasets, images and ``[train]`` are the same. Rank 0 trains while the others
    wait. Needs no DOLFINx.

    Args:
        settings: ``[train]`` and the folder.
        comm: An mpi4py communicator; None works alone.
        fresh: Train in any case.
        progress: Whether rank 0 shows a progress bar.

    Raises:
        InputError: On all ranks: data are missing, of cells that differ in more than their image,
            or cannot be learned from.
    """

    def train() -> tuple[Card, bool]:
        return _trained(settings, fresh=fresh, progress=progress)

    return ensured(comm, settings.field_network, train, summary=_summary)


def _summary(errors: Mapping[str, Any]) -> str:
    return (
        f"error of the fluctuation on {errors['points']} unseen points: "
        f"{errors['field']:.2%} (with its linear part alone {errors['linear']:.1%})"
    )


def _trained(settings: Settings, *, fresh: bool, progress: bool) -> tuple[Card, bool]:
    """Return the card of the network on disk, and whether it was there before."""
    from fesurrogate.surrogate.field_file import FORMAT, load_field, save_field
    from fesurrogate.train.field import fit_field

    path, train = settings.field_network, settings.train
    folders = [settings.folder, *train.field_network.also]
    contents = [_content(folder / IMAGE) for folder in folders]
    found = [_fields_of(folder, settings) for folder in folders]
    cells, fingerprints = [cell for cell, _ in found], [name for _, name in found]
    request = fingerprint(FORMAT, contents, fingerprints, asdict(train))
    known = None if fresh else known_card(path, request, load_field)
    if known is not None:
        return known, True
    images = [cell.image for cell in cells]
    for folder, image in zip(folders, images, strict=True):
        check_alike(facts_of(images[0]), image, f"the cell of {folder}")
        if image.image.shape[1:] != (train.field_network.grid,) * (image.image.ndim - 1):
            raise InputError(
                f"{folder / IMAGE} has {image.image.shape[1]} points an edge, but [train."
                f"field_network] grid is {train.field_network.grid}; generate again, or take that"
            )
    check_files([path])
    fitted = fit_field(cells, train, progress=progress)
    card = {
        **facts_of(images[0]),
        "request": request,
        "grid": train.field_network.grid,
        "cells": [image.cell for image in images],
        "datasets": fingerprints,
        "train": asdict(train),
        "errors": {
            "field": fitted.error, "linear": fitted.linear_error, "points": fitted.points,
        },
        "seconds": fitted.seconds,
    }  # fmt: skip
    save_field(path, fitted.operator, card)
    return load_field(path)[1], False


def _content(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def _fields_of(folder: Path, settings: Settings) -> tuple[CellFields, str]:
    """Return the fields of an output folder and the fingerprint of their dataset.

    Raises:
        InputError: There are none.
    """
    from fesurrogate.surrogate.cell_image import MADE, load_image
    from fesurrogate.train.field import CellFields

    image = load_image(folder / IMAGE)
    data = read_dataset(folder / DATASET, settings.kinematics)
    if FLUCTUATION not in data.reports or data.meta.get("cell") != image.cell:
        raise InputError(f"dataset {folder / DATASET} holds no fields of {IMAGE} beside it; {MADE}")
    if data.parameter_names != tuple(image.parameters):
        raise InputError(f"{folder}: dataset and {IMAGE} have other parameters; {MADE}")
    ok = data.ok  # (N, T)
    if not ok.any():
        raise InputError(f"all points of {folder / DATASET} failed; there is nothing to learn")
    assert data.parameters is not None
    each = np.repeat(data.parameters[:, None], data.increments, axis=1)  # (N, T, p)
    fields = data.reports[FLUCTUATION][ok].astype(np.float64)
    return CellFields(image, data.strain[ok], fields, each[ok]), data.fingerprint
