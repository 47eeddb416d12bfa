"""Several regions that learn: each its own model, or all one that they share."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from mpi4py import MPI
from ranks import shared_folder
from test_cli import gmsh_square
from test_learning_run import TOML, After

from fesurrogate.build.guard import learning_of
from fesurrogate.config import Settings, read_config
from fesurrogate.data.store import read_dataset
from fesurrogate.errors import InputError
from fesurrogate.learning import Learning
from fesurrogate.run import Run, run
from fesurrogate.run.learned import LEARNED
from fesurrogate.run.summary import summary

pytestmark = pytest.mark.mpi
WORLD = MPI.COMM_WORLD
OTHER = """
[regions.left]
kind = "network"
[regions.left.ogden]
terms = [[0.4, 6.0]]
bulk_modulus = 8.0
"""
"""A law of its own, learned under the guard of the rest."""


@pytest.fixture(name="folder")
def folder_with_mesh() -> Iterator[Path]:
    """A folder that all ranks share, with a square whose left half is a region."""
    with shared_folder() as path:
        if WORLD.rank == 0:
            gmsh_square(path / "square.msh", 12)
        WORLD.Barrier()
        yield path


def settings_in(folder: Path, region: str, *, measure: str = "finite") -> Settings:
    """Return the settings of a square that hangs, and is drawn aside, by its own weight."""
    text = TOML.replace("[material.guard]", '[material.guard]\nreference = "ogden"')
    begin, end = text.index("[[dirichlet]]"), text.index("[steps]")
    load = '[[dirichlet]]\nboundary = "base"\n[body]\nforce = [0.10, 0.16]\n'
    text = text[:begin] + load + '[[reaction]]\nboundary = "base"\n' + text[end:] + region
    text = text.replace('generator = "rectangle"\ncells = [5, 5]', 'file = "square.msh"')
    text = text.replace("increments = 5", "increments = 4")
    text = text.replace("[kinematics]", "[macro]\ndegree = 1\n[kinematics]")
    if measure == "small":
        begin, end = text.index("[material.ogden]"), text.index("[[dirichlet]]")
        text = text[:begin] + "[material.linear]\nyoung = 5.0\npoisson = 0.2\n" + text[end:]
        text = text.replace('"ogden"', '"linear"').replace('"finite"', '"small"')
    if WORLD.rank == 0:
        (folder / "case.toml").write_text(text)
    WORLD.Barrier()
    settings = read_config(folder / "case.toml")
    return replace(settings, output=replace(settings.output, folder=folder / "out"))


def learners(found: Run) -> dict[str, Learning]:
    """Return the Materials of the regions."""
    made = {name: learning_of(field.material) for name, field in found.model.fields.items()}
    return {name: material for name, material in made.items() if material is not None}


def displacements(found: Run) -> np.ndarray:  # (nodes, d), alike on all ranks
    """Return the displacement of each node, by its place: two meshes may be numbered otherwise."""
    u = found.model.u
    V, owned = u.function_space, u.function_space.dofmap.index_map.size_local
    places = V.tabulate_dof_coordinates()[:owned]
    values = u.x.array.reshape(-1, V.dofmap.index_map_bs)[:owned]
    rows = np.vstack(WORLD.allgather(np.hstack([places, values])))
    return rows[np.lexsort(rows[:, :2].round(9).T), 3:]


def error(found: Run, truth: Run) -> float:
    """Return the difference of the displacements over their size, both the largest of a node."""
    u, v = displacements(found), displacements(truth)
    return float(np.abs(u - v).max() / np.abs(v).max())


def exact(settings: Settings) -> Run:
    """Return the run in which the references answer everywhere."""
    return run(settings.with_tables(lambda table: replace(table, kind="ogden")), WORLD)


def test_regions_of_two_laws_learn_apart(folder: Path) -> None:
    settings = settings_in(folder, OTHER)
    found, truth = run(settings, WORLD, settings.run_folder), exact(settings)
    made = learners(found)
    assert found.results.converged and error(found, truth) < 0.005
    assert made.keys() == {"left", "material"} and made["left"] is not made["material"]
    history = found.results.history
    assert all([each.region for each in e.learning] == ["left", "material"] for e in history)
    assert [each.fallen for each in history[0].learning] == [144, 144]
    said = summary(found.results, folder)
    WORLD.Barrier()
    for name, last in zip(made, history[-1].learning, strict=True):
        assert said[f"learned in {name}"].startswith(f"{last.samples} samples, {last.held_out} ")
        data = read_dataset(settings.run_folder / LEARNED / name / "dataset")
        assert data.fingerprint == made[name].samples.fingerprint and len(data) == last.samples
        law = truth.model.fields[name].material
        np.testing.assert_allclose(data.stress[:, 0], law.evaluate(data.strain[:, 0]).stress)
    assert "learned" not in said
    lessons = [lesson for entry in history for lesson in entry.learning]
    assert said["checked"].startswith(f"{sum(lesson.checked for lesson in lessons)} points")


def test_regions_of_one_law_share_what_they_learn(folder: Path) -> None:
    """One model, of the samples of both, judged only by what it has answered itself."""
    settings = settings_in(folder, '[regions.left]\nkind = "network"\n')
    found, truth = run(settings, WORLD, settings.run_folder), exact(settings)
    made = learners(found)
    assert found.results.converged and error(found, truth) < 0.005
    assert len(made) == 2 and made["left"] is made["material"]
    history = found.results.history
    assert all([each.region for each in e.learning] == ["left", "left"] for e in history)
    one, other = history[0].learning
    assert (one.fallen, one.samples, one.outcome) == (144, 140, "taken")
    assert (other.fallen, other.samples) == (144, 188)  # a batch more: there is a model by now
    for entry in history:  # what the model of before had answered tells nothing of the new one
        one, other = entry.learning
        assert one.checked in (0, 4) and (other.checked == 0) == (one.outcome == "taken")
    last = history[-1].learning[-1]
    said = summary(found.results, folder)
    assert said["learned"].startswith(f"{last.samples} samples, {last.held_out} held out")
    WORLD.Barrier()
    assert len(read_dataset(settings.run_folder / LEARNED / "dataset")) == last.samples
    away = [sum((entry.fallback or {}).values()) for entry in history]
    assert away[0] == 288 and sum(away[1:]) < 0.2 * 3 * 288, away


def test_no_certificate_beside_a_region_with_history(folder: Path) -> None:
    """It would be led to by models that are there from the start."""
    history = """
