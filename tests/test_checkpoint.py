"""What was accepted is never lost: restarts, also on other ranks, and after kills."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from faults import PLATE
from mpi4py import MPI
from ranks import BITWISE, shared_folder

from fesurrogate.checkpoint.archive import ArchiveWriter, read_archive
from fesurrogate.checkpoint.cells import node_values, original_numbers
from fesurrogate.checkpoint.store import KEPT, Store
from fesurrogate.config import read_config
from fesurrogate.errors import InputError
from fesurrogate.fem import journal
from fesurrogate.fem.output import FieldWriter
from fesurrogate.run import Run, run

WORLD = MPI.COMM_WORLD
serial = pytest.mark.skipif(WORLD.size > 1, reason="of one process")


@pytest.fixture(name="folder")
def plate_folder() -> Iterator[Path]:
    """A folder that all ranks share, with the plate."""
    with shared_folder() as path:
        if WORLD.rank == 0:
            (path / "plate.toml").write_text(PLATE)
        WORLD.Barrier()
        yield path


class After:
    """Stops a run after so many residuals."""

    def __init__(self, residuals: int) -> None:
        self.left = residuals

    def __call__(self) -> bool:
        self.left -= 1
        return self.left < 0


def solve(
    folder: Path, comm: MPI.Intracomm, name: str, *changes: tuple[str, str], **options: object
) -> Run:
    """Run the plate, with changes, into a folder of that name."""
    text = PLATE
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    if comm.rank == 0:
        (folder / f"{name}.toml").write_text(text)
    comm.Barrier()
    settings = read_config(folder / f"{name}.toml")
    return run(settings, comm, folder / name, allow_code=True, **options)  # type: ignore[arg-type]


def same_state(one: Run, other: Run) -> bool:
    """Whether two runs ended in the same state, cell by cell under the cells' original numbers.

    On three ranks DOLFINx may part and number a mesh anew from one build to the next.
    """
    learned = [
        each.model.fields["material"].material.snapshot()["learned"] for each in (one, other)
    ]
    pairs = zip(by_cell(one), by_cell(other), strict=True)
    return all(same(a, b) for a, b in [*pairs, tuple(learned)])


def by_cell(each: Run) -> list[np.ndarray]:
    """Return displacement, state, hint and stress of all cells, in the order of the mesh's file."""
    mesh = each.model.mesh.mesh
    (field,) = each.model.fields.values()
    numbers = original_numbers(mesh)
    order = np.argsort(np.concatenate(mesh.comm.allgather(numbers)))
    rows = [node_values(each.model.u)]
    for array in field.accepted:
        width = field.num_points // max(1, len(field.cells)) * array.shape[1]
        rows.append(array.reshape(len(field.cells), width))
    return [np.concatenate(mesh.comm.allgather(part))[order] for part in rows]


