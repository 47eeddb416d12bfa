"""``[material] tangent`` in a TOML: the same run, other tangents; counted, printed, refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from mpi4py import MPI
from plates import plate, read_from

from fesurrogate.build.problem import build_problem
from fesurrogate.errors import InputError
from fesurrogate.micro import RVEMaterial
from fesurrogate.results import Results
from fesurrogate.run import run
from fesurrogate.run.summary import summary

LOADED = """
[material.neo_hookean]
shear_modulus = 1.6
lame = 2.4
[[traction]]
boundary = "right"
value = [0.05, 0.1]
[[reaction]]
boundary = "left"
[[probe]]
name = "end"
point = [2.0, 1.0]
[steps]
increments = 3
"""


def text_of(tangent: str, guess: str = "previous") -> str:
    macro = f'initial_guess = "{guess}"'
    return plate(LOADED, macro=macro, material=tangent, stiff=3.0, stiff_lame=5.0)


def solved(
    folder: Path,
    tangent: str = "",
    guess: str = "previous",
    comm: MPI.Intracomm = MPI.COMM_SELF,
) -> Results:
    folder = comm.bcast(folder)
    results = run(read_from(folder, text_of(tangent, guess), comm), comm).results
    assert results.converged, results.message
    return results


@pytest.fixture(scope="module")
def exact(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return solved(tmp_path_factory.mktemp("exact"))


@pytest.mark.parametrize(
    ("kind", "guess"), [("linearised_rve", "dynamic_modes"), ("neo_hookean", "previous")]
)
def test_a_run_ends_with_the_same_answer(
    tmp_path: Path, exact: Results, kind: str, guess: str
) -> None:
    """And says it is made of the same: what answers is. The law's tangent is not the cell's."""
    assert exact.tangents == {"surrogate": 0, "consistent": 0}
    found = solved(tmp_path, f'tangent = "{kind}"', guess)
    assert found.material == exact.material
    np.testing.assert_allclose(found.probes["end"], exact.probes["end"], rtol=1e-7)
    np.testing.assert_allclose(found.reaction["left"], exact.reaction["left"], rtol=1e-7)
    assert found.tangents["surrogate"] > 0
    assert sum(found.tangents.values()) == found.evaluations > exact.evaluations
    said = summary(found, tmp_path)["tangents of points"]
    counts = found.tangents
    assert said == f"{counts['surrogate']} surrogate, {counts['consistent']} consistent"


@pytest.mark.mpi
def test_on_ranks_the_cells_are_spread_as_ever(tmp_path: Path, exact: Results) -> None:
    """And one rank has no cell of the mesh: it takes part all the same."""
    found = solved(tmp_path, 'tangent = "linearised_rve"', "dynamic_modes", MPI.COMM_WORLD)
    np.testing.assert_allclose(found.probes["end"], exact.probes["end"], rtol=1e-7)
    assert found.tangents["surrogate"] > 0 and found.ranks == MPI.COMM_WORLD.size


def test_cells_are_solved_to_a_lower_tolerance(tmp_path: Path) -> None:
    """A stress without tangent is of first order in the residual that is left."""
    settings = read_from(tmp_path, text_of('tangent = "neo_hookean"'))
    model = build_problem(settings, MPI.COMM_SELF)
    cell = model.materials["material"].material
    assert isinstance(cell, RVEMaterial) and cell.problem.rtol == pytest.approx(1e-10)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('tangent = "rve"', "tangent is rve; expected a kind that is cheaper than the cell"),
        ('tangent = "netwrk"', "tangent is 'netwrk'; expected one of"),
        ('tangent = "network"', "there is no model"),
        ('tangent = "ogden"', r"no table \[material.ogden\]"),
    ],
)
def test_a_tangent_that_cannot_be_is_refused(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        solved(tmp_path, line)


def test_cells_with_history_are_refused(tmp_path: Path) -> None:
    """Whose every iteration is factorised."""
    text = text_of('tangent = "linear"')
    text = text.replace('"finite"', '"small"').replace(
        '"neo_hookean", shear_modulus = 1.0, lame = 1.5',
        '"j2_plasticity", young = 1.0, poisson = 0.3, yield_stress = 0.1, hardening = 0.1',
    )
    text = text.replace(
        '"neo_hookean", shear_modulus = 3.0, lame = 5.0',
        '"linear_elastic", young = 3.0, poisson = 0.3',
    )
    text += "[material.linear]\nyoung = 2.0\npoisson = 0.3\n"
    with pytest.raises(InputError, match=r"material.tangent: 'linear' .* cells with history"):
        build_problem(read_from(tmp_path, text), MPI.COMM_SELF)
