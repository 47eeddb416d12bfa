"""Learning from a TOML: what a run leaves, restarts, other ranks, and runs side by side."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from mpi4py import MPI
from ranks import BITWISE, assert_same

from fesurrogate.build import ensure_model, load_material
from fesurrogate.build.guard import guard_of, learning_of
from fesurrogate.config import Settings, read_config
from fesurrogate.config.material import NetworkSettings
from fesurrogate.config.phase import NeoHookeanSettings
from fesurrogate.data.lock import locked
from fesurrogate.data.store import read_dataset
from fesurrogate.errors import InputError
from fesurrogate.inspection import inspect
from fesurrogate.learning import Learning
from fesurrogate.learning.samples import held_out
from fesurrogate.run import Run, run
from fesurrogate.run.learned import LEARNED, write_learned
from fesurrogate.run.summary import summary

WORLD = MPI.COMM_WORLD
serial = pytest.mark.skipif(WORLD.size > 1, reason="of one process")
TOML = """
[kinematics]
gdim = 2
measure = "finite"
[mesh]
generator = "rectangle"
cells = [5, 5]
[material]
kind = "network"
[material.guard]
tolerance = 0.01
[material.learning]
first = 140
checks = 4
[material.ogden]
terms = [[0.2, 10.0]]
bulk_modulus = 4.0
[[dirichlet]]
boundary = "left"
[[dirichlet]]
boundary = "right"
value = [0.12, 0.06]
[[reaction]]
boundary = "right"
[steps]
increments = 5
[train]
model = "polynomial"
ensemble = 4
[train.polynomial]
degree = 5
[output]
pictures = false
"""
"""A square whose law, behind the guard, is no polynomial; 225 points."""


@pytest.fixture(name="folder")
def shared_folder() -> Iterator[Path]:
    """A folder that all ranks share, with the square."""
    path = Path(WORLD.bcast(tempfile.mkdtemp() if WORLD.rank == 0 else None))
    if WORLD.rank == 0:
        text = TOML.replace("[material.guard]", '[material.guard]\nreference = "ogden"')
        (path / "square.toml").write_text(text)
    WORLD.Barrier()
    yield path
    WORLD.Barrier()
    if WORLD.rank == 0:
        shutil.rmtree(path)


def settings_in(folder: Path, name: str = "out", **learning: object) -> Settings:
    """Return the settings of the square, whose [output] folder has that name."""
    settings = read_config(folder / "square.toml")
    material = settings.material
    assert material is not None and material.learning is not None
    return replace(
        settings,
        material=replace(material, learning=replace(material.learning, **learning)),
        output=replace(settings.output, folder=folder / name),
    )


class After:
    """Stops a run after so many increments."""

    def __init__(self, increments: int) -> None:
        self.left = increments

    def __call__(self) -> bool:
        self.left -= 1
        return self.left < 0


def force(found: Run) -> np.ndarray:
    return np.array(found.results.reaction["right"])


def learned(found: Run) -> Learning:
    material = learning_of(found.model.fields["material"].material)
    assert material is not None
    return material


@pytest.mark.mpi
def test_a_run_learns_and_is_right(folder: Path) -> None:
    settings = settings_in(folder)
    material = settings.material
    assert material is not None
    found = run(settings, WORLD, settings.run_folder)
    direct = run(replace(settings, material=replace(material, kind="ogden")), WORLD)
    wrong = np.linalg.norm(force(found) - force(direct)) / np.linalg.norm(force(direct))
    assert found.results.converged and wrong < 0.005
    history = found.results.history
    away = [sum((entry.fallback or {}).values()) for entry in history]
    assert away[0] == 225 and away[-1] < 0.05 * 225, away
    lessons = [entry.learning[0] for entry in history]
    assert [len(entry.learning) for entry in history] == [1] * 5
    assert lessons[0].fallen == 225 and 100 < lessons[0].samples <= 140
    assert all(each.wrong == 0 and each.checked in (0, 4) for each in lessons)
    assert all(each.outcome in ("taken", "waiting") for each in lessons)
    said = summary(found.results, folder)
    assert f"{lessons[-1].samples} samples" in said["learned"]
    assert "0 of them wrongly" in said["checked"]
    WORLD.Barrier()
    kept = json.loads((settings.run_folder / "results.json").read_text())["history"][0]["learning"]
    assert kept[0]["fallen"] == 225 and kept[0]["outcome"] in ("taken", "waiting")


@pytest.mark.mpi
def test_no_rank_waits_where_what_was_learned_cannot_be_written(folder: Path) -> None:
    settings = settings_in(folder)
    found = run(replace(settings, steps=replace(settings.steps, increments=1)), WORLD)
    with ExitStack() as stack:
        if WORLD.rank == 0:
            stack.enter_context(locked(settings.run_folder / LEARNED / "dataset"))
        WORLD.Barrier()
        with pytest.raises(InputError, match="is being written by"):
            write_learned(found.model, settings.run_folder)


@pytest.mark.mpi
def test_a_run_whose_learned_folder_is_taken_keeps_its_results(folder: Path) -> None:
    """It says who writes there, and a restart writes what could not be written."""
    settings = settings_in(folder)
    settings = replace(settings, steps=replace(settings.steps, increments=2))
    place = settings.run_folder / LEARNED
    with ExitStack() as stack:
        if WORLD.rank == 0:
            stack.enter_context(locked(place / "dataset"))
        WORLD.Barrier()
        found = run(settings, WORLD, settings.run_folder)
    assert found.interrupted and "is being written by" in found.results.message
    assert "--restart" in found.results.message and not (place / "model.safetensors").exists()
    assert summary(found.results, folder)["reaction right"]
    WORLD.Barrier()
    kept = json.loads((settings.run_folder / "results.json").read_text())
    assert kept["converged"] and len(kept["history"]) == 2
    again = run(settings, WORLD, settings.run_folder, restart=True)
    assert again.results.converged and not again.interrupted
    np.testing.assert_allclose(kept["reaction"]["right"], force(again), rtol=1e-12)
    WORLD.Barrier()
    samples = read_dataset(place / "dataset").fingerprint
    assert samples == learned(again).samples.fingerprint
    assert (place / "model.safetensors").is_file()


@pytest.mark.mpi
def test_a_run_that_learned_ends_with_the_direct_answer(folder: Path) -> None:
    """Certified: the reference answers at the last load, from where the learned model ended."""
    settings = settings_in(folder)
    material = settings.material
    assert material is not None and material.guard is not None
    wanted = replace(material, guard=replace(material.guard, certify=True, tolerance=0.03))
    found = run(replace(settings, material=wanted), WORLD, settings.run_folder)
    truth = run(replace(settings, material=replace(material, kind="ogden")), WORLD)
    certified, size = found.results.certified, np.linalg.norm(force(truth))
    assert certified is not None and certified.converged and found.results.converged
    assert np.linalg.norm(force(found) - force(truth)) < 1e-8 * size
    own = np.subtract(found.results.history[-1].reaction["right"], force(truth))
    assert np.linalg.norm(own) > 1e-6 * size  # the learned model's own answer was another
    assert found.results.reaction == certified.reaction
    assert certified.leads == 0 and 0 < certified.newton_iterations <= 3
    assert found.results.history[-1].fallback != {"deviation": 225}


@pytest.mark.mpi
def test_a_surrogate_that_is_no_model_leads_a_run_that_learns(folder: Path) -> None:
    """The model of the run is in the run alone: it cannot lead it."""
    settings = settings_in(folder)
    material = settings.material
    assert material is not None
    law = NeoHookeanSettings(shear_modulus=2.0, lame=3.0)
    chosen = replace(material, neo_hookean=law)
    macro = replace(settings.macro, initial_guess="surrogate", surrogate="neo_hookean")
    found = run(replace(settings, material=chosen, macro=macro), WORLD).results
    plain = run(settings, WORLD).results
    assert found.converged and "taken" in {entry.guess for entry in found.history}
    assert [entry.learning[0].outcome for entry in found.history].count("taken") > 0
    wrong = np.subtract(found.reaction["right"], plain.reaction["right"])
    assert np.linalg.norm(wrong) < 0.01 * np.linalg.norm(plain.reaction["right"])
    with pytest.raises(InputError, match=r"macro.initial_guess.*there is no model"):
        run(replace(settings, macro=replace(macro, surrogate="network")), WORLD)


@serial
def test_what_it_leaves_is_ordinary(folder: Path) -> None:
    """The dataset is read, inspected and trained on; the model answers as the run's did."""
    settings = settings_in(folder)
    found = run(settings, WORLD, settings.run_folder)
    place = settings.run_folder / LEARNED
    WORLD.Barrier()
    data = read_dataset(place / "dataset", settings.kinematics)
    samples = learned(found).samples
    assert data.fingerprint == samples.fingerprint and len(data) >= 140
    material = settings.material
    assert material is not None
    model = NetworkSettings(model=place / "model.safetensors")
    alone = replace(settings, material=replace(material, learning=None, network=model))
    guarded = load_material(alone)
    strain = data.strain[:20, 0]
    mine = learned(found).guarded.surrogate.evaluate(strain)
    got = guarded.evaluate(strain)
    np.testing.assert_allclose(got.stress, mine.stress, rtol=0, atol=1e-12)
    found_guard = guard_of(guarded)
    assert found_guard is not None
    np.testing.assert_array_equal(found_guard[0].trust.limits, learned(found).guarded.trust.limits)
    if WORLD.rank == 0:
        assert "0 " in inspect(place / "dataset", folder / "inspect").text
        trained = replace(alone, output=replace(settings.output, folder=place), run_output=None)
        assert ensure_model(trained).card["errors"]["stress"] < 0.01
    WORLD.Barrier()


