"""Pictures of a dataset: where its points lie, and what stands out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from fesurrogate.data.coverage import Coverage
from fesurrogate.data.dataset import Dataset
from fesurrogate.data.envelope import component_names, components_of
from fesurrogate.data.quality import Finding, suspicious_points

GOOD, FAILED, BAD = "#2f5d8a", "#8d99a6", "#c0392b"
POINTS = 4000


def draw_coverage(
    path: Path, dataset: Dataset, findings: tuple[Finding, ...], found: Coverage, *, title: str
) -> None:
    """Write the points in each pair of strain components, what is at fault on top."""
    names = component_names(dataset.kinematics)
    q = len(names)
    flat = dataset.strain.reshape(-1, dataset.kinematics.size)
    known = np.isfinite(flat).all(axis=1)
    bad = suspicious_points(findings, dataset).ravel()
    groups = [
        ("solved", dataset.ok.ravel() & ~bad, GOOD, ".", 0.5),
        ("failed", ~dataset.ok.ravel(), FAILED, "x", 0.9),
        ("suspicious", bad, BAD, "o", 0.9),
    ]
    figure = Figure(figsize=(2.2 * (q - 1) + 1.4, 2.2 * (q - 1) + 0.6), layout="constrained")
    axes = figure.subplots(q - 1, q - 1, squeeze=False)
    for row in range(q - 1):
        for column in range(q - 1):
            axis = axes[row, column]
            if column > row:
                axis.set_axis_off()
                continue
            for label, chosen, colour, marker, alpha in groups:
                rows = np.flatnonzero(chosen & known)[:POINTS]
                x = components_of(dataset.kinematics, flat[rows])
                axis.plot(
                    x[:, column], x[:, row + 1], marker, color=colour, alpha=alpha, markersize=4,
                    markeredgewidth=1.2, fillstyle="none" if marker == "o" else "full",
                    label=f"{int(chosen.sum())} {label}",
                )  # fmt: skip
            if found.box == "envelope":
                a, b = [found.low[column], found.high[column]], [
                    found.low[row + 1], found.high[row + 1]
                ]  # fmt: skip
                axis.plot(np.array(a)[[0, 1, 1, 0, 0]], np.array(b)[[0, 0, 1, 1, 0]], "k-", lw=0.7)
            if row == q - 2:
                axis.set_xlabel(names[column])
            if column == 0:
                axis.set_ylabel(names[row + 1])
            axis.tick_params(labelsize=7)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    place: dict[str, Any] = (
        {"loc": "upper right"} if q > 2 else {"loc": "outside lower center", "ncols": 3}
    )
    figure.legend(handles, labels, frameon=False, **place)
    figure.suptitle(title, fontsize=10)
    figure.savefig(path, dpi=120)


def draw_scores(path: Path, findings: tuple[Finding, ...], *, title: str) -> None:
    """Write how much each point stands out in each check, from the least to the most."""
    drawn = [f for f in findings if f.score is not None and np.isfinite(f.score).any()]
    if not drawn:
        return
    figure = Figure(figsize=(3.4 * len(drawn), 3.2), layout="constrained")
    for axis, finding in zip(figure.subplots(1, len(drawn), squeeze=False)[0], drawn, strict=True):
        assert finding.score is not None
        values = np.sort(finding.score[np.isfinite(finding.score)])
        floor = max(1e-6 * abs(values[-1]), 1e-16)
        axis.semilogy(np.maximum(values, floor), ".", color=GOOD, markersize=3)
        above = np.flatnonzero(values > finding.limit)
        axis.semilogy(above, values[above], "o", color=BAD, fillstyle="none", markersize=5)
        if np.isfinite(finding.limit):
            axis.axhline(finding.limit, color=BAD, lw=1.0, ls="--", label="limit")
            axis.legend(frameon=False, loc="upper left", fontsize=8)
        axis.set_title(f"{finding.name}: {finding.count}", fontsize=9)
        axis.set_xlabel("points, sorted")
    figure.suptitle(title, fontsize=10)
    figure.savefig(path, dpi=120)
