"""Field networks of settings: the image of a cell, a network trained on images, a guess of it."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fesurrogate.build.context import Context, context_of
from fesurrogate.build.dataset import fingerprint
from fesurrogate.build.places import check_files
from fesurrogate.build.ranks import threads_per_rank, together
from fesurrogate.config import Settings
from fesurrogate.config.cell import RVESettings
from fesurrogate.data.farm import FLUCTUATION
from fesurrogate.data.store import read_dataset
from fesurrogate.errors import InputError

if TYPE_CHECKING:
    from fesurrogate.micro import RVEMaterial
    from fesurrogate.surrogate.cell_image import CellImage
    from fesurrogate.train.field import CellFields
    from fesurrogate.warmstart.field import FieldGuess

logger = logging.getLogger(__name__)
ALIKE = 1e-6  # difference of two lattices in units of their sizes
DATASET, IMAGE = "dataset", "cell_image.npz"
"""What is in an output folder."""


def laws_of(table: RVESettings) -> str:
    """Return what the laws of a cell's phases and its boundary are known by."""
    return fingerprint(
        {name: asdict(phase) for name, phase in table.phases.items()}, table.boundary
    )


def ensure_image(settings: Settings, comm: Any = None, *, allow_code: bool = False) -> Path:
    """Write the image of the cell that ``[generate]`` has sampled. Collective.

    Raises:
        InputError: On all ranks: there is no cell, it is not periodic, or it cannot be written.
    """

    def work() -> None:
        from fesurrogate.build.cells import solved_cell
        from fesurrogate.surrogate.cell_image import save_image
        from fesurrogate.warmstart.imaging import image_of

        if comm is not None and comm.rank > 0:
            return
        table = settings.material.rve if settings.material else None
        if table is None:
            raise InputError("train.model is 'field_network', but there is no [material.rve]")
        ranges = settings.generate.parameters
        context = replace(context_of(settings, allow_code=allow_code), parameters=tuple(ranges))
        material, _ = solved_cell(table, context)
        middle = {name: (low + high) / 2 for name, (low, high) in ranges.items()}
        points = settings.train.field_network.grid
        image = image_of(material, points, laws=laws_of(table), parameters=middle)
        check_files([settings.cell_image])
        save_image(settings.cell_image, image)

    together(comm, work)
    return settings.cell_image


@dataclass(frozen=True)
class EnsuredField:
    """A field network on disk, its card, and whether it was there before."""

    path: Path
    card: Mapping[str, Any]
    reused: bool

    @property
    def summary(self) -> str:
        """One line on what it is worth."""
        errors = self.card["errors"]
        return (
            f"error of the fluctuation on {errors['points']} unseen points: "
            f"{errors['field']:.2%} (with its linear part alone {errors['linear']:.1%})"
        )


def ensure_field_network(
    settings: Settings, *, comm: Any = None, fresh: bool = False, progress: bool = False
) -> EnsuredField:
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
    threads = threads_per_rank(comm)  # the ranks that wait are not idle

    def work() -> tuple[dict[str, Any], bool] | None:
        if comm is not None and comm.rank > 0:
            return None
        import torch

        torch.set_num_threads(min(threads, torch.get_num_threads()))
        return _trained(settings, fresh=fresh, progress=progress)

    done = together(comm, work)
    card, reused = done if comm is None else comm.bcast(done, root=0)  # type: ignore[misc]
    return EnsuredField(settings.field_network, card, reused)


def _trained(settings: Settings, *, fresh: bool, progress: bool) -> tuple[dict[str, Any], bool]:
    """Return the card of the network on disk, and whether it was there before."""
    from fesurrogate.surrogate.field_file import FORMAT, load_field, save_field
    from fesurrogate.train.field import fit_field

    path, train = settings.field_network, settings.train
    folders = [settings.folder, *train.field_network.also]
    contents = [_content(folder / IMAGE) for folder in folders]
    found = [_fields_of(folder, settings) for folder in folders]
    cells, fingerprints = [cell for cell, _ in found], [name for _, name in found]
    request = fingerprint(FORMAT, contents, fingerprints, asdict(train))
    if not fresh and path.is_file():
        try:
            _, card = load_field(path)
        except InputError as error:
            logger.warning("%s; training it again", error)
        else:
            if card.get("request") == request:
                return card, True
    images = [cell.image for cell in cells]
    for folder, image in zip(folders, images, strict=True):
        _check_alike(facts_of(images[0]), image, f"the cell of {folder}")
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


def facts_of(image: CellImage) -> dict[str, Any]:
    """Return, as JSON can say it, what cells that share a network have in common."""
    return {
        "kinematics": [image.kinematics.gdim, image.kinematics.measure],
        "phases": list(image.names),
        "lattice": image.lattice.tolist(),
        "parameters": dict(image.parameters),
        "laws": image.laws,
    }


def _check_card(card: Mapping[str, Any], path: Path) -> None:
    """Refuse a card that does not say what cells its network is for.

    Raises:
        InputError: It does not.
    """
    given, grid = card.get("parameters"), card.get("grid")
    try:
        sound = isinstance(given, dict) and isinstance(grid, int) and 1 <= grid <= 512
        numbers = [*(given or {}).values(), *np.ravel(card["lattice"])]
        known = {"kinematics", "phases", "laws"} <= set(card)
        sound = sound and known and all(np.isfinite(float(number)) for number in numbers)
    except (TypeError, ValueError, KeyError):
        sound = False
    if not sound:
        raise InputError(f"the field network {path} does not say for which cells; train it again")


def _check_alike(card: Mapping[str, Any], image: CellImage, what: str) -> None:
    """Refuse a cell that differs in more than its image from those of a network.

    Raises:
        InputError: It does.
    """
    facts = facts_of(image)
    near = np.shape(card["lattice"]) == image.lattice.shape and np.allclose(
        card["lattice"], image.lattice, rtol=0, atol=ALIKE
    )
    differing = [
        word
        for key, word in {
            "kinematics": "kinematics", "phases": "names of phases", "parameters": "parameters",
            "laws": "laws of the phases, or boundary",
        }.items()
        if card[key] != facts[key]
    ]  # fmt: skip
    if differing or not near:
        differing += [] if near else ["shape of the lattice"]
        raise InputError(
            f"{what} has another {' and '.join(differing)} than the cells of the field network; "
            "only the image of the cell and its mesh may differ: train one for it"
        )


def field_guess(
    material: RVEMaterial, table: RVESettings, path: Path, context: Context
) -> FieldGuess:
    """Return the guess of a cell by the field network of a file.

    Raises:
        InputError: There is no such file, or its network is for other cells.
    """
    import torch

    from fesurrogate.surrogate.field_file import field_of, load_field
    from fesurrogate.warmstart.field import FieldGuess
    from fesurrogate.warmstart.imaging import image_of

    operator, card = load_field(path)
    _check_card(card, path)
    if set(card["parameters"]) != set(material.parameter_names):
        raise InputError(
            f"the field network {path} has the parameters {', '.join(card['parameters']) or 'none'}"
            f", the cell {', '.join(material.parameter_names) or 'none'}; train one for it"
        )
    image = image_of(material, card["grid"], laws=laws_of(table), parameters=card["parameters"])
    _check_alike(card, image, "the cell")
    threads = min(context.threads, torch.get_num_threads())
    return FieldGuess(image, field_of(operator, image.image, threads=threads))
