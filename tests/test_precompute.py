"""Tables of cells against closed forms: laminates, Levin's relation, Hashin and Shtrikman."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from contract import (
    Batch,
    check_consistent,
    check_contract,
    check_pure,
    check_shapes_are_refused,
    check_total,
)
from mpi4py import MPI
from test_contract import strains_for
from verification import jump_modes, laminated

from fesurrogate.build import load_material
from fesurrogate.build.context import Context
from fesurrogate.build.family import family_of
from fesurrogate.build.precompute import PrecomputedTable, ensure_table
from fesurrogate.cli import main
from fesurrogate.config import Settings, read_config
from fesurrogate.errors import InputError
from fesurrogate.hierarchical import Tabulation, read_tabulation
from fesurrogate.homogenize.bounds import fibre_bounds
from fesurrogate.homogenize.engineering import hill_moduli
from fesurrogate.kinematics import Array, Kinematics
from fesurrogate.laws import isotropic_stiffness
from fesurrogate.micro import RVEMaterial, hexagonal_packing
from fesurrogate.run import run

MATRIX, FIBRE = (3.0, 0.35), (70.0, 0.2)
EXPANSION = {"matrix": 5e-5, "fibre": 5e-6}
AXIS = '[precompute.axes."fractions.fibre"]\nvalues = [0.2, 0.5, 0.7]\n'
LAMINATE = 'cell = { kind = "laminate", fractions = { matrix = 0.5, fibre = 0.5 }, resolution = 2 }'


def toml(
    cell: str = LAMINATE,
    *,
    gdim: int = 2,
    quantities: str = '["stiffness", "expansion", "stress_concentration"]',
    axes: str = AXIS,
    more: str = "",
    material: str = "",
    held_out: int = 0,
) -> str:
    phases = "".join(
        f'[material.rve.phases.{name}]\nkind = "linear_elastic"\nyoung = {E}\npoisson = {nu}\n'
        for name, (E, nu) in (("matrix", MATRIX), ("fibre", FIBRE))
    )
    return (
        f'[kinematics]\ngdim = {gdim}\nmeasure = "small"\n[material]\nkind = "table"\n{material}'
        f"[material.rve]\ndegree = 1\n{cell}\n{phases}[precompute]\nquantities = {quantities}\n"
        f"expansion = {{ matrix = 5e-5, fibre = 5e-6 }}\nheld_out = {held_out}\n"
        f'units = "mm, GPa"\n{axes}{more}'
    )


def settings_of(folder: Path, text: str) -> Settings:
    path = folder / "case.toml"
    path.write_text(f'{text}[output]\nfolder = "{folder}/out"\n')
    return read_config(path)


def tabulated(folder: Path, text: str) -> tuple[Tabulation, PrecomputedTable]:
    made = ensure_table(settings_of(folder, text), MPI.COMM_SELF)
    return read_tabulation(made.path), made


def stiffnesses(kinematics: Kinematics) -> Array:  # (2, m, m), matrix and fibre
    return np.stack(
        [isotropic_stiffness(kinematics, young=E, poisson=nu) for E, nu in (MATRIX, FIBRE)]
    )


# -- laminates ------------------------------------------------------------------------------


@pytest.mark.parametrize("gdim", [2, 3])
def test_stiffness_of_laminates_over_the_volume_fraction(tmp_path: Path, gdim: int) -> None:
    found, _ = tabulated(tmp_path, toml(gdim=gdim, quantities='["stiffness"]'))
    kinematics = Kinematics(gdim)
    B = jump_modes(kinematics, np.eye(gdim)[0])
    for f, stiffness in zip(found.axes[0].values, found.quantities["stiffness"], strict=True):
        exact = laminated(stiffnesses(kinematics), np.array([1 - f, f]), B)
        np.testing.assert_allclose(stiffness, exact, rtol=0, atol=1e-11 * exact.max())


@pytest.mark.parametrize("gdim", [2, 3])
def test_expansion_of_laminates_over_the_volume_fraction(tmp_path: Path, gdim: int) -> None:
    found, _ = tabulated(tmp_path, toml(gdim=gdim, quantities='["stiffness", "expansion"]'))
    for f, expansion in zip(found.axes[0].values, found.quantities["expansion"], strict=True):
        exact = free_strain(f, gdim)
        np.testing.assert_allclose(expansion, exact, rtol=0, atol=1e-9 * exact.max())


def free_strain(f: float, gdim: int) -> Array:  # (m,)
    """Return the strain of a laminate, layers normal to x, by a unit of temperature.

    No stress normal to the layers, so that each layer is in plane stress; along the layers all
    have one strain e. In 3D Σ f E/(1-ν) (e - α) = 0; in plane strain, with e_z = 0,
    Σ f E/(1-ν²) (e + ν 0 - (1 + ν) α) = 0. The strain across is that of each layer, by volume.
    """
    young, poisson = np.array([MATRIX, FIBRE]).T
    alpha, shares = np.array([*EXPANSION.values()]), np.array([1 - f, f])
    if gdim == 3:
        weight = shares * young / (1 - poisson)
        e = weight @ alpha / weight.sum()
        stress = young / (1 - poisson) * (e - alpha)  # along y and z
        across = shares @ (alpha - 2 * poisson * stress / young)
        return np.array([across, e, e, 0, 0, 0])
    weight = shares * young / (1 - poisson**2)
    e = weight @ ((1 + poisson) * alpha) / weight.sum()
    plane = young / (1 - poisson**2)
    along = plane * (e - alpha + poisson * (0 - alpha))  # σ_y
    held = plane * (0 - alpha + poisson * (e - alpha))  # σ_z
    across = shares @ (alpha - poisson * (along + held) / young)
    return np.array([across, e, 0])


def test_stress_concentration_of_laminates(tmp_path: Path) -> None:
    """Layers are homogeneous: their strain is ε + B a, and von Mises' stress that of it."""
    found, _ = tabulated(tmp_path, toml(gdim=3, quantities='["stress_concentration"]'))
    kinematics = Kinematics(3)
    C = stiffnesses(kinematics)
    B = jump_modes(kinematics, np.eye(3)[0])
    trace = np.array([1.0, 1, 1, 0, 0, 0])
    for f, largest in zip(
        found.axes[0].values, found.quantities["stress_concentration"], strict=True
    ):
        for j, strain in enumerate(np.eye(6)):
            # Bᵀ C_m (ε + B a_m) = Bᵀ C_f (ε + B a_f), (1 - f) a_m + f a_f = 0
            left = B.T @ (f * C[0] + (1 - f) * C[1]) @ B
            jump = np.linalg.solve(left, B.T @ (C[1] - C[0]) @ strain)  # a_m = f jump
            for row, share, stiffness in ((1, f, C[0]), (0, f - 1, C[1])):
                stress = stiffness @ (strain + share * (B @ jump))
                deviator = stress - trace * stress[:3].mean()
                exact = np.sqrt(1.5 * deviator @ deviator)
                assert largest[row, j] == pytest.approx(exact, rel=1e-6, abs=1e-6)  # by AMPLITUDE


