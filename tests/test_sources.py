"""What ``generate`` may be asked: which Materials, along which paths, with which parameters."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from mpi4py import MPI
from ranks import shared_folder
from test_cli import gmsh_square

from fesurrogate.build.problem import build_problem
from fesurrogate.cli import main
from fesurrogate.combine import Balanced, Gathered
from fesurrogate.config import read_config
from fesurrogate.data.generate import generate
from fesurrogate.data.store import read_dataset
from fesurrogate.errors import InputError
from fesurrogate.fem.stepping import Increment, Position
from fesurrogate.laws import NeoHookean
from fesurrogate.laws.rotated import Rotated
from fesurrogate.run.path_output import PathOutput

pytest.importorskip("h5py")
pytestmark = pytest.mark.mpi
COMM = MPI.COMM_WORLD
LAW = NeoHookean(2, shear_modulus=1.0, lame=2.0)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that all ranks share."""
    with shared_folder() as path:
        yield path


def written(folder: Path, text: str, name: str = "case.toml") -> Path:
    if COMM.rank == 0:
        (folder / name).write_text(text)
    COMM.Barrier()
    return folder / name


def ends(*arguments: str | Path) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    assert isinstance(ended.value.code, int)
    return ended.value.code


SPREAD = """
from mpi4py import MPI
from fesurrogate.combine import Balanced
from fesurrogate.laws import NeoHookean
def make(kinematics, table):
    return Balanced(NeoHookean(2, shear_modulus=1.0, lame=2.0), MPI.COMM_WORLD)
"""


