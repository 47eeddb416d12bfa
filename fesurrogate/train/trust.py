"""Nothing suspicious is learned from unseen."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np

from fesurrogate.config.train import Suspicious
from fesurrogate.data.dataset import Dataset
from fesurrogate.data.quality import examine, suspicious_points
from fesurrogate.errors import InputError

logger = logging.getLogger(__name__)
SAID = {"drop": "left out", "downweight": "counted by a weight of", "keep": "kept"}


def trusted(dataset: Dataset, policy: Suspicious, *, weight: float = 0.1) -> Dataset:
    """Return a dataset as far as it may be learned from.

    Args:
        dataset: What was generated.
        policy: What becomes of points that :func:`fesurrogate.data.quality.examine` finds fault
            with: ``refuse`` raises, ``drop`` marks them as failed, ``downweight`` gives them a
            weight, both with them what follows on their path, ``keep`` keeps them; all but the
            first say so.
        weight: Of squared errors at such points, beside 1 of the others.

    Raises:
        InputError: There are such points and the policy is to refuse them.
    """
    findings = examine(dataset)
    bad = suspicious_points(findings, dataset)
    if not bad.any():
        return dataset
    found = ", ".join(
        f"{finding.count} {finding.name} ({finding.note})"
        for finding in findings
        if finding.suspicious and finding.count
    )
    said = f"dataset: {int(bad.sum())} of {int(dataset.ok.sum())} solved points are suspicious: "
    if policy == "refuse":
        raise InputError(
            f"{said}{found}; look at them with: fesurrogate inspect DATASET, and generate them "
            "again, or set train.suspicious to 'drop', 'downweight' or 'keep'"
        )
    told = f"{SAID[policy]} {weight:g}" if policy == "downweight" else SAID[policy]
    logger.warning("%s%s; %s", said, found, told)
    if policy == "keep":
        return dataset
    onwards = np.logical_or.accumulate(bad, axis=1)
    if policy == "drop":
        return dataset.without(onwards)
    return replace(dataset, weight=np.where(onwards, weight, 1.0))
