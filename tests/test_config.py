"""Every mistake in a TOML gets one message that names the key."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from fesurrogate.config import Settings, StepSettings, read_config
from fesurrogate.config.material import MaterialSettings
from fesurrogate.errors import InputError
from fesurrogate.kinematics import Kinematics

ROOT = Path(__file__).parents[1]
GOOD = """
title = "A membrane"
[kinematics]
gdim = 2
measure = "finite"
[mesh]
generator = "cook_membrane"
cells = [2, 2]
[material]
kind = "rve"
[material.rve]
mesh = "../meshes/cell.msh"
[material.rve.phases.matrix]
kind = "neo_hookean"
shear_modulus = 1
lame = 2.0
[[dirichlet]]
boundary = "left"
value = [0, 0.0]
schedule = [[0, 0], [1, 2]]
[[probe]]
name = "tip"
point = [48.0, 60.0]
[solver.macro]
snes_rtol = 1e-9
"""


def read(folder: Path, text: str) -> Settings:
    """Read a text as a TOML in a folder."""
    path = folder / "case.toml"
    path.write_text(text)
    return read_config(path)


def test_values_defaults_and_paths(tmp_path: Path) -> None:
    settings = read(tmp_path, GOOD)
    assert settings.kinematics == Kinematics(2, "finite")
    assert settings.material is not None and settings.material.rve is not None
    assert settings.material.rve.phases["matrix"].constants == {"shear_modulus": 1.0, "lame": 2.0}
    # relative to the TOML's folder, wherever the program is started
    assert settings.material.rve.mesh.resolve() == tmp_path.parent / "meshes" / "cell.msh"
    assert settings.dirichlet[0].value == (0.0, 0.0)
    assert settings.steps.end_times == (1.0,)
    assert settings.solver.macro == {"snes_rtol": 1e-9}
    assert settings.model == settings.folder / "model.safetensors"
    assert settings.source == tmp_path / "case.toml"


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        ("lame = 2.0", "lamee = 2.0", ["material.rve.phases.matrix.lamee", "did you mean 'lame'"]),
        ("lame = 2.0", "", ["material.rve.phases.matrix", "shear_modulus and lame"]),
        ("lame = 2.0", "lame = nan", ["material.rve.phases.matrix.lame is nan", "finite"]),
        ("lame = 2.0", 'lame = "2"', ['material.rve.phases.matrix.lame is "2"', "number"]),
        ("gdim = 2", "gdim = 4", ["kinematics.gdim is 4", "2 or 3"]),
        ("gdim = 2", "", ["kinematics.gdim", "missing"]),
        ("gdim = 2", "gdim ==", ["case.toml", "line 4"]),
        ('measure = "finite"', 'mesure = "finite"', ["kinematics.mesure", "'measure'"]),
        ('kind = "rve"', 'kind = "rvee"', ["material", "'rvee'", "did you mean 'rve'", "module:f"]),
        ("cells = [2, 2]", "cells = [2.5, 2]", ["mesh.cells[0] is 2.5", "integer"]),
        ("cells = [2, 2]", "", ["mesh", "cells = [10, 10]"]),
        ("cells = [2, 2]", 'cells = [2, 2]\nfile = "x.msh"', ["mesh", "either file or generator"]),
        ("[mesh]", "[meshh]", ["unknown key 'meshh'", "'mesh'"]),
        ("[[0, 0], [1, 2]]", "[[0, 0], [0, 2]]", ["dirichlet[0]", "rising times"]),
        ("value = [0, 0.0]", "value = [0, true]", ["dirichlet[0].value", "number"]),
        ("[[dirichlet]]", "[dirichlet]", ["dirichlet", "array"]),
        ("[solver.macro]", "[steps]\nincrements = 0\n[solver.macro]", ["steps", "at least 1"]),
        ("[solver.macro]", "[steps]\nend = -1\n[solver.macro]", ["steps", "end is -1", "> 0"]),
        ('title = "A membrane"', 'source = "x"', ["unknown key 'source'"]),
        ('title = "A membrane"', 'run_output = "x"', ["unknown key 'run_output'"]),
        ("[[probe]]", "[generate]\nseed = -1\n[[probe]]", ["generate: seed is -1", "from 0"]),
        ("[[probe]]", "[generate]\nsamples = 0\n[[probe]]", ["generate: samples is 0"]),
        ("[[probe]]", "[generate]\nstretch = 0\n[[probe]]", ["generate: stretch is 0", "> 0"]),
        ("[[probe]]", "[train]\niterations = 0\n[[probe]]", ["train: iterations is 0"]),
        ("[[probe]]", "[train]\nvalidation = 1\n[[probe]]", ["train: validation is 1", "(0, 1)"]),
        ("[[probe]]", "[train]\nhidden = []\n[[probe]]", ["train: hidden is []", "one width"]),
        ("[[probe]]", "[train]\nhidden = [3, 0]\n[[probe]]", ["train: hidden is [3, 0]"]),
        ("[[probe]]", "[train]\nseed = -1\n[[probe]]", ["train: seed is -1"]),
        ("[[probe]]", "[train]\ntangent_weight = -1\n[[probe]]", ["train: tangent_weight is -1"]),
        ("[[probe]]", "[macro]\ndegree = 9\n[[probe]]", ["macro: degree is 9", "1 to 8"]),
        (
            "[[probe]]",
            "[macro]\nquadrature_degree = 31\n[[probe]]",
            ["macro: quadrature_degree is 31", "0 to 30"],
        ),
        ('mesh = "../', 'rtol = 0\nmesh = "../', ["material.rve: rtol is 0", "(0, 1)"]),
        ('mesh = "../', 'degree = 0\nmesh = "../', ["material.rve: degree is 0", "1 to 8"]),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, old: str, new: str, parts: list[str]) -> None:
    assert GOOD.count(old) == 1
    with pytest.raises(InputError) as caught:
        read(tmp_path, GOOD.replace(old, new))
    message = str(caught.value)
    for part in ["case.toml", *parts]:
        assert part in message
    assert "\n" not in message


def test_what_is_nested_without_end_is_refused(tmp_path: Path) -> None:
    for text in (f"title = {'[' * 3000}{']' * 3000}", f"[{'.'.join(['material'] * 3000)}]"):
        with pytest.raises(InputError, match=r"case\.toml: .*nested too deeply"):
            read(tmp_path, text + "\n")


def test_several_mistakes_come_at_once_and_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read(tmp_path, GOOD.replace("gdim", "dim").replace("lame", "lamee"))
    assert len(str(caught.value).splitlines()) == 2
    with pytest.raises(InputError, match=r"nowhere\.toml"):
        read_config(tmp_path / "nowhere.toml")


def test_tables_of_kinds_not_chosen_are_validated(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"material\.linear\.young"):
        read(tmp_path, GOOD + "[material.linear]\nyoung = [1]\npoisson = 0.3\n")


def test_cook_membrane_swaps_by_one_word() -> None:
    settings = read_config(ROOT / "demos" / "cook_membrane.toml")
    assert settings.material is not None
    for kind in ("rve", "network", "neo_hookean", "linearised_rve"):
        swapped = dataclasses.replace(settings.material, kind=kind)
        assert kind == "network" or getattr(swapped, swapped.section) is not None


def test_a_region_takes_what_it_leaves_out_from_the_material(tmp_path: Path) -> None:
    settings = read(tmp_path, GOOD + '[regions.core]\nkind = "linear"\n[material.guard]\n')
    base = settings.material
    assert base is not None and base.rve is not None and settings.regions["core"].rve is None
    core, rest = settings.tables["core"], settings.tables["material"]
    assert set(settings.tables) == {"core", "material"} and rest == base
    assert core.kind == "linear" and core.rve == base.rve and core.guard == base.guard
    assert not settings.guards  # no kind that has one

    def network(table: MaterialSettings) -> MaterialSettings:
        return dataclasses.replace(table, kind="network")

    assert settings.with_tables(network).guards == (base.guard, base.guard)


def test_runs_of_each_kind_have_a_folder_of_their_own(tmp_path: Path) -> None:
    settings = read(tmp_path, GOOD + f'[output]\nfolder = "{tmp_path}/out"\n')
    out = tmp_path / "out"
    assert settings.material is not None
    mine = dataclasses.replace(settings.material, kind="law.mine:make")
    assert settings.run_folder == out / "rve"
    assert dataclasses.replace(settings, material=mine).run_folder == out / "law.mine.make"
    assert dataclasses.replace(settings, material=None).run_folder == out / "regions"
    moved = dataclasses.replace(settings, run_output=tmp_path / "there")
    assert moved.run_folder == tmp_path / "there"
    assert moved.dataset == settings.dataset and moved.model == settings.model
    assert moved.models == (tmp_path / "there" / "model.safetensors", settings.model)


def test_schedules_interpolate_and_hold() -> None:
    steps = StepSettings(increments=4, end=2.0)
    assert steps.end_times == (0.5, 1.0, 1.5, 2.0)
    assert steps.factor(None, 0.5) == 0.25
    schedule = ((0.0, 0.0), (1.0, 3.0), (2.0, -1.0))
    for time, factor in [(-1.0, 0.0), (0.5, 1.5), (1.0, 3.0), (1.5, 1.0), (2.0, -1.0), (9.0, -1.0)]:
        assert steps.factor(schedule, time) == pytest.approx(factor, abs=1e-15)


def test_unknown_kinds_are_refused_without_a_file() -> None:
    with pytest.raises(InputError, match="expected one of"):
        MaterialSettings(kind="nonsense")
