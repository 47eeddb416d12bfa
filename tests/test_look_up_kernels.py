"""Look-ups as machine code beside those of NumPy: the same to round-off, for any table."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from contract import check_contract
from test_compress import smooth
from test_contract import strains_for
from test_table import axes_of, tabulated, within

pytest.importorskip("numba")

from fesurrogate.hierarchical import Axis, Table, compiled
from fesurrogate.hierarchical.representations import Decoded, Gridded, Representation, Train
from fesurrogate.hierarchical.representations.base import CHUNK
from fesurrogate.hierarchical.representations.decoder import NAMES as WEIGHTS
from fesurrogate.hierarchical.representations.forms import FORMS, Form, decode, encoded
from fesurrogate.hierarchical.series import Candidates
from fesurrogate.hierarchical.tensor_train import tensor_train
from fesurrogate.kinematics import Array, Kinematics

ROUNDING = 1e-12
"""Relative: some tens of operations on numbers of one size, slopes over boxes of a hundredth."""


@pytest.fixture(scope="module")
def kernels() -> ModuleType:
    compiled.loaded.cache_clear()
    found = compiled.loaded()
    assert found is not None
    return found


def check_twins(found: Representation, points: Array, kernels: ModuleType) -> None:
    """Compare numbers and slopes, and numbers alone."""
    for slopes in (True, False):
        ours = found.respond(points, slopes=slopes, kernels=kernels)
        theirs = found.respond(points, slopes=slopes)
        assert ours.shape == theirs.shape
        for q in range(theirs.shape[1]):
            size = np.abs(theirs[:, q]).max()
            assert size > 0
            np.testing.assert_allclose(ours[:, q], theirs[:, q], rtol=0, atol=ROUNDING * size)


def places(axes: tuple[Axis, ...]) -> Array:  # (n, p)
    """Return points inside, at the ends, at values of the axes, and beyond by rounding."""
    inside = within(axes, 40)
    at = np.stack([np.resize(axis.values, 12) for axis in axes], axis=1)
    beyond = np.array([[axis.values[end] for axis in axes] for end in (0, -1)])
    return np.concatenate([inside, at, beyond * (1 + 1e-10), beyond * (1 - 1e-10)])


@pytest.mark.parametrize("degree", [1, 3])
@pytest.mark.parametrize("counts", [(7,), (2, 5), (5, 3), (4, 6, 5), (3, 4, 2, 5)])
def test_splines_and_trains(counts: tuple[int, ...], degree: int, kernels: ModuleType) -> None:
    """Of 2 and 3 values an axis, too, where the degree is lower; outputs of any number."""
    axes, random = axes_of(*counts), np.random.default_rng(0)
    for outputs in (1, 5, 21):
        entries = random.standard_normal((*counts, outputs))
        check_twins(Gridded.through(axes, entries, degree), places(axes), kernels)
        check_twins(Train(axes, tensor_train(entries, 0.0), degree), places(axes), kernels)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("size", [1, 2, 3, 6])
def test_forms(form: Form, size: int, kernels: ModuleType) -> None:
    root = np.random.default_rng(0).standard_normal((37, size, size))
    numbers = encoded(form, root @ root.swapaxes(1, 2) + 0.1 * np.eye(size))
    rates = np.random.default_rng(1).standard_normal((37, 3, numbers.shape[1]))
    found = np.concatenate([numbers[:, None], rates], axis=1)
    ours, theirs = (np.full((37, 4, size, size), np.nan) for _ in range(2))
    decode(form, found, ours, kernels)
    decode(form, found, theirs)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=ROUNDING * np.abs(theirs).max())
    if form != "plain":
        np.testing.assert_array_equal(ours, ours.swapaxes(2, 3))


NAMES = ("multilinear", "spline", "tensor_train", "spline_train", "pod", "polynomial")


def test_decoders(kernels: ModuleType) -> None:
    axes, random = axes_of(5, 4), np.random.default_rng(0)
    latents = Gridded.through(axes, random.standard_normal((5, 4, 2)), 3)
    shapes = ((9,), (9, 2), (9, 6), (6, 2), (6,))
    weights = {k: random.standard_normal(v) for k, v in zip(WEIGHTS, shapes, strict=True)}
    check_twins(Decoded(latents, weights), places(axes), kernels)


@pytest.mark.parametrize("name", NAMES)
def test_every_representation_of_a_stiffness(
    tmp_path: Path, name: str, kernels: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Chunk after chunk, with and without slopes."""
    table, _ = smooth(tmp_path, failed=False)
    kept = next(iter(Candidates(table, "stiffness").series[name]())).kept
    points = within(table.axes, 2 * CHUNK + 7)
    theirs, rates = kept.evaluate(points, slopes=True)
    monkeypatch.setattr(compiled, "LEAST", len(points))
    ours, slopes = kept.evaluate(points, slopes=True)
    assert slopes is not None and rates is not None and slopes.shape == (len(points), 3, 3, 3)
    for one, other in ((ours, theirs), (slopes, rates), (kept.evaluate(points)[0], theirs)):
        np.testing.assert_allclose(one, other, rtol=0, atol=ROUNDING * np.abs(other).max())
    monkeypatch.setattr(compiled, "loaded", lambda: pytest.fail("too few to load them"))
    kept.evaluate(points[:-1])


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch, kernels: ModuleType) -> Iterator[None]:
    monkeypatch.setattr(compiled, "LEAST", 0)
    yield
    assert all(each.signatures for each in (kernels.local, kernels.products))


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("degree", [1, 3])
@pytest.mark.parametrize("gdim", [2, 3])
def test_contract(gdim: int, degree: int) -> None:
    table = tabulated(Kinematics(gdim), *((5, 4) if degree == 3 else (2, 2)))
    strains = strains_for(Kinematics(gdim))
    parameters = np.tile([1.5, 3.0], (len(strains), 1))
    check_contract(
        Table(table.smoothed() if degree == 3 else table), strains, parameters=parameters
    )


def test_small_batches_and_machines_without_numba_are_answered_by_numpy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert compiled.kernels_for(compiled.LEAST - 1) is None
    for setting in (("numba", None), None):
        with monkeypatch.context() as patch:
            if setting is not None:
                patch.setitem(sys.modules, *setting)
            else:
                patch.setattr("numba.config.DISABLE_JIT", 1)
            compiled.loaded.cache_clear()
            assert compiled.kernels_for(compiled.LEAST) is None
    compiled.loaded.cache_clear()
    assert compiled.kernels_for(compiled.LEAST) is not None
