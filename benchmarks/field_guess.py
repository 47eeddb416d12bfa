"""A network of fields as the guess of a cell: accuracy, time, cost, and cells it has not seen.

Beside it the modes of :mod:`benchmarks.warmstart`, learned from the same points; the linear part of
the network's guess alone, which needs no learning; and, on another mesh of the cell, the modes of
the first mesh, read between its nodes.

It does not pay. The network has the fluctuations of its cell to 0.9 %, of a finer mesh and of an
unseen fraction of fibres to 1.4 to 1.7 %, but saves no time beyond what these are uncertain by, nor
where it saves iterations (9.6 -> 6.6 with 1,000 unknowns: it costs what they do). On finer meshes
the linear part alone needs as few, or fewer: gradients that a grid cannot hold count in a residual.
Modes of the cell itself take 0.65 to 0.74 of the time. A *perfect* network on 32 x 32 points
would leave 0.5 to 0.8 % of the fluctuation and 6 to 7 of 10 iterations; without the linear part 3
to 5 %.

``python -m benchmarks.field_guess CASE ...`` takes some of
``same mesh fraction``. Seconds are those of the processor, on one thread.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
import scipy.sparse as sp
import torch
from scipy.spatial import Delaunay

from benchmarks.measure import medians, report
from benchmarks.rve import fibre_rve
from benchmarks.twin import PHASES
from fesurrogate import Kinematics
from fesurrogate.config.train import TrainSettings
from fesurrogate.data.sampling import stretches
from fesurrogate.kinematics import Array
from fesurrogate.micro import RVEMaterial, square_packing
from fesurrogate.micro.guess import InitialGuess
from fesurrogate.surrogate.cell_image import CellImage
from fesurrogate.surrogate.field_file import field_of
from fesurrogate.train.field import CellFields, FieldFit, fit_field
from fesurrogate.warmstart import FluctuationModes, fit_modes
from fesurrogate.warmstart.field import FieldGuess
from fesurrogate.warmstart.imaging import image_of

PLANE = Kinematics(2, "finite")
TRAIN = TrainSettings(model="field_network", iterations=40, validation=0.1, device="cpu")
SAMPLES, EXTENT = 256, 0.2
FRACTIONS, MIDDLE = (0.15, 0.2, 0.3, 0.35, 0.4), 0.25


def main(cases: list[str] | None = None) -> None:
    """Print the figures."""
    torch.set_num_threads(1)
    wanted = cases or ["same", "mesh", "fraction"]
    for name, measure in (("same", same), ("mesh", mesh), ("fraction", fraction)):
        if name in wanted:
            measure()


@dataclass(frozen=True)
class Learned:
    """A network, the fields of the first cell, and the seconds of solving and of training."""

    fit: FieldFit
    fields: CellFields
    solving: float
    training: float


def learn(rves: list[RVEMaterial], samples: int) -> Learned:
    """Return the network of cells, from as many strains of each."""
    begin = time.process_time()
    F = stretches(PLANE, samples, EXTENT)[:, 0]
    cells = []
    for rve in rves:
        found = rve.evaluate(F, tangent=False)
        image = image_of(rve, TRAIN.field_network.grid, laws="")
        none = np.zeros((int(found.ok.sum()), 0))
        cells.append(CellFields(image, F[found.ok], found.hint[found.ok], none))
    middle = time.process_time()
    fit = fit_field(cells, TRAIN)
    return Learned(fit, cells[0], middle - begin, time.process_time() - middle)


@cache
def of_fibres() -> Learned:
    """Return what the cell of Cook's membrane teaches."""
    return learn([fibre_rve()], SAMPLES)


def network_of(rve: RVEMaterial, learned: Learned) -> tuple[FieldGuess, FieldGuess]:
    """Return the guess of a cell by a network, and by its linear part alone."""
    image = image_of(rve, TRAIN.field_network.grid, laws="")
    shape = (2, TRAIN.field_network.grid**2)
    guess = FieldGuess(image, field_of(learned.fit.operator, image.image))
    return guess, FieldGuess(image, lambda inputs: np.zeros((len(inputs), *shape)))