def test_materials_that_communicate_are_refused(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In a script and by the command, also under a wrapper, on any number of ranks."""
    for spread in (Balanced(LAW, COMM), Gathered(LAW, COMM), Rotated(Balanced(LAW, COMM), 0.3)):
        with pytest.raises(InputError, match="communicates among ranks"):
            generate(spread, np.tile(LAW.kinematics.rest, (3, 1, 1)), COMM)
    written(folder, SPREAD, "spread_law.py")
    path = written(
        folder,
        '[kinematics]\ngdim = 2\nmeasure = "finite"\n[material]\nkind = "spread_law:make"\n'
        '[generate]\nsource = "spread_law:make"\nsamples = 4\n',
    )
    try:
        assert ends("generate", path, "--allow-code", "--output", folder / "out") == 2
    finally:
        sys.modules.pop("spread_law", None)
    said = capsys.readouterr().err
    assert (COMM.rank == 0) == ("Balanced communicates among ranks" in said)
    assert "Traceback" not in said and not (folder / "out" / "dataset").exists()


COARSE = """
[kinematics]
gdim = 2
measure = "finite"
[mesh]
generator = "rectangle"
cells = [2, 2]
[macro]
degree = 1
[material]
kind = "neo_hookean"
[material.neo_hookean]
shear_modulus = 1.0
lame = 2.0
[material.rve]
degree = 1
[material.rve.cell]
kind = "laminate"
fractions = { soft = 0.5, hard = 0.5 }
resolution = 2
[material.rve.phases.soft]
kind = "neo_hookean"
shear_modulus = 1.0
lame = 2.0
[material.rve.phases.hard]
kind = "neo_hookean"
shear_modulus = 4.0
lame = 8.0
[[dirichlet]]
boundary = "left"
[[traction]]
boundary = "right"
value = [0.1, 0.1]
[steps]
increments = 3
end = 6.0
[output]
folder = "out"
fields = false
pictures = false
paths = true
[generate]
path = "recorded"
recorded = "out/neo_hookean/paths"
samples = 5
"""


def test_an_rve_is_asked_what_a_coarse_run_went_through(folder: Path) -> None:
    """From one TOML: run with a law, generate with the cell."""
    path = written(folder, COARSE)
    assert ends("run", path) == 0
    recorded = read_dataset(folder / "out" / "neo_hookean" / "paths")
    assert recorded.strain.shape == (16, 3, 4) and recorded.ok.all()
    np.testing.assert_array_equal(recorded.dt, 2.0)
    assert recorded.meta["material"]["kind"] == "neo_hookean"
    exact = generate(LAW, recorded.strain)  # paths from rest, and their law's answers
    np.testing.assert_allclose(recorded.stress, exact.stress, atol=1e-12)
    assert ends("generate", path) == 0
    data = read_dataset(folder / "out" / "dataset")
    assert data.strain.shape == (5, 3, 4) and data.ok.all()
    gradients = data.strain.reshape(5, 3, 2, 2)
    cauchy_green = np.swapaxes(gradients, 2, 3) @ gradients
    theirs = recorded.strain.reshape(16, 3, 2, 2)
    theirs = np.swapaxes(theirs, 2, 3) @ theirs
    for one in cauchy_green:  # each is one of theirs, but for a rotation
        assert np.abs(theirs - one).max(axis=(1, 2, 3)).min() < 1e-12
    soft = generate(LAW, data.strain).stress
    ratio = np.linalg.norm(data.stress) / np.linalg.norm(soft)
    assert 1.6 <= ratio <= 2.5  # Reuss and Voigt of contrast 4 in equal parts


def test_regions_are_recorded_apart(folder: Path) -> None:
    """Each under its name, with the answers of its own law."""
    if COMM.rank == 0:
        gmsh_square(folder / "square.msh", 2)
    region = "[regions.left]\nkind = 'neo_hookean'\n[regions.left.neo_hookean]\n"
    text = COARSE.replace('generator = "rectangle"\ncells = [2, 2]', 'file = "square.msh"')
    text = text.replace('boundary = "left"', 'boundary = "base"').replace("[[traction]]", "[body]")
    text = text.replace('boundary = "right"\nvalue', "force")
    path = written(folder, f"{text}{region}shear_modulus = 10.0\nlame = 20.0\n")
    assert ends("run", path) == 0
    laws = {"paths": LAW, "paths_left": NeoHookean(2, shear_modulus=10.0, lame=20.0)}
    for name, law in laws.items():
        data = read_dataset(folder / "out" / "neo_hookean" / name)
        assert data.strain.shape[:2] == (4, 3)
        np.testing.assert_allclose(
            data.stress, generate(law, data.strain).stress, rtol=1e-10, atol=1e-12
        )


def test_a_file_in_the_way_is_named_before_the_run(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(folder, COARSE)
    if COMM.rank == 0:
        (folder / "out" / "neo_hookean").mkdir(parents=True)
        (folder / "out" / "neo_hookean" / "paths").write_text("no folder")
    COMM.Barrier()
    assert ends("run", path) == 2
    assert (COMM.rank == 0) == ("is a file; name another" in capsys.readouterr().err)


def test_paths_that_do_not_begin_at_rest_are_not_written(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As those of a run that was taken up again."""
    model = build_problem(read_config(written(folder, COARSE)), COMM)
    output = PathOutput(model, folder)
    model.apply_load(2.0)
    model.problem.solve(2.0)
    output(Increment(2.0, 2.0, 1, (), Position()))
    with caplog.at_level(logging.WARNING):
        output.write(2)
    assert (COMM.rank == 0) == ("1 of 2 increments" in caplog.text)
    assert not (folder / "paths").exists()
    output.write(1)
    assert len(read_dataset(folder / "paths")) == 16


SAMPLED = """
[kinematics]
gdim = 2
[material]
kind = "rve"
{material}
[material.rve]
degree = 1
[material.rve.cell]
kind = "laminate"
fractions = {{ soft = 0.5, hard = 0.5 }}
resolution = 2
[material.rve.phases.soft]
kind = "linear_elastic"
young = 1.0
poisson = 0.0
[material.rve.phases.hard]
kind = "linear_elastic"
young = 4.0
poisson = 0.0
[output]
folder = "out"
[generate]
samples = 8
stretch = 0.01
{generate}
"""
FORMULA = '[material.parameters]\n"hard.young" = "4 + x[0]"'


def test_formulas_of_a_run_are_ranges_of_the_data(folder: Path) -> None:
    """Across the layers, σ_xx = 2 ε_xx / (1 / E + 1 / 1) where Poisson's ratio is 0."""
    ranges = '[generate.parameters]\n"hard.young" = [3.0, 5.0]'
    assert ends("generate", written(folder, SAMPLED.format(material=FORMULA, generate=ranges))) == 0
    data = read_dataset(folder / "out" / "dataset")
    assert data.parameter_names == ("hard.young",)
    young = data.parameters[:, 0]
    assert 3.0 <= young.min() < 3.5 and 4.5 < young.max() <= 5.0
    exact = 2.0 * data.strain[:, 0, 0] / (1.0 / young + 1.0)
    np.testing.assert_allclose(data.stress[:, 0, 0], exact, rtol=1e-7)


@pytest.mark.parametrize(
    ("ranges", "names"),
    [("", ()), ('[generate.parameters]\n"angle" = [0.0, 1.0]', ("angle",))],
    ids=["as it is", "turned"],
)
def test_what_is_rotated_is_sampled_as_it_is_unless_angles_are_asked_for(
    folder: Path, ranges: str, names: tuple[str, ...]
) -> None:
    text = SAMPLED.format(material="rotated = true", generate=ranges)
    assert ends("generate", written(folder, text)) == 0
    assert read_dataset(folder / "out" / "dataset").parameter_names == names


@pytest.mark.parametrize(
    ("material", "generate", "said"),
    [
        (FORMULA, "", 'lacks hard.young of [material.parameters], whose values are those of a run: '
                      'give the range that is sampled, "hard.young" = [low, high]'),
        ("", '[generate.parameters]\n"hard.yuong" = [1.0, 2.0]',
         "parameters are ['hard.yuong']; expected each once, out of soft.young"),
        (FORMULA, '[generate.parameters]\n"hard.young" = [5.0, 3.0]',
         "parameters.hard.young is [5.0, 3.0]; expected [low, high] with low <= high"),
    ],
)  # fmt: skip
def test_missing_ranges_are_asked_for(
    folder: Path, capsys: pytest.CaptureFixture[str], material: str, generate: str, said: str
) -> None:
    text = SAMPLED.format(material=material, generate=generate)
    assert ends("generate", written(folder, text)) == 2
    assert (COMM.rank == 0) == (said in capsys.readouterr().err)
