"""Series of few modes, and of fewer latent numbers than there are modes."""

from __future__ import annotations

from collections.abc import Iterator

from fesurrogate.hierarchical.axes import Axis
from fesurrogate.hierarchical.representations import Decoded, Gridded, Modes, decomposed
from fesurrogate.hierarchical.representations.forms import Form
from fesurrogate.hierarchical.series.grids import Grids, grid_of
from fesurrogate.hierarchical.series.judge import Candidate
from fesurrogate.hierarchical.strains import torch_for
from fesurrogate.hierarchical.tabulation import written
from fesurrogate.kinematics import Array

MOST_MODES = 6
HIDDEN = 6
"""Width of the hidden layers of an autoencoder."""


def modes(grids: Grids) -> Iterator[Candidate]:
    """Give the modes of strain, or of the entries, with splines of their coefficients."""
    judge = grids.judge
    for spline in grids.splines:
        axes, array, form = _snapshots(grids, spline)
        outer = judge.columns[0]
        for rank in range(1, MOST_MODES + 1):
            own, modes = decomposed(axes, array, rank, outer=outer)
            found = Modes(Gridded.through([axes[k] for k in outer], own, 3), modes, judge.columns)
            detail = f"{spline.detail}, {rank} mode{'s' * (rank > 1)}"
            one = judge.measured("pod", detail, judge.kept(found, form))
            yield one
            if one.held_out < 1.2 * spline.held_out:
                break


def autoencoders(grids: Grids) -> Iterator[Candidate]:
    """Give decoders of snapshots with splines of their latents, fewer than there are modes."""
    judge = grids.judge
    with torch_for("an autoencoder"):
        from fesurrogate.train.autoencoder import fit_autoencoder

    for spline in grids.splines[::4]:
        axes, array, form = _snapshots(grids, spline)
        outer = judge.columns[0]
        near = [axes[k] for k in outer]
        own, modes = decomposed(axes, array, MOST_MODES, outer=outer)
        rows = own.reshape(-1, own.shape[-1])
        for latents in range(1, min(3, *rows.shape)):
            fitted = fit_autoencoder(rows, latents, HIDDEN)
            z = fitted.latents.reshape(*own.shape[:-1], latents)
            decoder = Decoded(Gridded.through(near, z, 3), fitted.arrays)
            detail = f"{spline.detail}, {latents} latent{'s' * (latents > 1)}"
            found = Modes(decoder, modes, judge.columns)
            yield judge.measured("autoencoder", detail, judge.kept(found, form))


def _snapshots(grids: Grids, spline: Candidate) -> tuple[list[Axis], Array, Form]:
    """Return axes of the counts of a spline, entries as numbers, and their form."""
    counts = grid_of(spline.kept).coefficients.shape[:-1]
    axes, entries = grids.refilled(counts)
    numbers, form = written(grids.judge.name, entries, grids.judge.table.kinematics, mean=False)
    return axes, numbers.reshape(*counts, -1), form
