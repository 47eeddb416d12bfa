"""Sobolev training of an energy network: stress and tangent together, L-BFGS, best on held-out."""

from __future__ import annotations

import copy
import time

import torch
from torch import Tensor

from fesurrogate.config_train import TrainSettings
from fesurrogate.data.dataset import Dataset
from fesurrogate.errors import InputError
from fesurrogate.progress import progress_bar
from fesurrogate.surrogate.energy import EnergyNetwork
from fesurrogate.train.errors import errors_on, row_errors
from fesurrogate.train.result import FitResult, parts_of
from fesurrogate.train.rows import Rows, solved_rows
from fesurrogate.train.start import set_start

ITERATIONS_PER_CHECK = 20


def fit_energy(dataset: Dataset, settings: TrainSettings, *, progress: bool = False) -> FitResult:
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
    parts = parts_of(dataset, settings.validation, seed=settings.seed)
    rows, unseen = solved_rows(parts.training), solved_rows(parts.choosing)
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
        network,
        errors_on(network, parts.judging),
        history,
        dataset.failed,
        time.perf_counter() - start,
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