def same() -> None:
    """Guess the cell that was learned from, on its mesh."""
    rve, learned = fibre_rve(), of_fibres()
    network, linear = network_of(rve, learned)
    begin = time.process_time()
    modes = fit_modes(PLANE, learned.fields.strain, learned.fields.fluctuation)
    fitted = time.process_time() - begin
    saved = _compare("same", rve, {"network": network, "linear": linear, "modes": modes}, 16)
    F = unseen(16)
    alone = medians(
        {
            "16": lambda: network.fluctuation(F, np.zeros((16, 0))),
            "1": lambda: network.fluctuation(F[:1], np.zeros((1, 0))),
            "modes": lambda: modes.fluctuation(F, np.zeros((16, 0))),
        },
        5,
        clock=time.process_time,
    )
    report(
        "field_guess.same.evaluation", 1e3 * alone["16"] / 16, "ms",
        detail=f"a point of 16 at once; alone {1e3 * alone['1']:.2f}, modes "
        f"{1e3 * alone['modes'] / 16:.3f}",
    )  # fmt: skip
    for name, cost in (("network", learned.training), ("modes", fitted)):
        gain = saved[name]
        report(
            f"field_guess.same.break_even_{name}",
            (learned.solving + cost) / gain if gain > 0 else np.inf, "solves",
            detail=f"{SAMPLES} samples {learned.solving:.1f} s, fit {cost:.1f} s; a solve with "
            f"tangent is spared {1e3 * gain:.2f} ms",
        )  # fmt: skip


class Carried(InitialGuess):
    """The modes of a mesh, read between its nodes; the linear part is that of the mesh they serve.

    At strains without rotation; nothing is kept of a point.
    """

    def __init__(self, modes: FluctuationModes, coarse: CellImage, linear: FieldGuess) -> None:
        self._modes, self._coarse, self._linear = modes, coarse, linear
        image, places = linear.image, np.concatenate([coarse.points, coarse.fixed])
        self._matrix = between(places, np.concatenate([image.points, image.fixed]))

    def fluctuation(self, strain: Array, parameters: Array) -> Array:
        """Return the guess."""
        image, n = self._linear.image, len(strain)
        known = self._modes.fluctuation(strain, parameters)
        _, rest = self._coarse.remainder(strain, known)  # (n, nodes, 2)
        nodal = self._matrix @ rest.transpose(1, 0, 2).reshape(rest.shape[1], 2 * n)
        free = len(image.points)
        nodal = nodal.reshape(free + len(image.fixed), n, 2).transpose(1, 0, 2)
        nodal = nodal[:, :free] - nodal[:, free:].mean(axis=1, keepdims=True)
        linear = self._linear.fluctuation(strain, parameters)
        return np.asarray(linear + image.size * nodal.reshape(n, 2 * free))

    def num_hint(self, unknowns: int) -> int:
        """Return 0."""
        return 0

    def start(
        self, strain: Array, parameters: Array, hint: Array, unknowns: int
    ) -> tuple[Array, Array | None]:
        """Return rest, and the guess."""
        return np.zeros((len(strain), unknowns)), self.fluctuation(strain, parameters)

    def keep(self, strain: Array, q: Array, relaxation: Array | None) -> Array:
        """Keep nothing."""
        return np.zeros(0)


def between(
    nodes: Array,  # (k, 2), of a periodic cell
    places: Array,  # (l, 2)
) -> sp.csr_matrix:  # (l, k)
    """Return linear interpolation on the triangles of Delaunay between nodes and their images."""
    shifts = np.array([[i, j] for i in (-1, 0, 1) for j in (-1, 0, 1)])
    tiled = (nodes + shifts[:, None]).reshape(-1, 2)
    _, kept = np.unique(tiled.round(9), axis=0, return_index=True)
    delaunay = Delaunay(tiled[kept])
    simplex = delaunay.find_simplex(places)
    transform = delaunay.transform[simplex]
    two = np.einsum("nij,nj->ni", transform[:, :2], places - transform[:, 2])
    weight = np.column_stack([two, 1 - two.sum(axis=1)])
    columns = kept[delaunay.simplices[simplex]] % len(nodes)
    rows = np.repeat(np.arange(len(places)), 3)
    return sp.csr_matrix((weight.ravel(), (rows, columns.ravel())), (len(places), len(nodes)))


