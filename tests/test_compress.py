"""Tables in little room: exact ranks, the bound that is stated, and what is kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_table import axes_of

from fesurrogate.cli import main
from fesurrogate.errors import InputError
from fesurrogate.hierarchical import Axis, Tabulation, read_tabulation, write_tabulation
from fesurrogate.hierarchical.axes import grid
from fesurrogate.hierarchical.compress import compress
from fesurrogate.hierarchical.representations import Train
from fesurrogate.hierarchical.series import Candidates
from fesurrogate.hierarchical.tabulation import Scattered
from fesurrogate.hierarchical.tensor_train import expanded, pruned, tensor_train
from fesurrogate.kinematics import Array, Kinematics


def test_a_product_has_rank_1_and_a_sum_of_axes_rank_2() -> None:
    x, y, z = (np.linspace(1, 2, n) for n in (7, 6, 5))
    product = x[:, None, None] * np.exp(y)[:, None] * z
    total = x[:, None, None] + y[:, None] + z
    for array, rank in ((product, 1), (total, 2)):
        cores = tensor_train(array, 1e-10 * np.linalg.norm(array))
        assert [core.shape[2] for core in cores] == [rank, rank, 1]
        np.testing.assert_allclose(expanded(cores), array, rtol=1e-12)


@pytest.mark.parametrize("error", [0.0, 0.01, 0.1, 0.5])
def test_the_error_of_a_train_is_within_what_was_given(error: float) -> None:
    array = np.random.default_rng(0).standard_normal((5, 6, 4, 3))
    given = error * np.linalg.norm(array)
    off = np.linalg.norm(expanded(tensor_train(array, given)) - array)
    assert off <= max(given, 1e-13 * np.linalg.norm(array))


def test_every_entry_is_within_the_tolerance_also_small_ones() -> None:
    array = np.random.default_rng(0).uniform(1, 2, (8, 8, 3))
    array[0] *= 1e-4
    cores = pruned(array, 0.01)
    off = np.linalg.norm(expanded(cores) - array, axis=-1) / np.linalg.norm(array, axis=-1)
    assert off.max() <= 0.01


def smooth(folder: Path, *, failed: bool = True) -> tuple[Tabulation, Path]:
    """Write a table of stiffnesses that vary smoothly over three axes, one of them failed."""
    axes = axes_of(20, 15, 10)
    points = grid(axes) / np.array([1.0, 2.0, 3.0])
    base = np.random.default_rng(0).standard_normal((3, 3, 3))
    parts = base @ base.swapaxes(1, 2) + 0.1 * np.eye(3)
    weights = np.stack([1 / points.sum(axis=1), np.exp(points.prod(axis=1) / 4), points[:, 0]])
    stiffness = np.einsum("kn,kij->nij", weights, parts).reshape(20, 15, 10, 3, 3)
    ok = np.ones((20, 15, 10), dtype=bool)
    if failed:
        ok[3, 4, 5] = False
        stiffness[3, 4, 5] = np.nan
    table = Tabulation(Kinematics(2), axes, {"stiffness": stiffness}, ok, units="MPa", cell="c")
    write_tabulation(table, folder / "table.h5")
    return table, folder / "table.h5"


@pytest.mark.parametrize("tolerance", [1e-2, 1e-4])
def test_a_smooth_table_shrinks_and_keeps_its_bound(tmp_path: Path, tolerance: float) -> None:
    """Also where an entry has failed: trains are means of entries, and definite as they are."""
    table, path = smooth(tmp_path)
    found = compress(path, tmp_path / "small.h5", tolerance)["stiffness"]
    assert found.chosen.name == "tensor_train" and found.chosen.entries <= tolerance
    assert found.before == 2999 * 9 and found.chosen.numbers < 27000 / 20
    small = read_tabulation(tmp_path / "small.h5")
    assert (small.units, small.cell, small.ok.sum()) == ("MPa", "c", 2999)
    points = inside(table)
    exact, known = table.look_up("stiffness", points)
    new, also = small.look_up("stiffness", points)
    np.testing.assert_array_equal(known, also)
    assert not known.all() and np.isnan(new[~known]).all()
    np.testing.assert_array_equal(new[known], new[known].swapaxes(1, 2))
    assert np.linalg.eigvalsh(new[known]).min() > 0
    size = np.linalg.norm(table.quantities["stiffness"][table.ok], axis=(1, 2)).max()
    off = np.linalg.norm(new[known] - exact[known], axis=(1, 2)).max()
    assert off <= tolerance * size


NAMES = (
    "multilinear",
    "spline",
    "tensor_train",
    "spline_train",
    "pod",
    "polynomial",
    "autoencoder",
)


@pytest.mark.parametrize("name", NAMES)
def test_every_representation_keeps_its_bound_and_definiteness(tmp_path: Path, name: str) -> None:
    """What is read answers as what was chosen, within the tolerance at every entry."""
    table, path = smooth(tmp_path, failed=False)
    tolerance = 0.02
    found = compress(path, tmp_path / "small.h5", tolerance, representation=name)["stiffness"]
    assert found.chosen.name == name and found.chosen.entries <= tolerance
    small = read_tabulation(tmp_path / "small.h5")
    assert small.kept["stiffness"].representation.numbers == found.chosen.numbers
    places, exact = table.computed("stiffness")
    new, known = small.look_up("stiffness", places)
    assert known.all()
    off = np.linalg.norm(new - exact, axis=(1, 2)) / np.linalg.norm(exact, axis=(1, 2))
    assert off.max() == pytest.approx(found.chosen.entries, rel=1e-6)
    between, _ = small.look_up("stiffness", inside(table))
    np.testing.assert_array_equal(between, between.swapaxes(1, 2))
    assert np.linalg.eigvalsh(between).min() > 0
    stated = small.meta["compressed"]["stiffness"]["error"]["entries"]
    assert stated == found.chosen.entries


@pytest.mark.parametrize("name", NAMES)
def test_slopes_are_those_of_what_is_looked_up(tmp_path: Path, name: str) -> None:
    """Central differences, away from the kinks of what is multilinear: order 2 in the step."""
    table, path = smooth(tmp_path, failed=False)
    compress(path, tmp_path / "small.h5", 0.02, representation=name)
    kept = read_tabulation(tmp_path / "small.h5").kept["stiffness"]
    points = inside(table)[:40]
    _, slopes = kept.evaluate(points, slopes=True)
    assert slopes is not None
    off = []
    for step in (1e-3, 1e-4):
        change = np.zeros_like(slopes)
        for k in range(3):
            shift = step * np.eye(3)[k]
            above, below = (kept.evaluate(points + sign * shift)[0] for sign in (1, -1))
            change[..., k] = (above - below) / (2 * step)
        off.append(np.abs(change - slopes).reshape(40, -1).max(axis=1) / np.abs(slopes).max())
    assert np.quantile(off[1], 0.75) < max(0.02 * np.quantile(off[0], 0.75), 1e-8)


def test_the_smallest_is_chosen(tmp_path: Path) -> None:
    _, path = smooth(tmp_path, failed=False)
    each = {
        name: compress(path, tmp_path / "small.h5", 0.01, representation=name)["stiffness"].chosen
        for name in NAMES
        if name != "autoencoder"  # which is trained step by step, and only where it is asked for
    }
    best = compress(path, tmp_path / "small.h5", 0.01)["stiffness"].chosen
    assert best.numbers == min(one.numbers for one in each.values())


def test_held_out_points_judge_what_meets_all_entries(tmp_path: Path) -> None:
    """Runge's function: a polynomial of degree 8 meets nine entries, and is off in between."""
    axes = (Axis("a", np.linspace(-1, 1, 9)),)
    points = np.linspace(-0.97, 0.97, 30)[:, None]

    def runge(x: Array) -> Array:  # (n, 1)
        return 1 + 1 / (1 + 25 * x**2)

    held = Scattered(points, {"own": runge(points)}, np.ones(30, dtype=bool))
    entries = {"own": runge(axes[0].values[:, None])}
    table = Tabulation(Kinematics(2), axes, entries, np.ones(9, dtype=bool), held)
    path, small = tmp_path / "table.h5", tmp_path / "small.h5"
    write_tabulation(table, path)
    *_, last = Candidates(table, "own").series["polynomial"]()
    allowed = table.errors["own"][1]
    assert last.entries < 1e-12 and 0.01 < allowed < last.held_out
    with pytest.raises(InputError, match="no representation of own reaches") as caught:
        compress(path, small, 0.01, representation="polynomial")
    assert float(str(caught.value).split("(")[1].split()[0]) > allowed
    chosen = compress(path, small, 0.01)["own"].chosen
    assert chosen.entries <= 0.01 and chosen.held_out <= allowed


