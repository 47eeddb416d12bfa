"""The demos that are quick enough to run in full."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

DEMOS = Path(__file__).parents[1] / "demos"


def code_lines(path: Path) -> set[str]:
    lines = (line.strip() for line in path.read_text().splitlines())
    return {line for line in lines if line and not line.startswith("#")}


def printed(script: Path, cwd: Path, *, timeout: float = 300, ranks: int = 1) -> list[float]:
    start = ["mpirun", "-n", str(ranks)] if ranks > 1 else []
    done = subprocess.run(
        [*start, sys.executable, "-m", "mpi4py", script],
        cwd=cwd, capture_output=True, text=True, timeout=timeout, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [float(number) for number in re.findall(r"-?\d+(?:\.\d+)?", done.stdout)]


def test_embedding_changes_five_lines() -> None:
    plain, embedded = (
        code_lines(DEMOS / "plain_script.py"),
        code_lines(DEMOS / "embed_in_script.py"),
    )
    assert len(embedded - plain) <= 5


def test_embedded_law_gives_what_the_plain_script_gives(tmp_path: Path) -> None:
    script = tmp_path / "embed.py"
    text = (DEMOS / "embed_in_script.py").read_text()
    assert "__file__" in text
    text = text.replace("__file__", repr(str(DEMOS / "embed_in_script.py")))
    assert "degree=4)" in text
    script.write_text(text.replace("degree=4)", 'degree=4, kind="neo_hookean")'))
    plain, embedded = printed(DEMOS / "plain_script.py", tmp_path), printed(script, tmp_path)
    assert plain[0] == embedded[0]  # Newton iterations
    assert abs(plain[1] - embedded[1]) < 2e-10 * plain[1]  # work of the load, to the last digit


def test_the_lamina_and_its_own_checks(tmp_path: Path) -> None:
    numbers = printed(DEMOS / "lamina_properties.py", tmp_path)
    assert 45.763 in numbers and 0.252 in numbers  # of hexagonal packing: E1, and bound of nu12
    assert (tmp_path / "output" / "lamina_properties" / "lamina.png").stat().st_size > 5000


def test_the_graded_beam_and_its_own_checks(tmp_path: Path) -> None:
    numbers = printed(DEMOS / "graded_beam.py", tmp_path)
    assert 42.5237 in numbers and 42.4957 in numbers  # reactions: table, direct FE²
    picture = tmp_path / "output" / "graded_beam" / "graded_beam.png"
    assert picture.stat().st_size > 5000


def test_the_thermoelastic_plate_and_its_own_checks(tmp_path: Path) -> None:
    numbers = printed(DEMOS / "thermoelastic_plate.py", tmp_path)
    assert sum(abs(number - 0.1965) < 2e-4 for number in numbers) == 3  # bow, mm: three ways
    picture = tmp_path / "output" / "thermoelastic_plate" / "thermoelastic_plate.png"
    assert picture.stat().st_size > 5000


def test_warm_starts_end_in_the_same_answers(tmp_path: Path) -> None:
    numbers = printed(DEMOS / "warm_start.py", tmp_path)
    assert 1022 in numbers  # unknowns of the cell, beside what the demo asserts itself
    assert (tmp_path / "output" / "warm_start" / "warm_start.png").stat().st_size > 5000


def test_the_error_of_fe2_falls_as_the_cells_shrink(tmp_path: Path) -> None:
    script, text = tmp_path / "resolved.py", (DEMOS / "resolved.py").read_text()
    assert "ROWS = 8 " in text and "CELLS = (2, 4, 8, 16) " in text
    script.write_text(
        text.replace("ROWS = 8 ", "ROWS = 4 ").replace("(2, 4, 8, 16) ", "(2, 4, 8) ")
    )
    assert 0.09089 in printed(script, tmp_path)  # moment of FE², as on any number of ranks
    assert (tmp_path / "output" / "resolved" / "resolved.png").stat().st_size > 5000


def test_a_run_learns_while_it_goes_on(tmp_path: Path) -> None:
    """Run in a copy, with a small laminate in place of the fibre; the bars are the demo's own."""
    code = (DEMOS / "learn_on_the_fly.py").read_text()
    bars = (
        "max(last.values()) < 0.05",
        '"second"]) < 0.005',
        '"first"] <= 0.30',
        '"second"] <= 0.10',
    )
    assert all(bar in code for bar in bars)
    text = (DEMOS / "learn_on_the_fly.toml").read_text()
    fibre = 'mesh = "../meshes/fibre_rve.msh"\n'
    assert text.count(fibre) == 1
    phases = "fractions = { matrix = 0.7, fibre = 0.3 }"
    text = text.replace(fibre, f'cell = {{ kind = "laminate", {phases}, resolution = 4 }}\n')
    (tmp_path / "demos").mkdir()
    (tmp_path / "demos" / "learn_on_the_fly.toml").write_text(text)
    (tmp_path / "demos" / "learn_on_the_fly.py").write_text(code)
    assert 225 in printed(tmp_path / "demos" / "learn_on_the_fly.py", tmp_path)  # points
    folder = tmp_path / "output" / "learn_on_the_fly"
    assert (folder / "learn_on_the_fly.png").stat().st_size > 5000
    assert (folder / "first" / "learned" / "model.safetensors").is_file()


@pytest.mark.slow
def test_plastic_composite_holds_what_it_asserts(tmp_path: Path) -> None:
    """Run in a copy, with linear elements in the cell, on ranks that balance their points."""
    text = (DEMOS / "plastic_composite.toml").read_text()
    assert "degree = 2  # as above" in text
    text = text.replace("degree = 2  # as above", "degree = 1")
    (tmp_path / "demos").mkdir()
    (tmp_path / "demos" / "plastic_composite.toml").write_text(text)
    code = (DEMOS / "plastic_composite.py").read_text()
    (tmp_path / "demos" / "plastic_composite.py").write_text(code)
    (tmp_path / "meshes").mkdir()
    strip = (DEMOS.parent / "meshes" / "notched_strip.msh").read_bytes()
    (tmp_path / "meshes" / "notched_strip.msh").write_bytes(strip)
    printed(tmp_path / "demos" / "plastic_composite.py", tmp_path, ranks=2)
    folder = tmp_path / "output" / "plastic_composite"
    assert (folder / "plastic_composite.png").is_file() and (folder / "rve" / "micro.png").is_file()


@pytest.mark.slow
def test_the_guarded_membrane_holds_what_it_asserts(tmp_path: Path) -> None:
    """From nothing: two datasets, the network, three runs."""
    for name in ("demos/guarded.py", "demos/guarded.toml", "meshes/fibre_rve.msh"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes((DEMOS.parent / name).read_bytes())
    printed(tmp_path / "demos" / "guarded.py", tmp_path, timeout=900)
    folder = tmp_path / "output" / "guarded"
    assert (folder / "guarded.png").stat().st_size > 5000
    assert (folder / "guarded" / "certified.xdmf").is_file()
