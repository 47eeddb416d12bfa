"""Phases that are code of the user's, and phases in an orientation, from a TOML."""

import re
from pathlib import Path

import numpy as np
import pytest

from fesurrogate import InputError, Kinematics
from fesurrogate.build import load_material
from fesurrogate.build.materials import identify_material
from fesurrogate.config import read_config
from fesurrogate.micro import RVEMaterial, laminate_cell

CELL = """
[kinematics]
gdim = 2
measure = "small"
[material]
kind = "rve"
[material.rve]
degree = 1
[material.rve.cell]
kind = "laminate"
fractions = {{ a = 0.5, b = 0.5 }}
resolution = 2
[material.rve.phases.a]
kind = "linear_elastic"
young = 1.0
poisson = 0.3
[material.rve.phases.b]
{phase}
"""
ENERGY = """
import ufl
from fesurrogate.micro import Phase, linear_elastic
from fesurrogate.laws import IsotropicElastic, NeoHookean

def spring(kinematics, constants):
    def energy(strain, modulus):
        return modulus / 2 * ufl.inner(strain, strain)
    return Phase(energy, constants)

def twin(kinematics, constants):
    return linear_elastic(young=constants["modulus"], poisson=0.0)

def foreign(kinematics, constants):
    return NeoHookean(2, shear_modulus=1.0, lame=1.0)

def nothing(kinematics, constants):
    return 3.0

def deaf(kinematics, constants):
    return Phase(lambda strain, stiffness: stiffness * ufl.inner(strain, strain), constants)

def broken(kinematics, constants):
    return 1 / 0

class Full(IsotropicElastic):
    def respond(self, strain, *args, **options):
        if not len(strain):
            raise IndexError("no rows")
        return super().respond(strain, *args, **options)

def full(kinematics, constants):
    return Full(kinematics, young=1.0, poisson=0.3)
"""
FIBRES = {
    "young_along": 40.0,
    "young_across": 10.0,
    "shear_along": 5.0,
    "poisson_along": 0.25,
    "poisson_across": 0.4,
}


def toml(folder: Path, phase: str) -> Path:
    """Write a TOML, and beside it a module whose name no other test has imported."""
    (folder / f"{folder.name}_springs.py").write_text(ENERGY)
    path = folder / "cell.toml"
    path.write_text(CELL.format(phase=phase.replace("springs", f"{folder.name}_springs")))
    return path


def stiffness(path: Path, **options) -> np.ndarray:
    material = load_material(path, **options)
    return material.evaluate(np.zeros((1, 3))).tangent[0]


def test_an_energy_of_the_users(tmp_path) -> None:
    table = 'kind = "springs:{}"\nfactory = {{ modulus = 7.0 }}'
    got, expected = (
        stiffness(toml(tmp_path, table.format(name)), allow_code=True)
        for name in ("spring", "twin")
    )
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("foreign", "returned a Material under"),
        ("nothing", "returned float; expected a Phase"),
        ("broken", "broken raised ZeroDivisionError: division by zero, at .*_springs.py"),
        ("deaf", "energy takes .strain, stiffness., but .* the constants modulus"),
        ("absent", "there is no function absent"),
    ],
)
def test_what_a_factory_must_return(tmp_path, name: str, message: str) -> None:
    path = toml(tmp_path, f'kind = "springs:{name}"\nfactory = {{ modulus = 7.0 }}')
    with pytest.raises(InputError, match=f"(?s)material.rve.phases.b: .*{message}"):
        load_material(path, allow_code=True)
    with pytest.raises(InputError, match="allow it with --allow-code"):
        load_material(path)


def test_a_phase_answers_an_empty_batch(tmp_path) -> None:
    path = toml(tmp_path, 'kind = "springs:full"')
    with pytest.raises(InputError, match="Full raised IndexError: no rows, asked for no points"):
        load_material(path, allow_code=True)


def test_the_source_of_a_phase_counts(tmp_path) -> None:
    settings = read_config(toml(tmp_path, 'kind = "springs:spring"\nfactory = { modulus = 7.0 }'))
    before = identify_material(settings.material, settings, allow_code=True).fingerprint
    module = tmp_path / f"{tmp_path.name}_springs.py"
    module.write_text(module.read_text() + "\n# another\n")
    assert identify_material(settings.material, settings, allow_code=True).fingerprint != before


def test_a_phase_in_an_orientation(tmp_path) -> None:
    constants = "\n".join(f"{name} = {value}" for name, value in FIBRES.items())
    fibres = f'kind = "transversely_isotropic"\n{constants}\ndirection = [1.0, 0.0]\n'
    turned = stiffness(toml(tmp_path, fibres + "orientation = 0.5\n"))
    along = fibres.replace("[1.0, 0.0]", f"[{np.cos(0.5)}, {np.sin(0.5)}]")
    assert not np.allclose(turned, stiffness(toml(tmp_path, fibres)), rtol=0, atol=0.1)
    np.testing.assert_allclose(turned, stiffness(toml(tmp_path, along)), rtol=0, atol=1e-10)
    varying = toml(tmp_path, fibres + "rotated = true\n")
    text = varying.read_text() + '[material.parameters]\n"b.angle" = 0.5\n'
    varying.write_text(text)
    material = load_material(varying)
    assert material.parameter_names == ("b.angle",)
    got = material.evaluate(np.zeros((1, 3)), parameters=np.array([[0.5]])).tangent[0]
    np.testing.assert_allclose(got, turned, rtol=0, atol=1e-10)


def test_orientations_that_mean_nothing_are_refused(tmp_path) -> None:
    isotropic = 'kind = "linear_elastic"\nyoung = 1.0\npoisson = 0.3\n'
    with pytest.raises(InputError, match="kind 'linear_elastic' is an energy"):
        load_material(toml(tmp_path, isotropic + "orientation = 0.5\n"))
    with pytest.raises(InputError, match="give either an orientation, or rotated"):
        load_material(toml(tmp_path, isotropic + "orientation = 0.5\nrotated = true\n"))
    with pytest.raises(InputError, match="takes its constants in a table, factory"):
        load_material(toml(tmp_path, 'kind = "springs:spring"\nyoung = 1.0\n'))


def test_the_energy_of_the_guide() -> None:
    guide = (Path(__file__).parents[1] / "docs" / "cells.md").read_text()
    names: dict = {}
    exec(re.findall(r"```python\n(.*?)```", guide, re.DOTALL)[0], names)  # the guide is ours
    phase = names["saint_venant_kirchhoff"](lame=2.0, shear_modulus=1.5)
    cell, kinematics = laminate_cell(2, {"only": 1.0}, resolution=1), Kinematics(2, "finite")
    F = np.array([[1.1, 0.2], [-0.05, 0.95]])
    answer = RVEMaterial(cell, {"only": phase}, kinematics, degree=1).evaluate(F.reshape(1, 4))
    E = (F.T @ F - np.eye(2)) / 2
    expected = F @ (2.0 * np.trace(E) * np.eye(2) + 2 * 1.5 * E)
    np.testing.assert_allclose(answer.stress[0], expected.ravel(), rtol=0, atol=1e-12)
