"""Training of networks with history: whole paths are followed, and the error is that of paths."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from fesurrogate.data.dataset import Dataset
from fesurrogate.errors import InputError
from fesurrogate.progress import progress_bar
from fesurrogate.surrogate.network import Network
from fesurrogate.train.errors import Errors
from fesurrogate.train.result import FitResult, Parts


@dataclass(frozen=True)
class Paths:
    """Strain and stress (N, T, m), whether the increment was solved, and its weight (N, T)."""

    strain: Tensor
    stress: Tensor
    ok: Tensor
    weight: Tensor  # of squared errors; 0 where it was not solved


def solved_paths(dataset: Dataset) -> Paths:
    """Return the paths of a dataset; stress is 0 where the increment failed.

    Raises:
        InputError: It has parameters or increments of unlike length, nothing was solved, or
            numbers are not finite where it says it was.
    """
    if dataset.parameter_names or (dataset.dt is not None and np.unique(dataset.dt).size > 1):
        raise InputError(
            f"the dataset has parameters ({', '.join(dataset.parameter_names) or 'none'}) or "
            "increments of unlike length, which models with history do not take; generate one "
            "without"
        )
    ok = dataset.ok
    if not ok.any():
        raise InputError(f"all {ok.size} points of the dataset failed; there is nothing to learn")
    if not (np.isfinite(dataset.stress[ok]).all() and np.isfinite(dataset.strain).all()):
        raise InputError("dataset: strain or stress is not finite at points marked as solved")
    stress = np.where(ok[:, :, None], dataset.stress, 0.0)
    weight = np.where(ok, 1.0 if dataset.weight is None else dataset.weight, 0.0)
    arrays = (dataset.strain, stress, ok, weight)
    return Paths(*(torch.from_numpy(np.array(array)) for array in arrays))


def follow(
    network: Network,
    strain: Tensor,  # (N, T, m)
) -> Tensor:  # (N, T, m)
    """Return the stress along paths from the virgin state."""
    state = network.initial_state(len(strain)).to(strain)
    stresses = []
    for increment in strain.unbind(1):
        answer = network(increment, state, tangent=False)
        assert answer.state is not None
        state = answer.state
        stresses.append(answer.stress)
    return torch.stack(stresses, dim=1)


def relative_squares(
    stress: Tensor,  # (N, T, m)
    paths: Paths,
) -> Tensor:  # (N,)
    """Return (rms Δσ / rms σ)² of each path over its solved increments.

    A path whose stress is less than a thousandth of the others' counts against that.
    """
    squares = ((paths.stress**2).sum(2) * paths.weight).sum(1)
    size = squares.clamp_min(1e-6 * float(squares.mean()))
    return (((stress - paths.stress) ** 2).sum(2) * paths.weight).sum(1) / size


def path_errors(network: Network, dataset: Dataset) -> Errors:
    """Return the errors of a network with history on the solved increments of a dataset.

    ``stress``, ``worst`` and ``components`` as :class:`Errors` says.
    """
    paths = solved_paths(dataset)
    with torch.no_grad():
        root = paths.weight.sqrt()[:, :, None]
        delta = (root * (follow(network, paths.strain) - paths.stress))[paths.ok]  # (k, m)
    count, columns = delta.shape
    size = float(((root * paths.stress) ** 2).sum()) or 1.0
    return Errors(
        points=count,
        stress=float((delta**2).sum() / size) ** 0.5,
        worst=float((delta**2).sum(1).max() / (size / count)) ** 0.5,
        tangent=None,
        components=tuple(((delta**2).sum(0) / (size / columns)).sqrt().tolist()),
    )


def mean_path_error(network: Network, dataset: Dataset) -> float:
    """Return the mean over the paths of rms Δσ / rms σ."""
    paths = solved_paths(dataset)
    with torch.no_grad():
        return float(relative_squares(follow(network, paths.strain), paths).sqrt().mean())


def fit_paths(
    network: Network,
    parts: Parts,
    rounds: Iterator[float],
    *,
    checks: int,
    iterations_per_check: int = 1,
    progress: bool = False,
) -> FitResult:
    """Train a network in rounds, and keep the weights that are best on the held-out paths.

    Args:
        network: Is changed.
        parts: To train on, to choose by, to judge by.
        rounds: Does a piece of training each time it is asked for the loss: :func:`lbfgs` or
            :func:`adam`.
        checks: How often.
        iterations_per_check: What a round counts for.
        progress: Whether a bar shows the error on the held-out paths.
    """
    start = time.perf_counter()
    history: dict[str, list[float]] = {"iteration": [], "loss": [], "stress": [], "tangent": []}
    best, best_error = copy.deepcopy(network.state_dict()), math.inf
    total = checks * iterations_per_check
    with progress_bar("train", total, unit="iterations", enabled=progress) as advance:
        for check, loss in zip(range(checks), rounds, strict=False):
            error = mean_path_error(network, parts.choosing)
            iteration = (check + 1) * iterations_per_check
            for name, value in zip(history, (iteration, loss, error, 0.0), strict=True):
                history[name].append(value)
            if error < best_error:
                best, best_error = copy.deepcopy(network.state_dict()), error
            advance(iterations_per_check, f"stress error {error:.2%}")
            if not math.isfinite(loss):
                break
    network.load_state_dict(best)
    errors = path_errors(network, parts.judging)
    return FitResult(network, errors, history, time.perf_counter() - start)


def lbfgs(network: Network, dataset: Dataset, *, iterations: int = 10) -> Iterator[float]:
    """Give the loss after each so many L-BFGS iterations over all paths at once.

    For networks of a few hundred weights.
    """
    paths = solved_paths(dataset)
    weights = [weight for weight in network.parameters() if weight.requires_grad]
    optimizer = torch.optim.LBFGS(
        weights, max_iter=iterations, history_size=50,
        tolerance_grad=1e-14, tolerance_change=1e-16, line_search_fn="strong_wolfe",
    )  # fmt: skip

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = relative_squares(follow(network, paths.strain), paths).mean()
        loss.backward()
        return loss

    while True:
        optimizer.step(closure)
        with torch.no_grad():
            yield float(relative_squares(follow(network, paths.strain), paths).mean())


def adam(
    network: Network,
    dataset: Dataset,
    *,
    epochs: int,
    batch: int = 16,
    rate: float = 5e-3,
    seed: int = 0,
) -> Iterator[float]:
    """Give the mean loss of each epoch of Adam over mini-batches of whole paths.

    The learning rate falls to a hundredth by half a cosine; gradients are clipped to norm 1.

    Args:
        network: Is changed.
        dataset: To train on.
        epochs: How many will be asked for.
        batch: Paths in a batch.
        rate: Learning rate at the start.
        seed: Of the order of the paths.
    """
    paths, order = solved_paths(dataset), np.random.default_rng(seed)
    weights = [weight for weight in network.parameters() if weight.requires_grad]
    optimizer = torch.optim.Adam(weights, lr=rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs, 0.01 * rate)
    while True:
        rows = order.permutation(len(paths.strain))
        total = 0.0
        for first in range(0, len(rows), batch):
            chosen = torch.from_numpy(rows[first : first + batch])
            part = Paths(*(array[chosen] for array in vars(paths).values()))
            optimizer.zero_grad()
            loss = relative_squares(follow(network, part.strain), part).mean()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(weights, 1.0)
            optimizer.step()
            total += float(loss.detach()) * len(chosen)
        schedule.step()
        yield total / len(rows)
