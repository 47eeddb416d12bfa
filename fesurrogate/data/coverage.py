"""How well the points of a dataset fill the part of strain space that they are meant for."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from fesurrogate.data.dataset import Dataset
from fesurrogate.data.envelope import component_names, components_of, envelope_of
from fesurrogate.errors import InputError, MissingPackageError
from fesurrogate.kinematics import Array

logger = logging.getLogger(__name__)
POINTS = 4096
POINTS_PER_BIN = 5


@dataclass(frozen=True)
class Coverage:
    """Figures of the solved points (at most 4,096, drawn at random) in the unit cube.

    Attributes:
        names: Of the c coordinates: strain components, then parameters that vary.
        points: (k, c), in [0, 1] inside the box.
        low: (c,), the box: the envelope that was asked for, else what the points span.
        high: (c,).
        box: Which of both it is.
        outside: Share of the points outside the box.
        discrepancy: Centred L2 discrepancy (0: perfectly even).
        chance: The same expected of as many points drawn independently at random.
        bins: Along each axis of a pair.
        empty: {pair: share of its bins that hold no point}; by chance e⁻⁵ = 0.7 %.
        nearest: Distances of points to their nearest: least, median and largest, over the edge
            k^(-1/c) of the cube that each has to itself.
    """

    names: tuple[str, ...]
    points: Array
    low: Array
    high: Array
    box: str
    outside: float
    discrepancy: float
    chance: float
    bins: int
    empty: dict[str, float]
    nearest: tuple[float, float, float]


def coverage(dataset: Dataset) -> Coverage:
    """Return how the solved points of a dataset fill their envelope.

    Raises:
        InputError: Fewer than two points were solved.
        MissingPackageError: scipy is not installed.
    """
    try:
        from scipy.spatial import cKDTree
        from scipy.stats import qmc
    except ImportError as error:
        raise MissingPackageError(
            "coverage needs scipy; install it with: pip install scipy"
        ) from error
    kinematics = dataset.kinematics
    flat = dataset.strain.reshape(-1, kinematics.size)
    usable = np.flatnonzero(dataset.ok.ravel() & kinematics.admissible(flat))
    if len(usable) < 2:
        raise InputError(f"dataset: {len(usable)} points were solved; coverage needs two")
    if len(usable) > POINTS:
        usable = np.sort(np.random.default_rng(0).choice(usable, POINTS, replace=False))
    assert dataset.parameters is not None
    x = components_of(kinematics, flat[usable])
    drawn = dataset.parameters[usable // dataset.increments]
    varies = np.ptp(drawn, axis=0) > 0.0
    names = component_names(kinematics)
    low, high, box = _box(dataset, x)
    x = np.hstack([x, drawn[:, varies]])
    low = np.append(low, drawn[:, varies].min(axis=0))
    high = np.append(high, drawn[:, varies].max(axis=0))
    names += tuple(n for n, v in zip(dataset.parameter_names, varies, strict=True) if v)
    cube = (x - low) / np.where(high > low, high - low, 1.0)
    inside = ((cube >= -1e-9) & (cube <= 1.0 + 1e-9)).all(axis=1)
    count, columns = cube.shape
    bins = max(2, int(np.sqrt(count / POINTS_PER_BIN)))
    empty = {}
    for a, b in combinations(range(columns), 2):
        held, _, _ = np.histogram2d(cube[:, a], cube[:, b], bins, [[0.0, 1.0], [0.0, 1.0]])
        empty[f"{names[a]}-{names[b]}"] = float((held == 0).mean())
    distance = cKDTree(cube).query(cube, k=2)[0][:, 1] * count ** (1.0 / columns)
    return Coverage(
        names, cube, low, high, box, float(1.0 - inside.mean()),
        float(np.sqrt(qmc.discrepancy(np.clip(cube, 0.0, 1.0), method="CD"))),
        _chance(count, columns), bins, empty,
        (float(distance.min()), float(np.median(distance)), float(distance.max())),
    )  # fmt: skip


def _box(dataset: Dataset, x: Array) -> tuple[Array, Array, str]:
    """Return the envelope that was asked for, else what the points span."""
    asked = dataset.meta.get("generate")
    if isinstance(asked, dict) and asked.get("path") != "recorded" and "stretch" in asked:
        stretch = asked["stretch"]
        try:
            extent = stretch if isinstance(stretch, int | float) else tuple(map(tuple, stretch))
            envelope = envelope_of(dataset.kinematics, extent)
            return envelope.low, envelope.high, "envelope"
        except (TypeError, ValueError):
            logger.warning("the envelope %r that the dataset names cannot be used", stretch)
    return x.min(axis=0), x.max(axis=0), "range of the points"


def _chance(count: int, columns: int) -> float:
    """Return the root of the mean squared centred discrepancy of independent points.

    ((5/4)^c - (13/12)^c) / k; F. J. Hickernell, Math. Comp. 67 (1998) 299-322.
    """
    return float(np.sqrt(((5.0 / 4.0) ** columns - (13.0 / 12.0) ** columns) / count))
