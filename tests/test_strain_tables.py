"""Tables of stress over strain: objective, consistent, exact where the law is of their kind."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from contract import check_contract
from mpi4py import MPI
from test_contract import strains_for, world
from test_precompute import FIBRES, code_of, settings_of, toml

from fesurrogate.build import load_material
from fesurrogate.build.precompute import ensure_table
from fesurrogate.config import Settings, read_config
from fesurrogate.data.envelope import strain_with
from fesurrogate.errors import InputError
from fesurrogate.hierarchical import Axis, Table, Tabulation, read_tabulation
from fesurrogate.hierarchical.axes import grid
from fesurrogate.hierarchical.compress import compress
from fesurrogate.hierarchical.scatter import sparse_grid
from fesurrogate.hierarchical.strains import strain_axes, tabulated
from fesurrogate.kinematics import Array, Kinematics
from fesurrogate.laws import NeoHookean
from fesurrogate.run import run

POLYNOMIAL = "sampling = 'sobol'\nsamples = 96\nretrieval = 'polynomial'"
FINITE = [Kinematics(2, "finite"), Kinematics(3, "finite")]


def neo_hookean_table(kinematics: Kinematics, count: int, width: float = 0.25) -> Tabulation:
    """Return stress, tangent and energy of a law whose shear modulus is an axis, between strains.

    Its stress is linear in the modulus: λ is twice it.
    """
    names = strain_axes(kinematics)
    values = np.linspace(-width, width, count)
    axes = (Axis("solid.mu", np.array([1.0, 3.0])), *(Axis(name, values) for name in names))
    points = grid(axes)
    law = NeoHookean(kinematics.gdim, shear_modulus=1.0, lame=2.0)
    answer = law.evaluate(strain_with(kinematics, points[:, 1:]))
    found = tabulated(kinematics, answer.stress, answer.tangent, answer.report["energy"])
    shape = tuple(len(axis.values) for axis in axes)
    quantities = {
        name: np.einsum("n,n...->n...", points[:, 0], array).reshape(*shape, *array.shape[1:])
        for name, array in found.items()
    }
    return Tabulation(kinematics, axes, quantities, np.ones(shape, dtype=bool), units="MPa")


@pytest.mark.mpi
@pytest.mark.parametrize("kinematics", FINITE, ids=str)
@pytest.mark.parametrize("smooth", [False, True], ids=["multilinear", "spline"])
def test_contract(kinematics: Kinematics, smooth: bool) -> None:
    """Multilinear: in one box of the grid, as its tangent jumps from box to box."""
    tabulation = neo_hookean_table(kinematics, 5 if smooth else 2)
    table = Table(tabulation.smoothed() if smooth else tabulation)
    strains = strains_for(kinematics)
    strains = kinematics.rest + 0.2 * (strains - kinematics.rest) / np.abs(strains).max()
    parameters = np.full((len(strains), 1), 1.7)
    check_contract(table, strains, world(), parameters=parameters, objective=True)


@pytest.mark.parametrize("kinematics", FINITE, ids=str)
def test_stress_over_strain_converges_to_the_law(kinematics: Kinematics) -> None:
    """Rotated at random: order 2 of the stress and 1 of the tangent; energy, modulus in between."""
    law = NeoHookean(kinematics.gdim, shear_modulus=2.3, lame=4.6)
    strain = strains_for(kinematics)[:8]
    strain = kinematics.rest + 0.5 * (strain - kinematics.rest)
    exact = law.evaluate(strain)
    assert exact.tangent is not None
    errors = []
    for count in (3, 5, 9) if kinematics.gdim == 2 else (3, 5):
        table = Table(neo_hookean_table(kinematics, count))
        found = table.evaluate(strain, parameters=np.full((8, 1), 2.3))
        assert found.ok.all() and found.tangent is not None
        errors.append(
            [
                np.linalg.norm(found.stress - exact.stress) / np.linalg.norm(exact.stress),
                np.linalg.norm(found.tangent - exact.tangent) / np.linalg.norm(exact.tangent),
                np.abs(found.report["energy"] - exact.report["energy"]).max(),
            ]
        )
    ratios = np.array(errors[:-1]) / errors[1:]
    assert (ratios[:, 0] > 2.5).all() and (ratios[:, 1] > 1.4).all() and (ratios[:, 2] > 2.5).all()


def test_outside_of_the_strains_a_point_fails() -> None:
    kinematics = FINITE[0]
    table = Table(neo_hookean_table(kinematics, 3))
    strain = np.array([[1.3, 0, 0, 1.0], [1.0, 0.2, 0, 1.0], [np.nan, 0, 0, 1], [1.0, 0, 0, 1.0]])
    found = table.evaluate(strain, parameters=np.array([[2.0], [2.0], [2.0], [3.1]]))
    assert found.ok.tolist() == [False, True, False, False]
    assert found.report["outside"].tolist() == [1, 0, 0, 1]
    assert np.isnan(found.stress[0]).all()


@pytest.mark.parametrize("name", ["multilinear", "spline", "tensor_train", "spline_train", "pod"])
def test_compressed_stress_is_consistent(tmp_path: Path, name: str) -> None:
    """The tangent of what is stored is the derivative of its stress, also by parameters."""
    from fesurrogate.hierarchical import write_tabulation

    kinematics = FINITE[0]
    write_tabulation(neo_hookean_table(kinematics, 9), tmp_path / "table.h5")
    found = compress(tmp_path / "table.h5", tmp_path / "small.h5", 0.05, representation=name)
    assert found["stress"].chosen.entries <= 0.05
    table = Table(read_tabulation(tmp_path / "small.h5"))
    strain = kinematics.rest + 0.15 * np.random.default_rng(0).uniform(-1, 1, (30, 4))
    parameters = np.full((30, 1), 1.3)
    direction = np.random.default_rng(1).uniform(-1, 1, (30, 4))
    whole = table.evaluate(strain, parameters=parameters, sensitivity=True)
    assert whole.tangent is not None and whole.sensitivity is not None
    step = 1e-6
    ahead, behind = (
        table.evaluate(strain + sign * step * direction, parameters=parameters).stress
        for sign in (1, -1)
    )
    slope = (ahead - behind) / (2 * step)
    off = np.abs(slope - np.einsum("nij,nj->ni", whole.tangent, direction)).max(axis=1)
    assert np.median(off) < 1e-7 * np.abs(slope).max()  # but at the kinks of what is multilinear
    ahead, behind = (
        table.evaluate(strain, parameters=parameters + sign * step).stress for sign in (1, -1)
    )
    rate = (ahead - behind) / (2 * step)
    np.testing.assert_allclose(whole.sensitivity[:, :, 0], rate, rtol=0, atol=1e-7)


def test_the_energy_polynomial_of_a_table_is_close_symmetric_and_at_rest_exact(
    tmp_path: Path,
) -> None:
    from fesurrogate.hierarchical import write_tabulation

    kinematics = FINITE[0]
    write_tabulation(neo_hookean_table(kinematics, 9), tmp_path / "table.h5")
    found = compress(
        tmp_path / "table.h5", tmp_path / "small.h5", 0.005, representation="polynomial"
    )["stress"].chosen
    assert found.entries <= 0.005 and found.numbers < 2 * 9**3 * 3 / 50
    table = Table(read_tabulation(tmp_path / "small.h5"))
    strains = kinematics.rest + 0.2 * np.random.default_rng(0).uniform(-1, 1, (8, 4))
    strains[0] = kinematics.rest
    parameters = np.full((8, 1), 2.0)
    answer = table.evaluate(strains, parameters=parameters)
    assert answer.tangent is not None
    np.testing.assert_allclose(answer.stress[0], 0, atol=1e-12)
    np.testing.assert_allclose(answer.tangent, answer.tangent.swapaxes(1, 2), atol=1e-10)
    check_contract(table, strains, parameters=parameters, objective=True, tolerance=1e-11)


# -- computed of cells ----------------------------------------------------------------------

SMALL_STRAIN = "".join(
    f'[precompute.axes."strain.{name}"]\nlow = -0.01\nhigh = 0.02\npoints = 2\n'
    for name in ("xx", "yy", "xy")
)
FRACTION = '[precompute.axes."fractions.fibre"]\nvalues = [0.2, 0.5, 0.7]\n'


def test_stress_of_a_linear_cell_is_its_stiffness_times_strain(tmp_path: Path) -> None:
    """Multilinear in the strain is exact for it; at entries of the other axis all is."""
    text = toml(quantities='["stress", "tangent", "energy"]', axes=SMALL_STRAIN + FRACTION)
    text = text.replace(
        'kind = "table"', 'kind = "table"\nparameters = { "fractions.fibre" = 0.5 }'
    )
    settings = settings_of(tmp_path, text)
    made = ensure_table(settings)
    assert made.entries == 24 and made.failed == 0
    table, direct = load_material(settings), load_material(settings, kind="rve")
    assert isinstance(table, Table) and table.parameter_names == ("fractions.fibre",)
    strain = np.random.default_rng(0).uniform(-0.009, 0.013, (6, 3))
    parameters = np.repeat([[0.2], [0.5], [0.7]], 2, axis=0)
    ours, theirs = (m.evaluate(strain, parameters=parameters) for m in (table, direct))
    assert ours.tangent is not None and theirs.tangent is not None
    scale = np.abs(theirs.stress).max()
    np.testing.assert_allclose(ours.stress, theirs.stress, rtol=0, atol=1e-8 * scale)
    scale = np.abs(theirs.tangent).max()
    np.testing.assert_allclose(ours.tangent, theirs.tangent, rtol=0, atol=1e-7 * scale)
    moduli, known = table.tabulation.look_up("tangent", np.array([[0.0, 0.0, 0.0, 0.5]]))
    assert known.all()
    np.testing.assert_allclose(moduli[0], theirs.tangent[2], rtol=0, atol=1e-7 * scale)


def finite_settings(folder: Path, precompute: str) -> Settings:
    phases = "".join(
        f"[material.rve.phases.{name}]\nkind = 'neo_hookean'\nshear_modulus = {mu}\nlame = {mu}\n"
        for name, mu in (("matrix", 1.0), ("fibre", 5.0))
    )
    axes = "".join(
        f'[precompute.axes."strain.{name}"]\nlow = -0.1\nhigh = 0.1\npoints = 3\n'
        for name in ("xx", "yy", "xy")
    )
    cell = FIBRES.replace("resolution = 6", "resolution = 3")
    return settings_of(
        folder,
        f"[kinematics]\ngdim = 2\nmeasure = 'finite'\n[material]\nkind = 'table'\n"
        f"parameters = {{ 'matrix.lame' = 1.5 }}\n[material.rve]\ndegree = 1\n{cell}\n{phases}"
        f"[precompute]\nheld_out = 12\n{precompute}\n{axes}"
        f'[precompute.axes."matrix.lame"]\nlow = 1.0\nhigh = 2.0\npoints = 2\n',
    )


@pytest.mark.parametrize(
    ("precompute", "error"),
    [
        ('quantities = ["stress", "energy"]', 0.1),
        ("sampling = 'sobol'\nsamples = 96", 0.02),
        (POLYNOMIAL, 0.005),
        ("sampling = 'sparse_grid'\nlevel = 3", 0.02),
    ],
    ids=["grid", "sobol", "polynomial", "sparse_grid"],
)
def test_finite_strain_by_grid_sobol_and_sparse_grid(
    tmp_path: Path, precompute: str, error: float
) -> None:
    settings = finite_settings(tmp_path, precompute)
    made = ensure_table(settings)
    assert made.failed == 0 and made.errors["stress"][1] < error
    table, direct = load_material(settings), load_material(settings, kind="rve")
    angle = 0.7
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    strain = turn @ np.array([[1.05, 0.03], [0.03, 0.96]])
    ours, theirs = (
        m.evaluate(strain.reshape(1, 4), parameters=np.array([[1.5]])) for m in (table, direct)
    )
    held = table.tabulation.held_out  # type: ignore[attr-defined]
    size = np.sqrt((held.quantities["stress"] ** 2).sum(axis=1).mean())  # as errors are measured
    assert np.linalg.norm(ours.stress - theirs.stress) < error * size


BODY = """
[mesh]
generator = "rectangle"
cells = [2, 1]
[macro]
degree = 1
[[dirichlet]]
boundary = "left"
[[dirichlet]]
boundary = "right"
value = [0.04, 0.06]
[[reaction]]
boundary = "left"
"""


def test_a_run_takes_the_table_in_place_of_the_cell(tmp_path: Path) -> None:
    """One word apart, in a body that turns and shears at finite strain."""
    finite_settings(tmp_path, POLYNOMIAL)
    with open(tmp_path / "case.toml", "a") as file:
        file.write(BODY)
    settings = read_config(tmp_path / "case.toml")
    ensure_table(settings, MPI.COMM_SELF)
    assert settings.material is not None
    results = [
        run(replace(settings, material=replace(settings.material, kind=kind)), MPI.COMM_SELF)
        for kind in ("table", "rve")
    ]
    ours, theirs = (np.array(each.results.reaction["left"]) for each in results)
    assert all(each.results.converged for each in results)
    assert np.linalg.norm(ours - theirs) < 0.005 * np.linalg.norm(theirs)


def test_sparse_grids_are_nested_and_small() -> None:
    counts = [len(sparse_grid(level, 4)) for level in range(4)]
    assert counts == [1, 9, 41, 137]  # Gerstner and Griebel, with Clenshaw-Curtis in 4 axes
    coarse, fine = ({tuple(p) for p in sparse_grid(level, 3)} for level in (2, 3))
    assert coarse < fine
    for level, columns in ((9, 6), (60, 2), (30, 12)):
        with pytest.raises(InputError, match="more than 100000 points; lower the level"):
            sparse_grid(level, columns)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (('"strain.yy"', '"strain.yz"'), "expected strain.xx, strain.yy, strain.xy, all of them"),
        (('["stress"]', '["stress", "expansion"]'), "expansion is of the cell at rest"),
        ((SMALL_STRAIN, ""), "stress needs strain as axes"),
        (("points = 2", ""), "expected points, the number of values, of a grid"),
        (("held_out = 0", "held_out = 0\nsampling = 'sobol'"), "whole number >= 2 with sampling"),
        (("held_out = 0", "held_out = 0\nlevel = 2"), "expected none with sampling 'grid'"),
        (("held_out = 0", f"held_out = 0\n{POLYNOMIAL}"), "1 or more with retrieval 'polynomial'"),
    ],
)
def test_bad_input_is_named_with_code_2(
    tmp_path: Path, capfd: pytest.CaptureFixture, change: tuple[str, str], message: str
) -> None:
    text = toml(quantities='["stress"]', axes=SMALL_STRAIN + FRACTION)
    changed = text.replace(*change)
    assert changed != text
    (tmp_path / "bad.toml").write_text(changed)
    code = code_of("precompute", str(tmp_path / "bad.toml"), "--output", str(tmp_path / "out"))
    said = capfd.readouterr().err
    assert code == 2 and message in said and "Traceback" not in said


def test_finite_strain_without_its_axes_is_refused(tmp_path: Path) -> None:
    tabulation = neo_hookean_table(FINITE[0], 3)
    first: Array = tabulation.quantities["energy"]
    lacking = Tabulation(FINITE[0], tabulation.axes, {"energy": first}, tabulation.ok)
    with pytest.raises(InputError, match="expected 'stress': add it to quantities"):
        Table(lacking)
