"""The strain paths of a run that was taken up again are those of one that was not stopped."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from faults import PLATE
from mpi4py import MPI
from ranks import assert_same, shared_folder
from test_checkpoint import After, solve

from fesurrogate.data.dataset import Dataset
from fesurrogate.data.store import read_dataset
from fesurrogate.run.path_output import JOURNAL

WORLD = MPI.COMM_WORLD
serial = pytest.mark.skipif(WORLD.size > 1, reason="of one process")
PATHS = ("pictures = false", "pictures = false\nfields = false\npaths = true")
NONE = ("pictures = false", "pictures = false\nfields = false")


@pytest.fixture(name="folder")
def plate_folder() -> Iterator[Path]:
    """A folder that all ranks share."""
    with shared_folder() as path:
        if WORLD.rank == 0:
            (path / "plate.toml").write_text(PLATE)
        WORLD.Barrier()
        yield path


def assert_same_paths(one: Dataset, other: Dataset, rtol: float = 1e-7) -> None:
    """Assert that two datasets hold the same paths in the same order."""
    assert one.strain.shape == other.strain.shape and one.increments == 4
    for name in ("strain", "stress", "dt", "ok"):
        assert_same(getattr(one, name).astype(float), getattr(other, name).astype(float), rtol)


@pytest.mark.mpi
def test_recorded_paths_survive_a_restart(folder: Path) -> None:
    solve(folder, WORLD, "whole", PATHS)
    part = solve(folder, WORLD, "part", PATHS, stop=After(11))
    assert part.interrupted and 0 < part.results.increments < 4
    assert not (folder / "part" / "paths").exists()
    solve(folder, WORLD, "part", PATHS, restart=True)
    whole, found = (read_dataset(folder / name / "paths") for name in ("whole", "part"))
    assert_same_paths(found, whole)
    solve(folder, WORLD, "part", PATHS, restart=True)  # at its end: nothing is left to solve
    assert_same_paths(read_dataset(folder / "part" / "paths"), whole)


@pytest.mark.mpi
def test_recorded_paths_survive_other_ranks(folder: Path) -> None:
    """Paths come in the order of the mesh's file, whatever the ranks."""
    part = solve(folder, WORLD, "part", PATHS, stop=After(11))
    assert part.interrupted and 0 < part.results.increments < 4
    solve(folder, WORLD, "together", PATHS)
    WORLD.Barrier()
    if WORLD.rank == 0:
        solve(folder, MPI.COMM_SELF, "part", PATHS, restart=True)
        solve(folder, MPI.COMM_SELF, "whole", PATHS)
        whole = read_dataset(folder / "whole" / "paths")
        for name in ("part", "together"):
            assert_same_paths(read_dataset(folder / name / "paths"), whole)


@serial
def test_a_run_that_begins_anew_forgets_the_paths_of_another(folder: Path) -> None:
    solve(folder, WORLD, "part", PATHS, stop=After(11))
    solve(folder, WORLD, "part", PATHS)
    solve(folder, WORLD, "whole", PATHS)
    assert len(list((folder / "part" / JOURNAL).glob("*.npz"))) == 4
    whole, found = (read_dataset(folder / name / "paths") for name in ("whole", "part"))
    assert_same_paths(found, whole)


@serial
@pytest.mark.parametrize("harm", ["unrecorded", "damaged", "missing"])
def test_paths_without_a_beginning_are_not_written(
    folder: Path, harm: str, caplog: pytest.LogCaptureFixture
) -> None:
    part = solve(folder, WORLD, "part", NONE if harm == "unrecorded" else PATHS, stop=After(11))
    assert 0 < part.results.increments < 4
    if harm != "unrecorded":
        first = min((folder / "part" / JOURNAL).glob("*.npz"))
        content = bytearray(first.read_bytes())
        content[len(content) // 2] ^= 1
        first.write_bytes(content) if harm == "damaged" else first.unlink()
    rest = solve(folder, WORLD, "part", PATHS, restart=True)
    assert rest.results.converged and not (folder / "part" / "paths").exists()
    assert "paths is not written: 0 of 4 increments were recorded" in caplog.text