@serial
def test_a_model_of_before_does_not_stay_beside_other_samples(folder: Path) -> None:
    settings = settings_in(folder, first=0)
    place = settings.run_folder / LEARNED
    place.mkdir(parents=True)
    (place / "model.safetensors").write_bytes(b"of before")
    one = replace(settings, steps=replace(settings.steps, increments=1))
    run(one, WORLD, settings.run_folder)
    assert len(read_dataset(place / "dataset")) == 48  # too few for a model
    assert not (place / "model.safetensors").exists()


@serial
def test_the_next_run_begins_where_it_ended(folder: Path) -> None:
    first = settings_in(folder)
    run(first, WORLD, first.run_folder)
    begin = first.run_folder / LEARNED
    before = read_dataset(begin / "dataset")
    second = settings_in(folder, "second", start=begin)
    other = replace(second.dirichlet[1], value=(0.1, -0.05))
    second = replace(second, dirichlet=(second.dirichlet[0], other))
    found = run(second, WORLD, second.run_folder)
    away = [sum((entry.fallback or {}).values()) for entry in found.results.history]
    assert found.results.converged and away[0] == 0 and sum(away) < 0.15 * 5 * 225, away
    samples = learned(found).samples
    assert len(samples) > len(before)
    np.testing.assert_array_equal(samples.strain[: len(before)], before.strain)
    np.testing.assert_array_equal(held_out(samples)[: len(before)], held_out(before))
    assert read_dataset(begin / "dataset").fingerprint == before.fingerprint  # read only


