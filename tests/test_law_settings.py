"""Closed-form laws from a TOML: as the Material, as phases of a cell, and their mistakes."""

from __future__ import annotations

import copy
import dataclasses
import typing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("dolfinx")

from mpi4py import MPI

from fesurrogate.build import laws, load_material
from fesurrogate.cli import main
from fesurrogate.config import read_config
from fesurrogate.config.material import KINDS, MaterialSettings
from fesurrogate.config.phase import LAWS, PHASES, PhaseSettings
from fesurrogate.data.sampling import stretches
from fesurrogate.errors import InputError
from fesurrogate.kinematics import Kinematics
from fesurrogate.laws import (
    J2Plasticity,
    Linear,
    NeoHookean,
    Ogden,
    TransverselyIsotropic,
    Viscoelastic,
)
from fesurrogate.material import Material
from fesurrogate.run import run

CELL = Path(__file__).parents[1] / "meshes" / "fibre_rve.msh"
OGDEN: dict[str, Any] = {"terms": [[0.63, 1.3], [0.0012, 5.0], [-0.01, -2.0]], "bulk_modulus": 2.0}
FIBRE: dict[str, Any] = {
    "young_along": 230.0,
    "young_across": 15.0,
    "shear_along": 24.0,
    "poisson_along": 0.2,
    "poisson_across": 0.3,
    "direction": [1.0, 1.0],
}
POLYMER: dict[str, Any] = {
    "shear_modulus": 1.0,
    "bulk_modulus": 2.5,
    "shear_branches": [[3.0, 0.2], [0.7, 5.0]],
    "bulk_branches": [[1.5, 0.6]],
}
CONSTANTS = {"ogden": OGDEN, "transversely_isotropic": FIBRE, "viscoelastic": POLYMER}
MEASURES = {"ogden": "finite", "transversely_isotropic": "small", "viscoelastic": "small"}
kinds = pytest.mark.parametrize("kind", CONSTANTS)


def expected_law(kind: str, gdim: Any = 2) -> Material:
    if kind == "ogden":
        return Ogden(gdim, **OGDEN)
    if kind == "viscoelastic":
        return Viscoelastic(gdim, **POLYMER)
    kinematics = Kinematics(gdim)
    return Linear(kinematics, TransverselyIsotropic(kinematics, **FIBRE).stiffness)


def toml(constants: dict[str, Any]) -> str:
    return "\n".join(f"{name} = {value}" for name, value in constants.items()) + "\n"


def head(kind: str, table: str) -> str:
    measure = MEASURES.get(kind, "small")
    return f'[kinematics]\ngdim = 2\nmeasure = "{measure}"\n[material]\nkind = "{table}"\n'


def as_material(folder: Path, kind: str, changed: dict[str, Any] | None = None) -> Path:
    """Write a TOML whose [material] is the law."""
    path = folder / "law.toml"
    table = f"[material.{kind}]\n" + toml({**CONSTANTS[kind], **(changed or {})})
    path.write_text(head(kind, kind) + table)
    return path


def as_phases(folder: Path, kind: str, changed: dict[str, Any] | None = None) -> Path:
    """Write a TOML of a cell whose phases are both of the law."""
    path = folder / "cell.toml"
    constants = {**CONSTANTS[kind], **(changed or {})}
    text = head(kind, "rve") + f'[material.rve]\nmesh = "{CELL}"\ndegree = 1\n'
    for phase in ("matrix", "fibre"):
        text += f'[material.rve.phases.{phase}]\nkind = "{kind}"\n' + toml(constants)
    path.write_text(text)
    return path


def strains_for(material: Material) -> np.ndarray:  # (n, m)
    return stretches(material.kinematics, 4, 0.05, seed=3)[:, 0]


@kinds
def test_the_table_is_the_law(tmp_path: Path, kind: str) -> None:
    material, law = load_material(as_material(tmp_path, kind)), expected_law(kind)
    strain = strains_for(law)
    got, expected = material.evaluate(strain, None, 0.3), law.evaluate(strain, None, 0.3)
    np.testing.assert_array_equal(got.stress, expected.stress)
    np.testing.assert_array_equal(got.tangent, expected.tangent)