@pytest.mark.parametrize("gdim", [2, 3])
def test_conductivity_of_laminates_over_the_volume_fraction(tmp_path: Path, gdim: int) -> None:
    text = toml(gdim=gdim, quantities='["conductivity"]')
    text = text.replace('"small"', '"gradient"').replace('"linear_elastic"', '"conductor"')
    for young, poisson in (MATRIX, FIBRE):
        text = text.replace(f"young = {young}\npoisson = {poisson}", f"conductivity = {young}")
    found, _ = tabulated(tmp_path, text)
    k = np.array([MATRIX[0], FIBRE[0]])
    for f, conductivity in zip(found.axes[0].values, found.quantities["conductivity"], strict=True):
        shares = np.array([1 - f, f])
        exact = np.diag([1 / (shares @ (1 / k)), *[shares @ k] * (gdim - 1)])
        np.testing.assert_allclose(conductivity, exact, rtol=0, atol=1e-11 * k.max())


# -- fibres ---------------------------------------------------------------------------------

FIBRES = 'cell = { kind = "hexagonal", volume_fraction = 0.5, cell = "rhombus", resolution = 6 }'
OVER_FRACTION = "[precompute.axes.volume_fraction]\nvalues = [0.3, 0.6]\n"


def test_levin_and_the_bounds_hold_for_fibres(tmp_path: Path) -> None:
    """Levin: α_eff = α_m + (α_f - α_m) (S_eff - S_m) (S_f - S_m)⁻¹ δ, on any mesh.

    The uniform stress that makes both phases expand alike is a solution of the discrete cell too,
    so that the relation holds to the tolerance of the solve and the amplitude of unit strains.
    """
    found, _ = tabulated(tmp_path, toml(FIBRES, gdim=3, axes=OVER_FRACTION))
    C = stiffnesses(Kinematics(3))
    compliance = np.linalg.inv(C)
    delta = np.array([1.0, 1, 1, 0, 0, 0])
    alpha = EXPANSION["matrix"], EXPANSION["fibre"]
    for k, f in enumerate(found.axes[0].values):
        stiffness = found.quantities["stiffness"][k]
        mixed = np.linalg.inv(stiffness) - compliance[0]
        part = mixed @ np.linalg.solve(compliance[1] - compliance[0], delta)
        exact = alpha[0] * delta + (alpha[1] - alpha[0]) * part
        got = found.quantities["expansion"][k]
        np.testing.assert_allclose(got, exact, rtol=0, atol=1e-7 * exact.max())
        hill = [hill_moduli(c) for c in C]
        cell = hexagonal_packing(f, cell="rhombus", resolution=6)
        share = cell.volume_fractions()["fibre"]  # of a polygon: less than f
        bounds = fibre_bounds(*([h[i] for h in hill] for i in (0, 3, 4)), [1 - share, share])
        moduli = hill_moduli(stiffness)
        names = {"K_across": moduli[0], "G_across": moduli[3], "G_along": moduli[4]}
        for name, value in names.items():
            low, high = bounds[name]
            assert low < value < high, (name, f)


