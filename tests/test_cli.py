"""Runs from a TOML: what they answer, what they refuse, and how they end on any number of ranks."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from mpi4py import MPI
from ranks import shared_folder

from fesurrogate.build import ensure_dataset, ensure_model, first_rank_first, load_material
from fesurrogate.build.problem import build_problem
from fesurrogate.cli import main, split_petsc_options
from fesurrogate.config import read_config
from fesurrogate.errors import InputError
from fesurrogate.run import run

WORLD = MPI.COMM_WORLD
serial = pytest.mark.skipif(WORLD.size > 1, reason="starts MPI programs, or needs one rank only")
CONSTANTS = "shear_modulus = 35.0\nlame = 140.0\n"
PROBLEM = f"""
title = "small"
[kinematics]
gdim = 2
measure = "finite"
[mesh]
generator = "cook_membrane"
cells = [3, 2]
[macro]
degree = 1
[material]
kind = "neo_hookean"
[material.neo_hookean]
{CONSTANTS}
[material.linear]
young = {35.0 * (3 * 140.0 + 2 * 35.0) / (140.0 + 35.0)!r}
poisson = {140.0 / (2 * (140.0 + 35.0))!r}
[material.rve]
mesh = "cell.msh"
degree = 1
[material.rve.phases.left]
kind = "neo_hookean"
{CONSTANTS}
[material.rve.phases.right]
kind = "neo_hookean"
{CONSTANTS}
[[dirichlet]]
boundary = "left"
[[traction]]
boundary = "right"
value = [0.0, 4.0]
[steps]
increments = 2
[[probe]]
name = "tip"
point = [48.0, 60.0]
[[reaction]]
boundary = "left"
[output]
folder = "output"
pictures = false
[generate]
samples = 12
[train]
hidden = [4]
iterations = 20
"""


def gmsh_square(path: Path, size: int, *, invert: bool = False) -> None:
    """Write a unit square of triangles whose halves are the groups left and right (Gmsh 2.2)."""
    nodes = [(i / size, j / size) for j in range(size + 1) for i in range(size + 1)]
    lines = ["$MeshFormat", "2.2 0 8", "$EndMeshFormat", "$PhysicalNames", "3"]
    lines += ['2 1 "left"', '2 2 "right"', '1 3 "base"', "$EndPhysicalNames"]
    lines += ["$Nodes", str(len(nodes))]
    lines += [f"{k} {x!r} {y!r} 0" for k, (x, y) in enumerate(nodes, 1)]
    elements = [f"1 2 3 3 {i + 1} {i + 2}" for i in range(size)]
    for i in range(size):
        for j in range(size):
            a = j * (size + 1) + i + 1
            b, c, d = a + 1, a + size + 2, a + size + 1
            tag = 1 if 2 * i < size else 2
            second = (a, d, c) if invert else (a, c, d)
            elements += [f"2 2 {tag} {tag} {' '.join(map(str, t))}" for t in ((a, b, c), second)]
    lines += ["$EndNodes", "$Elements", str(len(elements))]
    lines += [f"{k} {text}" for k, text in enumerate(elements, 1)] + ["$EndElements", ""]
    path.write_text("\n".join(lines))


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that all ranks share, with a cell of one constant in two phases."""
    with shared_folder() as path:
        if WORLD.rank == 0:
            gmsh_square(path / "cell.msh", 2)
        WORLD.Barrier()
        yield path


def write(folder: Path, *changes: tuple[str, str], name: str = "case.toml") -> Path:
    """Write the problem with changes; collective."""
    text = PROBLEM
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    if WORLD.rank == 0:
        (folder / name).write_text(text)
    WORLD.Barrier()
    return folder / name


def kind(name: str) -> tuple[str, str]:
    """Return the change of the one word."""
    return '[material]\nkind = "neo_hookean"', f'[material]\nkind = "{name}"'


def ends(*arguments: str | Path) -> int:
    """Return the exit code of a command."""
    with pytest.raises(SystemExit) as caught:
        main([str(argument) for argument in arguments])
    code = caught.value.code
    assert isinstance(code, int)
    return code


