"""What training makes once, on one rank, and finds again while it is made from the same."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fesurrogate.build.ranks import threads_per_rank, together
from fesurrogate.errors import InputError

logger = logging.getLogger(__name__)
Card = Mapping[str, Any]


@dataclass(frozen=True)
class EnsuredModel:
    """A model file, its card, whether it was there before, and one line on what it is worth."""

    path: Path
    card: Card
    reused: bool
    summary: str


def ensured(
    comm: Any,
    path: Path,
    train: Callable[[], tuple[Card, bool]],
    *,
    summary: Callable[[Mapping[str, Any]], str],
) -> EnsuredModel:
    """Return what rank 0 trains while the others wait, or finds. Collective.

    Args:
        comm: An mpi4py communicator; None works alone.
        path: The file.
        train: Gives the card of the file, and whether it was there before.
        summary: Says of the errors on a card, in one line, what they are.

    Raises:
        InputError: On all ranks, what ``train`` raises.
    """
    threads = threads_per_rank(comm)  # the ranks that wait are not idle

    def work() -> tuple[Card, bool] | None:
        if comm is not None and comm.rank > 0:
            return None
        import torch

        torch.set_num_threads(min(threads, torch.get_num_threads()))
        return train()

    done = together(comm, work)
    card, reused = done if comm is None else comm.bcast(done, root=0)  # type: ignore[misc]
    return EnsuredModel(path, card, reused, summary(card["errors"]))


def known_card(path: Path, request: str, load: Callable[[Path], tuple[Any, Card]]) -> Card | None:
    """Return the card of a file that was made on the same request, None where there is none."""
    if not path.is_file():
        return None
    try:
        _, card = load(path)
    except InputError as error:
        logger.warning("%s; training it again", error)
        return None
    return card if card.get("request") == request else None
