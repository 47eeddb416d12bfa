"""Packings keep their distances and their fraction, and sample arrangements alike."""

import re

import numpy as np
import pytest

from fesurrogate import InputError
from fesurrogate.micro.cells.packings import (
    BALL,
    grazing_clearance,
    random_packing,
)


def smallest_gap(centres: np.ndarray, radius: float) -> float:
    """Return the smallest free distance of two inclusions or images of them, in radii."""
    d = centres.shape[1]
    shifts = np.stack(np.meshgrid(*[[-1, 0, 1]] * d), axis=-1).reshape(-1, d)
    apart = centres[:, None, None] - centres[None, :, None] + shifts  # (n, n, images, d)
    lengths = np.linalg.norm(apart, axis=-1)
    return float(lengths[lengths > 0].min() / radius - 2)


@pytest.mark.parametrize(
    ("fraction", "count", "gdim", "gap"),
    [(0.6, 30, 2, 0.1), (0.7, 12, 2, 0.05), (0.5, 1, 2, 0.1), (0.45, 12, 3, 0.1)],
)
def test_inclusions_keep_their_gap_and_fraction(
    fraction: float, count: int, gdim: int, gap: float
) -> None:
    """Beyond where random sequential addition jams: 0.547 in 2D, 0.384 in 3D."""
    packing = random_packing(fraction, count, gdim=gdim, seed=3, gap=gap)
    assert packing.centres.shape == (count, gdim)
    assert ((packing.centres >= 0) & (packing.centres < 1)).all()
    assert count * BALL[gdim] * packing.radius**gdim == pytest.approx(fraction, rel=1e-12)
    assert smallest_gap(packing.centres, packing.radius) >= gap - 1e-12
    assert grazing_clearance(packing.centres, packing.radius) > 0.05


def test_a_seed_gives_one_packing_and_another_seed_another() -> None:
    a, b, c = (random_packing(0.4, 5, gdim=2, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(a.centres, b.centres)
    assert np.abs(a.centres - c.centres).max() > 0.01


def test_two_discs_lie_anywhere_with_equal_odds() -> None:
    """Of the places of one around the other, π a² - π D² are nearer than a, of 1 - π D²."""
    near, gap, runs, hits = 0.48, 0.1, 200, 0
    for seed in range(runs):
        packing = random_packing(0.228, 2, gdim=2, seed=seed, gap=gap)  # D = 0.4
        apart = packing.centres[0] - packing.centres[1]
        hits += np.linalg.norm(apart - np.round(apart)) < near
    distance = (2 + gap) * packing.radius
    odds = np.pi * (near**2 - distance**2) / (1 - np.pi * distance**2)  # 0.44
    assert abs(hits / runs - odds) < 4 * np.sqrt(odds * (1 - odds) / runs)


def test_clearance_from_grazing() -> None:
    r = 0.2
    for centre, expected in [
        ([0.5, 0.5], 1.5),  # faces at 2.5 r
        ([0.2, 0.5], 0.0),  # touches a face from inside
        ([0.8, 0.5], 0.0),
        ([0.1, 0.1], 1 - 0.5 * np.sqrt(2)),  # over the faces by r/2, over the corner by less
        ([0.2 * np.cos(1.0), 1 - 0.2 * np.sin(1.0)], 0.0),  # touches a corner
        ([0.0, 0.5], 1.0),
        ([0.2 * np.cos(1.0), 0.2 * np.sin(1.0), 0.5], 0.0),  # touches an edge
        ([0.5, 0.5, 0.24], 0.2),
    ]:
        assert grazing_clearance(np.array([centre]), r) == pytest.approx(expected, abs=1e-12)


def test_a_refusal_names_a_fraction_that_is_reached() -> None:
    with pytest.raises(InputError, match="0.87 is not reached with 14 .* seed 0") as refused:
        random_packing(0.87, 14, gdim=2, seed=0, gap=0.01)
    named = re.search(r"; (0\.\d+) is\.", str(refused.value))
    assert named
    packing = random_packing(float(named[1]), 14, gdim=2, seed=0, gap=0.01)
    assert smallest_gap(packing.centres, packing.radius) >= 0.01 - 1e-12
    assert float(named[1]) > 0.7


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"volume_fraction": 0.0}, "volume_fraction is 0; expected a number > 0 and at most 0.823"),
        ({"volume_fraction": 0.85}, "at most 0.823"),  # π/√12 / 1.05²
        ({"gdim": 3, "volume_fraction": 0.65}, "at most 0.640"),  # π/√18 / 1.05³
        ({"count": 1, "volume_fraction": 0.75}, "at most 0.712"),  # π/4 / 1.05², its own image
        ({"count": 0}, "count is 0; expected at least 1"),
        ({"seed": -1}, "seed is -1"),
        ({"gap": 0.0}, "gap is 0.0"),
        ({"gdim": 1}, "gdim is 1"),
    ],
)
def test_arguments_out_of_range_are_refused(change: dict, message: str) -> None:
    arguments = {"volume_fraction": 0.5, "count": 8, "gdim": 2, "seed": 0, "gap": 0.1} | change
    with pytest.raises(InputError, match=re.escape(message)):
        random_packing(arguments.pop("volume_fraction"), arguments.pop("count"), **arguments)
