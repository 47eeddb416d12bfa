"""From samples to a model that knows where it may be trusted, and the judgement of a new one.

A run leads where no sample is yet, so trust is calibrated by a rehearsal: a second model learns
from the inner samples alone, and what it says of the outer ones shows how wrong such a model is
where it doubts so much. Of the model itself, which knows more, the same is believed.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fesurrogate.config.train import TrainSettings
from fesurrogate.data.dataset import Dataset
from fesurrogate.errors import InputError
from fesurrogate.kinematics import Array
from fesurrogate.learning.fitted import Fitted, Judged
from fesurrogate.learning.samples import held_out, inputs, joined
from fesurrogate.material import Material
from fesurrogate.surrogate import Network, NetworkMaterial
from fesurrogate.surrogate.ensemble import Ensemble
from fesurrogate.train import fit
from fesurrogate.trust import (
    Deviation,
    Measure,
    Novelty,
    calibrate,
    recorded,
    stress_scale,
    training_inputs,
)

INNER = 0.75
"""Share of the training samples, those nearest to the undeformed body, of the rehearsal."""

HARMLESS = 0.1
"""Of the tolerance: an error below has not grown, whatever it was."""


def teach(samples: Dataset, train: TrainSettings) -> Fitted:
    """Fit a model to samples, and calibrate its trust.

    Args:
        samples: With those that are held out.
        train: The model. Suspicious samples are left out where it says that they are refused.

    Raises:
        InputError: Samples from which this model cannot be learned, or too few.
    """
    if train.suspicious == "refuse":
        train = replace(train, suspicious="drop")
    held = held_out(samples)
    training, unseen = samples.take(np.flatnonzero(~held)), samples.take(np.flatnonzero(held))
    network = _fitted(training, train)
    order = np.argsort(_distance(training), kind="stable")
    count = round(INNER * len(order))
    inner, outer = training.take(np.sort(order[:count])), training.take(np.sort(order[count:]))
    rehearsed = NetworkMaterial(_fitted(inner, train))
    scale = stress_scale(training)
    measures: list[Measure] = [Novelty(training.kinematics, training_inputs(inner))]
    assert inner.parameters is not None
    answer = rehearsed.evaluate(inner.strain[:1, 0], parameters=inner.parameters[:1])
    if "standard_deviation" in answer.report:
        measures.append(Deviation(scale))
    seen = calibrate(rehearsed, measures, joined(outer, unseen), scale=scale)
    return Fitted.of(network, recorded(seen, training_inputs(training), scale))


def _fitted(dataset: Dataset, train: TrainSettings) -> Network:
    """Fit a model, or the members of an ensemble, each with a seed of its own.

    The unit of their standard deviation stays what it is: calibrating it is what trust does here.
    """
    members = [
        fit(dataset, replace(train, ensemble=1, seed=train.seed + k)).network
        for k in range(train.ensemble)
    ]
    network = members[0] if len(members) == 1 else Ensemble(members)
    for name, buffer in network.named_buffers():
        if name == "deviation_factor":
            buffer.fill_(1.0)
    return network


def judge(
    samples: Dataset,
    old: Material | None,
    known: int,
    *,
    train: TrainSettings,
    tolerance: float,
) -> Judged:
    """Fit a model anew, and say whether it takes the place of the one that there is.

    It does not where its error grows, to more than a tenth of the tolerance, on the samples that
    are held out or on those that the old one has learned from: nothing is forgotten.

    Args:
        samples: All.
        old: The model that there is.
        known: How many samples there were when it was fitted.
        train: Of the new one.
        tolerance: Of the trust.
    """
    try:
        fitted = teach(samples, train)
        new = NetworkMaterial(fitted.network())
    except (InputError, RuntimeError) as error:  # torch's errors of linear algebra among them
        return Judged("failed", note=str(error))
    scale = float(fitted.trust["scale"][0])
    held = held_out(samples)
    parts = {"held_out": samples.take(np.flatnonzero(held)), "old": samples.take(slice(known))}
    errors: dict[str, float] = {}
    grown = False
    for name, part in parts.items():
        if not len(part):
            continue
        errors[f"{name}_after"] = after = error_on(new, part, scale)
        if not np.isfinite(after):
            return Judged("failed", note="it does not answer all of the samples")
        if old is not None:
            before = error_on(old, part, scale)
            grown |= after > max(before, HARMLESS * tolerance)
            if np.isfinite(before):
                errors[f"{name}_before"] = before
    return Judged("refused", errors=errors) if grown else Judged("taken", fitted, errors)


def error_on(material: Material, samples: Dataset, scale: float) -> float:
    """Return the root mean square of |Δstress| over the scale; inf where an answer is missing."""
    answer = material.evaluate(samples.strain[:, 0], parameters=samples.parameters, tangent=False)
    if not answer.ok.all():
        return np.inf
    wrong = answer.stress - samples.stress[:, 0]
    return float(np.sqrt((wrong**2).sum(axis=1).mean())) / scale


def _distance(samples: Dataset) -> Array:  # (N,)
    """Return how far strains are from rest, where all inputs vanish, in standard deviations."""
    strains = inputs(samples)[:, : -len(samples.parameter_names) or None]
    width = strains.std(axis=0)
    return np.asarray(np.linalg.norm(strains / np.where(width > 0.0, width, 1.0), axis=1))
