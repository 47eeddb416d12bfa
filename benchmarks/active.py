"""Samples that an error takes: asked for by the model, or drawn by Sobol's sequence.

Cook's cell, components of U - I within 0.2, error of the stress at points that neither has seen.
Both begin with the same samples and are trained alike at every size, up to the first at which the
error is at most the target. Training is noisy: a curve may rise above it once more.
"""

import statistics
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from mpi4py import MPI

from benchmarks.measure import report
from fesurrogate.build import ensure_dataset, ensure_model
from fesurrogate.build.active import ensure_active
from fesurrogate.config import Settings, TrainSettings, read_config
from fesurrogate.config.data import ActiveSettings
from fesurrogate.data.dataset import Dataset
from fesurrogate.surrogate import load_model
from fesurrogate.train import errors_on

TOML = Path(__file__).parents[1] / "demos" / "cook_membrane.toml"
COMM = MPI.COMM_SELF
SEEDS = 3
TARGET = 0.002
UNSEEN = 400
BAR = 0.6
NETWORKS = TrainSettings(ensemble=4, iterations=150, device="cpu", suspicious="keep")


@dataclass(frozen=True)
class Case:
    """A model, and the sizes at which it is tried.

    Attributes:
        name: Of the figure.
        train: The model.
        first: Samples at the beginning.
        batch: Samples that are added.
        most: Largest size that is tried.
        tangents: Whether samples have tangents.
    """

    name: str
    train: TrainSettings
    first: int
    batch: int
    most: int
    tangents: bool = True


CASES = (
    Case("ensemble", NETWORKS, 8, 4, 80),
    Case("gaussian_process", replace(NETWORKS, model="gaussian_process", ensemble=1), 24, 4, 80),
    Case("polynomial", replace(NETWORKS, model="polynomial"), 4, 1, 24),
    Case("polynomial_of_stresses", replace(NETWORKS, model="polynomial"), 8, 2, 40, False),
)


def main() -> None:
    """Print the figures."""
    with tempfile.TemporaryDirectory() as folder:
        unseen = ensure_dataset(
            _settings(Path(folder) / "unseen", 99, samples=UNSEEN), COMM
        ).dataset
        for case in CASES:
            _compare(case, unseen, Path(folder))


def _settings(folder: Path, seed: int, *, samples: int, case: Case | None = None) -> Settings:
    settings = read_config(TOML)
    settings = replace(
        settings,
        output=replace(settings.output, folder=folder, pictures=False),
        generate=replace(settings.generate, samples=samples, seed=seed),
    )
    if case is None:
        return settings
    active = ActiveSettings(batch=case.batch)
    generate = replace(settings.generate, active=active, tangents=case.tangents)
    return replace(settings, generate=generate, train=replace(case.train, seed=seed))


def _compare(case: Case, unseen: Dataset, folder: Path) -> None:
    needed: dict[str, list[float]] = {"asked for": [], "drawn": []}
    curves = []
    for seed in range(SEEDS):
        for way, found in needed.items():
            place = folder / case.name / f"{way}{seed}"
            curve = dict(_curve(case, place, seed, unseen, asked=way == "asked for"))
            assert curve[max(curve)] <= TARGET, "more sizes must be tried"
            found.append(max(curve))
            shown = ", ".join(f"{size}: {error:.2%}" for size, error in curve.items())
            curves.append(f"{way}, seed {seed}: {shown}")
    asked, drawn = (statistics.mean(found) for found in needed.values())
    detail = (
        f"samples to a stress error of {TARGET:.1%} on {UNSEEN} unseen points: asked for "
        f"{needed['asked for']}, drawn {needed['drawn']}; begun with {case.first}, in steps of "
        f"{case.batch}; {'; '.join(curves)}"
    )
    report(f"active.{case.name}.samples_over_sobol", asked / drawn, "1", bar=BAR, detail=detail)


def _curve(
    case: Case, folder: Path, seed: int, unseen: Dataset, *, asked: bool
) -> Iterator[tuple[int, float]]:
    """Give the stress error at each size, up to the first that is small enough."""
    settings = _settings(folder, seed, samples=case.first, case=case)
    for size in range(case.first, case.most + 1, case.batch):
        if size > case.first and asked:
            ensure_active(settings, settings.model, COMM)
        elif not asked:
            settings = replace(settings, generate=replace(settings.generate, samples=size))
        data = ensure_dataset(settings, COMM).dataset
        assert len(data) == size
        ensure_model(settings, data, comm=COMM)
        error = errors_on(load_model(settings.model)[0], unseen).stress
        yield size, error
        if error <= TARGET:
            return


if __name__ == "__main__":
    main()