@pytest.mark.mpi
@pytest.mark.parametrize("stop", [8, 14])
def test_a_stopped_run_goes_on_to_the_same_answer(folder: Path, stop: int) -> None:
    """Bit by bit on one rank: displacement, lessons, samples and weights."""
    settings = settings_in(folder)
    whole = run(settings, WORLD, folder / "whole")
    part = run(settings, WORLD, folder / "part", stop=After(stop))
    assert part.interrupted and 0 < part.results.increments < 5
    assert (folder / "part" / LEARNED / "dataset").is_dir()
    rest = run(settings, WORLD, folder / "part", restart=True)
    assert rest.results.rve_solves == whole.results.rve_solves
    if BITWISE:
        np.testing.assert_array_equal(rest.model.u.x.array, whole.model.u.x.array)
        assert rest.results.history == whole.results.history
    one, other = learned(rest).snapshot(), learned(whole).snapshot()
    assert one.keys() == other.keys()
    for name in one:
        if BITWISE or name == "samples.strain":
            assert_same(one[name], other[name], rtol=1e-7)
    np.testing.assert_allclose(force(rest), force(whole), rtol=1e-6)


@pytest.mark.mpi
def test_other_ranks_go_on(folder: Path) -> None:
    """From one rank to all: what is learned later may differ by round-off, the answer does not."""
    settings = settings_in(folder)
    whole = run(settings, WORLD, folder / "whole")
    if WORLD.rank == 0:
        part = run(settings, MPI.COMM_SELF, folder / "part", stop=After(8))
        assert part.interrupted
    WORLD.Barrier()
    rest = run(settings, WORLD, folder / "part", restart=True)
    np.testing.assert_allclose(force(rest), force(whole), rtol=1e-4)
    assert len(learned(rest).samples) == pytest.approx(len(learned(whole).samples), abs=20)


@serial
def test_another_beginning_is_another_run(folder: Path) -> None:
    settings = settings_in(folder)
    run(settings, WORLD, folder / "part", stop=After(8))
    shutil.copytree(folder / "part" / LEARNED, folder / "other")
    begun = settings_in(folder, start=folder / "other")
    with pytest.raises(InputError, match="another run: material"):
        run(begun, WORLD, folder / "part", restart=True)


@pytest.mark.mpi
@pytest.mark.parametrize("own", ["", "dataset", "left/dataset"])
def test_a_run_does_not_begin_from_what_it_writes(folder: Path, own: str) -> None:
    """The dataset would be replaced, and a restart could not begin from it again."""
    settings = settings_in(folder, start=folder / "elsewhere" / ".." / "out" / LEARNED / own)
    with pytest.raises(InputError, match="learning.start is .* which this run writes itself"):
        run(settings, WORLD, folder / "out")
    assert not (folder / "out").exists()