def inside(table: Tabulation) -> Array:  # (n, p)
    low = np.array([axis.values[0] for axis in table.axes])
    high = np.array([axis.values[-1] for axis in table.axes])
    return np.random.default_rng(1).uniform(low, high, (500, len(low)))


def test_the_command_and_what_it_refuses(tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    _, path = smooth(tmp_path)

    def code_of(*arguments: str, output: Path = tmp_path / "small.h5") -> int:
        with pytest.raises(SystemExit) as caught:
            main(["compress", *arguments, "--output", str(output)])
        return int(caught.value.code or 0)

    assert code_of(str(path)) == 0
    assert "stiffness: 26991 numbers became" in capfd.readouterr().out
    assert code_of(str(path), "--trade-off") == 0
    assert "tensor_train: ranks" in capfd.readouterr().out
    assert (tmp_path / "small.png").stat().st_size > 10_000
    for arguments, message in (
        ((str(path), "--tolerance", "2"), "expected a relative error"),
        ((str(path), "--tolerance", "1e-9"), "which no representation of stiffness reaches"),
        ((str(path), "--representation", "spline"), "for this table one of tensor_train"),
        ((str(tmp_path / "none.h5"),), "there is no table"),
    ):
        assert code_of(*arguments) == 2
        assert message in capfd.readouterr().err
    for source, output, message in (
        (tmp_path / "small.h5", tmp_path / "smaller.h5", "was compressed before"),
        (path, path, "is the table itself; name another file"),
        (path, tmp_path, "it is a folder"),
        (path, path / "small.h5", "is a file"),
        (path, Path("/proc/x/small.h5"), "cannot write /proc/x/small.h5"),
    ):
        assert code_of(str(source), output=output) == 2
        assert message in capfd.readouterr().err


def test_trains_that_cost_definiteness_are_passed_over(tmp_path: Path) -> None:
    """Entries of a large and a tiny eigenvalue, in directions that differ from entry to entry."""
    table, path = smooth(tmp_path)
    angle = 0.05 * np.random.default_rng(2).standard_normal((20, 15, 10))
    turn = np.stack([np.cos(angle), np.sin(angle), 0 * angle], axis=-1)
    sliver = turn[..., :, None] * turn[..., None, :] + 1e-6 * np.eye(3)
    write_tabulation(replace(table, quantities={"stiffness": sliver}), path)
    series = Candidates(read_tabulation(path), "stiffness").series["tensor_train"]()
    within = [one for one in series if one.entries <= 0.1]
    points, _ = table.computed("stiffness")
    lowest = [np.linalg.eigvalsh(one.kept.evaluate(points)[0]).min() for one in within]
    assert lowest[0] < 0  # the smallest within the tolerance
    chosen = compress(path, tmp_path / "small.h5", 0.1)["stiffness"].chosen
    assert np.linalg.eigvalsh(chosen.kept.evaluate(points)[0]).min() > 0


def test_cores_of_another_table_are_refused() -> None:
    cores, axes = tensor_train(np.ones((4, 3, 9)), 0.0), axes_of(4, 3)
    ones, _ = Train(axes, cores, 1).evaluate(np.array([[1.5, 3.0]]))
    np.testing.assert_allclose(ones, 1, rtol=1e-12)
    for wrong in (cores[:2], [cores[1], cores[0], cores[2]], []):
        with pytest.raises((ValueError, IndexError)):
            Train(axes, wrong, 1)


def test_compressed_files_that_are_damaged_are_refused(tmp_path: Path) -> None:
    _, path = smooth(tmp_path, failed=False)
    small = tmp_path / "small.h5"
    compress(path, small, 0.01)
    content = small.read_bytes()
    for cut in (100, len(content) // 2, len(content) - 1):
        small.write_bytes(content[:cut])
        with pytest.raises(InputError, match="damaged, or was cut short|says format"):
            read_tabulation(small)
    small.write_bytes(content)
    table = read_tabulation(small)
    kept = table.kept["stiffness"]
    for wrong in (replace(kept, shape=(2, 2)), replace(kept, form="unknown")):  # type: ignore[arg-type]
        write_tabulation(replace(table, kept={"stiffness": wrong}), small)
        with pytest.raises(InputError, match="damaged, or was cut short"):
            read_tabulation(small)
