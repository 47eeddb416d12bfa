"""Models with history beside each other on an elastoplastic cell: error, split steps, speed.

The first run solves the cell along 500 paths of 60 increments (some 15 minutes).
"""

from dataclasses import replace

import numpy as np
import torch

from benchmarks.elastoplastic import (
    FIBRE,
    MATRIX,
    answers,
    cyclic,
    monotonic,
    plastic_rve,
    walks,
)
from benchmarks.measure import medians, report
from fesurrogate.config.train import (
    PhysicalSettings,
    PointPhaseSettings,
    RecurrentSettings,
    TrainSettings,
)
from fesurrogate.data.dataset import Dataset
from fesurrogate.surrogate import NetworkMaterial
from fesurrogate.surrogate.network import Network
from fesurrogate.train import fit
from fesurrogate.train.result import FitResult
from fesurrogate.train.sequence import follow, mean_path_error

PHASES = {
    "matrix": PointPhaseSettings(**MATRIX, points=16, fraction=0.6),
    "fibre": PointPhaseSettings(**FIBRE, points=1, fraction=0.4),
}
FEW = 50
"""Paths for the physical network; the others take all 300."""

BAR = 3.0
SPLIT = 8


def fitted(training: Dataset) -> dict[str, tuple[FitResult, int]]:
    """Return each model and the number of paths it had, those it held out included."""
    physical = TrainSettings(
        model="physical", physical=PhysicalSettings(phases=PHASES), iterations=250
    )
    minimal = TrainSettings(model="recurrent", iterations=150)
    gated = replace(minimal, recurrent=RecurrentSettings(width=64, cell="gated"))
    return {
        "physical": (fit(training.take(slice(0, FEW)), physical), FEW),
        "minimal": (fit(training, minimal), len(training)),
        "gru": (fit(training, gated), len(training)),
    }


def split_change(network: Network, paths: Dataset) -> float:
    """Return the relative change of stress where each increment is given in equal parts."""
    path = torch.from_numpy(paths.strain)
    before = torch.cat([torch.zeros_like(path[:, :1]), path[:, :-1]], dim=1)
    shares = torch.arange(1, SPLIT + 1, dtype=torch.float64) / SPLIT
    fine = before[:, :, None] + shares[:, None] * (path - before)[:, :, None]
    with torch.no_grad():
        whole = follow(network, path)
        ends = follow(network, fine.reshape(len(path), -1, path.shape[2]))[:, SPLIT - 1 :: SPLIT]
    return float((ends - whole).norm() / whole.norm())


def main() -> None:
    """Print the figures."""
    rve = plastic_rve()
    training = answers("training", walks(300, seed=0), rve)
    unseen = {
        "walks": answers("walks", walks(100, seed=1), rve),
        "cyclic": answers("cyclic", cyclic(50, seed=3), rve),
        "monotonic": answers("monotonic", monotonic(50, seed=2), rve),
    }
    strain = np.ascontiguousarray(unseen["walks"].strain[:, :20].reshape(-1, 3))
    for name, (result, paths) in fitted(training).items():
        network = result.network
        detail = f"rms(Δσ)/rms(σ) a path, mean; {paths} paths, trained in {result.seconds:.0f} s"
        bar = BAR if name == "physical" else None
        for kind, data in unseen.items():
            error = 100 * mean_path_error(network, data)
            report(f"history.{name}.{kind}", error, "%", bar=bar, detail=detail)
        change = 100 * split_change(network, unseen["walks"])
        report(f"history.{name}.split", change, "%", detail=f"increments in {SPLIT} parts")
        material = NetworkMaterial(network)
        state = material.initial_state(len(strain))
        median = medians({name: lambda m=material, s=state: m.evaluate(strain, s)})
        detail = f"stress and tangent, {material.num_state} state columns, {len(strain)} points"
        report(f"history.{name}.point", 1e6 * median[name] / len(strain), "µs", detail=detail)
