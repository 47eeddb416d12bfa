"""The strain-stress table of Cook's cell over the volume fraction: what 0.5 % takes in bytes.

The cell is that of meshes/fibre_rve.py, whose six fibres grow about their centres: curved quadratic
elements, so that meshes of near fractions differ by 1e-4 of the stress. U - I within 0.2, fractions
from 0.1 to 0.3. A polynomial energy of degree 8 stands for the cell where tables are filled, as a
multilinear one of 0.5 % takes some 1e5 solves; its own error is printed, and errors are those
against solves of cells that nothing was fitted to. An error is |found - solved| of the stress
conjugate to U, relative to the root mean square of |solved|: the bar is for the largest.

The smallest multilinear table is searched for: from two values an axis the axis is refined that
pays most, and then any smaller table among the neighbours is taken that still holds.
"""

from __future__ import annotations

import itertools
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.measure import report
from fesurrogate import Kinematics
from fesurrogate.config.train import PolynomialSettings, TrainSettings
from fesurrogate.data.dataset import Dataset
from fesurrogate.data.envelope import envelope_of, strain_with
from fesurrogate.data.sampling import scaled, sobol
from fesurrogate.hierarchical import Axis, Table, Tabulation, read_tabulation, write_tabulation
from fesurrogate.hierarchical.axes import grid
from fesurrogate.hierarchical.compress import file_size, stored
from fesurrogate.hierarchical.representations import Gridded
from fesurrogate.hierarchical.series import Candidate, Candidates
from fesurrogate.hierarchical.strains import strain_axes, tabulated
from fesurrogate.hierarchical.tabulation import Scattered
from fesurrogate.kinematics import Array
from fesurrogate.material import Material
from fesurrogate.micro import RVEMaterial, neo_hookean, placed_fibres
from fesurrogate.surrogate import NetworkMaterial
from fesurrogate.train import fit

CENTRES = (
    (0.0142, 0.5412), (0.4182, 0.2880), (0.9839, 0.0009),
    (0.6769, 0.6941), (0.3113, 0.6292), (0.7133, 0.4217),
)  # fmt: skip
"""Of meshes/fibre_rve.py, moved together to where no fibre of the family grazes an edge."""
KINEMATICS = Kinematics(2, "finite")
WIDTH, FRACTIONS = 0.2, (0.1, 0.3)
RESOLUTION = 16
LIMIT, LEAST = 0.005, 100.0
COUNTS = (13, 13, 13, 9)
"""Values an axis of the table from which all others are made, by splines through it."""
NAME = "volume_fraction"


def cell(fraction: float) -> RVEMaterial:
    """Return the cell of a fraction (constants: demos/cook_membrane.toml)."""
    phases = {
        "matrix": neo_hookean(shear_modulus=100 / 2.8, lame=40 / 0.28),
        "fibre": neo_hookean(shear_modulus=1000 / 2.6, lame=300 / 0.52),
    }
    made = placed_fibres(fraction, CENTRES, resolution=RESOLUTION, degree=2)
    return RVEMaterial(made, phases, KINEMATICS, degree=2)


def solved(fractions: Array, strains: int, *, seed: int) -> Dataset:
    """Return answers of the cells of some fractions, each at some strains."""
    envelope = envelope_of(KINEMATICS, WIDTH)
    cube = sobol(len(fractions) * strains, 3, seed=seed)
    strain = envelope.strain(scaled(cube, envelope.low, envelope.high))
    parts = []
    for k, fraction in enumerate(fractions):
        rows = slice(k * strains, (k + 1) * strains)
        answer = cell(float(fraction)).evaluate(strain[rows])
        parts.append((strain[rows], answer.stress, answer.tangent, answer.ok))
    F, P, A, ok = (np.concatenate(column)[:, None] for column in zip(*parts, strict=True))
    given = np.repeat(fractions, strains)[:, None]
    return Dataset(KINEMATICS, F, P, A, ok, parameters=given, parameter_names=(NAME,))


def stress_at(material: Material, points: Array) -> Array:  # (n, 3)
    """Return the stress conjugate to U at points of the axes."""
    strain = strain_with(KINEMATICS, points[:, :3])
    answer = material.evaluate(strain, parameters=points[:, 3:].copy(), tangent=False)
    return tabulated(KINEMATICS, answer.stress, None, None)["stress"]


def table_of(material: Material, unseen: Dataset) -> Tabulation:
    """Return a fine table of the material, with solves of cells held out."""
    ends = [(-WIDTH, WIDTH)] * 3 + [FRACTIONS]
    names = (*strain_axes(KINEMATICS), NAME)
    axes = tuple(
        Axis(name, np.linspace(*end, count))
        for name, end, count in zip(names, ends, COUNTS, strict=True)
    )
    entries = stress_at(material, grid(axes)).reshape(*COUNTS, 3)
    tensor = KINEMATICS.unpack(unseen.strain[:, 0]) - np.eye(2)
    assert unseen.parameters is not None
    points = np.stack(
        [tensor[:, 0, 0], tensor[:, 1, 1], tensor[:, 0, 1], unseen.parameters[:, 0]], axis=1
    )
    exact = tabulated(KINEMATICS, unseen.stress[:, 0], None, None)
    held = Scattered(points, exact, unseen.ok[:, 0])
    return Tabulation(
        KINEMATICS, axes, {"stress": entries}, np.ones(COUNTS, dtype=bool), held, units="mm, MPa"
    )