[regions.left]
kind = "j2_plasticity"
[regions.left.j2_plasticity]
young = 7.0
poisson = 0.3
yield_stress = 0.1
"""
    settings = settings_in(folder, history, measure="small")
    material = settings.material
    assert material is not None and material.guard is not None
    wanted = replace(material, guard=replace(material.guard, certify=True))
    with pytest.raises(InputError, match="with history .* one is learned in the run"):
        run(replace(settings, material=wanted), WORLD, settings.run_folder)


def test_a_restart_goes_on_with_what_regions_share(folder: Path) -> None:
    settings = settings_in(folder, '[regions.left]\nkind = "network"\n')
    whole = run(settings, WORLD, folder / "whole")
    part = run(settings, WORLD, folder / "part", stop=After(9))
    assert part.interrupted and 0 < part.results.increments < 4
    rest = run(settings, WORLD, folder / "part", restart=True)
    assert error(rest, whole) < 1e-7
    one, other = (learners(each)["left"].samples for each in (rest, whole))
    assert one.strain.shape == other.strain.shape
    np.testing.assert_allclose(one.strain, other.strain, rtol=0, atol=1e-7)
    if WORLD.size == 1:
        assert rest.results.history == whole.results.history
    WORLD.Barrier()
    kept = json.loads((folder / "part" / "results.json").read_text())["history"]
    assert [each["region"] for each in kept[0]["learning"]] == ["left", "left"]
