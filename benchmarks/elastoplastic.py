"""The elastoplastic cell that models with history are measured on, and its strain paths.

Plane strain; four random elastic fibres (40 %) in a matrix of J2 plasticity with Voce hardening,
846 unknowns. The cell's answers are kept under ``output/benchmarks/elastoplastic/``.
"""

import hashlib
import json
import logging
from pathlib import Path

import numpy as np

from fesurrogate import Kinematics
from fesurrogate.data.dataset import Dataset
from fesurrogate.data.envelope import envelope_of
from fesurrogate.data.generate import generate
from fesurrogate.data.paths import random_walk
from fesurrogate.kinematics import Array
from fesurrogate.laws import J2Plasticity
from fesurrogate.micro import RVEMaterial, linear_elastic, random_fibres

logger = logging.getLogger(__name__)

CACHE = Path("output") / "benchmarks" / "elastoplastic"
KINEMATICS = Kinematics(2)
INCREMENTS = 60
EXTENT = 0.015
"""Half-width of the box of strain components; first yield is near 0.003."""
MATRIX = {
    "young": 70.0,
    "poisson": 0.33,
    "yield_stress": 0.3,
    "hardening": 0.5,
    "saturation": 0.2,
    "rate": 60.0,
}
"""GPa; an aluminium alloy's order."""
FIBRE = {"young": 400.0, "poisson": 0.2}


def plastic_rve() -> RVEMaterial:
    """Return the cell."""
    phases = {"matrix": J2Plasticity(2, **MATRIX), "fibre": linear_elastic(**FIBRE)}
    cell = random_fibres(0.4, 4, 0, resolution=8)
    return RVEMaterial(cell, phases, KINEMATICS, degree=2)


def walks(count: int, *, seed: int) -> Array:  # (N, T, m)
    """Return random walks with unloading: six straight legs of ten increments."""
    envelope = envelope_of(KINEMATICS, EXTENT, around_rest=True)
    components = [
        random_walk(envelope, path, INCREMENTS, turns=6, smooth=False, seed=seed)
        for path in range(count)
    ]
    return envelope.strain(np.array(components))


def _ends(count: int, seed: int) -> Array:  # (N, m)
    """Return strains of random directions at the faces of the box."""
    components = np.random.default_rng(seed).standard_normal((count, 3))
    components *= EXTENT / np.abs(components).max(axis=1, keepdims=True)
    return envelope_of(KINEMATICS, EXTENT).strain(components)


def monotonic(count: int, *, seed: int) -> Array:  # (N, T, m)
    """Return straight paths from rest to a face of the box."""
    return _ends(count, seed)[:, None] * (np.arange(1, INCREMENTS + 1) / INCREMENTS)[:, None]


def cyclic(count: int, *, seed: int) -> Array:  # (N, T, m)
    """Return straight cycles of growing amplitude: to 1/3, -1/3, 2/3, -2/3 and 1 of a face."""
    corners = np.array([0.0, 1.0, -1.0, 2.0, -2.0, 3.0]) / 3.0
    length = np.concatenate([[0.0], np.abs(np.diff(corners)).cumsum()])
    travelled = np.arange(1, INCREMENTS + 1) / INCREMENTS * length[-1]
    return _ends(count, seed)[:, None] * np.interp(travelled, length, corners)[:, None]


def answers(name: str, strains: Array, rve: RVEMaterial) -> Dataset:
    """Return what the cell answers along paths, computed once and kept."""
    facts = json.dumps([rve.cell.fingerprint, rve.num_hint, MATRIX, FIBRE])
    key = hashlib.sha256(facts.encode() + strains.tobytes()).hexdigest()[:16]
    path = CACHE / f"{name}-{key}.npz"
    if not path.is_file():
        logger.warning("solving %d paths of the cell for %s", len(strains), name)
        solved = generate(rve, strains, tangents=False)
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(path, stress=solved.stress, ok=solved.ok)
    with np.load(path) as kept:
        return Dataset(KINEMATICS, strains, kept["stress"], None, kept["ok"])
