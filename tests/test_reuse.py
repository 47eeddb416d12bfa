"""What is made once is made again when anything it depends on has changed, and only then."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from petsc4py import PETSc

from fesurrogate.build import ensure_dataset, ensure_model, identify_material
from fesurrogate.config import (
    GenerateSettings,
    OutputSettings,
    Settings,
    SolverSettings,
    TrainSettings,
)
from fesurrogate.config.cell import RVESettings
from fesurrogate.config.material import MaterialSettings
from fesurrogate.config.phase import NeoHookeanSettings, PhaseSettings
from fesurrogate.kinematics import Kinematics

CELL = Path(__file__).parents[1] / "meshes" / "fibre_rve.msh"
PHASE = PhaseSettings(kind="neo_hookean", shear_modulus=1.0, lame=2.0)
MATERIAL = MaterialSettings(
    kind="rve",
    neo_hookean=NeoHookeanSettings(shear_modulus=1.0, lame=2.0),
    rve=RVESettings(mesh=CELL, degree=1, phases={"matrix": PHASE, "fibre": PHASE}),
)


def problem(folder: Path) -> Settings:
    """Return settings whose dataset takes no time."""
    return Settings(
        kinematics=Kinematics(2, "finite"),
        material=MATERIAL,
        output=OutputSettings(folder=folder),
        generate=GenerateSettings(source="neo_hookean", samples=12),
        train=TrainSettings(hidden=(4,), iterations=5),
    )


CHANGES: dict[str, Callable[[GenerateSettings], GenerateSettings]] = {
    "samples": lambda old: replace(old, samples=13),
    "stretch": lambda old: replace(old, stretch=0.1),
    "seed": lambda old: replace(old, seed=1),
    "tangents": lambda old: replace(old, tangents=False),
}


@pytest.mark.parametrize("key", CHANGES)
def test_a_dataset_of_another_generate_is_not_reused(tmp_path: Path, key: str) -> None:
    settings = problem(tmp_path)
    ensure_dataset(settings)
    assert ensure_dataset(settings).reused
    made = ensure_dataset(replace(settings, generate=CHANGES[key](settings.generate)))
    assert not made.reused
    assert made.dataset.meta["generate"] != asdict(settings.generate)


def test_a_model_of_another_dataset_is_not_reused(tmp_path: Path) -> None:
    settings = problem(tmp_path)
    stiffer = replace(
        settings,
        material=replace(MATERIAL, neo_hookean=NeoHookeanSettings(shear_modulus=1.5, lame=2.0)),
    )
    first = ensure_model(settings, ensure_dataset(settings).dataset)
    assert ensure_model(settings, ensure_dataset(settings).dataset).reused
    second = ensure_model(stiffer, ensure_dataset(stiffer).dataset)  # [train] is the same
    assert not second.reused
    assert second.card["dataset"] != first.card["dataset"]


@pytest.fixture
def typed_option() -> Iterator[None]:
    """An option as if it were typed: -micro_snes_rtol 1e-3."""
    database = PETSc.Options()
    database["micro_snes_rtol"] = "1e-3"
    yield
    database.delValue("micro_snes_rtol")


def fingerprint(settings: Settings, kind: str) -> str:
    return identify_material(replace(MATERIAL, kind=kind), settings).fingerprint


@pytest.mark.parametrize("kind", ["rve", "linearised_rve"])
def test_options_of_the_cell_count(
    tmp_path: Path, kind: str, request: pytest.FixtureRequest
) -> None:
    settings = problem(tmp_path)
    plain, law = fingerprint(settings, kind), fingerprint(settings, "neo_hookean")
    assert fingerprint(settings, kind) == plain
    looser = replace(settings, solver=SolverSettings(micro={"snes_max_it": 3}))
    of_the_toml = fingerprint(looser, kind)
    request.getfixturevalue("typed_option")
    typed = fingerprint(settings, kind)
    assert len({plain, of_the_toml, typed}) == 3
    assert fingerprint(looser, "neo_hookean") == law  # which has no cell


def test_the_source_of_a_users_law_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # two texts of one second
    settings = replace(problem(tmp_path), source=tmp_path / "case.toml")
    found = []
    for modulus in (1.0, 1.0, 2.0):
        (tmp_path / "law_of_mine.py").write_text(
            "from fesurrogate.laws import NeoHookean\n"
            "def make(kinematics, table):\n"
            f"    return NeoHookean(2, shear_modulus={modulus}, lame=1.0)\n"
        )
        table = MaterialSettings(kind="law_of_mine:make")
        found.append(identify_material(table, settings, allow_code=True).fingerprint)
        del sys.modules["law_of_mine"]
    assert found[0] == found[1] != found[2]
