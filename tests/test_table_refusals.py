"""Tables that do not fit a run: one clear message and exit code 2, before anything is solved."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from struct import pack
from typing import Any

import pytest
from mpi4py import MPI
from test_precompute import BODY, code_of, settings_of, toml

from fesurrogate.build.precompute import ensure_table
from fesurrogate.hierarchical import read_tabulation, write_tabulation

GIVEN = 'parameters = { "fractions.fibre" = 0.4 }\n'


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a table of a laminate."""
    folder = tmp_path_factory.mktemp("table")
    text = toml(material=GIVEN, quantities='["stiffness", "expansion"]')
    return ensure_table(settings_of(folder, text), MPI.COMM_SELF).path


def run_with(folder: Path, table: Path, text: str, capfd: Any) -> str:
    """Return what a refused run says, once."""
    settings = settings_of(folder, text)
    settings.folder.mkdir(exist_ok=True)
    shutil.copy(table, settings.table)
    capfd.readouterr()
    assert code_of("run", str(folder / "case.toml")) == 2
    said = str(capfd.readouterr().err)
    assert "Traceback" not in said
    return said


def text_of(material: str = GIVEN) -> str:
    return toml(material=material, quantities='["stiffness", "expansion"]', more=BODY)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (('fractions.fibre" = 0.4', 'fractions.fibre" = 0.8'), "from 0.2 to 0.7"),
        (("young = 3.0", "young = 3.5"), "was made of another cell"),
        ((GIVEN, GIVEN + '[material.table]\nunits = "m, Pa"\n'), "has the units 'mm, GPa'"),
        ((GIVEN, ""), "needs fractions.fibre"),
    ],
)
def test_a_table_that_does_not_fit(
    tmp_path: Path, made: Path, capfd: Any, change: tuple[str, str], message: str
) -> None:
    text = text_of().replace(*change)
    assert text != text_of()
    assert message in run_with(tmp_path, made, text, capfd)


def test_a_table_of_other_kinematics(tmp_path: Path, made: Path, capfd: Any) -> None:
    text = text_of().replace("gdim = 2", "gdim = 3").replace("[0.0, 0.0]", "[0.0, 0.0, 0.0]")
    text = text.replace('"rectangle"', '"box"').replace("[2, 2]", "[1, 1, 1]")
    assert "was made under" in run_with(tmp_path, made, text, capfd)


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda content: content[: len(content) // 2], "cut short"),
        (lambda content: b"", "table"),
        (lambda content: content.replace(pack("<d", 0.2), pack("<d", 0.25)), "is damaged"),
    ],
)
def test_a_damaged_table(
    tmp_path: Path, made: Path, capfd: Any, harm: Callable[[bytes], bytes], message: str
) -> None:
    broken = tmp_path / "broken.h5"
    broken.write_bytes(harm(made.read_bytes()))
    assert message in run_with(tmp_path, broken, text_of(), capfd)


def test_a_table_without_what_the_run_looks_up(tmp_path: Path, made: Path, capfd: Any) -> None:
    found = read_tabulation(made)
    poorer = {"expansion": found.quantities["expansion"]}
    poor = tmp_path / "poor.h5"
    write_tabulation(replace(found, quantities=poorer, held_out=None), poor)
    said = run_with(tmp_path, poor, text_of(), capfd)
    assert "expected 'stiffness': add it to quantities of [precompute]" in said


def test_no_table_at_all(tmp_path: Path, capfd: Any) -> None:
    settings_of(tmp_path, text_of())
    assert code_of("run", str(tmp_path / "case.toml")) == 2
    assert "fesurrogate precompute" in capfd.readouterr().err
