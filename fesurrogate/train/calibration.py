"""Standard deviations that mean what they say: one factor, from points held out of training.

Split conformal prediction (J. Lei, M. G'Sell, A. Rinaldo, R. J. Tibshirani, L. Wasserman, J. Am.
Stat. Assoc. 113 (2018) 1094-1111, sect. 5.2, locally weighted): with k points that are
exchangeable with those to come, the interval covers at least 95 % of these on average, and its
coverage varies by about √(0.95 · 0.05 / k) from one set of k points to the next.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from fesurrogate.data.dataset import Dataset
from fesurrogate.errors import InputError
from fesurrogate.surrogate.ensemble import Ensemble
from fesurrogate.surrogate.gaussian_process import GaussianProcess
from fesurrogate.surrogate.network import Network
from fesurrogate.train.rows import solved_rows
from fesurrogate.train.sequence import solved_paths

COVERED = 0.95
WIDTH = 1.959963984540054
"""Standard deviations within which a normal variable lies with probability 0.95."""

FEWEST = 19
"""Points below which no finite factor covers 95 %."""


def calibrate(network: Ensemble | GaussianProcess, dataset: Dataset) -> float:
    """Set and return the factor of the standard deviation, such that 1.96 s covers 95 %.

    Args:
        network: Its buffer ``deviation_factor`` is set.
        dataset: Of points that training has not seen; failed ones are left out.

    Raises:
        InputError: Fewer than 19 solved points.
    """
    error, deviation = errors_and_deviations(network, dataset)
    before = float(network.deviation_factor)
    factor = before * conformal_factor(error, deviation)
    with torch.no_grad():
        network.deviation_factor.fill_(factor)
    return factor


def coverage(network: Network, dataset: Dataset) -> float:
    """Return the share of solved points whose |Δstress| is at most 1.96 standard deviations."""
    error, deviation = errors_and_deviations(network, dataset)
    return float((error <= WIDTH * deviation).double().mean())


def conformal_factor(
    error: Tensor,  # (k,), norm of the stress error
    deviation: Tensor,  # (k,)
) -> float:
    """Return the factor f with |error| ≤ 1.96 f deviation at 95 % of points like these.

    Raises:
        InputError: Fewer than 19 points, of which none can be the quantile.
    """
    k = len(error)
    if k < FEWEST:
        raise InputError(
            f"{k} points to calibrate the standard deviation with; expected at least {FEWEST}"
        )
    smallest = 1e-12 * float(error.max()) + 1e-300
    ratio = torch.sort(error / deviation.clamp_min(smallest)).values
    rank = math.ceil(COVERED * (k + 1) - 1e-9)
    return float(ratio[rank - 1]) / WIDTH


def errors_and_deviations(network: Network, dataset: Dataset) -> tuple[Tensor, Tensor]:  # (k,) each
    """Return |Δstress| and the reported standard deviation at the solved points."""
    if not network.num_state:
        rows = solved_rows(dataset)
        with torch.no_grad():
            answer = network(rows.strain, parameters=rows.parameters, tangent=False)
        return (answer.stress - rows.stress).norm(dim=1), answer.report["standard_deviation"]
    paths = solved_paths(dataset)
    state = network.initial_state(len(paths.strain))
    errors, deviations = [], []
    with torch.no_grad():
        for strain, stress in zip(paths.strain.unbind(1), paths.stress.unbind(1), strict=True):
            answer = network(strain, state, tangent=False)
            state = answer.state
            errors.append((answer.stress - stress).norm(dim=1))
            deviations.append(answer.report["standard_deviation"])
    ok = paths.ok
    return torch.stack(errors, dim=1)[ok], torch.stack(deviations, dim=1)[ok]
