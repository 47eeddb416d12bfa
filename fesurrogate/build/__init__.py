"""From settings to Materials, problems, datasets and models."""

from fesurrogate.build.dataset import ensure_dataset
from fesurrogate.build.field import load_field
from fesurrogate.build.materials import (
    IdentifiedMaterial,
    identify_material,
    load_material,
)
from fesurrogate.build.model import ensure_model
from fesurrogate.build.ranks import first_rank_first, together

__all__ = [
    "IdentifiedMaterial",
    "ensure_dataset",
    "ensure_model",
    "first_rank_first",
    "identify_material",
    "load_field",
    "load_material",
    "together",
]
