"""Condition a Gaussian process on stresses: lengths by likelihood, doubt by leaving out."""

from __future__ import annotations

import contextlib
import math
import time
from dataclasses import dataclass

import torch
from torch import Tensor

from fesurrogate.config.train import TrainSettings
from fesurrogate.data.dataset import Dataset
from fesurrogate.errors import InputError
from fesurrogate.surrogate.gaussian_process import GaussianProcess, stress_covariance
from fesurrogate.surrogate.network import Network
from fesurrogate.surrogate.objective import component_count, components, push_forward
from fesurrogate.train.calibration import FEWEST, conformal_factor
from fesurrogate.train.errors import errors_on
from fesurrogate.train.result import FitResult
from fesurrogate.train.rows import Rows, solved_rows
from fesurrogate.train.start import set_start

SMALLEST_NOISE = 1e-6
"""Of the prior deviation of a slope: bounds the condition number of the covariance by 1e12 N q."""

STEPS = 80
"""Most L-BFGS iterations of the marginal likelihood; some 30 suffice."""


@dataclass(frozen=True)
class _Samples:
    """Components (N, q), what is left of dW/de (N, q), of deviation ``size``, weights (N,)."""

    points: Tensor
    slopes: Tensor
    size: float
    weight: Tensor


def fit_gaussian_process(
    dataset: Dataset,
    settings: TrainSettings,
    *,
    start: Network | None = None,
    progress: bool = False,
) -> FitResult:
    """Condition a Gaussian process of the energy on the stresses of a dataset.

    The closed-form part comes from stresses and, where the data hold them, tangents; the process
    itself from stresses alone. Lengths, amplitude and noise maximise the marginal likelihood. The
    standard deviation is calibrated by leave-one-out residuals, each sample being predicted by all
    others; :func:`~fesurrogate.train.calibration.calibrate` with points of their own is better.

    The history of the result holds the negative logarithm of the likelihood of each trial, as
    ``likelihood``.

    Args:
        dataset: Without history or parameters; failed points are left out.
        settings: ``validation`` and ``seed`` matter; half of what is held out judges the process,
            the other half is conditioned on, too.
        start: None; there are no weights to start from.
        progress: Has no effect: the fit takes seconds.

    Raises:
        InputError: Data that cannot be learned from, too many samples or fewer than 19, or a
            start.
    """
    if dataset.parameter_names:
        raise InputError(
            f"the dataset has parameters ({', '.join(dataset.parameter_names)}), which the "
            "Gaussian process does not take; generate one without"
        )
    if start is not None:
        raise InputError("a Gaussian process has no weights to start from; leave out transfer")
    begin = time.perf_counter()
    # nothing is chosen on held-out points, so that half of them suffice
    training, judging = dataset.split(0.5 * settings.validation, seed=settings.seed)
    rows = solved_rows(training)
    if len(rows.strain) < FEWEST:
        raise InputError(f"{len(rows.strain)} samples; expected at least {FEWEST}")
    network, losses = condition(GaussianProcess(dataset.kinematics, len(rows.strain) + 1), rows)
    history = {"iteration": [float(k) for k in range(len(losses))], "likelihood": losses}
    seconds = time.perf_counter() - begin
    return FitResult(network, errors_on(network, judging), history, seconds)


def condition(network: GaussianProcess, rows: Rows) -> tuple[GaussianProcess, list[float]]:
    """Set the buffers of a process with one sample more than rows: rest, without stress.

    Returns:
        The process, and the negative logarithm of the marginal likelihood of each trial.
    """
    kinematics = network.kinematics
    set_start(network.base, rows)
    network.base.energy_scale.zero_()
    network.weights.zero_()
    samples = _samples(network, rows)
    q = component_count(kinematics)
    scale = samples.points.square().mean(0).sqrt().clamp_min(1e-12)
    free = torch.zeros(q + 2, dtype=torch.float64)  # logarithms: lengths, amplitude, noise
    free[:q] = (2.0 * scale).log()
    free[q] = math.log(samples.size * float(scale.mean()) * 2.0)
    free[q + 1] = math.log(1e-3 * samples.size)
    free.requires_grad_()
    optimizer = torch.optim.LBFGS(
        [free], max_iter=STEPS, history_size=STEPS, tolerance_grad=1e-6, tolerance_change=1e-9,
        line_search_fn="strong_wolfe",
    )  # fmt: skip
    losses: list[float] = []
    kept = free.detach().clone()

    def closure() -> Tensor:
        optimizer.zero_grad()
        factor, solved = _factorised(samples, free)
        loss = 0.5 * (samples.slopes.reshape(-1) @ solved) + factor.diagonal().log().sum()
        loss.backward()
        losses.append(float(loss.detach()))
        if losses[-1] <= min(losses):
            kept.copy_(free.detach())
        return loss

    # the line search may try lengths at which the samples are no longer distinct: the best is kept
    with contextlib.suppress(torch.linalg.LinAlgError):
        optimizer.step(closure)
    with torch.no_grad():
        factor, solved = _factorised(samples, kept)
        inverse = torch.linalg.solve_triangular(
            factor, torch.eye(len(factor), dtype=torch.float64), upper=False
        )
        network.length.copy_(kept[:q].exp())
        network.amplitude.copy_(kept[q].exp())
        network.samples.copy_(samples.points / network.length)
        network.noise.copy_(kept[q + 1].exp() + SMALLEST_NOISE * network.amplitude / network.length)
        network.weights.copy_(solved.reshape(-1, q))
        network.factor.copy_(inverse)
        network.deviation_factor.fill_(_left_out(network, rows, inverse, solved))
    return network, losses