@pytest.mark.parametrize(
    ("typed", "ours", "petsc"),
    [
        ("run a.toml", "run a.toml", ""),
        ("run a.toml -macro_snes_monitor", "run a.toml", "-macro_snes_monitor"),
        ("run -macro_snes_monitor a.toml", "run a.toml", "-macro_snes_monitor"),
        ("run a.toml -micro_snes_max_it 30 --verbose", "run a.toml --verbose",
         "-micro_snes_max_it 30"),
        ("run a.toml -x_shift -1e-3 --output o", "run a.toml --output o", "-x_shift -1e-3"),
        ("run a.toml -log_view -macro_pc_type lu", "run a.toml", "-log_view -macro_pc_type lu"),
        ("run a.toml -o x", "run a.toml -o x", ""),
    ],
)  # fmt: skip
def test_petsc_options_are_split_off(typed: str, ours: str, petsc: str) -> None:
    assert split_petsc_options(typed.split()) == (ours.split(), petsc.split())


@pytest.mark.mpi
def test_run_writes_results_and_meets_equilibrium(folder: Path) -> None:
    assert ends("run", write(folder)) == 0
    results = json.loads((folder / "output" / "neo_hookean" / "results.json").read_text())
    assert results["converged"] and results["increments"] == 2
    assert results["ranks"] == WORLD.size
    # the reaction balances 4 on an edge of length 16
    np.testing.assert_allclose(results["reaction"]["left"], [0.0, -64.0], atol=1e-5)
    assert results["newton_iterations"] == sum(h["newton_iterations"] for h in results["history"])
    assert [entry["time"] for entry in results["history"]] == [0.5, 1.0]
    assert results["rve_solves"] == 0
    assert results["evaluations"] >= results["points"] * results["newton_iterations"]
    assert (folder / "output" / "neo_hookean" / "fields.xdmf").is_file()
    one = run(read_config(folder / "case.toml"), MPI.COMM_SELF).results
    np.testing.assert_allclose(results["probes"]["tip"], one.probes["tip"], rtol=1e-8)


@pytest.mark.mpi
@pytest.mark.parametrize(
    ("first", "second"), [("neo_hookean", "rve"), ("linear", "linearised_rve")]
)
def test_one_word_swaps_the_material(folder: Path, first: str, second: str) -> None:
    """A cell of one constant answers as that constant's law, at rest and under load."""
    tips = [
        run(read_config(write(folder, kind(name), name=f"{name}.toml")), WORLD).results
        for name in (first, second)
    ]
    np.testing.assert_allclose(tips[0].probes["tip"], tips[1].probes["tip"], rtol=1e-7)
    assert (tips[1].rve_solves > 0) == (second == "rve")


@pytest.mark.mpi
def test_regions_of_one_law_are_one_body(folder: Path) -> None:
    mesh = ('generator = "cook_membrane"\ncells = [3, 2]', 'file = "cell.msh"')
    held = ('[[dirichlet]]\nboundary = "left"', '[[dirichlet]]\nboundary = "base"')
    pulled = ('[[traction]]\nboundary = "right"\nvalue = [0.0, 4.0]', "[body]\nforce = [3.0, 5.0]")
    rest = [("[48.0, 60.0]", "[1.0, 1.0]"), ('[[reaction]]\nboundary = "left"', "")]
    changes = [mesh, held, pulled, *rest]
    whole = run(read_config(write(folder, *changes)), WORLD)
    region = ("[output]", '[regions.left]\nkind = "neo_hookean"\n[output]')
    parts = run(read_config(write(folder, *changes, region, name="parts.toml")), WORLD)
    assert set(parts.model.fields) == {"left", "material"}
    np.testing.assert_allclose(parts.results.probes["tip"], whole.results.probes["tip"], rtol=1e-10)
    assert max(map(abs, whole.results.probes["tip"])) > 1e-3


@pytest.mark.mpi
def test_ranks_without_cells_change_nothing(folder: Path) -> None:
    few = [("cells = [3, 2]", "cells = [2, 1]"), ("pictures = false", "pictures = true")]
    settings = read_config(write(folder, *few, kind("rve")))
    shared = run(settings, WORLD, settings.folder)
    if WORLD.size > 2:
        assert 0 in WORLD.allgather(shared.model.fields["material"].num_points)
    alone = run(settings, MPI.COMM_SELF)
    np.testing.assert_allclose(shared.results.probes["tip"], alone.results.probes["tip"], rtol=1e-8)
    assert shared.results.rve_solves == alone.results.rve_solves
    assert shared.results.largest_stretch == pytest.approx(alone.results.largest_stretch)
    assert (settings.folder / "stress.png").is_file()


