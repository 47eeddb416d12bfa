"""Parameters from a TOML: numbers and formulas of the coordinates."""

from pathlib import Path

import numpy as np
import pytest
import ufl
from dolfinx import fem
from dolfinx.mesh import create_rectangle, create_unit_square
from mpi4py import MPI

from fesurrogate import InputError
from fesurrogate.build.expression import formula
from fesurrogate.build.problem import build_problem
from fesurrogate.cli import main
from fesurrogate.config import read_config
from fesurrogate.run import run
from fesurrogate.run.checkpoint import identity

BAR = """
[kinematics]
gdim = 2
measure = "small"
[mesh]
generator = "rectangle"
cells = [8, 1]
[macro]
quadrature_degree = 4
[material]
kind = "rve"
{extra}
[material.rve]
mesh = "{cell}"
degree = 1
[material.rve.phases.matrix]
kind = "linear_elastic"
young = 1.0
poisson = 0.0
[material.rve.phases.fibre]
kind = "linear_elastic"
young = 1.0
poisson = 0.0
[[dirichlet]]
boundary = "left"
[[traction]]
boundary = "right"
value = [0.01, 0.0]
[[probe]]
name = "end"
point = [1.0, 0.5]
"""
CELL = Path(__file__).parents[1] / "meshes" / "fibre_rve.msh"
GRADED = """
[material.parameters]
"matrix.young" = "10*(1 + x[0])"
"fibre.young" = "10*(1 + x[0])"
"""


def written(folder: Path, extra: str) -> Path:
    path = folder / "bar.toml"
    path.write_text(BAR.format(cell=CELL, extra=extra))
    return path


def value_at(text: str, x: float, y: float) -> float:
    """Return the formula's value on a mesh as small as a point."""
    square = create_rectangle(MPI.COMM_SELF, [[x, y], [x + 1e-8, y + 1e-8]], [1, 1])
    expression = fem.Expression(formula(text, square), np.array([[0.0, 0.0]]))
    return float(np.ravel(expression.eval(square, np.array([0], dtype=np.int32)))[0])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0.3 + 0.3*x[1]/48", lambda x, y: 0.3 + 0.3 * y / 48),
        ("-x[0]**2 + exp(x[1])", lambda x, y: -(x**2) + np.exp(y)),
        ("atan2(x[1], x[0]) - pi/2", lambda x, y: np.arctan2(y, x) - np.pi / 2),
        ("max(x[0], x[1]) * sqrt(2)", lambda x, y: max(x, y) * np.sqrt(2)),
        ("1.0 if x[0] < 0.5 else 2.0", lambda x, y: 1.0 if x < 0.5 else 2.0),
    ],
)
def test_formulas(text: str, expected) -> None:
    for x, y in ((0.2, 0.7), (0.8, 0.1)):
        assert value_at(text, x, y) == pytest.approx(expected(x, y), abs=1e-6)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("__import__('os').system('true')", "is not known; a formula may hold numbers"),
        ("x.ufl_shape", "is not known"),
        ("x[2]", r"x\[2\] is not there"),
        ("x", "is not known"),
        ("sin(1, 2)", "sin takes 1 argument"),
        ("1 +", "is no formula"),
        ("1/0", "cannot be computed"),
        ("2.0**10000", "cannot be computed"),
        ("(" * 400 + "1" + ")" * 400, "is no formula"),
        ("1" * 2000, "a formula of 2000 characters"),
        ("True", "is not known"),
    ],
)
def test_what_is_no_formula_is_refused(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        formula(text, create_unit_square(MPI.COMM_SELF, 1, 1))
    assert str(caught.value).count("may hold") <= 1


@pytest.mark.mpi
def test_a_graded_bar_from_a_toml(tmp_path) -> None:
    """Stiffness 10 (1 + x): the end moves by (F / 10) ln 2."""
    folder = MPI.COMM_WORLD.bcast(tmp_path)
    if MPI.COMM_WORLD.rank == 0:
        written(folder, GRADED)
    MPI.COMM_WORLD.Barrier()
    outcome = run(read_config(folder / "bar.toml"), MPI.COMM_WORLD)
    assert outcome.results.converged
    assert outcome.results.probes["end"][0] == pytest.approx(0.001 * np.log(2.0), rel=1e-4)


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ('[material.parameters]\n"fibre.yuong" = 1.0\n', "expected each once, out of"),
        ('[material.parameters]\n"fibre.young" = "1 + q"\n', "material.parameters.fibre.young: "),
        (
            '[material.parameters]\n"fibre.young" = "log(x[0] - 0.5)"\n',
            "material: parameters.fibre.young is not finite at 36 of 72 points",
        ),
        ("rotated = true\n", "none given; kind 'rve' needs angle"),
    ],
)
def test_mistakes_in_parameters_are_one_message(tmp_path, capsys, extra, message) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["run", str(written(tmp_path, extra)), "--output", str(tmp_path / "out")])
    assert stop.value.code == 2
    said = capsys.readouterr().err
    assert message in said and "Traceback" not in said


