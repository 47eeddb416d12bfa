"""Tables: interpolation, the Material that looks up, the file, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from contract import check_contract
from test_contract import strains_for, world

from fesurrogate.errors import InputError
from fesurrogate.hierarchical import Axis, Table, Tabulation, read_tabulation, write_tabulation
from fesurrogate.hierarchical.axes import grid
from fesurrogate.hierarchical.representations import Gridded
from fesurrogate.hierarchical.tabulation import STIFFNESS, Scattered
from fesurrogate.kinematics import Array, Kinematics
from fesurrogate.laws import Rotated

KINEMATICS = [Kinematics(d, m) for d in (2, 3) for m in ("small", "gradient")]


def axes_of(*counts: int) -> tuple[Axis, ...]:
    """Return uneven axes over [1, 2], [2, 4], ..."""
    return tuple(
        Axis(f"phase.{k}", (k + 1) * (1 + np.linspace(0, 1, count) ** 1.5), "MPa")
        for k, count in enumerate(counts)
    )


def tabulated(kinematics: Kinematics, *counts: int, seed: int = 0) -> Tabulation:
    """Return random definite stiffnesses on a grid, and a second quantity."""
    axes, size = axes_of(*counts), kinematics.size
    root = np.random.default_rng(seed).standard_normal((*counts, size, size))
    stiffness = root @ root.swapaxes(-1, -2) + 0.1 * np.eye(size)
    return Tabulation(
        kinematics,
        axes,
        {
            STIFFNESS[kinematics.measure]: stiffness,
            "trace": np.trace(stiffness, axis1=-2, axis2=-1),
        },
        np.ones(counts, dtype=bool),
        units="mm, MPa",
        cell="0123456789abcdef",
        meta={"versions": {"fesurrogate": "0"}},
    )


def within(axes: tuple[Axis, ...], count: int, seed: int = 1) -> Array:  # (n, p)
    low = np.array([axis.values[0] for axis in axes])
    high = np.array([axis.values[-1] for axis in axes])
    return np.random.default_rng(seed).uniform(low, high, (count, len(axes)))


# -- interpolation --------------------------------------------------------------------------


def through(axes: tuple[Axis, ...], entries: Array) -> Gridded:
    """Return the multilinear interpolant of entries (N,) or (N, c)."""
    shape = tuple(len(axis.values) for axis in axes)
    return Gridded.through(axes, entries.reshape(*shape, -1), 1)


def test_interpolation_is_exact_for_multilinear_functions_with_its_slopes() -> None:
    axes = axes_of(3, 4, 2)
    points = within(axes, 50)

    def function(x: Array) -> Array:
        return 2 - x[:, 0] + 3 * x[:, 1] * x[:, 2] - 0.5 * x[:, 0] * x[:, 1] * x[:, 2]

    x, y, z = points.T
    exact = np.stack([-1 - 0.5 * y * z, 3 * z - 0.5 * x * z, 3 * y - 0.5 * x * y], axis=1)
    values, slopes = through(axes, function(grid(axes))).evaluate(points, slopes=True)
    np.testing.assert_allclose(values[:, 0], function(points), rtol=1e-12)
    assert slopes is not None
    np.testing.assert_allclose(slopes[:, 0], exact, rtol=1e-11)


def test_interpolation_converges_with_order_2() -> None:
    errors = []
    for count in (9, 17, 33):
        axes = (Axis("a", np.linspace(0, 1, count)), Axis("b", np.linspace(0, 2, count)))
        points = within(axes, 400)
        values, _ = through(axes, np.exp(grid(axes).sum(axis=1))).evaluate(points)
        errors.append(np.abs(values[:, 0] - np.exp(points.sum(axis=1))).max())
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    assert (abs(orders - 2) < 0.2).all(), orders


def test_weights_are_a_mean_of_the_corners() -> None:
    axes = axes_of(4, 3)
    weights, _ = through(axes, np.eye(12)).evaluate(within(axes, 100))
    assert weights.min() >= 0
    np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-14)


def test_the_edge_is_inside_but_for_rounding_and_nothing_is_extrapolated() -> None:
    axes = (Axis("a", np.array([0.0, 0.3, 0.6])),)
    table = Tabulation(Kinematics(2), axes, {"one": np.ones(3)}, np.ones(3, dtype=bool))
    points = np.array([0.0, 0.6, 0.6 * (1 + 1e-12), 0.6001, -1e-3, np.nan, np.inf])[:, None]
    found, known = table.look_up("one", points)
    assert known.tolist() == [True, True, True, False, False, False, False]
    np.testing.assert_array_equal(np.isnan(found), ~known)


def test_splines_go_through_the_entries_and_keep_stiffness_definite() -> None:
    """Rough entries: cubic splines of the matrix itself would lose it."""
    rough = tabulated(Kinematics(2), 6, 5)
    rows = rough.entries("stiffness").reshape(-1, 3, 3)
    narrow = rows[:, :, :1] * rows[:, None, :, 0] + 1e-6 * np.eye(3)
    rough = replace(rough, quantities={"stiffness": narrow.reshape(6, 5, 3, 3)})
    points = within(rough.axes, 2000)
    plain = Gridded.through(rough.axes, narrow.reshape(6, 5, 9), 3).evaluate(points)[0]
    assert np.linalg.eigvalsh(plain.reshape(-1, 3, 3)).min() < 0
    smooth = rough.smoothed()
    found = Table(smooth).evaluate(np.zeros((2000, 3)), parameters=points)
    assert found.tangent is not None
    np.testing.assert_array_equal(found.tangent, found.tangent.swapaxes(1, 2))
    assert np.linalg.eigvalsh(found.tangent).min() > 0
    again, _ = smooth.look_up("stiffness", grid(rough.axes))
    np.testing.assert_allclose(again, narrow, rtol=0, atol=1e-10 * narrow.max())


def test_splines_converge_with_order_4() -> None:
    errors = []
    for count in (9, 17, 33):
        axes = (Axis("a", np.linspace(0, 1, count)), Axis("b", np.linspace(0, 2, count)))
        points, entries = within(axes, 400), np.exp(grid(axes).sum(axis=1))
        values, slopes = Gridded.through(axes, entries.reshape(count, count, 1), 3).evaluate(
            points, slopes=True
        )
        exact = np.exp(points.sum(axis=1))
        assert slopes is not None
        errors.append([np.abs(values[:, 0] - exact).max(), np.abs(slopes[:, 0].T - exact).max()])
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    assert (abs(orders - [4, 3]) < 0.5).all(), orders


@pytest.mark.parametrize("degree", [1, 3])
def test_another_grid_is_answered_as_its_points(degree: int) -> None:
    axes, finer = axes_of(4, 5, 3), axes_of(7, 6, 2)
    entries = np.random.default_rng(0).standard_normal((4, 5, 3, 2))
    table = Gridded.through(axes, entries, degree)
    np.testing.assert_allclose(table.on_grid(finer), table.evaluate(grid(finer))[0], atol=1e-13)


# -- the Material ---------------------------------------------------------------------------


@pytest.mark.mpi
@pytest.mark.parametrize("kinematics", KINEMATICS, ids=str)
def test_contract(kinematics: Kinematics) -> None:
    table = Table(tabulated(kinematics, 2, 2))  # one box: the sensitivity has no kink in it
    strains = strains_for(kinematics)
    parameters = np.tile([1.5, 3.0], (len(strains), 1))
    check_contract(table, strains, world(), parameters=parameters)


@pytest.mark.parametrize("kinematics", KINEMATICS[:2], ids=str)
def test_contract_of_splines(kinematics: Kinematics) -> None:
    table = Table(tabulated(kinematics, 5, 4).smoothed())
    strains = strains_for(kinematics)
    parameters = np.tile([1.5, 3.0], (len(strains), 1))
    check_contract(table, strains, parameters=parameters)


def test_contract_turned() -> None:
    kinematics = Kinematics(2)
    strains = strains_for(kinematics)
    parameters = np.tile([0.4, 1.5], (len(strains), 1))
    check_contract(Rotated(Table(tabulated(kinematics, 2))), strains, parameters=parameters)


@pytest.mark.parametrize("kinematics", KINEMATICS, ids=str)
def test_symmetry_and_definiteness_are_kept(kinematics: Kinematics) -> None:
    tabulation = tabulated(kinematics, 5, 4)
    entries = tabulation.entries(STIFFNESS[kinematics.measure])
    size = kinematics.size
    lowest = np.linalg.eigvalsh(entries.reshape(-1, size, size)).min()
    points = within(tabulation.axes, 500)
    found = Table(tabulation).evaluate(np.zeros((500, size)), parameters=points)
    assert found.tangent is not None
    np.testing.assert_array_equal(found.tangent, found.tangent.swapaxes(1, 2))
    assert np.linalg.eigvalsh(found.tangent).min() >= lowest * (1 - 1e-12)  # concave in the matrix


def test_points_of_several_chunks_answer_as_alone() -> None:
    table = Table(tabulated(Kinematics(2), 5, 4))
    points = within(table.tabulation.axes, 5000)
    strain = np.random.default_rng(3).uniform(-1, 1, (5000, 3))
    whole = table.evaluate(strain, parameters=points)
    for i in (0, 2047, 2048, 4999):
        alone = table.evaluate(strain[i : i + 1], parameters=points[i : i + 1])
        np.testing.assert_allclose(whole.stress[i], alone.stress[0], rtol=1e-13)


def test_a_point_outside_fails_and_says_so() -> None:
    table = Table(tabulated(Kinematics(2), 3, 3))
    points = np.array([[1.5, 3.0], [0.9, 3.0], [1.5, 4.1], [np.nan, 3.0]])
    found = table.evaluate(np.full((4, 3), 0.01), parameters=points, sensitivity=True)
    assert found.ok.tolist() == [True, False, False, False]
    assert found.report["outside"].tolist() == [0, 1, 1, 1]
    assert found.sensitivity is not None
    for array in (found.stress, found.tangent, found.sensitivity):
        assert np.isnan(array[1:]).all() and np.isfinite(array[0]).all()


def test_a_point_beside_an_entry_that_failed_fails() -> None:
    tabulation = tabulated(Kinematics(2), 4)
    ok = np.array([True, True, True, False])
    stiffness = tabulation.quantities["stiffness"].copy()
    stiffness[3] = np.nan
    table = Table(replace(tabulation, quantities={"stiffness": stiffness}, ok=ok))
    values = tabulation.axes[0].values
    points = np.array([values[1], values[2], 0.5 * (values[2] + values[3]), values[3]])[:, None]
    found = table.evaluate(np.full((4, 3), 0.01), parameters=points)
    assert found.ok.tolist() == [True, True, False, False]
    np.testing.assert_allclose(found.tangent[1], stiffness[2], rtol=1e-14)
    assert found.report["outside"].tolist() == [0, 0, 0, 0]


# -- other quantities -----------------------------------------------------------------------


def test_any_quantity_is_looked_up() -> None:
    tabulation = tabulated(Kinematics(2), 4, 3)
    points = np.concatenate([within(tabulation.axes, 20), [[0.0, 0.0]]])
    trace, known = tabulation.look_up("trace", points)
    stiffness, _ = tabulation.look_up("stiffness", points)
    assert trace.shape == (21,) and stiffness.shape == (21, 3, 3)
    assert known[:-1].all() and not known[-1] and np.isnan(trace[-1])
    np.testing.assert_allclose(trace[:-1], np.trace(stiffness[:-1], axis1=1, axis2=2), rtol=1e-13)
    with pytest.raises(InputError, match="holds no 'expansion'; expected one of stiffness, trace"):
        tabulation.look_up("expansion", points)
    with pytest.raises(InputError, match=r"expected \(n, 2\): phase.0, phase.1"):
        tabulation.look_up("trace", points[:, :1])


def test_held_out_points_measure_the_error() -> None:
    tabulation = tabulated(Kinematics(2), 4)
    points = within(tabulation.axes, 3)
    exact, _ = tabulation.look_up("trace", points)
    stiffness, _ = tabulation.look_up("stiffness", points)
    held = Scattered(
        points,
        {"trace": exact / np.array([1.0, 1.1, 1.2]), "stiffness": stiffness},
        np.array([True, True, False]),  # the last does not count
    )
    errors = replace(tabulation, held_out=held).errors
    assert errors["trace"] == pytest.approx((0.05, 0.1))
    assert errors["stiffness"][1] < 1e-14


# -- the file -------------------------------------------------------------------------------


def stored(path: Path) -> Tabulation:
    tabulation = tabulated(Kinematics(2), 3, 2)
    ok = np.ones((3, 2), dtype=bool)
    ok[0, 0] = False
    points = within(tabulation.axes, 2)
    held = Scattered(points, {"trace": np.ones(2)}, np.ones(2, dtype=bool))
    whole = replace(tabulation, ok=ok, held_out=held)
    write_tabulation(whole, path)
    return whole


def test_file_keeps_everything(tmp_path: Path) -> None:
    whole, found = stored(tmp_path / "t.h5"), read_tabulation(tmp_path / "t.h5")
    assert (found.kinematics, found.units, found.cell) == (whole.kinematics, "mm, MPa", whole.cell)
    assert found.meta == whole.meta
    assert [(a.name, a.unit) for a in found.axes] == [(a.name, a.unit) for a in whole.axes]
    for ours, theirs in zip(whole.axes, found.axes, strict=True):
        np.testing.assert_array_equal(ours.values, theirs.values)
    for name, array in whole.quantities.items():
        np.testing.assert_array_equal(array, found.quantities[name])
    np.testing.assert_array_equal(whole.ok, found.ok)
    assert found.held_out is not None and whole.held_out is not None
    np.testing.assert_array_equal(found.held_out.points, whole.held_out.points)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kinematics": Kinematics(3)}, "was made under .* expected"),
        ({"units": "N, m"}, "has the units 'mm, MPa'; expected 'N, m'"),
    ],
)
def test_file_of_another_kind_is_refused(
    tmp_path: Path, arguments: dict[str, Any], message: str
) -> None:
    stored(tmp_path / "t.h5")
    with pytest.raises(InputError, match=message):
        read_tabulation(tmp_path / "t.h5", **arguments)


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    import h5py

    path = tmp_path / "t.h5"
    with pytest.raises(InputError, match="there is no table .*fesurrogate precompute"):
        read_tabulation(path)
    stored(path)
    content = path.read_bytes()
    for cut in (0, 100, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:cut])
        with pytest.raises(InputError, match="damaged, or was cut short|says format"):
            read_tabulation(path)
    path.write_bytes(content)
    with h5py.File(path, "a") as file:
        file["quantities/trace"][0] += 1.0
    with pytest.raises(InputError, match="checksum differs"):
        read_tabulation(path)
    with h5py.File(path, "w") as file:
        file.attrs["format"] = "another"
    with pytest.raises(InputError, match="format 'another'"):
        read_tabulation(path)


def test_bad_tables_are_refused() -> None:
    with pytest.raises(InputError, match="at least two that rise"):
        Axis("a", np.array([1.0, 1.0]))
    good = tabulated(Kinematics(2), 3)
    with pytest.raises(InputError, match="expected 'stiffness': add it to"):
        Table(replace(good, quantities={"trace": good.quantities["trace"]}))
    with pytest.raises(InputError, match=r"trace of a table has shape \(2,\)"):
        replace(good, quantities={"trace": np.zeros(2)})