@pytest.mark.mpi
def test_generate_and_train_reuse_what_is_the_same(folder: Path) -> None:
    settings = read_config(write(folder))
    made = ensure_dataset(settings, WORLD)
    again = ensure_dataset(settings, WORLD)
    assert (made.reused, again.reused) == (False, True)
    assert made.dataset.fingerprint == again.dataset.fingerprint
    model = ensure_model(settings, comm=WORLD)
    assert (model.reused, ensure_model(settings, comm=WORLD).reused) == (False, True)
    assert not ensure_model(settings, comm=WORLD, fresh=True).reused
    other = read_config(write(folder, ("iterations = 20", "iterations = 21")))
    assert not ensure_model(other, comm=WORLD).reused
    # another microscale asks for other data
    stiffer = read_config(write(folder, ("shear_modulus = 35.0", "shear_modulus = 36.0")))
    assert not ensure_dataset(stiffer, WORLD).reused
    assert not ensure_model(stiffer, comm=WORLD).reused
    assert ends("run", write(folder, kind("network"))) == 0


BAD = {
    "unknown key": (("increments = 2", "increment = 2"), ["steps.increment", "'increments'"]),
    "missing mesh": (
        ('generator = "cook_membrane"\ncells = [3, 2]', 'file = "no.msh"'), ["mesh", "no.msh"]),
    "missing cell": (("cell.msh", "no.msh"), ["material.rve", "no.msh"]),
    "unknown group": (
        ('[[traction]]\nboundary = "right"', '[[traction]]\nboundary = "rihgt"'),
        ["traction[0]", "rihgt", "'right'"]),
    "unknown region": (
        ("[output]", '[regions.fibre]\nkind = "neo_hookean"\n[output]'),
        ["regions.fibre", "'domain'"]),
    "region with the name of the rest": (
        ("[output]", '[regions.material]\nkind = "neo_hookean"\n[output]'),
        ["regions.material", "rename the group"]),
    "negative modulus": (
        ("[material.rve.phases.left]\nkind = \"neo_hookean\"\nshear_modulus = 35.0",
         "[material.rve.phases.left]\nkind = \"neo_hookean\"\nshear_modulus = -35.0"),
        ["material.rve.phases.left", "shear_modulus is -35.0", "> 0"]),
    "phases that are not the cell's": (
        ("[material.rve.phases.left]", "[material.rve.phases.lift]"),
        ["material.rve", "'left'", "'lift'"]),
    "inverted element": (("cell.msh", "inverted.msh"), ["inverted.msh", "inverted"]),
    "probe outside": (("[48.0, 60.0]", "[48.0, 61.0]"), ["probe[0]", "[48.0, 61.0]", "outside"]),
    "component": (("value = [0.0, 4.0]", "value = [0.0, 4.0, 0.0]"), ["traction[0]", "2 numbers"]),
    "dimension": (("gdim = 2", "gdim = 3"), ["mesh", "cook_membrane", "gdim is 3"]),
    "measure": (
        ('measure = "finite"', 'measure = "small"'),
        ["material.rve.phases.left", "finite"]),
    "too many cells": (
        ("cells = [3, 2]", f"cells = [{10**20}, 2]"), ["mesh", str(10**20), "at most"]),
    "more cells than 32 bits": (
        ("cells = [3, 2]", "cells = [3000000000, 3000000000]"), ["mesh", "3000000000", "at most"]),
    "mesh is a folder": (
        ('generator = "cook_membrane"\ncells = [3, 2]', 'file = "."'), ["mesh", "is a folder"]),
    "output is a file": (
        ('folder = "output"', 'folder = "cell.msh"'), ["cell.msh is a file", "--output"]),
    "output cannot be written": (
        ('folder = "output"', 'folder = "/proc/x"'), ["cannot write /proc/x", "--output"]),
    "no material": (('[material]\nkind = "rve"', "[material]"), ["material.kind", "missing"]),
}  # fmt: skip


@pytest.mark.mpi
@pytest.mark.parametrize("case", BAD, ids=lambda name: name.replace(" ", "-"))
def test_bad_input_ends_with_code_2_and_one_message(
    folder: Path, case: str, capfd: pytest.CaptureFixture[str]
) -> None:
    change, parts = BAD[case]
    if WORLD.rank == 0:
        gmsh_square(folder / "inverted.msh", 2, invert=True)
    assert ends("run", write(folder, kind("rve"), change)) == 2
    said = WORLD.bcast(capfd.readouterr().err)
    assert said.count("error:") == 1 and len(said.splitlines()) == 1
    for part in ["case.toml", *parts]:
        assert part in said
    assert not (folder / "output").exists()