def test_parameters_that_a_law_cannot_take_are_refused_before_the_run(tmp_path, capsys) -> None:
    law = "[material.linear]\nyoung = 1.0\npoisson = 0.0\n"
    law += '[material.parameters]\nyoung = "x[0] - 0.5"\n'
    path = written(tmp_path, law)
    path.write_text(path.read_text().replace('kind = "rve"', 'kind = "linear"'))
    with pytest.raises(SystemExit) as stop:
        main(["run", str(path), "--output", str(tmp_path / "out")])
    assert stop.value.code == 2
    said = capsys.readouterr().err
    assert "parameters.young is from -0.48" in said and "expected values from 0 to inf" in said


def test_rotated_by_a_formula(tmp_path) -> None:
    """A body turned with its load answers alike: an isotropic cell does not see the angle."""
    plain = run(read_config(written(tmp_path, "")), MPI.COMM_WORLD).results
    text = 'rotated = true\n[material.parameters]\nangle = "0.4 + x[0]"\n'
    turned = run(read_config(written(tmp_path, text)), MPI.COMM_WORLD).results
    assert turned.probes["end"] == pytest.approx(plain.probes["end"], rel=1e-7, abs=1e-10)


@pytest.mark.parametrize(("cell", "points"), [("quadrilateral", 9), ("triangle", 3)])
def test_the_default_quadrature_leaves_no_mode_without_stiffness(tmp_path, cell, points) -> None:
    """A free body has three: two translations and a rotation."""
    text = written(tmp_path, "").read_text().replace("quadrature_degree = 4", "degree = 2")
    text = text.replace('generator = "rectangle"', f'generator = "rectangle"\ncell = "{cell}"')
    text = text.replace("cells = [8, 1]", "cells = [2, 1]")
    (tmp_path / "bar.toml").write_text(text)
    model = build_problem(read_config(tmp_path / "bar.toml"), MPI.COMM_SELF)
    (field,) = model.fields.values()
    assert field.num_points == points * (2 if cell == "quadrilateral" else 4)
    u, v = ufl.TrialFunction(model.u.function_space), ufl.TestFunction(model.u.function_space)
    field.update()
    free = fem.assemble_matrix(fem.form(field.jacobian(u, v))).to_dense()
    eigenvalues = np.abs(np.linalg.eigvalsh((free + free.T) / 2))
    assert (eigenvalues < 1e-10 * eigenvalues.max()).sum() == 3


def test_parameters_that_a_region_inherits_are_part_of_what_a_run_is(tmp_path: Path) -> None:
    """No checkpoint goes on with others."""
    region = '[regions.domain]\nkind = "rve"\n'
    found = [
        identity(build_problem(read_config(written(tmp_path, graded + region)), MPI.COMM_SELF))
        for graded in (GRADED, GRADED, GRADED.replace("10*(1", "11*(1"))
    ]
    assert found[0] == found[1]
    assert [name for name in found[0] if found[0][name] != found[2][name]] == ["material"]
