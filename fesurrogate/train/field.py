"""A field operator from the fluctuations of one cell or several: Adam, one cell a batch.

The loss is at the nodes of the cells, through the interpolation that will serve; a rigid
translation does not count. Each point counts by what is not linear of its fluctuation over its
strain, so that small strains, of which all is small, are learned as well.

Without the linear part, on the cell of Cook's membrane, a perfect network on a grid of 32 x 32
points would leave an error of 3 to 5 % of the fluctuation at the nodes: as much as it saves.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from fesurrogate.config.train import TrainSettings
from fesurrogate.errors import InputError
from fesurrogate.kinematics import Array
from fesurrogate.progress import progress_bar
from fesurrogate.surrogate.cell_image import CellImage, corners
from fesurrogate.surrogate.field_operator import FieldOperator, FieldShape
from fesurrogate.train.sobolev import device_named

BATCH = 8
RATE = 1e-2  # with 16 and 5e-3 the error after as many epochs was 1.4 times as large
LINEAR = 1e-6  # share of the fluctuations that is not linear, below which it is rounding


@dataclass(frozen=True)
class CellFields:
    """Solved points of a cell.

    Attributes:
        image: Of the cell.
        strain: (N, m).
        fluctuation: (N, unknowns).
        parameters: (N, p).
    """

    image: CellImage
    strain: Array
    fluctuation: Array
    parameters: Array


@dataclass(frozen=True)
class FieldFit:
    """A fitted operator and how good it is.

    Attributes:
        operator: In float64, on the CPU.
        error: Of the fluctuation, relative (L2 over nodes and unseen points).
        linear_error: What it is with the linear part alone.
        points: How many were unseen.
        history: (epochs,), mean loss of each epoch.
        seconds: Time of the training.
    """

    operator: FieldOperator
    error: float
    linear_error: float
    points: int
    history: tuple[float, ...]
    seconds: float


@dataclass(frozen=True)
class _Rows:
    """Points of one cell as tensors in single precision."""

    image: Tensor  # (P, *grid)
    index: Tensor  # (nodes, 2**d)
    weight: Tensor  # (nodes, 2**d)
    inputs: Tensor  # (N, i)
    target: Tensor  # (N, nodes, c), without its mean over the nodes
    whole: Tensor  # (N,), mean square of the fluctuation, in the unit of the target

    def part(self, rows: np.ndarray) -> _Rows:
        """Return some of the points."""
        chosen = {name: getattr(self, name)[rows] for name in ("inputs", "target", "whole")}
        return replace(self, **chosen)

    def lacking(self, operator: FieldOperator) -> Tensor:  # (N,)
        """Return the mean square of what the operator lacks at the nodes, but a translation."""
        field = operator(self.image, self.inputs).flatten(2)  # (N, c, points)
        nodal = (field[:, :, self.index] * self.weight).sum(-1).transpose(1, 2)
        return (nodal - nodal.mean(1, keepdim=True) - self.target).square().mean((1, 2))

    def moved(self, device: torch.device) -> _Rows:
        """Return the same on a device."""
        return _Rows(**{name: tensor.to(device) for name, tensor in vars(self).items()})


def fit_field(
    cells: Sequence[CellFields], settings: TrainSettings, *, progress: bool = False
) -> FieldFit:
    """Return the operator that fits the fluctuations of cells with the same phases.

    Args:
        cells: Their images have the same phases, lattice and grid.
        settings: ``field_network``, ``validation``, ``iterations`` (epochs), ``device`` and
            ``seed`` matter.
        progress: Whether a bar shows the loss.

    Raises:
        InputError: Too few points, or fluctuations that are linear in the strain.
    """
    begin = time.perf_counter()
    chosen, first = settings.field_network, cells[0].image
    order = np.random.default_rng(settings.seed)
    made = [_rows(cell) for cell in cells]
    inputs = torch.cat([rows.inputs for rows in made])
    shape = FieldShape(
        dimension=first.image.ndim - 1, phases=len(first.names), strains=first.kinematics.size,
        inputs=inputs.shape[1], components=first.components,
        width=chosen.width, waves=chosen.waves, layers=chosen.layers,
    )  # fmt: skip
    operator = FieldOperator(shape, seed=settings.seed)
    _set_scales(operator, inputs)
    training, unseen = [], []
    for rows in made:
        held = round(settings.validation * len(rows.inputs))
        if not 1 <= held < len(rows.inputs):
            raise InputError(
                f"validation is {settings.validation} of {len(rows.inputs)} points of a cell; "
                "expected at least one to learn from and one held out: give more samples"
            )
        drawn = order.permutation(len(rows.inputs))
        training.append(rows.part(drawn[held:]))
        unseen.append(rows.part(drawn[:held]))
    with torch.no_grad():
        ratios = [r.target.square().mean((1, 2)) / operator.factor(r.inputs) ** 2 for r in training]
        operator.size.copy_(torch.cat(ratios).mean().sqrt())
    device = device_named(settings.device)
    operator.to(device).float()
    training, unseen = ([rows.moved(device) for rows in part] for part in (training, unseen))
    history = _descend(operator, training, settings, order, progress=progress)
    error, linear = _errors(operator, unseen)
    return FieldFit(
        operator.cpu().double(), error, linear, sum(len(r.inputs) for r in unseen), tuple(history),
        time.perf_counter() - begin,
    )  # fmt: skip


def _rows(cell: CellFields) -> _Rows:
    image = cell.image
    change, remainder = image.remainder(cell.strain, cell.fluctuation)
    kept = np.linalg.norm(change, axis=1) > 0
    change, remainder = change[kept], remainder[kept]
    target = remainder - remainder.mean(axis=1, keepdims=True)  # (N, nodes, c)
    linear = (change @ image.linear.T).reshape(len(change), -1, image.components) / image.size
    whole = remainder.copy()
    whole[:, : linear.shape[1]] += linear
    whole -= whole.mean(axis=1, keepdims=True)
    if not np.linalg.norm(target) > LINEAR * np.linalg.norm(whole):
        raise InputError(
            "the fluctuations are linear in the strain: there is nothing to learn; take "
            "initial_guess = 'sensitivity'"
        )
    index, weight = corners(np.concatenate([image.points, image.fixed]), image.image.shape[1:])
    inputs = np.concatenate([change, cell.parameters[kept]], axis=1)
    arrays = (image.image, weight, inputs, target, np.square(whole).mean(axis=(1, 2)))
    shares, weights, asked, wanted, squares = (torch.from_numpy(array).float() for array in arrays)
    return _Rows(shares, torch.from_numpy(index), weights, asked, wanted, squares)


def _set_scales(operator: FieldOperator, inputs: Tensor) -> None:
    """Centre parameters, not strains; extents are the largest distances from there."""
    strains = operator.shape.strains
    with torch.no_grad():
        if inputs.shape[1] > strains:
            lower, upper = inputs[:, strains:].amin(0), inputs[:, strains:].amax(0)
            operator.centre[strains:] = (lower + upper) / 2
        extent = (inputs - operator.centre).abs().amax(0)
        operator.extent.copy_(torch.where(extent > 0, extent, torch.ones_like(extent)))


def _descend(
    operator: FieldOperator,
    training: Sequence[_Rows],
    settings: TrainSettings,
    order: np.random.Generator,
    *,
    progress: bool,
) -> list[float]:
    """Minimise the loss by Adam whose rate rises and falls once; return it for each epoch."""
    steps = sum(math.ceil(len(rows.inputs) / BATCH) for rows in training)
    optimizer = torch.optim.Adam(operator.parameters(), lr=RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, RATE, total_steps=steps * settings.iterations, pct_start=0.1
    )
    history: list[float] = []
    with progress_bar("train", settings.iterations, unit="epochs", enabled=progress) as advance:
        for _ in range(settings.iterations):
            batches = [
                (rows, chunk)
                for rows in training
                for chunk in np.array_split(
                    order.permutation(len(rows.inputs)), math.ceil(len(rows.inputs) / BATCH)
                )
            ]
            total = 0.0
            for place in order.permutation(len(batches)):
                rows, chunk = batches[place]
                part = rows.part(chunk)
                optimizer.zero_grad()
                loss = (part.lacking(operator) / operator.factor(part.inputs) ** 2).mean()
                loss.backward()
                optimizer.step()
                schedule.step()
                total += float(loss.detach()) * len(chunk)
            history.append(total / sum(len(rows.inputs) for rows in training))
            advance(1, f"loss {history[-1]:.1e}")
            if not math.isfinite(history[-1]):
                raise InputError("training diverged; take a smaller width, or another seed")
    return history


def _errors(operator: FieldOperator, unseen: Sequence[_Rows]) -> tuple[float, float]:
    """Return the relative error of the fluctuation, with the operator and without it."""
    lacking = linear = whole = 0.0
    with torch.no_grad():
        for rows in unseen:
            for first in range(0, len(rows.inputs), BATCH):
                part = rows.part(np.arange(first, min(first + BATCH, len(rows.inputs))))
                lacking += float(part.lacking(operator).sum())
                linear += float(part.target.square().mean((1, 2)).sum())
                whole += float(part.whole.sum())
    return math.sqrt(lacking / whole), math.sqrt(linear / whole)