@pytest.mark.mpi
def test_a_folder_in_place_of_a_file_is_found_before_the_work(
    folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("the work was begun")

    path = write(folder, ("[generate]", '[generate]\nsource = "neo_hookean"'))
    output = folder / "output"
    for command, name, work in (
        ("generate", "dataset/manifest.json", "fesurrogate.data.farm.farm"),
        ("train", "model.safetensors", "fesurrogate.train.fit"),
        ("run", "neo_hookean/results.json", "fesurrogate.run.command.build_problem"),
    ):
        if WORLD.rank == 0:
            (output / name).mkdir(parents=True)
        WORLD.Barrier()
        with monkeypatch.context() as patch:
            patch.setattr(work, never)
            assert ends(command, path) == 2
        said = WORLD.bcast(capfd.readouterr().err)
        assert said.count("error:") == 1 and len(said.splitlines()) == 1
        assert name in said and "is a folder" in said
        if WORLD.rank == 0:
            (output / name).rmdir()
        WORLD.Barrier()
        assert ends(command, path) == 0
        capfd.readouterr()


@pytest.mark.mpi
def test_results_of_a_kind_and_of_the_output_option_have_their_places(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """`run` never writes to [output] folder itself: a summary of several runs may lie there."""
    network, law = write(folder, kind("network")), write(folder, name="law.toml")
    there = folder / "there"
    assert ends("run", network, "--output", there) == 2
    said = WORLD.bcast(capfd.readouterr().err)
    for place in (folder / "output", there):
        assert str(place / "model.safetensors") in said
    settings = read_config(network)
    ensure_model(settings, ensure_dataset(settings, WORLD).dataset, comm=WORLD)
    for arguments, place in (
        ((network,), folder / "output" / "network"),
        ((network, "--output", there), there),
        ((law, "--output", there / "law"), there / "law"),
    ):
        assert ends("run", *arguments) == 0
        assert (place / "results.json").is_file()
        said = WORLD.bcast(capfd.readouterr().out)
        assert said.splitlines()[-1] == f"results: {place / 'results.json'}"
        assert "reaction left: (0, -64" in said  # no -8.5e-14
    assert not (folder / "output" / "results.json").exists()
    # a model that `train --output` put there is taken before the TOML's
    if WORLD.rank == 0:
        (there / "model.safetensors").write_bytes(b"no model")
    WORLD.Barrier()
    assert ends("run", network, "--output", there) == 2
    assert str(there / "model.safetensors") in WORLD.bcast(capfd.readouterr().err)


MODULES = {
    "syntax": ("def make(:\n", ["SyntaxError", "line 1"]),
    "error": ("import math\nx = 1 / 0\n", ["ZeroDivisionError", "line 2"]),
    "exit": ("import sys\nsys.exit(7)\n", ["SystemExit", "line 2"]),
    "import": ("import no_such_package\n", ["no_such_package", "line 1"]),
    "name": ("def mike():\n    pass\n", ["no function make", "mike"]),
}


@pytest.mark.mpi
@pytest.mark.parametrize("case", MODULES)
def test_a_broken_module_is_named_with_its_line(
    folder: Path, case: str, capfd: pytest.CaptureFixture[str]
) -> None:
    text, parts = MODULES[case]
    name = f"broken_by_{case}_here"
    if WORLD.rank == 0:
        (folder / f"{name}.py").write_text(text)
    path = write(folder, kind(f"{name}:make"))
    try:
        assert ends("run", path, "--allow-code") == 2
    finally:
        sys.modules.pop(name, None)
    said = WORLD.bcast(capfd.readouterr().err)
    assert said.count("error:") == 1 and len(said.splitlines()) == 1
    for part in [f"{name}.py", *parts]:
        assert part in said


@pytest.mark.mpi
def test_a_module_is_looked_for_once_a_folder(
    folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    assert ends("run", write(folder, kind("nowhere:make")), "--allow-code") == 2
    assert WORLD.bcast(capfd.readouterr().err).count(f"in {folder} and") == 1
    monkeypatch.undo()


@serial
@pytest.mark.parametrize("ranks", [1, 2])
def test_a_second_interrupt_ends_all_ranks_with_130(folder: Path, ranks: int) -> None:
    """One rank is interrupted inside a solve while the others wait for it; the first is noted."""
    (folder / "slow_law.py").write_text(
        "import os, signal, time\n"
        "from mpi4py import MPI\n"
        "from fesurrogate import Material\n"
        "class Slow(Material):\n"
        "    collective = True\n"
        "    def __init__(self, kinematics):\n"
        "        self.kinematics = kinematics\n"
        "    def respond(self, strain, state, dt, **options):\n"
        "        if MPI.COMM_WORLD.rank == MPI.COMM_WORLD.size - 1:\n"
        "            os.kill(os.getpid(), signal.SIGINT)\n"
        "            time.sleep(0.5)\n"
        "            os.kill(os.getpid(), signal.SIGINT)\n"
        "            time.sleep(60)\n"
        "        MPI.COMM_WORLD.Barrier()\n"
        "def make(kinematics, table):\n"
        "    return Slow(kinematics)\n"
    )
    done = mpirun(ranks, "run", write(folder, kind("slow_law:make")), "--allow-code")
    assert done.returncode == 130, done.stderr
    assert done.stderr.splitlines().count("interrupted") == 1
    assert "Traceback" not in done.stderr


@pytest.mark.mpi
def test_a_model_must_exist_and_fit(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    network = write(folder, kind("network"))
    assert ends("run", network) == 2
    assert ends("train", network) == 2
    said = WORLD.bcast(capfd.readouterr().err)
    assert "fesurrogate train" in said and "fesurrogate generate" in said
    settings = read_config(network)
    ensure_model(settings, ensure_dataset(settings, WORLD).dataset, comm=WORLD)
    assert ends("run", write(folder, kind("network"), ('"finite"', '"small"'))) == 2
    said = WORLD.bcast(capfd.readouterr().err)
    assert "model.safetensors" in said and "Kinematics(gdim=2, measure='small')" in said


@pytest.mark.mpi
def test_code_runs_only_where_it_is_allowed(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    if WORLD.rank == 0:
        (folder / "my_law.py").write_text(
            "from fesurrogate.laws import NeoHookean\n"
            "def make(kinematics, table):\n"
            "    return NeoHookean(kinematics.gdim, shear_modulus=table['mu'], lame=140.0)\n"
        )
    factory = ("[[dirichlet]]", "[material.factory]\nmu = 35.0\n[[dirichlet]]")
    path = write(folder, kind("my_law:make"), factory)
    try:
        assert ends("run", path) == 2
        assert "my_law" not in sys.modules
        assert "--allow-code" in WORLD.bcast(capfd.readouterr().err)
        law = load_material(path, WORLD, allow_code=True)
        closed = load_material(path, WORLD, kind="neo_hookean")
        strain = np.array([[1.1, 0.05, -0.02, 0.97]])
        np.testing.assert_array_equal(law.evaluate(strain).stress, closed.evaluate(strain).stress)
    finally:
        sys.modules.pop("my_law", None)


@pytest.mark.mpi
def test_no_convergence_is_a_result_and_exit_code_3(folder: Path) -> None:
    path = write(
        folder, ("value = [0.0, 4.0]", "value = [0.0, 400.0]"),
        ("increments = 2", "increments = 100\nmax_cuts = 0"),
        ("[output]", "[solver.macro]\nsnes_max_it = 3\n[output]"),
    )  # fmt: skip
    assert ends("run", path) == 3
    results = json.loads((folder / "output" / "neo_hookean" / "results.json").read_text())
    assert not results["converged"] and "no convergence" in results["message"]
    assert results["increments"] == len(results["history"]) < 100


@pytest.mark.mpi
def test_an_error_on_one_rank_is_known_to_all() -> None:
    def fail_on_last() -> int:
        if WORLD.rank == WORLD.size - 1:
            raise InputError("only here")
        return 1

    def fill_on_last() -> int:
        if WORLD.rank == WORLD.size - 1:
            raise OSError(errno.ENOSPC, "full")
        return 1

    with pytest.raises(InputError, match="only here"):
        first_rank_first(WORLD, fail_on_last)
    assert first_rank_first(WORLD, lambda: WORLD.rank) == WORLD.rank
    with pytest.raises(OSError) as full:
        first_rank_first(WORLD, fill_on_last)
    assert full.value.errno == errno.ENOSPC


@pytest.mark.mpi
def test_an_axis_that_nothing_holds_is_said(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    left, top = (
        '[[dirichlet]]\nboundary = "left"',
        '\n[[dirichlet]]\nboundary = "top"\ncomponent = ',
    )
    for held, said in (
        (left, 0), (left + "\ncomponent = 0", 1), (left + '\ncomponent = "x"' + top + "1", 0),
    ):  # fmt: skip
        caplog.clear()
        settings = read_config(write(folder, (left, held)))
        build_problem(settings, WORLD, beside=build_problem(settings, WORLD))  # says it once
        assert caplog.text.count("holds the body along y:") == said
        assert caplog.text.count("holds the body along") == said


@pytest.mark.mpi
def test_a_model_of_another_cell_is_said(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    settings = read_config(write(folder))
    ensure_model(settings, ensure_dataset(settings, WORLD).dataset, comm=WORLD)
    other = ("[material.rve]\n", "[material.rve]\nrtol = 1e-9\n"), ("[material.rve.phases.right]"
             f'\nkind = "neo_hookean"\n{CONSTANTS}', "[material.rve.phases.right]"
             '\nkind = "neo_hookean"\nshear_modulus = 36.0\nlame = 140.0\n')  # fmt: skip
    lost = ('mesh = "cell.msh"', 'mesh = "none.msh"')
    for changes, said in ((), 0), (other[:1], 0), (other, 1), ((lost,), 0):
        caplog.clear()
        load_material(read_config(write(folder, *changes)), WORLD, kind="network")
        assert caplog.text.count("answers of another cell") == said


@serial
def test_a_full_disk_ends_in_one_line_and_is_gone_on_from(
    folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    path = write(folder)
    with monkeypatch.context() as patch:
        patch.setattr("fesurrogate.data.manifest.write_whole", full)
        assert ends("generate", path) == 4
    said = capfd.readouterr().err
    assert said.splitlines()[-1].startswith("stopped: [Errno 28] No space left on device")
    assert "Traceback" not in said
    assert ends("generate", path) == 0


@pytest.mark.mpi
def test_load_follows_its_schedule(folder: Path) -> None:
    scheduled = ("value = [0.0, 4.0]", "value = [0.0, 4.0]\nschedule = [[0, 0], [0.5, 2], [1, 1]]")
    settings = read_config(write(folder, scheduled))
    history = run(settings, WORLD).results.history
    vertical = [entry.reaction["left"][1] for entry in history]
    np.testing.assert_allclose(vertical, [-128.0, -64.0], rtol=1e-6)
    model = build_problem(settings, WORLD)
    model.apply_load(0.25)
    np.testing.assert_allclose(model.loads[-1].constant.value, [0.0, 4.0])


def mpirun(ranks: int, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Start the command line on ranks of its own."""
    command = [
        "mpirun",
        "-n",
        str(ranks),
        sys.executable,
        "-m",
        "fesurrogate",
        *map(str, arguments),
    ]
    environment = {
        **os.environ,
        "OMPI_MCA_rmaps_base_oversubscribe": "1",
        "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
    }
    return subprocess.run(
        command, capture_output=True, text=True, timeout=300, env=environment, check=False
    )


@serial
def test_ranks_of_their_own_end_as_designed(folder: Path) -> None:
    """Real programs on 3 ranks: options typed reach PETSc and win; bad input hangs nobody."""
    path = write(folder, ("[output]", "[solver.macro]\nsnes_max_it = 1\n[output]"))
    done = mpirun(3, "run", path, "-macro_snes_max_it", "20", "-macro_snes_monitor")
    assert done.returncode == 0, done.stderr
    assert "SNES Function norm" in done.stdout
    for words in (["run", "-o", path], ["run", write(folder, ("gdim = 2", "gdim = 5"))]):
        refused = mpirun(3, *words)
        assert refused.returncode == 2
        assert refused.stderr.count("error:") == 1


@serial
def test_an_error_on_one_rank_of_a_material_that_communicates_ends_all(folder: Path) -> None:
    """The others wait inside the Material: only the end of all is left, with the traceback."""
    (folder / "broken_law.py").write_text(
        "from mpi4py import MPI\n"
        "from fesurrogate import Material\n"
        "class Broken(Material):\n"
        "    collective = True\n"
        "    def __init__(self, kinematics):\n"
        "        self.kinematics = kinematics\n"
        "    def respond(self, strain, state, dt, **options):\n"
        "        if MPI.COMM_WORLD.rank == 1:\n"
        "            raise ZeroDivisionError('on rank 1')\n"
        "        MPI.COMM_WORLD.Barrier()\n"
        "def make(kinematics, table):\n"
        "    return Broken(kinematics)\n"
    )
    done = mpirun(3, "run", write(folder, kind("broken_law:make")), "--allow-code")
    assert done.returncode not in (0, 2, 3)
    assert done.stderr.count("ZeroDivisionError: on rank 1") == 1


@serial
def test_help_names_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert ends("--help") == 0
    said = capsys.readouterr().out
    assert all(command in said for command in ("run", "generate", "train", "doctor"))