@kinds
def test_a_cell_of_one_law_answers_as_the_law(tmp_path: Path, kind: str) -> None:
    """Two increments of one homogeneous cell, of times 0.3 and 2."""
    rve, law = load_material(as_phases(tmp_path, kind), MPI.COMM_SELF), expected_law(kind)
    strain = strains_for(law)
    states: list[Any] = [None, None]
    for part, dt in ((0.6, 0.3), (1.0, 2.0)):
        here = law.kinematics.rest + part * (strain - law.kinematics.rest)
        answers = [
            material.evaluate(here, state, dt)
            for material, state in zip((rve, law), states, strict=True)
        ]
        states = [answer.state for answer in answers]
        assert answers[0].ok.all()
        scale = np.abs(answers[1].stress).max()
        np.testing.assert_allclose(answers[0].stress, answers[1].stress, rtol=0, atol=1e-9 * scale)
        scale = np.abs(answers[1].tangent).max()
        np.testing.assert_allclose(
            answers[0].tangent, answers[1].tangent, rtol=0, atol=1e-7 * scale
        )


BODY = """
[mesh]
generator = "rectangle"
cells = [1, 1]
[macro]
degree = 1
[[dirichlet]]
boundary = "left"
component = "x"
[[dirichlet]]
boundary = "right"
component = "x"
value = 0.01
schedule = [[0.0, 0.0], [1e-9, 1.0]]
[[dirichlet]]
boundary = "bottom"
component = "y"
[[dirichlet]]
boundary = "top"
component = "y"
[[reaction]]
boundary = "right"
[steps]
times = [1e-9, 0.5, 4.0]
[output]
fields = false
pictures = false
"""


def test_a_held_body_relaxes_in_the_times_of_its_steps(tmp_path: Path) -> None:
    path = as_material(tmp_path, "viscoelastic")
    path.write_text(path.read_text() + BODY)
    history = run(read_config(path), MPI.COMM_SELF).results.history
    pulls = [entry.reaction["right"][0] for entry in history]
    time = np.array([0.0, 0.5, 4.0])
    shear = 1.0 + 3.0 * np.exp(-time / 0.2) + 0.7 * np.exp(-time / 5.0)
    bulk = 2.5 + 1.5 * np.exp(-time / 0.6)
    np.testing.assert_allclose(pulls, 0.01 * (bulk + 4 / 3 * shear), rtol=1e-7)


@pytest.mark.parametrize(
    ("kind", "changed", "message"),
    [
        ("ogden", {"terms": [[1.0, 0.0]]}, "exponents not 0"),
        ("ogden", {"bulk_modulus": -1.0}, "bulk_modulus is -1.0"),
        ("transversely_isotropic", {"poisson_along": 9.0}, "poisson_along is 9.0; expected less"),
        ("transversely_isotropic", {"direction": [0.0, 0.0]}, "direction is (0.0, 0.0)"),
        ("viscoelastic", {"shear_branches": [[1.0, 0.0]]}, "shear_branches[0] is (1.0, 0.0)"),
    ],
)
def test_constants_out_of_range_are_one_message(
    tmp_path: Path, kind: str, changed: dict[str, Any], message: str
) -> None:
    for write, where in ((as_material, f"material.{kind}: "), (as_phases, "rve.phases.matrix: ")):
        with pytest.raises(InputError) as caught:
            load_material(write(tmp_path, kind, changed), MPI.COMM_SELF)
        assert message in str(caught.value) and where in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "changed", "message"),
    [
        ("ogden", {"terms": [[1.0]]}, ".terms[0]"),
        ("ogden", {"terms": 3.0}, ".terms is 3.0"),
        ("viscoelastic", {"bulk_branchs": [[1.0, 1.0]]}, "did you mean 'bulk_branches'"),
        ("transversely_isotropic", {"direction": "x"}, '.direction is "x"'),
    ],
)
def test_keys_and_types_are_named_by_the_reader(
    tmp_path: Path, kind: str, changed: dict[str, Any], message: str
) -> None:
    for write in (as_material, as_phases):
        text = write(tmp_path, kind, changed)
        text.write_text(text.read_text().replace("direction = x", 'direction = "x"'))
        with pytest.raises(InputError) as caught:
            read_config(text)
        assert message in str(caught.value)