def test_stress_concentration_bounds_the_stress_of_each_phase(tmp_path: Path) -> None:
    """Under any strain Σ |ε_j| K_rj; it is reached under a unit strain."""
    text = toml(FIBRES, gdim=3, axes=OVER_FRACTION)
    found, _ = tabulated(tmp_path, text)
    bound = found.quantities["stress_concentration"][1]  # (2, 6), of fibre and matrix
    text = text.replace("volume_fraction = 0.5", "volume_fraction = 0.6")
    cell = load_material(settings_of(tmp_path, text), kind="rve")
    assert isinstance(cell, RVEMaterial)
    strains = 1e-3 * np.random.default_rng(1).uniform(-1, 1, (6, 6))
    for strain in (*strains, *1e-3 * np.eye(6)):
        largest = bound @ np.abs(strain)
        fields = cell.localise(strain, np.zeros(0))
        assert fields.von_mises is not None
        for row, name in enumerate(("fibre", "matrix")):
            stress = fields.von_mises[cell.cell.phase_cells[name]].max()
            assert stress <= largest[row] * (1 + 1e-6)  # by AMPLITUDE and rtol
            if np.count_nonzero(strain) == 1:
                assert stress == pytest.approx(largest[row], rel=1e-6)


def test_expansion_of_one_phase_everywhere(tmp_path: Path) -> None:
    """Alike expansions: α δ in the solid; (1 + ν) α in plane strain only of one material."""
    text = toml(FIBRES, gdim=3, axes=OVER_FRACTION).replace("5e-5", "2e-5").replace("5e-6", "2e-5")
    found, _ = tabulated(tmp_path, text)
    exact = np.tile(2e-5 * np.array([1.0, 1, 1, 0, 0, 0]), (2, 1))
    np.testing.assert_allclose(found.quantities["expansion"], exact, rtol=0, atol=1e-12)


def test_direct_cells_answer_as_the_table_at_its_entries(tmp_path: Path) -> None:
    """One word apart: kind = "rve" makes the cell of each point; phases and rotation beside."""
    axes = '[precompute.axes."matrix.young"]\nvalues = [3.0, 4.0, 6.0]\n' + OVER_FRACTION
    given = 'angle = 0.0, volume_fraction = 0.3, "matrix.young" = 3.0'
    material = f"rotated = true\nparameters = {{ {given} }}\n"
    text = toml(FIBRES, axes=axes, quantities='["stiffness"]', material=material)
    settings = settings_of(tmp_path, text)
    ensure_table(settings, MPI.COMM_SELF)
    table, direct = load_material(settings), load_material(settings, kind="rve")
    assert table.parameter_names == ("angle", "matrix.young", "volume_fraction")
    assert direct.parameter_names == ("angle", "volume_fraction", "matrix.young")  # as written
    points = np.array([[0.3, 0.3, 3.0], [0.3, 0.6, 6.0], [-1.0, 0.3, 6.0], [0.2, 0.95, 3.0]])
    strain = np.random.default_rng(0).uniform(-1e-3, 1e-3, (4, 3))
    ours = table.evaluate(strain, parameters=points[:, [0, 2, 1]])
    theirs = direct.evaluate(strain, parameters=points)
    assert ours.ok.tolist() == [True, True, True, False]
    assert theirs.ok.tolist() == [True, True, True, False]  # no room for so many fibres
    scale = np.abs(theirs.stress[:3]).max()
    np.testing.assert_allclose(ours.stress[:3], theirs.stress[:3], rtol=0, atol=1e-8 * scale)
    with pytest.raises(InputError, match="no derivative by volume_fraction"):
        direct.evaluate(strain, parameters=points, sensitivity=True)