def finer_table(table: Tabulation, candidates: Candidates) -> Candidates:
    """Return a table of so many entries that multilinear interpolation is within half the limit."""
    counts = tuple(2 * count for count in COUNTS)
    axes, entries = candidates.grids.refilled(counts)
    quantities = {"stress": entries.reshape(*counts, 3)}
    ok = np.ones(counts, dtype=bool)
    finer = replace(table, axes=tuple(axes), quantities=quantities, ok=ok)
    return Candidates(finer, "stress")


def holds(one: Candidate, measure: str) -> bool:
    """Return whether a candidate is within the limit."""
    return bool(getattr(one, measure) <= LIMIT)


def smallest_multilinear(candidates: Candidates, measure: str) -> Candidate:
    """Return the smallest multilinear table that a search finds."""
    seen: dict[tuple[int, ...], tuple[float, float]] = {}  # root mean square, and the measure

    def made(counts: tuple[int, ...]) -> Candidate:
        axes, entries = candidates.grids.refilled(counts)
        table = Gridded.through(axes, entries.reshape(*counts, -1), 1)
        kept = candidates.judge.kept(table, "plain")
        return candidates.judge.judged("multilinear", " x ".join(map(str, counts)), kept)

    def errors(counts: tuple[int, ...]) -> tuple[float, float]:
        if counts not in seen:
            one = made(counts)
            seen[counts] = one.mean_square, float(getattr(one, measure))
        return seen[counts]

    counts = (2, 2, 2, 2)
    while errors(counts)[1] > LIMIT:
        finer = [(*counts[:k], counts[k] + 1, *counts[k + 1 :]) for k in range(4)]
        before, size = errors(counts)[0], float(np.prod(counts))
        gains = [np.log(before / errors(c)[0]) / np.log(np.prod(c) / size) for c in finer]
        counts = finer[int(np.argmax(gains))]
    while True:
        steps = itertools.product((-1, 0, 1), repeat=4)
        near = [tuple(np.add(counts, step).tolist()) for step in steps]
        smaller = sorted(
            (c for c in near if min(c) >= 2 and np.prod(c) < np.prod(counts)), key=np.prod
        )
        better = next((c for c in smaller if errors(c)[1] <= LIMIT), None)
        if better is None:
            return made(counts)
        counts = better


def main() -> None:
    """Print the figures."""
    low, high = FRACTIONS
    nodes = low + (high - low) * 0.5 * (1 - np.cos(np.pi * np.arange(9) / 8))
    unseen = solved(low + (high - low) * sobol(32, 1, seed=98)[:, 0], 6, seed=99)
    seen = solved(nodes, 64, seed=1)
    settings = TrainSettings(
        model="polynomial", polynomial=PolynomialSettings(degree=8), suspicious="keep",
        validation=0.05, device="cpu",
    )  # fmt: skip
    exact = NetworkMaterial(fit(seen, settings).network)
    table = table_of(exact, unseen)
    assert table.held_out is not None
    candidates = Candidates(table, "stress")
    own = stress_at(exact, table.held_out.points) - table.held_out.quantities["stress"]
    size = np.sqrt((table.held_out.quantities["stress"] ** 2).sum(axis=1).mean())
    solves = f"{len(unseen)} solves of {len(unseen) // 6} cells held out"
    report(
        "storage.standing_in", float(100 * np.linalg.norm(own, axis=1).max() / size), "%", bar=0.1,
        detail=f"largest error of the polynomial that fills tables, {len(seen)} solves; {solves}",
    )  # fmt: skip
    series = {k: list(make()) for k, make in candidates.series.items() if k != "multilinear"}
    series["tensor_train"] = list(finer_table(table, candidates).series["tensor_train"]())
    for measure, word in (("held_out", "largest"), ("mean_square", "root mean square")):
        plain = smallest_multilinear(candidates, measure)
        within = [one for every in series.values() for one in every if holds(one, measure)]
        for name, every in {"multilinear": [plain], **series}.items():
            fitting = [one for one in every if holds(one, measure)]
            if not fitting:
                print(f'{{"name": "storage.{name}.{measure}", "value": null}}', flush=True)
                continue
            one = min(fitting, key=lambda each: each.numbers)
            detail = (
                f"{one.detail}: {word} error {100 * getattr(one, measure):.2g} %, {one.numbers} "
                f"numbers, file of {file_size(table, one, 'stress')} bytes"
            )
            report(f"storage.{name}.{measure}", 8 * one.numbers, "bytes", detail=detail)
        best = min(within, key=lambda each: each.numbers)
        detail = f"{plain.numbers} numbers beside {best.numbers} of {best.name}, {best.detail}"
        ratio = plain.numbers / best.numbers
        report(f"storage.ratio.{measure}", ratio, "", bar=LEAST, least=True, detail=detail)
        files = [file_size(table, one, "stress") for one in (plain, best)]
        detail = f"files of {files[0]} and {files[1]} bytes"
        bar = LEAST if measure == "held_out" else None
        ratio = files[0] / files[1]
        report(f"storage.ratio_of_files.{measure}", ratio, "", bar=bar, least=True, detail=detail)
        if measure == "held_out":
            again(table, best)


def again(table: Tabulation, best: Candidate) -> None:
    """Print the error of the Material that the smallest file holds."""
    assert table.held_out is not None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "small.h5"
        write_tabulation(stored(table, {"stress": best}), path)
        read = replace(read_tabulation(path), held_out=table.held_out)
    found = stress_at(Table(read), table.held_out.points)
    off = np.linalg.norm(found - table.held_out.quantities["stress"], axis=1)
    size = np.sqrt((table.held_out.quantities["stress"] ** 2).sum(axis=1).mean())
    report(
        "storage.material", float(100 * off.max() / size), "%", bar=100 * LIMIT,
        detail=f"largest error of the Material read from the file of {best.name}",
    )  # fmt: skip


if __name__ == "__main__":
    main()
