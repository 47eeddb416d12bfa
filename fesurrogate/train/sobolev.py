"""Sobolev training: stress, tangent and energy together, by L-BFGS; best on held-out paths.

What did not pay, on the cell of Cook's membrane with 64 samples: 300 steps of Adam before, which
took twice the time and left errors between 0.8 and 1.8 times those without (three seeds).
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from fesurrogate.config.train import TrainSettings
from fesurrogate.errors import InputError
from fesurrogate.progress import progress_bar
from fesurrogate.surrogate.network import Network
from fesurrogate.train.errors import row_errors
from fesurrogate.train.rows import Rows

ITERATIONS_PER_CHECK = 20
History = dict[str, list[float]]


def minimise(
    network: Network,
    rows: Rows,
    unseen: Rows,
    *,
    settings: TrainSettings,
    progress: bool = False,
) -> History:
    """Fit the weights of a network, and leave in it those that are best on unseen rows.

    Minimises the :class:`SobolevLoss` over all rows at once in float64, by L-BFGS with a
    strong-Wolfe line search, and looks at the unseen rows every few iterations. The same rows and
    settings give the same weights, on the same machine and number of threads.

    Args:
        network: With buffers and weights from which training starts.
        rows: To train on.
        unseen: To choose the moment to stop.
        settings: Iterations, weights of the loss, device, and what is frozen.
        progress: Whether a bar shows the error on unseen rows.

    Returns:
        Per check: ``iteration``, ``loss``, ``stress`` and ``tangent`` error on unseen rows.

    Raises:
        InputError: An unusable device; or what is frozen is no weight, or every one.
    """
    device = device_named(settings.device)
    network.to(device)
    rows, unseen = moved(rows, device), moved(unseen, device)
    free = free_weights(network, settings.transfer.freeze if settings.transfer else ())
    optimizer = torch.optim.LBFGS(
        free, max_iter=ITERATIONS_PER_CHECK, history_size=100,
        tolerance_grad=1e-14, tolerance_change=1e-16, line_search_fn="strong_wolfe",
    )  # fmt: skip
    objective = SobolevLoss(network, rows, settings)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = objective()
        loss.backward()
        return loss

    history: History = {"iteration": [], "loss": [], "stress": [], "tangent": []}
    best, best_score = copy.deepcopy(network.state_dict()), float("inf")
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
            tangent = errors.tangent or 0.0
            score = errors.stress**2 + settings.tangent_weight * tangent**2
            seen = (check * ITERATIONS_PER_CHECK, loss, errors.stress, tangent)
            for name, value in zip(history, seen, strict=True):
                history[name].append(value)
            if score < best_score:
                best, best_score = copy.deepcopy(network.state_dict()), score
            advance(ITERATIONS_PER_CHECK if check else 0, f"stress error {errors.stress:.2%}")
            if check > 0 and not history["loss"][-2] - loss > 1e-6 * loss:
                break  # stalled, or not finite
    network.load_state_dict(best)
    network.to("cpu").requires_grad_(True)
    return history


@dataclass(frozen=True)
class _Term:
    """One quantity of the loss: its target and its weight over the target's sum of squares."""

    name: str
    target: Tensor
    weight: float


class SobolevLoss:
    """mean |ΔP|² / mean |P|² and, weighted, the same of the tangent and of the energy.

    Args:
        network: Whose loss it is.
        rows: Terms whose target they do not hold are left out; their weights multiply squares.
        settings: The weights of the terms.
    """

    def __init__(self, network: Network, rows: Rows, settings: TrainSettings) -> None:
        self.network, self.rows = network, rows
        weights = {
            "stress": 1.0,
            "tangent": settings.tangent_weight,
            "energy": settings.energy_weight,
        }
        self.terms = []
        for name, weight in weights.items():
            target = getattr(rows, name)
            if target is not None and weight > 0.0:
                size = float((rows.weighted(target) ** 2).sum()) or 1.0
                self.terms.append(_Term(name, target, weight / size))
        self.tangent = any(term.name == "tangent" for term in self.terms)

    def __call__(self) -> Tensor:  # ()
        """Return the loss."""
        rows = self.rows
        answer = self.network(rows.strain, parameters=rows.parameters, tangent=self.tangent)
        parts = [
            term.weight * (rows.weighted(getattr(answer, term.name) - term.target) ** 2).sum()
            for term in self.terms
        ]
        return torch.stack(parts).sum()


def device_named(name: str) -> torch.device:
    """Return a device; ``auto`` is a GPU if torch finds one.

    Raises:
        InputError: torch cannot use it.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise InputError(f"device is {name!r}, which torch cannot use: {error}") from error
    return device


def moved(rows: Rows, device: torch.device) -> Rows:
    """Return rows on a device."""
    tensors = {field.name: getattr(rows, field.name) for field in fields(rows)}
    return Rows(**{k: None if t is None else t.to(device) for k, t in tensors.items()})


def free_weights(network: Network, freeze: Sequence[str]) -> list[torch.nn.Parameter]:
    """Return the weights that training changes; the others take no gradient.

    Args:
        network: Whose weights.
        freeze: The first words of the names of those that are kept.

    Raises:
        InputError: A name that begins none; or no weight is left.
    """
    names = [name for name, _ in network.named_parameters()]
    for words in freeze:
        if not any(name.startswith(words) for name in names):
            raise InputError(
                f"freeze names {words!r}, with which no weight begins; there are {', '.join(names)}"
            )
    for name, weight in network.named_parameters():
        weight.requires_grad_(not name.startswith(tuple(freeze)))
    free = [weight for weight in network.parameters() if weight.requires_grad]
    if not free:
        raise InputError(f"freeze is {list(freeze)}, which leaves no weight to train")
    return free