ALIGNED = (
    'kind = "transversely_isotropic"\nyoung_along = 70.0\nyoung_across = 20.0\nshear_along = 7.0\n'
    "poisson_along = 0.2\npoisson_across = 0.3\ndirection = [1.0, 0.0]\nrotated = true"
)


def test_contract_of_a_family(tmp_path: Path) -> None:
    """All of it for constants of phases; with numbers of the cell all but the sensitivity.

    Tolerances are the solver's, rtol 1e-8 of the residual, for stresses of first order in it.
    """
    text = toml(FIBRES.replace("resolution = 6", "resolution = 3"))
    rve = settings_of(tmp_path, text).material
    assert rve is not None and rve.rve is not None
    table = rve.rve
    strains = strains_for(Kinematics(2))[:6]
    context = Context(Kinematics(2), (), parameters=("fibre.young", "matrix.poisson"))
    parameters = np.tile([60.0, 0.3], (6, 1))
    check_contract(family_of(table, context)[0], strains, parameters=parameters, tolerance=1e-6)
    context = replace(context, parameters=("fibre.young", "volume_fraction"))
    family = family_of(table, context)[0]
    assert family.parameter_names == context.parameters
    parameters = np.stack([np.full(6, 60.0), np.repeat([0.3, 0.5, 0.4], 2)], axis=1)
    batch = Batch(strains, np.zeros((6, 0)), 1.0, parameters, np.zeros((6, 0)))
    check_pure(family, batch, 1e-6)
    check_total(family, batch, 1e-6)
    check_consistent(family, batch, 1e-6, 0.02)
    check_shapes_are_refused(family, batch)
    whole = batch.answered_by(family)
    order = np.array([4, 0, 5, 2, 1, 3])
    permuted = batch.rows(order).answered_by(family)
    np.testing.assert_allclose(permuted.stress, whole.stress[order], rtol=1e-6, atol=1e-6)


# -- the command ----------------------------------------------------------------------------


def code_of(*arguments: str) -> int:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    return int(caught.value.code or 0)


def test_a_table_is_reused_and_continued(tmp_path: Path) -> None:
    first, made = tabulated(tmp_path, toml(held_out=3))
    assert not made.reused and (made.entries, made.failed) == (6, 0)
    assert set(made.errors) == {"stiffness", "expansion", "stress_concentration"}
    again, reused = tabulated(tmp_path, toml(held_out=3))
    assert reused.reused
    manifest = tmp_path / "out" / "precompute" / "manifest.json"
    shard = next(iter(json.loads(manifest.read_text())["shards"]))
    (manifest.parent / shard).unlink()  # as if it had been stopped
    repaired, mended = tabulated(tmp_path, toml(held_out=3))
    assert not mended.reused
    for other in (again, repaired):
        for name, array in first.quantities.items():
            np.testing.assert_array_equal(array, other.quantities[name])


def test_entries_that_fail_are_marked(tmp_path: Path) -> None:
    """More fibres than fit: the entry has none, its neighbours do."""
    axes = "[precompute.axes.volume_fraction]\nvalues = [0.3, 0.5, 0.95]\n"
    found, made = tabulated(tmp_path, toml(FIBRES, axes=axes))
    assert made.failed == 1 and found.ok.tolist() == [True, True, False]
    assert np.isnan(found.quantities["expansion"][2]).all()
    assert np.isfinite(found.quantities["expansion"][:2]).all()