def same(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether arrays are the same: bit by bit on one rank, else to the tolerance of the solver."""
    if BITWISE:
        return np.array_equal(a, b)
    size = float(np.abs(a).max(initial=1e-4))
    return a.shape == b.shape and np.allclose(a, b, rtol=0.0, atol=1e-7 * size)


def same_history(one: Run, other: Run) -> bool:
    """Whether the increments of two runs are the same."""
    a, b = one.results.history, other.results.history
    if BITWISE:
        return a == b
    rows = [[(e.time, *e.reaction["left"]) for e in each] for each in (a, b)]
    return same(*(np.array(each) for each in rows))


@pytest.mark.mpi
@pytest.mark.parametrize("stop", [0, 11])
def test_a_stopped_run_goes_on_to_the_same_answer(folder: Path, stop: int) -> None:
    """Displacement, state, stress, what the Material learned, the history, the counts."""
    whole = solve(folder, WORLD, "whole")
    part = solve(folder, WORLD, "part", stop=After(stop))
    assert part.interrupted and not part.results.converged and part.checkpoint is not None
    assert str(part.checkpoint) in part.results.message
    assert 0 <= part.results.increments < 4 and (part.results.increments == 0) == (stop == 0)
    rest = solve(folder, WORLD, "part", restart=True)
    assert same_state(whole, rest) and same_history(whole, rest)
    largest = (np.array(each.model.problem.largest_residual) for each in (whole, rest))
    assert same(*largest)
    for name in ("evaluations", "newton_iterations", "converged", "increments"):
        assert getattr(rest.results, name) == getattr(whole.results, name), name
    assert rest.results.restarts == (part.results.history[-1].time if stop else 0.0,)
    assert rest.results.seconds["total"] > 0.9 * part.results.seconds["total"]
    again = solve(folder, WORLD, "part", restart=True)  # of a finished run: nothing is left to do
    assert same_state(whole, again) and again.results.evaluations == whole.results.evaluations


@pytest.mark.mpi
@pytest.mark.parametrize("first", ["one", "all"])
def test_other_ranks_go_on_to_the_same_answer(folder: Path, first: str) -> None:
    """From one rank to all, and back; of a cubic displacement, whose dofs on edges are turned."""
    alone, everyone = MPI.COMM_SELF, WORLD
    whole = solve(folder, WORLD, "whole").results
    comms = (alone, everyone) if first == "one" else (everyone, alone)
    if WORLD.rank == 0 or comms[0] is everyone:
        part = solve(folder, comms[0], "part", stop=After(8))
        assert 0 < part.results.increments < 4
    WORLD.Barrier()
    if WORLD.rank == 0 or comms[1] is everyone:
        rest = solve(folder, comms[1], "part", restart=True).results
        assert len(rest.history) == 4 and rest.ranks == comms[1].size
        for one, other in zip(rest.history, whole.history, strict=True):
            np.testing.assert_allclose(
                one.reaction["left"], other.reaction["left"], rtol=1e-8, atol=1e-8
            )
        assert rest.evaluations == pytest.approx(whole.evaluations, rel=0.2)
        times = _times(folder / "part")
        assert times == [entry.time for entry in whole.history]


def _times(folder: Path) -> list[float]:
    """Read the field file back: times of its increments, each with as many values as nodes."""
    import meshio

    with meshio.xdmf.TimeSeriesReader(folder / "fields.xdmf") as reader:
        points, _ = reader.read_points_cells()
        steps = [reader.read_data(k) for k in range(reader.num_steps)]
    assert all(nodes["u"].shape == points.shape for _, nodes, _ in steps)
    largest = [np.abs(nodes["u"]).max() for _, nodes, _ in steps]
    times = [time for time, *_ in steps]
    np.testing.assert_allclose(largest, 0.06 * np.array(times), rtol=0.3)
    return times


@pytest.mark.mpi
def test_a_step_that_was_cut_goes_on_where_it_was(folder: Path) -> None:
    broken = ('fault = "none"', 'fault = "nan"\nabove = 1e-4\nabove_dt = 0.3')
    fault = broken, ("degree = 3", "degree = 1"), ("increments = 4", "increments = 2")
    whole = solve(folder, WORLD, "whole", *fault)
    part = solve(folder, WORLD, "part", *fault, stop=After(16))
    assert part.interrupted and 0 < part.results.increments < whole.results.increments
    rest = solve(folder, WORLD, "part", *fault, restart=True)
    assert same_state(whole, rest)
    assert [e.time for e in rest.results.history] == [e.time for e in whole.results.history]


@pytest.mark.mpi
def test_a_cell_goes_on_with_its_hints(folder: Path) -> None:
    """Direct FE²: the same answer, where each point's last fluctuation is its guess."""
    cell = (
        'kind = "faults:make"',
        'kind = "rve"\n[material.rve]\ndegree = 1\n[material.rve.cell]\nkind = "laminate"\n'
        "fractions = { a = 0.5, b = 0.5 }\ngdim = 2\nresolution = 2\n"
        '[material.rve.phases.a]\nkind = "j2_plasticity"\nyoung = 100.0\npoisson = 0.3\n'
        'yield_stress = 1.0\nhardening = 5.0\n[material.rve.phases.b]\nkind = "linear_elastic"\n'
        "young = 200.0\npoisson = 0.3",
    )
    micro = ("[output]", "[output.micro]\nmost_loaded = 1\n[output]")
    small = ("cells = [4, 2]", "cells = [2, 1]"), ("degree = 3", "degree = 1"), cell, micro
    whole = solve(folder, WORLD, "whole", *small)
    part = solve(folder, WORLD, "part", *small, stop=After(7))
    assert part.interrupted and part.results.increments > 0
    rest = solve(folder, WORLD, "part", *small, restart=True)
    assert all(same(a, b) for a, b in zip(by_cell(whole), by_cell(rest), strict=True))
    assert rest.results.rve_solves == whole.results.rve_solves
    one, other = rest.results.micro, whole.results.micro
    assert one is not None and other is not None and one.files.keys() == other.files.keys()
    assert not BITWISE or one == other
    if WORLD.rank == 0:
        import meshio

        with meshio.xdmf.TimeSeriesReader(folder / "part" / "micro_most_loaded_1.xdmf") as reader:
            reader.read_points_cells()
            assert reader.num_steps == 4
    part = solve(folder, WORLD, "other", *small, stop=After(7))
    if WORLD.rank == 0:
        alone = solve(folder, MPI.COMM_SELF, "other", *small, restart=True).results
        np.testing.assert_allclose(
            alone.reaction["left"], whole.results.reaction["left"], rtol=1e-7
        )


DIFFERENT = {
    "mesh": ("upper = [2.0, 1.0]", "upper = [2.0, 1.01]"),
    "macro": ("degree = 3", "degree = 2"),
    "material": ('fault = "none"', 'fault = "none"\nabove = 1.0'),
    "loads": ("[0.06, 0.03]", "[0.06, 0.04]"),
    "steps": ("increments = 4", "increments = 5"),
}


@pytest.mark.mpi
def test_a_checkpoint_of_another_run_is_refused(folder: Path) -> None:
    solve(folder, WORLD, "part", stop=After(8))
    for part, change in DIFFERENT.items():
        with pytest.raises(InputError, match=rf"another run: (\w+, )*{part}[ ,].*--restart"):
            solve(folder, WORLD, "part", change, restart=True)
    more = ("[output]", "[solver.macro]\nsnes_max_it = 30\n[output]")
    assert solve(folder, WORLD, "part", more, restart=True).results.converged


@pytest.mark.mpi
def test_checkpoints_are_few_and_a_damaged_one_is_passed_over(folder: Path) -> None:
    whole = solve(folder, WORLD, "part", stop=After(24))
    assert whole.results.increments >= 3
    store = Store(folder / "part" / "checkpoint")
    paths = store.paths()
    assert len(paths) == KEPT
    WORLD.Barrier()
    if WORLD.rank == 0:
        content = bytearray(paths[0].read_bytes())
        content[len(content) // 2] ^= 1
        paths[0].write_bytes(content)
    WORLD.Barrier()
    rest = solve(folder, WORLD, "part", restart=True)
    assert rest.results.converged
    assert rest.results.restarts[0] < whole.results.history[-1].time
    assert same_state(rest, solve(folder, WORLD, "whole"))
    WORLD.Barrier()
    if WORLD.rank == 0:
        for path in store.paths():
            path.write_bytes(path.read_bytes()[:-7])
    WORLD.Barrier()
    with pytest.raises(InputError, match="no checkpoint can be used"):
        solve(folder, WORLD, "part", restart=True)


@pytest.mark.mpi
@pytest.mark.parametrize(("every", "expected"), [(1, [0.75, 1.0]), (3, [0.75]), (0, [])])
def test_how_often_is_a_setting(folder: Path, every: int, expected: list[float]) -> None:
    """Every third of four increments: at 0.75; without a stop, 0 keeps nothing."""
    often = ("pictures = false", f"pictures = false\ncheckpoint = {every}")
    solve(folder, WORLD, "part", often)
    if WORLD.rank == 0:
        store = Store(folder / "part" / "checkpoint")
        assert sorted(read_archive(path).facts["time"] for path in store.paths()) == expected


@serial
def test_two_runs_do_not_share_a_folder(folder: Path) -> None:
    with Store(folder / "part" / "checkpoint").held(), pytest.raises(InputError, match="writ"):
        solve(folder, WORLD, "part")


@serial
def test_an_archive_that_is_not_finished_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyError), ArchiveWriter(tmp_path) as sink:
        sink.add("a", (3,), float, iter([np.ones(3)]))
        raise KeyError
    assert not list(tmp_path.iterdir())
    with ArchiveWriter(tmp_path) as sink:
        sink.add("a/b", (3, 0), np.int64, iter([np.ones((3, 0))]))
        sink.add("c", (4, 2), float, iter([np.ones((1, 2)), np.zeros((3, 2))]))
        path = sink.finish({"x": [1.5]}, "{digest}.npz")
    with np.load(path) as arrays:  # what others read
        assert arrays["c"].sum() == 2 and arrays["a/b"].shape == (3, 0)
    assert read_archive(path, digest=path.stem).facts == {"x": [1.5]}


@serial
def test_a_field_file_is_whole_whenever_its_writer_dies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process dies at each write in turn: what was complete is there, and it goes on."""
    import h5py
    from dolfinx.mesh import create_unit_square

    mesh = create_unit_square(MPI.COMM_SELF, 3, 3)
    path, values = tmp_path / "out.xdmf", np.arange(18.0)
    complete = FieldWriter(path, mesh)
    complete.write(0.0, cells={"a": values})
    before = {p: p.read_bytes() for p in tmp_path.iterdir()}

    class Dies(BaseException):
        pass

    class Fragile(io.FileIO):
        """Dies in the middle of one of its writes."""

        def write(self, content: Any) -> int:
            if next(calls) == moment:
                super().write(bytes(content)[: len(content) // 2])
                raise Dies
            return super().write(content)

    def replaced(path: Path, content: bytes) -> None:
        real(path, content)
        if next(calls) == moment:
            raise Dies

    real, deaths, moment = journal.write_whole, 0, -1
    while deaths == moment + 1:  # until there was no moment left to die at
        moment += 1
        for p in tmp_path.iterdir():
            p.unlink()
        for p, content in before.items():
            p.write_bytes(content)
        calls = iter(range(1000))
        with monkeypatch.context() as patch:
            patch.setattr(journal, "write_whole", replaced)
            patch.setattr(journal, "open", Fragile, raising=False)
            try:
                FieldWriter(path, mesh, keep=1).write(1.0, cells={"a": 2 * values})
            except Dies:
                deaths += 1
        resumed = FieldWriter(path, mesh, keep=1)
        resumed.write(1.0, cells={"a": 3 * values})
        with h5py.File(path.with_suffix(".h5")) as file:
            np.testing.assert_array_equal(file["increments/000000/cell/a"][()], values)
            np.testing.assert_array_equal(file["increments/000001/cell/a"][()], 3 * values)
    assert deaths >= 6


KILLS = 10


@serial
def test_killed_at_random_moments(folder: Path) -> None:
    """Kill -9: it always restarts, what was kept is kept, and the answer is that of one run."""
    here = Path(__file__).parent
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(here), str(here.parent)])}
    program = "import sys, killing; killing.main(sys.argv[1], int(sys.argv[2]))"
    done = subprocess.run(
        [sys.executable, "-c", program, str(folder), str(KILLS)],
        env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["kills"] == KILLS and found["lost"] == 0 and found["same"]
    assert found["working"] >= KILLS // 3
