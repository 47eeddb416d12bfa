"""Sketches of derivatives: what a dataset keeps of them is enough to learn a guess from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from mpi4py import MPI
from plates import PULLED, plate, read_from

from fesurrogate.build.dataset import ensure_dataset
from fesurrogate.build.guess import ensure_guess
from fesurrogate.build.materials import load_material
from fesurrogate.chebyshev import degrees_of
from fesurrogate.config import Settings
from fesurrogate.data.dataset import Dataset
from fesurrogate.data.sampling import stretches
from fesurrogate.errors import InputError
from fesurrogate.kinematics import Array, Kinematics
from fesurrogate.micro import RVEMaterial, neo_hookean, square_packing
from fesurrogate.micro.objectivity import with_rotations
from fesurrogate.warmstart import FluctuationModes, Sensitivity, fit_modes
from fesurrogate.warmstart.modes import strain_directions
from fesurrogate.warmstart.sketch import (
    BLOCK,
    coefficients_of,
    projection,
    sketch_width,
    sketched_slopes,
)

RNG = np.random.default_rng(5)
SAMPLES = 24
REST = f"""
[generate]
samples = {SAMPLES}
fields = true
"""


def settings_of(folder: Path, comm: MPI.Intracomm = MPI.COMM_SELF) -> Settings:
    return read_from(folder, plate(PULLED + REST), comm)


def law(kinematics: Kinematics, degree: int, *, unknowns: int, modes: int) -> FluctuationModes:
    """A guess with random coefficients, the true one of the tests."""
    inputs = len(strain_directions(kinematics))
    degrees = degrees_of(inputs, degree)[1:]
    return FluctuationModes(
        kinematics, degrees, RNG.normal(size=(len(degrees), modes)),
        modes=np.linalg.qr(RNG.normal(size=(unknowns, modes)))[0].T,
        centre=np.zeros(inputs), scale=np.full(inputs, 0.2),
    )  # fmt: skip


@pytest.mark.parametrize(
    "kinematics", [Kinematics(2), Kinematics(2, "finite"), Kinematics(3, "finite")]
)
def test_a_polynomial_is_learned_from_sketches(kinematics: Kinematics) -> None:
    """Of a degree with more terms than points, under turns; without the sketches it cannot be."""
    gdim, finite = kinematics.gdim, kinematics.measure == "finite"
    degree, count = (4, 28) if gdim == 2 else (3, 60)
    true = law(kinematics, degree, unknowns=600, modes=10)
    assert len(true.degrees) > count
    strain = stretches(Kinematics(gdim, "finite"), count + 10, 0.2)[:, 0]
    if finite:
        Q = [np.linalg.qr(RNG.normal(size=(gdim, gdim)))[0] for _ in strain]
        Q = [q * np.sign(np.linalg.det(q)) if gdim == 3 else q @ np.diag([1, np.linalg.det(q)])
             for q in Q]  # fmt: skip
        U = strain.reshape(-1, gdim, gdim)
        strain = (np.array(Q) @ U).reshape(len(U), -1)
    else:
        strain = RNG.uniform(-0.2, 0.2, (count + 10, kinematics.size))
    none = np.zeros((len(strain), 0))
    q = true.fluctuation(strain, none)
    S = [
        with_rotations(true.relaxation(e, none[0], none[0]), kinematics, e, q=w)
        for e, w in zip(strain, q, strict=True)
    ]
    sketches = sketched_slopes(kinematics, strain[:count], np.stack(S)[:count])
    errors = []
    for known in (sketches, None):
        guess = fit_modes(kinematics, strain[:count], q[:count], sketches=known)
        wrong = guess.fluctuation(strain[count:], none[count:]) - q[count:]
        errors.append(np.linalg.norm(wrong) / np.linalg.norm(q[count:]))
    assert errors[0] < 1e-8 and errors[1] > 1e-2


def test_every_unknown_goes_to_one_sum_of_each_block() -> None:
    """With signs that are as often plus as minus, and the same ones whatever the width."""
    for unknowns, width in ((6, 128), (1022, 256), (10122, 512)):
        assert sketch_width(unknowns) == width
    matrix = projection(1022, 256).toarray().reshape(256 // BLOCK, BLOCK, 1022)
    np.testing.assert_array_equal(np.abs(matrix).sum(axis=1), 1.0)
    assert abs(matrix.sum()) < 4 * np.sqrt(np.abs(matrix).sum())  # four standard deviations
    narrow = projection(1022, 128).toarray().reshape(128 // BLOCK, BLOCK, 1022)
    np.testing.assert_array_equal(narrow, matrix[: len(narrow)])  # whatever the width


def test_what_modes_lack_spoils_their_coefficients_by_as_much() -> None:
    """By sqrt(j / (k - j)) of it for j of k numbers, as with normal ones: here 1."""
    unknowns, k = 900, 256
    j = k // 2
    basis = np.linalg.qr(RNG.normal(size=(unknowns, j + 40)))[0].T
    modes, others = basis[:j], basis[j:]
    exact, lacking = RNG.normal(size=(30, j)), RNG.normal(size=(30, 40))
    matrix = projection(unknowns, k)
    inside = (matrix @ (exact @ modes).T).T
    np.testing.assert_allclose(coefficients_of(inside, modes), exact, rtol=0, atol=1e-12 * j)
    sketches = inside + (matrix @ (lacking @ others).T).T
    error = np.linalg.norm(coefficients_of(sketches, modes) - exact) / np.linalg.norm(lacking)
    assert 0.8 < error < 1.25


def guess_of(data: Dataset, *, slopes: bool) -> FluctuationModes:
    known = data.reports["fluctuation_slopes"][:, 0].astype(np.float64)
    return fit_modes(
        data.kinematics, data.strain[:, 0], data.reports["fluctuation"][:, 0].astype(np.float64),
        sketches=known if slopes else None,
    )  # fmt: skip


def test_a_dataset_with_fields_teaches_as_derivatives_do(tmp_path: Path) -> None:
    """The guess of ``generate`` errs hardly more than from full derivatives."""
    settings = settings_of(tmp_path)
    made = ensure_dataset(settings)
    data, rve = made.dataset, load_material(settings)
    F = stretches(rve.kinematics, SAMPLES + 16, 0.2)[:, 0]
    solver = rve.beginning_with(Sensitivity(rve.kinematics))
    u, m = rve.num_unknowns, rve.kinematics.size
    hints = solver.evaluate(np.concatenate([data.strain[:, 0], F[SAMPLES:]])).hint
    S = hints[:SAMPLES, u + m :].reshape(SAMPLES, u, m)
    kept = data.reports["fluctuation_slopes"][:, 0]
    assert kept.dtype == np.float32 and kept.shape == (SAMPLES, 3, sketch_width(u))
    expected = sketched_slopes(data.kinematics, data.strain[:, 0], S)
    np.testing.assert_allclose(kept, expected, rtol=0, atol=1e-6 * np.abs(expected).max())
    exact, none = hints[SAMPLES:, :u], np.zeros((16, 0))

    def error(guess: FluctuationModes) -> float:
        wrong = guess.fluctuation(F[SAMPLES:], none) - exact
        return float(np.linalg.norm(wrong) / np.linalg.norm(exact))

    full = fit_modes(data.kinematics, data.strain[:, 0], hints[:SAMPLES, :u], relaxations=S)
    sketched = guess_of(data, slopes=True)
    assert error(sketched) < 1.1 * error(full)  # here fluctuations span the derivatives
    assert error(sketched) < error(guess_of(data, slopes=False)) / 3
    ensure_guess(settings, made)
    warm = replace(settings.material, rve=replace(settings.material.rve, initial_guess="learned"))
    run = load_material(replace(settings, material=warm))
    found = run.guess.fluctuation(F[SAMPLES:], none)
    known = sketched.fluctuation(F[SAMPLES:], none)
    np.testing.assert_allclose(found, known, rtol=0, atol=1e-6 * np.abs(known).max())


def test_sketches_of_a_packing_teach_as_derivatives_do() -> None:
    """Modes that weigh little but in derivatives are kept, too.

    What 64 fluctuations do not span enters a sketch's coefficients by as much: sqrt(2) in all.
    """
    plane = Kinematics(2, "finite")
    phases = {
        "matrix": neo_hookean(shear_modulus=1.0, lame=1.5),
        "fibre": neo_hookean(shear_modulus=10.0, lame=15.0),
    }
    rve = RVEMaterial(square_packing(0.3, resolution=8), phases, plane, degree=1)
    F, u = stretches(plane, 80, 0.2)[:, 0], rve.num_unknowns
    hints = rve.beginning_with(Sensitivity(plane)).evaluate(F).hint
    q, S = hints[:, :u], hints[:64, u + plane.size :].reshape(64, u, plane.size)
    known: dict[str, dict[str, Array]] = {
        "full": {"relaxations": S}, "sketched": {"sketches": sketched_slopes(plane, F[:64], S)},
        "none": {},
    }  # fmt: skip
    errors = {}
    for name, more in known.items():
        guess = fit_modes(plane, F[:64], q[:64], **more)
        errors[name] = np.linalg.norm(guess.fluctuation(F[64:], np.zeros((16, 0))) - q[64:])
    assert errors["sketched"] < 1.6 * errors["full"] < errors["none"] / 20


def test_without_tangents_fluctuations_alone_are_kept(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    settings = replace(settings, generate=replace(settings.generate, tangents=False))
    made = ensure_dataset(settings)
    assert "fluctuation" in made.dataset.reports
    assert "fluctuation_slopes" not in made.dataset.reports
    assert ensure_guess(settings, made).is_file()


@pytest.mark.mpi
def test_sketches_are_the_same_bits_on_any_ranks(tmp_path: Path) -> None:
    comm = MPI.COMM_WORLD
    shared, own = comm.bcast(tmp_path), tmp_path / f"alone{comm.rank}"
    own.mkdir()
    found = [
        ensure_dataset(settings_of(folder, group), group).dataset
        for folder, group in ((shared, comm), (own, MPI.COMM_SELF))
    ]
    assert found[0].fingerprint == found[1].fingerprint


def test_sketches_that_do_not_fit_are_refused() -> None:
    plane: Kinematics = Kinematics(2, "finite")
    F, q = stretches(plane, 16, 0.2)[:, 0], RNG.normal(size=(16, 6))

    def fit(sketches: Array, **more: Array) -> None:
        fit_modes(plane, F, q, sketches=sketches, **more)

    with pytest.raises(InputError, match=r"shape \(16, 4, 128\); expected \(16, 3, k\)"):
        fit(np.zeros((16, 4, 128)))
    with pytest.raises(InputError, match="no relaxations beside"):
        fit(np.zeros((16, 3, 128)), relaxations=np.zeros((16, 6, 4)))
    with pytest.raises(InputError, match="by 100 numbers; expected a multiple of 32"):
        fit(np.zeros((16, 3, 100)))
    with pytest.raises(InputError, match="not finite"):
        fit(np.full((16, 3, 128), np.nan))
