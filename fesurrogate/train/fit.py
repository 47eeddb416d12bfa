"""Sobolev training of an energy network: stress and tangent together, L-BFGS, best on held-out."""

from __future__ import annotations

import copy
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from fesurrogate.config import TrainSettings
from fesurrogate.data.dataset import Dataset
from fesurrogate.errors import InputError
from fesurrogate.progress import progress_bar
from fesurrogate.surrogate.energy import EnergyNetwork
from fesurrogate.train.errors import Errors, errors_on, row_errors
from fesurrogate.train.rows import Rows, solved_rows
from fesurrogate.train.start import set_start

logger = logging.getLogger(__name__)

ITERATIONS_PER_CHECK = 20


@dataclass(frozen=True)
class FitResult:
    """A fitted network and how good it is.

    Attributes:
        network: The network of the check that was best on the held-out paths.
        errors: On half of the held-out paths, which training has not seen in any way; the other
            half chose the moment to stop. (One held-out path alone does both.)
        history: Per check: ``iteration``, ``loss``, ``stress`` and ``tangent`` error held out.
        excluded: Points left out because they had failed.
        seconds: Time of the training.
    """

    network: EnergyNetwork
    errors: Errors
    history: Mapping[str, list[float]]
    excluded: int
    seconds: float


def fit(dataset: Dataset, settings: TrainSettings, *, progress: bool = False) -> FitResult:
    """Fit an energy network to stress and, where the data hold them, tangents.

    Minimises mean |ΔP|² / mean |P|² + tangent_weight · mean |ΔA|² / mean |A|² in float64 over
    all training points at once, by L-BFGS with a strong-Wolfe line search. Whole paths are held
    out; the weights that are best on half of them are kept. The same dataset and settings give
    the same network, on the same machine and number of threads.

    Args:
        dataset: Points that failed are left out and counted.
        settings: Network and training.
        progress: Whether a bar shows the error on held-out paths.

    Raises:
        InputError: Data that cannot be learned from: nothing solved, not finite, with parameters.
    """
    if dataset.parameter_names:
        raise InputError(
            f"the dataset has parameters ({', '.join(dataset.parameter_names)}), which the "
            "energy network does not take; generate one without"
        )
    start = time.perf_counter()
    if dataset.failed:
        logger.warning("%d of %d points failed; left out", dataset.failed, dataset.ok.size)
    training, held_out = dataset.split(settings.validation, seed=settings.seed)
    choosing, judging = held_out, held_out
    if len(held_out) > 1:
        choosing, judging = held_out.split(0.5, seed=settings.seed)
    rows, unseen = solved_rows(training), solved_rows(choosing)
    network = EnergyNetwork(dataset.kinematics, settings.hidden, seed=settings.seed)
    set_start(network, rows)
    history: dict[str, list[float]] = {"iteration": [], "loss": [], "stress": [], "tangent": []}
    best, best_score = copy.deepcopy(network.state_dict()), float("inf")
    optimizer = torch.optim.LBFGS(
        network.parameters(), max_iter=ITERATIONS_PER_CHECK, history_size=100,
        tolerance_grad=1e-14, tolerance_change=1e-16, line_search_fn="strong_wolfe",
    )  # fmt: skip
    objective = _Loss(network, rows, settings.tangent_weight)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = objective()
        loss.backward()
        return loss

    checks = -(-settings.iterations // ITERATIONS_PER_CHECK)
    with progress_bar(
        "train", checks * ITERATIONS_PER_CHECK, unit="iterations", enabled=progress
    ) as advance:
        for check in range(checks + 1):
            if check:
                optimizer.step(closure)
            with torch.no_grad():
                loss = float(objective())
            errors = row_errors(network, unseen)
            tangent = 0.0 if errors.tangent is None else errors.tangent
            score = errors.stress**2 + settings.tangent_weight * tangent**2
            for name, value in zip(
                history, (check * ITERATIONS_PER_CHECK, loss, errors.stress, tangent), strict=True
            ):
                history[name].append(value)
            if score < best_score:
                best, best_score = copy.deepcopy(network.state_dict()), score
            advance(ITERATIONS_PER_CHECK if check else 0, f"stress error {errors.stress:.2%}")
            if check > 0 and history["loss"][-2] - loss <= 1e-6 * loss:
                break  # stalled, or not finite
    network.load_state_dict(best)
    return FitResult(
        network, errors_on(network, judging), history, dataset.failed, time.perf_counter() - start
    )


class _Loss:
    """The training loss of a network on rows."""

    def __init__(self, network: EnergyNetwork, rows: Rows, tangent_weight: float) -> None:
        self.network, self.rows = network, rows
        self.stress_weight = 1.0 / float((rows.stress**2).sum())
        self.tangent_weight = 0.0
        if rows.tangent is not None and tangent_weight > 0.0:
            self.tangent_weight = tangent_weight / float((rows.tangent**2).sum())

    def __call__(self) -> Tensor:
        answer = self.network(self.rows.strain, tangent=self.tangent_weight > 0.0)
        loss = self.stress_weight * ((answer.stress - self.rows.stress) ** 2).sum()
        if self.tangent_weight > 0.0:
            error = ((answer.tangent - self.rows.tangent) ** 2).sum()
            loss = loss + self.tangent_weight * error
        return loss
