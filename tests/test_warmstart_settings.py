"""Initial guesses from a TOML: learned by ``generate``, taken by ``run``, counted and printed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from mpi4py import MPI
from plates import PULLED, plate, read_from

from fesurrogate.build import dataset, guess
from fesurrogate.build.dataset import ensure_dataset
from fesurrogate.build.guess import ensure_guess
from fesurrogate.build.materials import load_material
from fesurrogate.cli import main
from fesurrogate.config import Settings
from fesurrogate.data.sampling import stretches
from fesurrogate.errors import InputError
from fesurrogate.fem.tally import Tally
from fesurrogate.run import run
from fesurrogate.run.guesses import guesses_of
from fesurrogate.run.summary import summary

REST = """
[steps]
increments = 4
[generate]
source = "{source}"
samples = 48
fields = true
[material.neo_hookean]
shear_modulus = 1.0
lame = 1.5
"""


def settings_of(
    folder: Path,
    comm: MPI.Intracomm = MPI.COMM_SELF,
    *,
    macro: str = "previous",
    micro: str = "previous",
    soft: float = 1.0,
    source: str = "rve",
) -> Settings:
    text = plate(
        PULLED + REST.format(source=source), soft=soft,
        macro=f'initial_guess = "{macro}"', rve=f'initial_guess = "{micro}"',
    )  # fmt: skip
    return read_from(folder, text, comm)


def learned(folder: Path, comm: MPI.Intracomm = MPI.COMM_SELF) -> Path:
    settings = settings_of(folder, comm)
    return ensure_guess(settings, ensure_dataset(settings, comm), comm)


@pytest.mark.mpi
@pytest.mark.parametrize(
    ("macro", "micro"),
    [("linear", "previous"), ("quadratic", "sensitivity"), ("linear", "learned")],
)
def test_a_run_with_guesses_ends_in_the_same_reaction(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, macro: str, micro: str
) -> None:
    """To 1e-8, the tolerance of both scales, with fewer iterations at both, on any ranks."""
    comm = MPI.COMM_WORLD
    monkeypatch.setattr(guess, "COMPARED", 2)
    tmp_path = comm.bcast(tmp_path)
    learned(tmp_path, comm)
    plain = run(settings_of(tmp_path, comm), comm).results
    warm_settings = settings_of(tmp_path, comm, macro=macro, micro=micro)
    warm = run(warm_settings, comm).results
    one, other = plain.reaction["right"], warm.reaction["right"]
    np.testing.assert_allclose(other, one, rtol=0, atol=1e-8 * np.abs(one).max())
    assert warm.newton_iterations < plain.newton_iterations
    assert [entry.guess for entry in plain.history] == ["previous"] * 4
    assert [entry.guess for entry in warm.history] == ["previous", "taken", "taken", "taken"]
    assert (warm.micro_guesses["taken"] > 0) == (micro != "previous")
    a, b = (r.micro_iterations / r.rve_solves for r in (plain, warm))
    assert micro == "previous" or b < a
    said = summary(warm, warm_settings.run_folder)
    assert said["initial guesses of increments"] == "3 taken, 0 refused, 0 repeated"
    assert ("initial guesses of cells" in said) == (micro != "previous")
    assert not any("guess" in name for name in summary(plain, warm_settings.run_folder))
    if micro != "previous":  # what is known of some stands for all
        counts = warm.micro_guesses
        assert 0 < counts["compared"] < counts["taken"] and counts["saved"] > 0
        known = f"about {counts['saved']} saved in all (estimated from {counts['compared']} solves"
        assert known in said["initial guesses of cells"]


def test_what_is_saved_is_that_of_the_compared_for_all_that_were_taken() -> None:
    one, two = Tally(), Tally()
    one.counts.update(guess_taken=70, guess_refused=2, guess_compared=3, guess_saved=13)
    two.counts.update(guess_taken=30, guess_repeated=1, guess_compared=1, guess_saved=-3)
    found = guesses_of([one, two], MPI.COMM_SELF)
    assert found == {"taken": 100, "refused": 2, "repeated": 1, "compared": 4, "saved": 250}
    assert not any(guesses_of([Tally()], MPI.COMM_SELF).values())


def test_generate_learns_from_fields_and_the_next_run_finds_the_guess(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The dataset is reused; the fields in it are those of the cell, in single precision."""
    settings_of(tmp_path, micro="learned")  # its own cells begin without
    with pytest.raises(SystemExit) as done:
        main(["generate", str(tmp_path / "config.toml")])
    path = tmp_path / "out" / "guess.npz"
    assert done.value.code == 0 and f"wrote {path}" in capsys.readouterr().out
    made = ensure_dataset(settings_of(tmp_path))
    assert made.reused and path.is_file()
    plain, settings = load_material(settings_of(tmp_path)), settings_of(tmp_path, micro="learned")
    strain = made.dataset.strain[:3, 0]
    expected, kept = plain.evaluate(strain).hint, made.dataset.reports["fluctuation"][:3, 0]
    np.testing.assert_allclose(kept, expected, rtol=0, atol=1e-6 * np.abs(expected).max())
    F = stretches(plain.kinematics, 60, 0.15)[48:, 0]
    cold, warm = (m.evaluate(F) for m in (plain, load_material(settings)))
    np.testing.assert_allclose(warm.stress, cold.stress, atol=1e-8 * np.abs(cold.stress).max())
    assert warm.report["guess_taken"].all()
    saved = warm.report["micro_iterations"].sum() / cold.report["micro_iterations"].sum()
    assert saved < 0.5


def test_datasets_without_fields_are_what_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key is no part of what they are known by, so that those of before are found again."""
    settings, ingredients = settings_of(tmp_path), []
    monkeypatch.setattr(
        dataset, "fingerprint", lambda *given: ingredients.append(given) or "0" * 16
    )
    few = replace(settings.generate, fields=False, samples=8)
    made = ensure_dataset(replace(settings, generate=few))
    assert "fluctuation" not in made.dataset.reports and "cell" not in made.dataset.meta
    assert "'fields'" not in str(ingredients)
    ensure_dataset(settings)
    assert "'fields': True" in str(ingredients)


def test_a_guess_is_refused_for_another_cell_and_where_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no learned guess.*fields = true"):
        load_material(settings_of(tmp_path, micro="learned"))
    learned(tmp_path)
    with pytest.raises(InputError, match="another cell"):
        load_material(settings_of(tmp_path, micro="learned", soft=1.1))


def test_fields_are_those_of_a_cell(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="source = 'rve'"):
        ensure_dataset(settings_of(tmp_path, source="neo_hookean"))
