"""Pictures of a training: how the errors fell, and what is predicted beside what is so."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from fesurrogate.data.dataset import Dataset
from fesurrogate.data.envelope import component_names
from fesurrogate.kinematics import Array, Kinematics
from fesurrogate.surrogate.material import NetworkMaterial
from fesurrogate.surrogate.network import Network
from fesurrogate.train.result import FitResult

POINTS = 4000


def draw_training(path: Path, fitted: FitResult, judging: Dataset) -> None:
    """Write a picture of a training: learning curve, and parity of the stress on unseen paths.

    Args:
        path: The file to write; its suffix says the format.
        fitted: What training gave.
        judging: The paths that ``fitted.errors`` refer to.
    """
    figure = Figure(figsize=(9.0, 4.0), layout="constrained")
    left, right = figure.subplots(1, 2)
    _draw_history(left, fitted)
    exact, predicted = stresses(fitted.network, judging)
    for i, name in enumerate(stress_names(judging.kinematics)):
        right.plot(exact[:POINTS, i], predicted[:POINTS, i], ".", markersize=3, label=name)
    ends = [min(exact.min(), predicted.min()), max(exact.max(), predicted.max())]
    right.plot(ends, ends, "k-", linewidth=0.7)
    right.set_xlabel("stress of the data")
    right.set_ylabel("stress of the network")
    right.set_title(
        f"{len(exact)} unseen points: error {100 * fitted.errors.stress:.2g} %, "
        f"worst {100 * fitted.errors.worst:.2g} %",
        fontsize=10,
    )
    right.legend(title="component", fontsize=7, title_fontsize=7, ncols=2)
    figure.savefig(path, dpi=150)


def stress_names(kinematics: Kinematics) -> tuple[str, ...]:  # (m,)
    """Return the names of the components of a stress: of P by rows, or of Mandel's."""
    if kinematics.measure == "finite":
        axes = "xyz"[: kinematics.gdim]
        return tuple(a + b for a in axes for b in axes)
    names = component_names(kinematics)
    return tuple(f"√2 {name}" if len(set(name)) == 2 else name for name in names)


def stresses(network: Network, dataset: Dataset) -> tuple[Array, Array]:  # (k, m) twice
    """Return the stresses of the data and of a network along the paths, where they are known."""
    material = NetworkMaterial(network)
    state = material.initial_state(len(dataset))
    predicted = np.full_like(dataset.stress, np.nan)
    for t in range(dataset.strain.shape[1]):
        steps = np.ones(len(dataset)) if dataset.dt is None else dataset.dt[:, t]
        after = state.copy()
        for step in np.unique(steps):
            rows = steps == step
            assert dataset.parameters is not None
            answer = material.evaluate(
                dataset.strain[rows, t], state[rows], float(step),
                parameters=dataset.parameters[rows], tangent=False,
            )  # fmt: skip
            predicted[rows, t], after[rows] = answer.stress, answer.state
        state = after
    known = dataset.ok & np.isfinite(predicted).all(axis=2)
    return dataset.stress[known], predicted[known]


def _draw_history(axis, fitted: FitResult) -> None:  # type: ignore[no-untyped-def]
    """Draw the curves that fall to zero on a logarithmic axis."""
    history = fitted.history
    along = "degree" if "degree" in history else "iteration"
    iterations = history.get(along, [])
    for name, label in (
        ("stress", "stress, held out"),
        ("tangent", "tangent, held out"),
        ("loss", "√loss, training"),
    ):
        values = np.array(history.get(name, []), dtype=float)
        values = np.sqrt(values) if name == "loss" else values
        if len(values) == len(iterations) and (values > 0.0).any():
            axis.semilogy(iterations, np.where(values > 0.0, values, np.nan), label=label)
    axis.set_xlabel(along)
    axis.set_ylabel("relative error")
    axis.set_title(f"training, {fitted.seconds:.1f} s", fontsize=10)
    axis.grid(alpha=0.3, which="both")
    if axis.get_legend_handles_labels()[0]:
        axis.legend(fontsize=8)