def _samples(network: GaussianProcess, rows: Rows) -> _Samples:
    """Return components and slopes of the energy that the closed form leaves; rest comes first."""
    kinematics, columns = network.kinematics, rows.strain.T.contiguous()
    e = components(kinematics, columns)  # (q, n)
    q, n = e.shape
    units = torch.eye(q, dtype=e.dtype)
    basis = torch.stack(
        [push_forward(kinematics, columns, unit[:, None].expand(q, n), None)[0] for unit in units]
    )  # (q, m, n), d stress / d (dW/de)
    with torch.no_grad():
        left = rows.stress - network(rows.strain, tangent=False).stress  # (n, m)
    slopes = torch.linalg.lstsq(basis.permute(2, 1, 0), left[:, :, None]).solution[:, :, 0]
    size = max(float(slopes.square().mean()) ** 0.5, 1e-12 * float(rows.stress.abs().max()))
    zero = torch.zeros(1, q, dtype=e.dtype)
    weight = torch.ones(1 + n, dtype=e.dtype)
    if rows.weight is not None:
        weight[1:] = rows.weight
    return _Samples(torch.cat([zero, e.T]), torch.cat([zero, slopes]), size, weight)


def _factorised(samples: _Samples, free: Tensor) -> tuple[Tensor, Tensor]:  # (Nq, Nq), (Nq,)
    """Return the Cholesky factor of the samples' covariance, and their solution with it."""
    q = samples.points.shape[1]
    length, amplitude = free[:q].exp(), free[q].exp()
    smallest = SMALLEST_NOISE * amplitude / length  # (q,)
    scaled = samples.points / length
    covariance = stress_covariance(scaled, scaled, length, amplitude)
    covariance = covariance.reshape(scaled.numel(), -1)
    noise = free[q + 1].exp() / samples.weight.sqrt()[:, None]
    noise[0] = 0.0  # rest is known
    noise = (noise + smallest).reshape(-1)
    factor = torch.linalg.cholesky(covariance + torch.diag(noise**2))
    solved = torch.cholesky_solve(samples.slopes.reshape(-1, 1), factor)[:, 0]
    return factor, solved


def _left_out(
    network: GaussianProcess,
    rows: Rows,
    inverse: Tensor,  # (Nq, Nq), of the Cholesky factor
    solved: Tensor,  # (Nq,)
) -> float:
    """Return the factor of the standard deviation from predictions of each sample by the others.

    With blocks of the inverse covariance B = (K⁻¹)_ii the residual of sample i is B⁻¹ (K⁻¹y)_i and
    its covariance B⁻¹ (O. Dubrule, Math. Geol. 15 (1983) 687-699).
    """
    points, q = network.points, len(network.length)
    precision = (inverse.T @ inverse).reshape(points, q, points, q)
    index = torch.arange(1, points)
    covariance = torch.linalg.inv(precision[index, :, index, :])  # (n, q, q)
    residual = (covariance @ solved.reshape(points, q)[1:, :, None])[:, :, 0]
    columns = rows.strain.T.contiguous()

    def pushed(slopes: Tensor) -> Tensor:  # (n, q) -> (n, m)
        return push_forward(network.kinematics, columns, slopes.T.contiguous(), None)[0].T

    root = torch.linalg.cholesky(covariance)
    variance = sum(pushed(root[:, :, k]).square().sum(1) for k in range(q))
    return conformal_factor(pushed(residual).norm(dim=1), variance.sqrt())