@kinds
def test_another_measure_is_refused(tmp_path: Path, kind: str, capsys: Any) -> None:
    for write in (as_material, as_phases):
        path = write(tmp_path, kind)
        other = "finite" if MEASURES[kind] == "small" else "small"
        path.write_text(path.read_text().replace(MEASURES[kind], other) + BODY)
        with pytest.raises(SystemExit) as stop:
            main(["run", str(path), "--output", str(tmp_path / "out")])
        assert stop.value.code == 2
        said = " ".join(capsys.readouterr().err.split())
        assert f"kind '{kind}' is of measure '{MEASURES[kind]}'" in said
        assert "Traceback" not in said


def test_a_phase_takes_the_constants_of_its_kind_only() -> None:
    for kind, law in PHASES.items():
        needed = [f.name for f in dataclasses.fields(law) if f.default is dataclasses.MISSING]
        if needed:
            with pytest.raises(InputError, match=f"kind '{kind}' takes .*given: none"):
                PhaseSettings(kind=kind)
    with pytest.raises(InputError, match="kind 'viscoelastic' takes .*, and shear_branches, bulk_"):
        PhaseSettings(kind="viscoelastic", shear_modulus=1.0, bulk_modulus=1.0, young=1.0)


def test_every_law_has_its_table_and_its_maker() -> None:
    """Adding a law to one of the three places is not enough: this says which is missing."""
    tables = typing.get_type_hints(MaterialSettings)
    assert set(laws.LAWS) == set(LAWS) <= set(KINDS)
    for kind, settings in LAWS.items():
        assert tables[kind] == settings | None
    shared: dict[str, Any] = {}
    for settings in PHASES.values():  # one flat table: a name has one type in all laws
        for name, annotation in typing.get_type_hints(settings).items():
            assert shared.setdefault(name, annotation) == annotation


VARYING: list[tuple[str, str, dict[str, Any], str]] = [
    ("neo_hookean", "finite", {"shear_modulus": 1.3, "lame": 2.1}, "lame"),
    ("linear", "small", {"young": 3.0, "poisson": 0.3}, "young"),
    ("ogden", "finite", OGDEN, "terms[0][0] as modulus_1"),
    ("viscoelastic", "small", POLYMER, "bulk_branches[0][0] as bulk_modulus_1"),
    ("transversely_isotropic", "small", FIBRE, "shear_along"),
    (
        "j2_plasticity",
        "small",
        {"young": 200e3, "poisson": 0.3, "yield_stress": 250.0, "hardening": 500.0},
        "yield_stress",
    ),
]


@pytest.mark.parametrize(("kind", "measure", "constants", "name"), VARYING)
def test_a_graded_body_pulls_as_one_of_the_mean_constant(
    tmp_path: Path, kind: str, measure: str, constants: dict[str, Any], name: str
) -> None:
    """Exactly: the strain is uniform, and the stress is linear in each of these constants."""
    path, pulls = tmp_path / "graded.toml", []
    key, _, name = name.rpartition(" as ")
    table = (key or name).partition("[")[0]
    value = constants[table][0][0] if key else constants[name]
    for graded in (True, False):
        mean = copy.deepcopy(constants)
        if not graded and key:
            mean[table][0][0] = 1.5 * value
        elif not graded:
            mean[name] = 1.5 * value
        given = f'[material.parameters]\n{name} = "{value} * (1 + x[0])"\n' * graded
        path.write_text(
            f'[kinematics]\ngdim = 2\nmeasure = "{measure}"\n[material]\nkind = "{kind}"\n'
            f"{given}[material.{kind}]\n{toml(mean)}{BODY}"
        )
        assert load_material(path).parameter_names == ((name,) if graded else ())
        pulls.append(run(read_config(path), MPI.COMM_SELF).results.reaction["right"][0])
    assert pulls[0] == pytest.approx(pulls[1], rel=1e-9)


