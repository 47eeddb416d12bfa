"""Learning with history from a TOML: against direct FE², stopped and restarted, and again."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from guarding import PLASTIC, direct
from mpi4py import MPI

from fesurrogate.build import load_material
from fesurrogate.build.guard import learning_of
from fesurrogate.config import Settings, read_config
from fesurrogate.data.store import read_dataset
from fesurrogate.errors import InputError
from fesurrogate.learning import LearningPaths
from fesurrogate.run import Run, run
from fesurrogate.run.learned import LEARNED
from fesurrogate.run.summary import summary
from fesurrogate.surrogate import load_model

pytestmark = pytest.mark.mpi
COMM = MPI.COMM_WORLD
LEARN = """
tolerance = 0.1
[material.learning]
paths = 24
"""
TRAIN = 'model = "physical"\nensemble = 3\niterations = 15'


@pytest.fixture(name="problem", scope="module")
def learning_problem() -> Iterator[Settings]:
    """Settings of a plastic laminate that is learned while the run goes on, in a shared folder."""
    folder = Path(COMM.bcast(tempfile.mkdtemp() if COMM.rank == 0 else None))
    if COMM.rank == 0:
        text = PLASTIC.format(guard=LEARN, train=TRAIN)
        text = text.replace("cells = [2, 2]", "cells = [4, 3]")
        (folder / "learning.toml").write_text(text)
    COMM.Barrier()
    yield read_config(folder / "learning.toml")
    COMM.Barrier()
    if COMM.rank == 0:
        shutil.rmtree(folder)


@pytest.fixture(name="learned", scope="module")
def learned_run(problem: Settings) -> Run:
    """The run."""
    return run(problem, COMM, problem.folder / "one")


def learns(settings: Settings, **values: object) -> Settings:
    """Return the settings with other keys of [material.learning]."""
    material = settings.material
    assert material is not None and material.learning is not None
    return replace(
        settings, material=replace(material, learning=replace(material.learning, **values))
    )


def relative(found: list[float], truth: list[float]) -> float:
    return float(np.linalg.norm(np.subtract(found, truth)) / np.linalg.norm(truth))


def test_the_reaction_is_that_of_direct_fe2(problem: Settings, learned: Run) -> None:
    """Within a part of the tolerance of the points, at less solves, those of replays included."""
    truth, found = run(direct(problem), COMM).results, learned.results
    largest = max(np.linalg.norm(entry.reaction["right"]) for entry in truth.history)
    for mine, its in zip(found.history, truth.history, strict=True):
        change = np.subtract(mine.reaction["right"], its.reaction["right"])
        assert np.linalg.norm(change) < 0.05 * largest
    assert found.rve_solves < truth.rve_solves
    fallen = [entry.learning[0].fallen for entry in found.history]
    assert fallen[0] == found.points and fallen[-1] < fallen[0]
    assert "learned" in summary(found, problem.folder)


def test_it_leaves_an_ordinary_dataset_and_model(problem: Settings, learned: Run) -> None:
    folder = problem.folder / "one" / LEARNED
    data = read_dataset(folder / "dataset", problem.kinematics)
    assert data.increments == len(problem.steps.end_times) and data.ok.all()
    material = learning_of(learned.model.fields["material"].material)
    assert isinstance(material, LearningPaths)
    np.testing.assert_array_equal(data.stress, material.samples.stress)
    network, _ = load_model(folder / "model.safetensors")
    assert network.num_state > 0


def test_the_next_run_begins_from_there(problem: Settings, learned: Run) -> None:
    again = learns(problem, start=problem.folder / "one" / LEARNED)
    found = run(again, COMM, problem.folder / "two").results
    first = [entry.learning[0].fallen for entry in found.history]
    before = [entry.learning[0].fallen for entry in learned.results.history]
    assert sum(first) < 0.7 * sum(before), (first, before)


def test_a_run_that_was_stopped_goes_on(problem: Settings, learned: Run) -> None:
    left = 14

    def stop() -> bool:
        nonlocal left
        left -= 1
        return left < 0

    folder = problem.folder / "stopped"
    made = run(problem, COMM, folder, stop=stop)
    stopped = made.results
    assert made.interrupted and 0 < len(stopped.history) < len(learned.results.history)
    found, whole = run(problem, COMM, folder, restart=True).results, learned.results
    assert [e.time for e in found.history] == [e.time for e in whole.history]
    for mine, its in zip(found.history, whole.history, strict=True):
        assert relative(mine.reaction["right"], its.reaction["right"]) < 1e-6
    counts = [
        [(e.learning[0].samples, e.learning[0].fallen) for e in r.history] for r in (found, whole)
    ]
    assert counts[0] == counts[1]


def test_what_is_not_learned_is_refused(problem: Settings) -> None:
    material = problem.material
    assert material is not None and material.guard is not None
    for change, words in (
        ({"certify": True}, "one model from begin to end"),
        ({"measures": ("novelty",)}, "deviation"),
        ({"max_increments": 3}, "max_increments is 3"),
    ):
        other = replace(material, guard=replace(material.guard, **change))
        with pytest.raises(InputError, match=words):
            load_material(replace(problem, material=other), COMM)
