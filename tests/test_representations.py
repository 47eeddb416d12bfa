"""What tables of no grid, and energies, are kept as: exact where they claim it, with slopes."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from contract import check_contract
from test_strain_tables import FINITE, neo_hookean_table
from test_table import axes_of, within

from fesurrogate.errors import InputError
from fesurrogate.hierarchical import Axis, Table, Tabulation, read_tabulation, write_tabulation
from fesurrogate.hierarchical.energy_fit import energy_network
from fesurrogate.hierarchical.representations import Radial
from fesurrogate.hierarchical.scatter import with_retrieval
from fesurrogate.hierarchical.series import Candidates
from fesurrogate.hierarchical.tabulation import Kept, Scattered
from fesurrogate.kinematics import Array, Kinematics

AXES = axes_of(2, 2, 2)  # over [1, 2], [2, 4] and [3, 6]


def quadratic(x: Array) -> tuple[Array, Array]:  # (n, 2), (n, 2, 3)
    """Return two quadratics of three axes, and their slopes."""
    a = np.random.default_rng(0).standard_normal((2, 3, 3))
    a = a + a.swapaxes(1, 2)
    return np.einsum("kij,ni,nj->nk", a, x, x), 2 * np.einsum("kij,nj->nki", a, x)


def test_radial_functions_leave_quadratics_as_they_are() -> None:
    points, between = within(AXES, 40), within(AXES, 3000, seed=2)  # of more than one chunk
    exact, rates = quadratic(between)
    found, slopes = Radial.through(AXES, points, quadratic(points)[0]).evaluate(
        between, slopes=True
    )
    assert slopes is not None
    np.testing.assert_allclose(found, exact, rtol=0, atol=1e-10 * np.abs(exact).max())
    np.testing.assert_allclose(slopes, rates, rtol=0, atol=1e-10 * np.abs(rates).max())


def test_radial_functions_meet_their_points_and_have_their_slopes() -> None:
    """Central differences err by the square of the step."""
    points, between = within(AXES, 60), within(AXES, 20, seed=2)
    entries = np.stack([np.exp(points.sum(axis=1) / 6), np.sin(points.prod(axis=1) / 9)], axis=1)
    radial = Radial.through(AXES, points, entries)
    np.testing.assert_allclose(radial.evaluate(points)[0], entries, rtol=0, atol=1e-9)
    _, slopes = radial.evaluate(between, slopes=True)
    errors = []
    for step in (2e-2, 1e-2):
        moved = [
            radial.evaluate(between + step * unit)[0] - radial.evaluate(between - step * unit)[0]
            for unit in np.eye(3)
        ]
        errors.append(np.abs(np.stack(moved, axis=-1) / (2 * step) - slopes).max())
    assert errors[1] < 0.01 and 1.9 < np.log2(errors[0] / errors[1]) < 2.1


def test_points_that_do_not_fill_their_axes_are_refused() -> None:
    flat, twice = within(AXES, 40), within(AXES, 40)
    flat[:, 2] = 3.7 + 0.1 * flat[:, 0]
    twice[1] = twice[0]
    for points in (flat, twice):
        with pytest.raises(InputError, match="do not span its axes"):
            Radial.through(AXES, points, quadratic(points)[0])
    with pytest.raises(InputError, match="through 9 points; expected 10 to 4000"):
        Radial.through(AXES, flat[:9], quadratic(flat[:9])[0])


def test_the_degree_of_a_polynomial_is_the_best_where_it_is_held_out() -> None:
    """Runge's function at 9 even samples: those of more terms are nearer there, not in between."""
    axes = (Axis("a", np.array([-1.0, 1.0])),)
    points, between = np.linspace(-1, 1, 9)[:, None], np.linspace(-0.97, 0.97, 30)[:, None]
    samples, held = (
        Scattered(x, {"own": 1 + 1 / (1 + 25 * x**2)}, np.ones(len(x), dtype=bool))
        for x in (points, between)
    )
    ok = np.ones(2, dtype=bool)
    table = Tabulation(Kinematics(2), axes, {}, ok, held, samples=samples)
    errors = [one.mean_square for one in Candidates(table, "own").series["polynomial"]()]
    found = with_retrieval(table, "polynomial").misfits("own")
    assert np.sqrt((found**2).mean()) == pytest.approx(min(errors)) and len(errors) == 8
    assert min(errors) < 0.3 * errors[-1]


def test_a_network_of_the_energy_is_a_material_when_it_is_read_again(tmp_path: Path) -> None:
    """Of whatever accuracy: its tangent is that of its stress, and it is what was written."""
    kinematics = FINITE[0]
    table = neo_hookean_table(kinematics, 5)
    energy = energy_network(table, *table.computed("stress"), (4,), iterations=20)
    ends = tuple(Axis(axis.name, axis.values[[0, -1]], axis.unit) for axis in table.axes)
    ok = np.ones((2,) * len(ends), dtype=bool)
    kept = {"stress": Kept(energy, "plain", table.trailing("stress"))}
    small = replace(table, axes=ends, ok=ok, quantities={}, kept=kept)
    write_tabulation(small, tmp_path / "small.h5")
    read = read_tabulation(tmp_path / "small.h5")
    strains = kinematics.rest + 0.15 * np.random.default_rng(0).uniform(-1, 1, (8, 4))
    parameters = np.full((8, 1), 2.0)
    ours, theirs = (Table(each).evaluate(strains, parameters=parameters) for each in (read, small))
    np.testing.assert_array_equal(ours.stress, theirs.stress)
    assert np.abs(ours.stress).max() > 0.1
    check_contract(Table(read), strains, parameters=parameters, objective=True, tolerance=1e-11)
    script = (
        "import sys; sys.modules['torch'] = None\n"
        "from fesurrogate.hierarchical import read_tabulation\n"
        f"read_tabulation({str(tmp_path / 'small.h5')!r})"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert "MissingPackageError: a table whose stress is that of an energy needs" in done.stderr
