"""From strain paths to a model with history that knows where it may be trusted.

Its members go on from the weights that they have, so that a refinement costs little. What it may be
trusted with is told by two kinds of answers that it has not seen: to paths that are held out, and
what the model before said of the increment that has just come. The latter is what a run asks for:
every increment leads beyond all that was learned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from fesurrogate.config.train import TrainSettings
from fesurrogate.data.dataset import Dataset
from fesurrogate.errors import InputError
from fesurrogate.kinematics import Array, BoolArray, Kinematics
from fesurrogate.learning.fitted import Fitted, Judged
from fesurrogate.learning.paths import News, Paths
from fesurrogate.learning.teach import HARMLESS
from fesurrogate.surrogate import NetworkMaterial
from fesurrogate.surrogate.ensemble import Ensemble
from fesurrogate.surrogate.network import Network
from fesurrogate.surrogate.physical import PhysicalNetwork
from fesurrogate.train.history import point_phase
from fesurrogate.train.sequence import follow, solved_paths
from fesurrogate.trust import CalibratedMeasure, Deviation, recorded, stress_scale, training_inputs
from fesurrogate.trust.calibrate import FEWEST, doubts_and_errors


def beginners(kinematics: Kinematics, train: TrainSettings) -> Ensemble:
    """Return members that have learned nothing, each with a seed of its own.

    Raises:
        InputError: The phases are not for this strain measure.
    """
    phases = [point_phase(phase) for phase in train.physical.phases.values()]
    return Ensemble(
        [PhysicalNetwork(kinematics, phases, seed=train.seed + k) for k in range(train.ensemble)]
    )


def judge_paths(
    paths: Paths,
    before: Network,
    kinematics: Kinematics,
    *,
    known: int,
    iterations: int,
    tolerance: float,
) -> Judged:
    """Fit a model further, and say whether it takes the place of the one that there is.

    It does not where its error grows, to more than a tenth of the tolerance, on paths that are held
    out or on those that the one before has learned from, all in their present length.

    Args:
        paths: All.
        before: The ensemble that there is; is not changed.
        kinematics: The strain measure.
        known: How many paths there were when it was fitted; 0 for one that has learned nothing.
        iterations: L-BFGS iterations of each member, at most.
        tolerance: Of the trust.
    """
    whole = paths.dataset(kinematics)
    try:
        network = _fitted(before, whole.take(np.flatnonzero(~paths.held)), iterations)
    except (InputError, RuntimeError) as error:  # torch's errors of linear algebra among them
        return Judged("failed", note=str(error))
    scale = scale_of(whole)
    parts = {"held_out": np.flatnonzero(paths.held), "old": np.arange(known)}
    errors: dict[str, float] = {}
    grown = False
    for name, rows in parts.items():
        if not len(rows):
            continue
        part = whole.take(rows)
        errors[f"{name}_after"] = after = _error(network, part) / scale
        if not np.isfinite(after):
            return Judged("failed", note="it does not answer all of the paths")
        if known:
            errors[f"{name}_before"] = earlier = _error(before, part) / scale
            grown |= after > max(earlier, HARMLESS * tolerance)
    if grown:
        return Judged("refused", errors=errors)
    return Judged("taken", Fitted.of(network, {}), errors)


def trusted(fitted: Fitted, paths: Paths, kinematics: Kinematics, news: News) -> Fitted:
    """Return a model with what is known of when to believe it.

    Args:
        fitted: The model.
        paths: All; it has learned from those that are not held out.
        kinematics: The strain measure.
        news: What the model before said of the last increment.
    """
    whole = paths.dataset(kinematics)
    scale = scale_of(whole)
    unseen = whole.take(np.flatnonzero(paths.held))
    seen = [doubt_and_error(fitted.network(), unseen, scale), (news.doubt, news.error)]
    doubt, error = (np.concatenate(part) for part in zip(*seen, strict=True))
    if not len(doubt):
        doubt = error = np.full(1, np.inf)  # nothing is known, and nothing trusted
    measure = CalibratedMeasure(Deviation(scale), doubt, error)
    learned = training_inputs(whole.take(np.flatnonzero(~paths.held)))
    return replace(fitted, trust=recorded([measure], learned, scale))


def calibrated_enough(fitted: Fitted) -> bool:
    """Return whether as many errors are known as a limit of trust needs."""
    return len(fitted.trust.get("error", ())) >= FEWEST


def doubt_and_error(
    network: Network,
    paths: Dataset,
    scale: float,
    points: BoolArray | None = None,  # (N, T)
) -> tuple[Array, Array]:  # (k,), (k,)
    """Return the deviation and the stress error of an ensemble, over the scale.

    Args:
        network: The ensemble.
        paths: With the reference's answers.
        scale: A stress.
        points: Of which; those that were solved if None.
    """
    (doubt,), error = doubts_and_errors(
        NetworkMaterial(network), [Deviation(scale)], paths,
        scale=scale, points=points, tangent=False,
    )  # fmt: skip
    return doubt, error


def scale_of(paths: Dataset) -> float:
    """Return the root mean square of |stress| of what was solved; 1 where that is nothing."""
    return (stress_scale(paths) if paths.ok.any() else 0.0) or 1.0


def _fitted(before: Network, training: Dataset, iterations: int) -> Ensemble:
    """Return the members of an ensemble fitted further, each by L-BFGS over all paths at once."""
    network = Ensemble(_copies(before))
    paths = solved_paths(training)
    squares = ((paths.stress**2).sum(2) * paths.weight).sum()
    for member in network.members:
        weights = list(member.parameters())
        optimizer = torch.optim.LBFGS(
            weights, max_iter=iterations, history_size=50,
            tolerance_grad=1e-12, tolerance_change=1e-14, line_search_fn="strong_wolfe",
        )  # fmt: skip

        def closure(member: Network = member, optimizer: torch.optim.LBFGS = optimizer) -> Tensor:
            optimizer.zero_grad()
            wrong = follow(member, paths.strain) - paths.stress
            loss: Tensor = ((wrong**2).sum(2) * paths.weight).sum() / squares
            loss.backward()
            return loss

        optimizer.step(closure)
    return network


def _copies(network: Network) -> Sequence[Network]:
    """Return the members of an ensemble anew."""
    again = Fitted.of(network, {}).network()
    assert isinstance(again, Ensemble)
    return list(again.members)


def _error(network: Network, part: Dataset) -> float:
    """Return the root mean square of |Δstress|; inf where an answer is missing."""
    _, errors = doubt_and_error(network, part, 1.0)
    return float(np.sqrt((errors**2).mean())) if len(errors) else 0.0
