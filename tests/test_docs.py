"""The worked example of docs/adding_a_material.md works; docs/architecture.md draws what holds."""

import json
import re
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

from fesurrogate.cli import main

ROOT = Path(__file__).parents[1]
GUIDE = ROOT / "docs" / "adding_a_material.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", GUIDE.read_text(), re.DOTALL)


def test_the_example_meets_the_contract() -> None:
    names: dict = {}
    for block in blocks("python"):
        exec(block, names)  # the guide is ours
    assert names["KelvinVoigt"].__mro__[1].__name__ == "Material"


def test_the_example_runs_from_its_toml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "kelvin_voigt.py").write_text(blocks("python")[0])
    (tmp_path / "strip.toml").write_text(blocks("toml")[0])
    monkeypatch.chdir(tmp_path)
    arguments = ["run", "strip.toml", "--output", "out"]
    with pytest.raises(SystemExit) as refused:
        main(arguments)
    assert refused.value.code == 2
    with pytest.raises(SystemExit) as done:
        main([*arguments, "--allow-code"])
    assert done.value.code == 0
    sys.modules.pop("kelvin_voigt", None)
    history = json.loads((tmp_path / "out" / "results.json").read_text())["history"]
    pulls = np.array([entry["reaction"]["right"][0] for entry in history])
    strain, rate = 0.05 * np.arange(1, 5) / 4, 0.05  # a strip of 4 x 1 pulled by 0.2 in time 1
    modulus = 3.0 * 0.7 / (1.3 * 0.4)  # E (1 - ν) / ((1 + ν) (1 - 2 ν))
    np.testing.assert_allclose(pulls, modulus * strain + 0.5 * rate, rtol=1e-10)


def test_the_arrows_that_are_drawn_are_those_that_the_linter_holds() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    (layers,) = (c["layers"] for c in contracts["contracts"] if c["name"].startswith("Arrows"))
    kept = [re.sub(r"fesurrogate\.|[()]", "", layer) for layer in layers]
    text = (ROOT / "docs" / "architecture.md").read_text()
    drawn = re.search(r"Arrows point down only.*?```\n(.*?)```", text, re.DOTALL)
    assert drawn and drawn[1].splitlines() == kept


def test_every_room_has_a_row() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text().split("## Rooms")[1].split("\n## ")[0]
    named = set(re.findall(r"`(\w+)(?:/|\.py)`", text))
    rooms = {
        path.stem
        for path in (ROOT / "fesurrogate").iterdir()
        if not path.name.startswith(("_", ".")) and (path.is_dir() or path.suffix == ".py")
    }
    assert rooms - named == set()