def mesh() -> None:
    """Guess the cell that was learned from on a mesh with edges a quarter as long."""
    learned, fine = of_fibres(), fibre_rve(2)
    network, linear = network_of(fine, learned)
    modes = fit_modes(PLANE, learned.fields.strain, learned.fields.fluctuation)
    begin = time.process_time()
    F = stretches(PLANE, 96, EXTENT)[:, 0]
    own = fit_modes(PLANE, F, fine.evaluate(F, tangent=False).hint)
    spent = time.process_time() - begin
    guesses: dict[str, InitialGuess] = {
        "network": network,
        "linear": linear,
        "carried_modes": Carried(modes, learned.fields.image, linear),
        "own_modes": own,
    }
    _compare("mesh", fine, guesses, 4, detail=f"; own modes: 96 samples there, {spent:.0f} s")


def fraction() -> None:
    """Guess a cell of a fibre fraction between those that were learned from."""

    def cell(share: float, resolution: int) -> RVEMaterial:
        made = square_packing(share, resolution=resolution)
        return RVEMaterial(made, phases, PLANE, degree=1)

    phases = {"matrix": PHASES["matrix"], "fibre": PHASES["inclusion"]}
    learned = learn([cell(share, 20) for share in FRACTIONS], SAMPLES // len(FRACTIONS))
    for resolution, count in ((20, 16), (72, 4)):
        rve = cell(MIDDLE, resolution)
        network, linear = network_of(rve, learned)
        _compare(
            f"fraction_{rve.num_unknowns}", rve, {"network": network, "linear": linear}, count,
            detail=f"; learned from fractions {', '.join(map(str, FRACTIONS))} with "
            f"{learned.fields.image.linear.shape[0]} unknowns, {learned.solving:.0f} s and "
            f"{learned.training:.0f} s of training",
        )  # fmt: skip


def unseen(count: int) -> Array:  # (n, 4)
    """Return strains of the envelope that nothing was learned from."""
    return stretches(PLANE, SAMPLES + count, EXTENT)[SAMPLES:, 0]


def _compare(
    name: str,
    rve: RVEMaterial,
    guesses: Mapping[str, InitialGuess],
    count: int,
    *,
    detail: str = "",
) -> dict[str, float]:
    """Report what guesses save of cold solves; return the seconds that each saves of one."""
    F, none = unseen(count), np.zeros((count, 0))
    exact = rve.evaluate(F, tangent=False)
    materials = {"cold": rve, **{key: rve.beginning_with(g) for key, g in guesses.items()}}
    found = {key: each.evaluate(F) for key, each in materials.items()}
    seconds = medians(
        {key: (lambda each=each: each.evaluate(F)) for key, each in materials.items()}, 3,
        clock=time.process_time,
    )  # fmt: skip
    ms = 1e3 * seconds["cold"] / count
    begin = float(np.mean(found["cold"].report["micro_iterations"]))
    for key, guess in guesses.items():
        q = guess.fluctuation(F, none)  # type: ignore[attr-defined]
        error = np.linalg.norm(q - exact.hint) / np.linalg.norm(exact.hint)
        steps = float(np.mean(found[key].report["micro_iterations"]))
        taken = int(found[key].report["guess_taken"].sum())
        report(
            f"field_guess.{name}.{key}", seconds[key] / seconds["cold"], "1",
            detail=f"time with tangent over that of cold solves, {ms:.1f} ms; field error "
            f"{error:.1e}, {begin:.2f} -> {steps:.2f} iterations, {taken} of {count} taken, "
            f"{rve.num_unknowns} unknowns{detail}",
        )  # fmt: skip
    return {key: (seconds["cold"] - seconds[key]) / count for key in guesses}


if __name__ == "__main__":
    main(sys.argv[1:])
