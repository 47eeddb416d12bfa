"""How wrong a network is on data."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from fesurrogate.data.dataset import Dataset
from fesurrogate.surrogate.network import Network
from fesurrogate.train.rows import Rows, solved_rows


@dataclass(frozen=True)
class Errors:
    """Relative errors over k points, of weighted squares where the points have weights.

    Attributes:
        points: k.
        stress: ‖ΔP‖ / ‖P‖, norms over all points and components (relative L2).
        worst: Largest |ΔP| of a point over the root mean square of |P|.
        tangent: ‖ΔA‖ / ‖A‖, or None where the data hold no tangents.
        components: Per stress component i, ‖ΔP_i‖ over the root mean square component of P.
    """

    points: int
    stress: float
    worst: float
    tangent: float | None
    components: tuple[float, ...]


def errors_on(network: Network, dataset: Dataset) -> Errors:
    """Return the errors of a network on the solved points of a dataset.

    Raises:
        InputError: No point was solved, or the data are not finite.
    """
    return row_errors(network, solved_rows(dataset))


def row_errors(network: Network, rows: Rows) -> Errors:
    """Return the errors of a network on rows."""
    difference, size, tangent_difference, tangent_size = [], 0.0, 0.0, 0.0
    with torch.no_grad():
        for first in range(0, len(rows.strain), 2000):
            part = rows.part(slice(first, first + 2000))
            answer = network(
                part.strain, parameters=part.parameters, tangent=part.tangent is not None
            )
            difference.append(part.weighted(answer.stress - part.stress))
            if part.tangent is not None:
                wrong = part.weighted(answer.tangent - part.tangent)
                tangent_difference += float((wrong**2).sum())
                tangent_size += float((part.weighted(part.tangent) ** 2).sum())
    delta = torch.cat(difference)
    count, columns = delta.shape
    size = float((rows.weighted(rows.stress) ** 2).sum()) or 1.0
    return Errors(
        points=count,
        stress=float((delta**2).sum() / size) ** 0.5,
        worst=float((delta**2).sum(1).max() / (size / count)) ** 0.5,
        tangent=None if rows.tangent is None else (tangent_difference / tangent_size) ** 0.5,
        components=tuple(((delta**2).sum(0) / (size / columns)).sqrt().tolist()),
    )
