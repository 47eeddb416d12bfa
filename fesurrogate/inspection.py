"""``fesurrogate inspect``: what is wrong with a dataset and how it fills its envelope."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fesurrogate.build.places import check_files
from fesurrogate.data.coverage import Coverage, coverage
from fesurrogate.data.dataset import Dataset
from fesurrogate.data.quality import Finding, examine, suspicious_points
from fesurrogate.data.store import read_dataset
from fesurrogate.errors import MissingPackageError
from fesurrogate.whole_file import write_whole

FORMAT = 1
"""Of inspect.json; raised when a key changes its meaning or goes."""
LISTED = 20
"""Points that are listed by number for each finding."""


@dataclass(frozen=True)
class Inspection:
    """What was found, as ``inspect.json`` holds it and as text."""

    results: dict[str, Any]
    text: str


def inspect(path: Path, output: Path | None = None) -> Inspection:
    """Examine a dataset; write ``inspect.json``, ``coverage.png`` and ``findings.png``.

    Args:
        path: Folder of the dataset.
        output: Where to write; nothing is if None.

    Raises:
        InputError: The dataset cannot be read, or nothing can be written there.
        MissingPackageError: h5py, scipy or, to draw, matplotlib is not installed.
    """
    if output is not None:
        check_files([output / "inspect.json"])
    dataset = read_dataset(path)
    findings = examine(dataset)
    bad = suspicious_points(findings, dataset)
    spread = coverage(dataset) if dataset.ok.sum() > 1 else None
    results: dict[str, Any] = {
        "format": FORMAT,
        "dataset": str(path),
        "fingerprint": dataset.fingerprint,
        "kinematics": {"gdim": dataset.kinematics.gdim, "measure": dataset.kinematics.measure},
        "units": dataset.units,
        "paths": len(dataset),
        "increments": dataset.increments,
        "points": int(dataset.ok.size),
        "suspicious": int(bad.sum()),
        "findings": {finding.name: _as_json(finding) for finding in findings},
        "coverage": None if spread is None else _coverage_as_json(spread),
    }
    if output is not None:
        output.mkdir(parents=True, exist_ok=True)
        text = json.dumps(results, indent=2, allow_nan=False) + "\n"
        write_whole(output / "inspect.json", text.encode())
        _draw(output, dataset, findings, spread)
    return Inspection(results, _as_text(results, findings, spread))


def _as_json(finding: Finding) -> dict[str, Any]:
    worst = None
    if finding.score is not None and np.isfinite(finding.score).any():
        worst = float(np.nanmax(finding.score))
    listed = np.argwhere(finding.points)
    if finding.score is not None:
        listed = listed[np.argsort(-finding.score[finding.points])]
    return {
        "count": finding.count,
        "points": listed[:LISTED].tolist(),  # [path, increment], the worst first
        "worst": worst,
        "limit": finding.limit if np.isfinite(finding.limit) else None,
        "note": finding.note,
    }


def _coverage_as_json(spread: Coverage) -> dict[str, Any]:
    least, median, largest = spread.nearest
    return {
        "coordinates": list(spread.names),
        "points": len(spread.points),
        "box": spread.box,
        "low": spread.low.tolist(),
        "high": spread.high.tolist(),
        "outside": spread.outside,
        "discrepancy": spread.discrepancy,
        "discrepancy_by_chance": spread.chance,
        "bins": spread.bins,
        "empty": spread.empty,
        "nearest": {"least": least, "median": median, "largest": largest},
    }


def _draw(
    output: Path, dataset: Dataset, findings: tuple[Finding, ...], spread: Coverage | None
) -> None:
    try:
        from fesurrogate.data.pictures import draw_coverage, draw_scores
    except ImportError as error:
        raise MissingPackageError(
            "pictures need matplotlib; install it with: pip install matplotlib"
        ) from error
    title = f"{len(dataset)} paths of {dataset.increments} increments"
    if spread is not None:
        draw_coverage(output / "coverage.png", dataset, findings, spread, title=title)
    draw_scores(output / "findings.png", findings, title=title)


def _as_text(
    results: dict[str, Any], findings: tuple[Finding, ...], spread: Coverage | None
) -> str:
    paths, increments, points = (results[name] for name in ("paths", "increments", "points"))
    lines = [f"{paths} paths of {increments} increments: {points} points"]
    width = max(len(finding.name) for finding in findings)
    for finding in findings:
        where = ""
        if finding.count:
            listed = results["findings"][finding.name]["points"][:4]
            more = ", ..." if finding.count > len(listed) else ""
            where = f": [path, increment] {', '.join(map(str, listed))}{more}"
        lines.append(f"  {finding.name:{width}}  {finding.count:6d}  ({finding.note}){where}")
    lines.append(f"suspicious: {results['suspicious']} (refused by train unless told otherwise)")
    if spread is not None:
        least, median, largest = spread.nearest
        worst = max(spread.empty, key=lambda pair: spread.empty[pair], default="")
        lines += [
            f"coverage of the {spread.box} by {len(spread.points)} points in "
            f"{', '.join(spread.names)}; {spread.outside:.1%} outside",
            f"  discrepancy {spread.discrepancy:.3g} (by chance {spread.chance:.3g})",
            f"  nearest neighbour {least:.2g}, median {median:.2g}, largest {largest:.2g} "
            "(over the edge of a point's own cube)",
        ]
        if worst:
            lines.append(
                f"  empty of {spread.bins} x {spread.bins} bins: {spread.empty[worst]:.1%} "
                f"at most, in {worst}"
            )
    return "\n".join(lines)
