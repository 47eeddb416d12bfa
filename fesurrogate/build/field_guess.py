"""The guess of a cell of settings by a field network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fesurrogate.build.cell_image import check_alike, laws_of
from fesurrogate.build.context import Context
from fesurrogate.config.cell import RVESettings
from fesurrogate.errors import InputError

if TYPE_CHECKING:
    from fesurrogate.micro import RVEMaterial
    from fesurrogate.warmstart.field import FieldGuess


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
    check_alike(card, image, "the cell")
    threads = min(context.threads, torch.get_num_threads())
    return FieldGuess(image, field_of(operator, image.image, threads=threads))


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