def test_samples_that_fail_leave_their_neighbourhood_unknown(tmp_path: Path) -> None:
    """Of no grid: what a point needs is its nearest sample, and radial functions meet the others.

    The upper end of the axis, where no cell can be made, is no sample, and is not asked of.
    """
    axes = "[precompute.axes.volume_fraction]\nlow = 0.3\nhigh = 1.2\n"
    found, made = tabulated(
        tmp_path,
        toml(FIBRES, quantities='["stiffness"]', axes=f"sampling = 'sobol'\nsamples = 8\n{axes}"),
    )
    held = found.samples
    assert held is not None and 0 < made.failed == (~held.ok).sum() < 5
    again, known = found.look_up("stiffness", held.points)
    np.testing.assert_array_equal(known, held.ok)
    np.testing.assert_allclose(again[known], held.quantities["stiffness"][known], rtol=1e-6)
    points = np.linspace(0.3, 1.2, 50)[:, None]
    nearest = np.abs(points - held.points[:, 0]).argmin(axis=1)
    values, known = found.look_up("stiffness", points)
    np.testing.assert_array_equal(known, held.ok[nearest])
    assert np.isnan(values[~known]).all() and np.isfinite(values[known]).all()


def test_a_quantity_of_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_quantity.py").write_text(
        "def softest(cell):\n    import numpy as np\n"
        "    return np.linalg.eigvalsh(cell.stiffness)[0]\n"
    )
    text = toml(quantities='["stiffness", "own_quantity:softest"]')
    settings = settings_of(tmp_path, text)
    with pytest.raises(InputError, match="--allow-code"):
        ensure_table(settings, MPI.COMM_SELF)
    made = ensure_table(settings, MPI.COMM_SELF, allow_code=True)
    found = read_tabulation(made.path).quantities
    softest = np.linalg.eigvalsh(found["stiffness"])[:, 0]
    np.testing.assert_allclose(found["own_quantity:softest"], softest, rtol=1e-12)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ((AXIS, ""), "there are no axes"),
        (('"small"', '"finite"'), "expected 'small' or 'gradient'"),
        (('"expansion", ', '"expansions", '), "'expansions' is no quantity"),
        (("matrix = 5e-5, fibre", "fibre"), "expansion of matrix is not given"),
        (("fractions.fibre", "fractions.glass"), "fractions.glass"),
        (("fractions.fibre", "angle"), "rotated = true"),
        (('kind = "linear_elastic"\nyoung = 70.0\npoisson = 0.2', ALIGNED), "needs fibre.angle"),
        (("[0.2, 0.5, 0.7]", "[0.5, 0.2]"), "at least two numbers that rise"),
        (("values = [0.2, 0.5, 0.7]", "low = 0.2\nhigh = 0.7\npoints = 1"), "points is 1"),
        (("[0.2, 0.5, 0.7]", "[0.5, 1.2, 1.4]"), "fractions are"),
    ],
)
def test_bad_input_is_named_with_code_2(
    tmp_path: Path, capfd: Any, change: tuple[str, str], message: str
) -> None:
    text = toml().replace(*change)
    assert text != toml()
    (tmp_path / "bad.toml").write_text(text)
    code = code_of("precompute", str(tmp_path / "bad.toml"), "--output", str(tmp_path / "out"))
    said = capfd.readouterr().err
    assert code == 2 and message in said and "Traceback" not in said


def test_a_table_of_another_cell_or_unit_is_refused(tmp_path: Path) -> None:
    parameters = 'parameters = { "fractions.fibre" = 0.4 }\n'
    settings = settings_of(tmp_path, toml(material=parameters))
    with pytest.raises(InputError, match="there is no table .*fesurrogate precompute"):
        load_material(settings)
    made = ensure_table(settings, MPI.COMM_SELF)
    assert load_material(settings).parameter_names == ("fractions.fibre",)
    tabulated_value = toml(material=parameters).replace("fibre = 0.5 }", "fibre = 0.7 }")
    tabulated_value = tabulated_value.replace("matrix = 0.5", "matrix = 0.3")
    load_material(settings_of(tmp_path, tabulated_value))  # that of the axis does not matter
    other = toml(material=parameters).replace("young = 3.0", "young = 4.0")
    with pytest.raises(InputError, match="was made of another cell"):
        load_material(settings_of(tmp_path, other))
    units = parameters + '[material.table]\nunits = "m, Pa"\n'
    with pytest.raises(InputError, match="has the units 'mm, GPa'; expected 'm, Pa'"):
        load_material(settings_of(tmp_path, toml(material=units)))
    with pytest.raises(InputError, match='needs fractions.fibre: write "fractions.fibre" = NUMBER'):
        load_material(settings_of(tmp_path, toml()))
    shutil.rmtree(made.path.parent)


