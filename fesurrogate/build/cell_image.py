"""The image of the cell of settings, and what cells that share a field network have in common."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fesurrogate.build.context import context_of
from fesurrogate.build.dataset import fingerprint
from fesurrogate.build.places import check_files
from fesurrogate.build.ranks import together
from fesurrogate.config import Settings
from fesurrogate.config.cell import RVESettings
from fesurrogate.errors import InputError

if TYPE_CHECKING:
    from fesurrogate.surrogate.cell_image import CellImage

ALIKE = 1e-6  # difference of two lattices in units of their sizes


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


def facts_of(image: CellImage) -> dict[str, Any]:
    """Return, as JSON can say it, what cells that share a network have in common."""
    return {
        "kinematics": [image.kinematics.gdim, image.kinematics.measure],
        "phases": list(image.names),
        "lattice": image.lattice.tolist(),
        "parameters": dict(image.parameters),
        "laws": image.laws,
    }


def check_alike(card: Mapping[str, Any], image: CellImage, what: str) -> None:
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