GATED = """
import time
from pathlib import Path

from fesurrogate.laws import Ogden
from fesurrogate.material import Material

class Gated(Material):
    def __init__(self, kinematics):
        self.kinematics = kinematics
        self.law = Ogden(2, terms=[[0.2, 10.0]], bulk_modulus=4.0)

    def respond(self, strain, state, dt, **options):
        while not Path(__file__).with_name("open").exists():
            time.sleep(0.01)
        return self.law.respond(strain, state, dt, **options)

def law(kinematics, constants):
    return Gated(kinematics)
"""
"""A law that answers once it may: runs that wait for it are at work at the same time."""


@serial
def test_two_runs_at_once_do_no_harm(folder: Path) -> None:
    """From one dataset: into folders of their own both, into one folder the first of two."""
    (folder / "gated.py").write_text(GATED)
    text = (folder / "square.toml").read_text().replace('"ogden"', '"gated:law"')
    (folder / "square.toml").write_text(text)
    (folder / "open").touch()
    settings = settings_in(folder)
    run(settings, WORLD, settings.run_folder, allow_code=True)
    begin = settings.run_folder / LEARNED
    before = {path: path.read_bytes() for path in begin.rglob("*") if path.is_file()}
    begun = text.replace("[material.learning]", f'[material.learning]\nstart = "{begin}"')
    # elsewhere than where it was learned, so that there is something to ask
    begun = begun.replace("[0.12, 0.06]", "[0.16, -0.09]").replace(
        "increments = 5", "increments = 2"
    )
    (folder / "square.toml").write_text(begun)
    (folder / "open").unlink()

    def command(output: str, ranks: int = 1) -> subprocess.Popen:
        program = [sys.executable, "-m", "mpi4py", "-m", "fesurrogate", "run", "--allow-code"]
        oversubscribed = {
            "OMPI_MCA_rmaps_base_oversubscribe": "1",
            "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
        }
        return subprocess.Popen(
            [
                *(["mpirun", "-n", str(ranks)] if ranks > 1 else []),
                *program, str(folder / "square.toml"), "--output", str(folder / output),
            ],
            cwd=Path(__file__).parents[1], text=True, env={**os.environ, **oversubscribed},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def at_work(process: subprocess.Popen, output: str) -> None:
        """Wait until the run holds its folder, in which it then waits for its law."""
        lock = folder / output / "checkpoint" / ".lock"
        deadline = time.monotonic() + 200.0
        while not (lock.exists() and "process" in lock.read_text()):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)

    first, other = command("a"), command("b")
    at_work(first, "a")
    at_work(other, "b")
    late = command("a", ranks=2)
    said, _ = late.communicate(timeout=200)
    assert late.returncode == 2 and first.poll() is None and other.poll() is None
    assert said.count("is being written by") == 1 and "--output" in said, said
    (folder / "open").touch()
    for process in (first, other):
        said, _ = process.communicate(timeout=200)
        assert process.returncode == 0, said
    assert {path: path.read_bytes() for path in before} == before
    made = [read_dataset(folder / name / LEARNED / "dataset") for name in ("a", "b")]
    assert made[0].fingerprint == made[1].fingerprint and len(made[0]) > 140


REFUSED = {  # what the message must say, and the change that it is about
    "policy": ("tolerance = 0.01", 'tolerance = 0.01\npolicy = "warn"'),
    "model": ("[material.learning]", '[material.network]\nmodel = "m"\n[material.learning]'),
    "dataset": ("first = 140", 'start = "nowhere"'),
    "at least 120": ("first = 140", "samples = 10"),
}


@serial
@pytest.mark.parametrize("what", sorted(REFUSED))
def test_bad_input_is_refused(folder: Path, what: str) -> None:
    old, new = REFUSED[what]
    text = (folder / "square.toml").read_text()
    assert old in text
    (folder / "square.toml").write_text(text.replace(old, new))
    with pytest.raises(InputError, match=what):
        load_material(read_config(folder / "square.toml"))


@serial
def test_a_model_that_cannot_be_doubted_so_is_refused(folder: Path) -> None:
    settings = settings_in(folder)
    material = settings.material
    assert material is not None and material.guard is not None
    single = replace(settings, train=replace(settings.train, ensemble=1))
    guard = replace(material.guard, measures=("deviation",))
    with pytest.raises(InputError, match=r"material\.learning.*no deviation"):
        load_material(replace(single, material=replace(material, guard=guard)))
    with pytest.raises(InputError, match=r"add \[material\.guard\]"):
        load_material(replace(settings, material=replace(material, guard=None)))


@serial
def test_a_dataset_of_another_material_is_refused(folder: Path) -> None:
    settings = settings_in(folder)
    run(settings, WORLD, settings.run_folder)
    text = (folder / "square.toml").read_text()
    (folder / "square.toml").write_text(text.replace("bulk_modulus = 4.0", "bulk_modulus = 5.0"))
    other = settings_in(folder, start=settings.run_folder / LEARNED)
    with pytest.raises(InputError, match="of another material"):
        load_material(other)