def test_a_guard_asks_the_cells_outside_of_the_table(tmp_path: Path) -> None:
    """The table where it has an answer, a cell beyond: with the same parameters, turned or not."""
    axes = '[precompute.axes."matrix.young"]\nvalues = [3.0, 6.0]\n' + AXIS
    given = '"fractions.fibre" = 0.5, angle = 0.0, "matrix.young" = 3.0'
    material = f"rotated = true\nparameters = {{ {given} }}\n"
    guard = '[material.guard]\nreference = "rve"\n'
    settings = settings_of(
        tmp_path, toml(axes=axes, quantities='["stiffness"]', material=material + guard)
    )
    ensure_table(settings, MPI.COMM_SELF)
    guarded = load_material(settings)
    direct = load_material(settings, kind="rve")
    points = np.array([[0.3, 3.0, 0.5], [0.3, 3.0, 0.1], [0.3, 9.0, 0.5], [0.3, 6.0, 0.7]])
    strain = np.random.default_rng(0).uniform(-1e-3, 1e-3, (4, 3))
    ours = guarded.evaluate(strain, parameters=points)
    assert guarded.parameter_names == ("angle", "matrix.young", "fractions.fibre")
    assert direct.parameter_names == ("angle", "fractions.fibre", "matrix.young")
    theirs = direct.evaluate(strain, parameters=points[:, [0, 2, 1]])
    assert ours.ok.all() and ours.report["fallback"].tolist() == [0, 1, 1, 0]
    assert ours.report["rve_solves"].sum() == 2
    scale = np.abs(theirs.stress).max()
    np.testing.assert_allclose(ours.stress, theirs.stress, rtol=0, atol=1e-8 * scale)
    np.testing.assert_allclose(ours.tangent, theirs.tangent, rtol=0, atol=1e-8 * FIBRE[0])


BODY = """
[mesh]
generator = "rectangle"
cells = [2, 2]
[[dirichlet]]
boundary = "left"
value = [0.0, 0.0]
[[dirichlet]]
boundary = "right"
component = "x"
value = 0.01
[[reaction]]
boundary = "left"
"""


def test_a_run_outside_of_the_table_is_refused_unless_it_is_guarded(
    tmp_path: Path, capfd: Any
) -> None:
    """Share 0.2 + 0.6 x in a table from 0.2 to 0.7: refused at the door, or cells beyond."""
    parameters = 'parameters = { "fractions.fibre" = "0.2 + 0.6*x[0]" }\n'
    axes = '[precompute.axes."fractions.fibre"]\nlow = 0.2\nhigh = 0.7\npoints = 11\n'

    def settings_with(material: str) -> Settings:
        text = toml(axes=axes, quantities='["stiffness"]', material=material, more=BODY)
        return settings_of(tmp_path, text)

    settings = settings_with(parameters)
    ensure_table(settings, MPI.COMM_SELF)
    assert code_of("run", str(tmp_path / "case.toml")) == 2
    said = capfd.readouterr().err
    assert "parameters.fractions.fibre is from 0.2" in said and "from 0.2 to 0.7" in said
    guarded = settings_with(parameters + '[material.guard]\nreference = "rve"\n')
    results = run(guarded, MPI.COMM_SELF).results
    last = results.history[-1]
    assert results.converged and last.fallback is not None
    assert 0 < last.fallback["outside"] < results.points
    direct = run(replace(settings, material=replace(settings.material, kind="rve")), MPI.COMM_SELF)
    exact = direct.results.reaction["left"][0]
    assert results.reaction["left"][0] == pytest.approx(exact, rel=2e-3)  # of interpolation


@pytest.mark.mpi
def test_any_number_of_ranks_makes_the_same_table(tmp_path: Path) -> None:
    comm = MPI.COMM_WORLD
    folder = Path(comm.bcast(str(tmp_path)))
    if comm.rank == 0:
        settings_of(folder, toml(held_out=2))
    comm.Barrier()
    settings = read_config(folder / "case.toml")
    made = ensure_table(settings, comm)
    found = read_tabulation(made.path)
    alone = settings_of(tmp_path, toml(held_out=2)) if comm.rank == 0 else None
    if alone is not None:
        other = ensure_table(alone, MPI.COMM_SELF, fresh=True)
        for name, array in read_tabulation(other.path).quantities.items():
            np.testing.assert_array_equal(array, found.quantities[name])
    comm.Barrier()
