"""Nothing suspicious is learned from unseen."""

from __future__ import annotations

import logging
from typing import Literal

import numpy as np

from fesurrogate.data.dataset import Dataset
from fesurrogate.data.quality import examine, suspicious_points
from fesurrogate.errors import InputError

logger = logging.getLogger(__name__)
Policy = Literal["refuse", "drop", "keep"]


def trusted(dataset: Dataset, policy: Policy) -> Dataset:
    """Return a dataset as far as it may be learned from.

    Args:
        dataset: What was generated.
        policy: What becomes of points that :func:`fesurrogate.data.quality.examine` finds fault
            with: ``refuse`` raises, ``drop`` marks them as failed, and with them what follows on
            their path, ``keep`` keeps them; the latter two say so.

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
            "again, or set train.suspicious to 'drop' or 'keep'"
        )
    logger.warning("%s%s; %s", said, found, "left out" if policy == "drop" else "kept")
    if policy == "keep":
        return dataset
    return dataset.without(np.logical_or.accumulate(bad, axis=1))