def test_yield_stress_of_a_phase_a_point(tmp_path: Path) -> None:
    """A homogeneous cell of J2 with the yield stress as a parameter is the law with it."""
    path = tmp_path / "cell.toml"
    constants = {"young": 200e3, "poisson": 0.3, "yield_stress": 1.0, "hardening": 500.0}
    text = head("j2_plasticity", "rve") + '[material.parameters]\n"matrix.yield_stress" = 250.0\n'
    text += f'[material.rve]\nmesh = "{CELL}"\ndegree = 1\n'
    for phase, value in (("matrix", 1.0), ("fibre", 250.0)):
        text += f'[material.rve.phases.{phase}]\nkind = "j2_plasticity"\n'
        text += toml({**constants, "yield_stress": value})
    path.write_text(text)
    rve = load_material(path, MPI.COMM_SELF)
    assert rve.parameter_names == ("matrix.yield_stress",)
    law = J2Plasticity(2, **{**constants, "yield_stress": 250.0})
    strain = np.array([[4e-3, -3e-3, 1e-3], [2e-4, 0.0, 1e-4]])
    answer = rve.evaluate(strain, parameters=np.full((2, 1), 250.0), sensitivity=True)
    expected = law.evaluate(strain)
    assert expected.report["plastic_strain"][0] > 1e-3 and not expected.report["plastic_strain"][1]
    np.testing.assert_allclose(answer.stress, expected.stress, rtol=0, atol=1e-5)
    assert answer.sensitivity is not None
    assert np.abs(answer.sensitivity[0]).max() > 0.1 and not answer.sensitivity[1].any()
    path.write_text(text.replace("matrix.yield_stress", "matrix.yield"))
    with pytest.raises(InputError, match="phases.matrix: J2Plasticity: parameters are 'yield'"):
        load_material(path, MPI.COMM_SELF)


@pytest.mark.parametrize(
    ("kind", "name", "given"),
    [
        ("ogden", "exponent_3", -2.0),
        ("viscoelastic", "shear_time_2", 5.0),
        ("transversely_isotropic", "poisson_across", 0.3),
    ],
)
def test_constants_of_a_phase_a_point(tmp_path: Path, kind: str, name: str, given: float) -> None:
    """Named in a cell of one law, with the value that they have in all of it anyway."""
    path = as_phases(tmp_path, kind)
    path.write_text(path.read_text() + f'[material.parameters]\n"fibre.{name}" = {given}\n')
    rve, law = load_material(path, MPI.COMM_SELF), expected_law(kind)
    assert rve.parameter_names == (f"fibre.{name}",)
    strain = strains_for(law)
    got = rve.evaluate(strain, None, 0.3, parameters=np.full((4, 1), given), sensitivity=True)
    expected = law.evaluate(strain, None, 0.3).stress
    np.testing.assert_allclose(got.stress, expected, rtol=0, atol=1e-9 * np.abs(expected).max())
    assert got.sensitivity is not None and got.sensitivity.any(axis=(1, 2)).all()


@kinds
def test_parameters_that_are_no_constants_are_refused(tmp_path: Path, kind: str) -> None:
    path = as_material(tmp_path, kind)
    path.write_text(path.read_text() + "[material.parameters]\ndirection = 1.0\n")
    with pytest.raises(
        InputError, match=f"material.{kind}: .*parameters are 'direction'; expected"
    ):
        load_material(path)


def test_neo_hookean_is_unchanged_by_the_way_it_is_made(tmp_path: Path) -> None:
    path = tmp_path / "rubber.toml"
    path.write_text(
        '[kinematics]\ngdim = 3\nmeasure = "finite"\n[material]\nkind = "neo_hookean"\n'
        "[material.neo_hookean]\nshear_modulus = 1.0\nlame = 2.0\n"
    )
    law = NeoHookean(3, shear_modulus=1.0, lame=2.0)
    strain = strains_for(law)
    np.testing.assert_array_equal(
        load_material(path).evaluate(strain).stress, law.evaluate(strain).stress
    )
