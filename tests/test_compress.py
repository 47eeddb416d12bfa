"""Tables as tensor trains: exact ranks, the bound that is stated, and what is kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_table import axes_of

from fesurrogate.cli import main
from fesurrogate.errors import InputError
from fesurrogate.hierarchical import Tabulation, read_tabulation, write_tabulation
from fesurrogate.hierarchical.axes import grid
from fesurrogate.hierarchical.compress import compress
from fesurrogate.hierarchical.file import quantity_of
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


def smooth(folder: Path) -> tuple[Tabulation, Path]:
    """Write a table of stiffnesses that vary smoothly over three axes, one of them failed."""
    axes = axes_of(20, 15, 10)
    points = grid(axes) / np.array([1.0, 2.0, 3.0])
    base = np.random.default_rng(0).standard_normal((3, 3, 3))
    parts = base @ base.swapaxes(1, 2) + 0.1 * np.eye(3)
    weights = np.stack([1 / points.sum(axis=1), np.exp(points.prod(axis=1) / 4), points[:, 0]])
    stiffness = np.einsum("kn,kij->nij", weights, parts).reshape(20, 15, 10, 3, 3)
    ok = np.ones((20, 15, 10), dtype=bool)
    ok[3, 4, 5] = False
    stiffness[3, 4, 5] = np.nan
    table = Tabulation(Kinematics(2), axes, {"stiffness": stiffness}, ok, units="MPa", cell="c")
    write_tabulation(table, folder / "table.h5")
    return table, folder / "table.h5"


@pytest.mark.parametrize("tolerance", [1e-2, 1e-4])
def test_a_smooth_table_shrinks_and_keeps_its_bound(tmp_path: Path, tolerance: float) -> None:
    table, path = smooth(tmp_path)
    found = compress(path, tmp_path / "small.h5", tolerance)["stiffness"]
    assert found.error <= tolerance
    assert found.numbers[0] == 27000 and found.numbers[1] < 27000 / 20
    small = read_tabulation(tmp_path / "small.h5")
    assert (small.units, small.cell, small.ok.sum()) == ("MPa", "c", 2999)
    assert np.isnan(small.quantities["stiffness"][3, 4, 5]).all()
    stiffness = small.quantities["stiffness"][small.ok]
    np.testing.assert_array_equal(stiffness, stiffness.swapaxes(1, 2))
    assert np.linalg.eigvalsh(stiffness).min() > 0
    points = inside(table)
    exact, known = table.look_up("stiffness", points)
    new, also = small.look_up("stiffness", points)
    np.testing.assert_array_equal(known, also)
    size = np.linalg.norm(table.quantities["stiffness"][table.ok], axis=(1, 2)).max()
    off = np.linalg.norm(new[known] - exact[known], axis=(1, 2)).max()
    assert off <= tolerance * size


def inside(table: Tabulation) -> Array:  # (n, p)
    low = np.array([axis.values[0] for axis in table.axes])
    high = np.array([axis.values[-1] for axis in table.axes])
    return np.random.default_rng(1).uniform(low, high, (500, len(low)))


def test_the_command_and_what_it_refuses(tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    _, path = smooth(tmp_path)

    def code_of(*arguments: str) -> int:
        with pytest.raises(SystemExit) as caught:
            main(["compress", *arguments, "--output", str(tmp_path / "small.h5")])
        return int(caught.value.code or 0)

    assert code_of(str(path)) == 0
    assert "stiffness: 27000 numbers became" in capfd.readouterr().out
    assert code_of(str(path), "--tolerance", "2") == 2
    assert code_of(str(tmp_path / "none.h5")) == 2
    assert "there is no table" in capfd.readouterr().err


def test_a_tolerance_that_costs_definiteness_is_refused(tmp_path: Path) -> None:
    """Entries of a large and a tiny eigenvalue, in directions that differ from entry to entry."""
    table, path = smooth(tmp_path)
    angle = 0.05 * np.random.default_rng(2).standard_normal((20, 15, 10))
    turn = np.stack([np.cos(angle), np.sin(angle), 0 * angle], axis=-1)
    sliver = turn[..., :, None] * turn[..., None, :] + 1e-6 * np.eye(3)
    write_tabulation(replace(table, quantities={"stiffness": sliver}), path)
    with pytest.raises(InputError, match="no longer positive definite"):
        compress(path, tmp_path / "small.h5", 0.1)
    assert not (tmp_path / "small.h5").exists()


def test_cores_of_another_table_are_refused() -> None:
    cores = tensor_train(np.ones((4, 3, 9)), 0.0)
    ok = np.ones((4, 3), dtype=bool)
    assert quantity_of(cores, ok, (3, 3)).shape == (4, 3, 3, 3)
    for wrong in (cores[:2], [cores[1], cores[0], cores[2]], []):
        with pytest.raises(ValueError, match="cores do not match|is missing"):
            quantity_of(wrong, ok, (3, 3))
