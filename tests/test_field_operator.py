"""Field networks: the operator, the image of a cell, and the guess that both make of it."""

from __future__ import annotations

import itertools
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from dolfinx import mesh
from mpi4py import MPI
from plates import PULLED, plate, read_from

from fesurrogate.build.cell_image import ensure_image
from fesurrogate.build.dataset import ensure_dataset
from fesurrogate.build.field_network import ensure_field_network
from fesurrogate.build.materials import load_material
from fesurrogate.build.trained import EnsuredModel
from fesurrogate.cli import main
from fesurrogate.config import Settings
from fesurrogate.config.train import FieldNetworkSettings, TrainSettings
from fesurrogate.data.sampling import stretches
from fesurrogate.data.store import read_dataset
from fesurrogate.errors import InputError
from fesurrogate.kinematics import Array, Kinematics
from fesurrogate.micro import RVEMaterial, linear_elastic, make_cell, neo_hookean
from fesurrogate.micro.cells import Cell, laminate_cell
from fesurrogate.run import run
from fesurrogate.surrogate.cell_image import CellImage, corners, load_image, save_image
from fesurrogate.surrogate.field_file import field_of, load_field, save_field
from fesurrogate.surrogate.field_operator import FieldOperator, FieldShape
from fesurrogate.surrogate.fourier import SpectralConvolution
from fesurrogate.train import fit
from fesurrogate.train.field import CellFields, FieldFit, fit_field
from fesurrogate.warmstart.field import FieldGuess
from fesurrogate.warmstart.imaging import image_of, phase_image

PLANE = Kinematics(2, "finite")
RTOL = 1e-8  # of the cell; what is left of its residual enters stresses to second order
PHASES = {
    "matrix": neo_hookean(shear_modulus=1.0, lame=1.5),
    "inclusion": neo_hookean(shear_modulus=10.0, lame=15.0),
}
NETWORK = FieldNetworkSettings(grid=16, width=8, waves=3, layers=2)
TRAIN = TrainSettings(model="field_network", field_network=NETWORK, iterations=40, device="cpu")


def square(count: int, *, size: float = 1.0, lower: float = 0.25, upper: float = 0.75) -> Cell:
    """A square cell with a square inclusion that meshes of 8 k elements an edge can hold."""
    corner = np.full(2, size)
    domain = mesh.create_rectangle(MPI.COMM_SELF, [np.zeros(2), corner], [count, count])
    cells = np.arange(domain.topology.index_map(2).size_local, dtype=np.int32)
    middle = mesh.compute_midpoints(domain, 2, cells)[:, :2] / size
    inside = ((middle > lower) & (middle < upper)).all(axis=1)
    return make_cell(domain, {"matrix": cells[~inside], "inclusion": cells[inside]})


@cache
def rubber(count: int = 8) -> RVEMaterial:
    return RVEMaterial(square(count), PHASES, PLANE, degree=1)


def solved(rve: RVEMaterial, strain: Array, points: int = 16) -> CellFields:
    found = rve.evaluate(strain, tangent=False)
    assert found.ok.all()
    none = np.zeros((len(strain), 0))
    return CellFields(image_of(rve, points, laws="x"), strain, found.hint, none)


@cache
def fitted() -> FieldFit:
    """What a coarse mesh teaches."""
    return fit_field([solved(rubber(), stretches(PLANE, 64, 0.2)[:, 0])], TRAIN)


def guess_of(rve: RVEMaterial, fit: FieldFit) -> FieldGuess:
    image = image_of(rve, 16, laws="x")
    return FieldGuess(image, field_of(fit.operator, image.image))


def unseen(count: int = 6) -> Array:  # (n, 4)
    """Stretches that were not learned from, each turned by another angle."""
    U = stretches(PLANE, 96 + count, 0.18)[96:, 0].reshape(-1, 2, 2)
    angle = np.arange(count)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.einsum("ijn,njk->nik", turn, U).reshape(-1, 4)


@pytest.mark.parametrize("grid", [(12, 9), (7, 8, 9)])
def test_the_convolution_is_that_of_the_fourier_series(grid: tuple[int, ...]) -> None:
    """Beside NumPy's transform, wave by wave."""
    waves, c, d = 2, 3, len(grid)
    layer = SpectralConvolution(c, waves, d, generator=torch.Generator().manual_seed(0))
    x = np.random.default_rng(0).normal(size=(c, 2, *grid))
    spectrum = np.fft.fftn(x, axes=range(2, 2 + d), norm="forward")
    weight = layer.weight.detach().numpy()
    places = np.meshgrid(*[np.arange(g) / g for g in grid], indexing="ij")
    inner = [range(-waves, waves + 1)] * (d - 2)
    order = itertools.product(*inner, range(waves + 1), range(-waves, waves + 1))
    expected = np.zeros_like(x)
    for (real, imaginary), (*between, last, first) in zip(weight, order, strict=True):
        k = (first, *between, last)
        column = (real + 1j * imaginary).T @ spectrum[:, :, *k]  # (c, 2)
        wave = np.exp(2j * np.pi * sum(a * s for a, s in zip(k, places, strict=True)))
        part = np.multiply.outer(column, wave).real
        expected += part if last == 0 else 2 * part
    found = layer(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(found, expected, atol=1e-13 * np.abs(expected).max() * len(weight))


def test_a_convolution_serves_every_grid() -> None:
    """A field of few waves gives the same answer at the points that two grids share."""
    layer = SpectralConvolution(2, 3, 2, generator=torch.Generator().manual_seed(1))

    def answer(points: int) -> np.ndarray:
        s, t = np.meshgrid(*[2 * np.pi * np.arange(points) / points] * 2, indexing="ij")
        x = np.stack([np.cos(2 * s - t) + np.sin(3 * t), np.sin(s)])[:, None]
        return layer(torch.from_numpy(x)).detach().numpy()[:, 0, :: points // 8, :: points // 8]

    np.testing.assert_allclose(answer(24), answer(8), atol=1e-13)
    with pytest.raises(InputError, match="cannot hold 3 waves"):
        layer(torch.zeros(2, 1, 8, 6, dtype=torch.float64))


def test_a_cell_may_be_cut_anywhere_and_nothing_happens_at_rest() -> None:
    operator = FieldOperator(FieldShape(2, 2, 4, 5, 2, width=6, waves=3, layers=2), seed=2)
    chance = np.random.default_rng(0)
    image = torch.from_numpy(chance.random((2, 10, 9)))
    inputs = torch.from_numpy(chance.normal(size=(3, 5)))
    field = operator(image, inputs)
    shifted = operator(image.roll((3, 4), (1, 2)), inputs)
    assert torch.allclose(shifted, field.roll((3, 4), (2, 3)), atol=1e-12)
    assert field.abs().max() > 0.01
    inputs[:, :4] = 0.0
    assert not operator(image, inputs).any()


def test_interpolation_is_periodic_and_of_second_order() -> None:
    chance = np.random.default_rng(0)
    points = chance.uniform(-1, 2, size=(200, 2))

    def error(grid: int) -> float:
        index, weight = corners(points, (grid, 2 * grid))
        assert np.allclose(weight.sum(axis=1), 1.0) and (weight > -1e-12).all()
        s, t = np.meshgrid(np.arange(grid) / grid, np.arange(2 * grid) / 2 / grid, indexing="ij")
        field = np.sin(2 * np.pi * s) * np.cos(4 * np.pi * t)
        exact = np.sin(2 * np.pi * points[:, 0]) * np.cos(4 * np.pi * points[:, 1])
        return float(np.abs((field.ravel()[index] * weight).sum(axis=1) - exact).max())

    assert np.log2(error(32) / error(64)) > 1.8


@pytest.mark.parametrize("gdim", [2, 3])
def test_an_image_holds_the_shares_of_the_phases(gdim: int) -> None:
    """A laminate: pixel j reaches from j - 1/2 to j + 1/2, round the end; 3 rays cannot halve."""
    cell = laminate_cell(gdim, {"soft": 0.5, "stiff": 0.5}, resolution=4)
    image = phase_image(cell, 8)
    soft = np.array([0.5, 1, 1, 1, 0.5, 0, 0, 0])
    found = image[0].reshape(8, -1)
    assert np.abs(found - found[:, :1]).max() == 0
    np.testing.assert_allclose(found[:, 0], soft, atol=1e-12 + (1 / 6 if gdim == 2 else 0))
    np.testing.assert_allclose(image.sum(axis=0), 1.0)


def test_a_void_is_no_phase() -> None:
    whole = square(8)
    tags = dict(whole.phase_cells)
    cell = make_cell(whole.mesh, tags, void="inclusion")
    image = phase_image(cell, 16)
    assert image.shape == (1, 16, 16) and image[0, 8, 8] == 0 and image[0, 0, 0] == 1
    assert abs(image.mean() - 0.75) < 1 / 16


@pytest.mark.parametrize("boundary", ["periodic", "linear"])
def test_the_guess_undoes_the_image(boundary: str) -> None:
    """Nodes on the grid: what the fluctuation is beside its linear part leads back to it.

    The cell is three times as large as the unit, and turned strains are seen from the body.
    """
    rve = RVEMaterial(square(8, size=3.0), PHASES, PLANE, degree=1, boundary=boundary)  # type: ignore[arg-type]
    image, F = image_of(rve, 8, laws="x"), unseen(3)
    exact = rve.evaluate(F, tangent=False).hint
    change, nodal = image.remainder(F, exact)
    places = np.concatenate([image.points, image.fixed])
    index, weight = corners(places, (8, 8))
    assert np.allclose(weight.max(axis=1), 1.0, atol=1e-9)
    field = np.zeros((3, 2, 64))
    field[:, :, index[np.arange(len(places)), weight.argmax(axis=1)]] = nodal.transpose(0, 2, 1)
    field += 0.7  # a translation is no fluctuation

    def known(inputs: Array) -> Array:
        np.testing.assert_allclose(inputs, change, atol=1e-14)
        return field

    found = FieldGuess(image, known).fluctuation(F, np.zeros((3, 0)))
    np.testing.assert_allclose(found, exact, atol=1e-9 * np.abs(exact).max())
    assert image.size == pytest.approx(3.0) and np.allclose(image.lattice, np.eye(2))


def test_what_is_not_linear_is_of_second_order() -> None:
    image, direction = image_of(rubber(), 8, laws="x"), np.array([[0.6, 0.3, 0.3, -0.5]])
    norms = []
    for size in (0.04, 0.02):
        F = PLANE.rest + size * direction
        q = rubber().evaluate(F, tangent=False).hint
        norms.append(np.linalg.norm(image.remainder(F, q)[1]))
        assert norms[-1] < size * np.linalg.norm(q)
    assert np.log2(norms[0] / norms[1]) == pytest.approx(2.0, abs=0.1)


def test_fluctuations_that_do_not_repeat_are_refused() -> None:
    rve = RVEMaterial(square(8), PHASES, PLANE, degree=1, boundary="traction")
    with pytest.raises(InputError, match="periodic"):
        image_of(rve, 8, laws="x")


def test_a_parameter_without_a_value_is_named() -> None:
    rve = RVEMaterial(square(8), PHASES, PLANE, degree=1, parameters=["matrix.shear_modulus"])
    with pytest.raises(InputError, match=r"parameters none.* matrix\.shear_modulus"):
        image_of(rve, 8, laws="x")
    image = image_of(rve, 8, laws="x", parameters={"matrix.shear_modulus": 1.0})
    np.testing.assert_allclose(image.linear, image_of(rubber(), 8, laws="x").linear, rtol=1e-9)


def test_there_is_nothing_to_learn_of_a_linear_cell() -> None:
    small = Kinematics(2)
    phases = {"matrix": linear_elastic(young=1.0, poisson=0.3)}
    phases["inclusion"] = linear_elastic(young=9.0, poisson=0.3)
    rve = RVEMaterial(square(8), phases, small, degree=1)
    strain = np.random.default_rng(0).normal(size=(8, 3))
    with pytest.raises(InputError, match="linear in the strain"):
        fit_field([solved(rve, strain)], TRAIN)


def test_a_trained_network_saves_iterations_and_changes_nothing() -> None:
    """The error that is said is that of unseen points, an observer's turn included."""
    learned, F = fitted(), unseen()
    assert learned.points == 13 and learned.error < 0.45 * learned.linear_error
    cold, guess = rubber().evaluate(F), guess_of(rubber(), learned)
    found = guess.fluctuation(F, np.zeros((6, 0)))
    assert np.linalg.norm(found - cold.hint) < 2 * learned.error * np.linalg.norm(cold.hint)
    warm = rubber().beginning_with(guess).evaluate(F)
    assert warm.report["guess_taken"].all()
    scale = RTOL * np.abs(cold.stress).max()
    np.testing.assert_allclose(warm.stress, cold.stress, rtol=0, atol=scale)
    assert warm.report["micro_iterations"].sum() < 0.85 * cold.report["micro_iterations"].sum()


def test_a_strain_that_is_no_number_fails_alone() -> None:
    """The guess of a batch goes on without it, at the first solve and from a hint."""
    rve = rubber().beginning_with(guess_of(rubber(), fitted()))
    good, hint = unseen(3), None
    for _ in range(2):
        F = good.copy()
        F[1] = [np.nan, np.inf, 0.0, 1.0]
        found, expected = rve.evaluate(F, hint=hint), rve.evaluate(good, hint=hint)
        assert found.ok.tolist() == [True, False, True]
        scale = RTOL * np.abs(expected.stress).max()
        np.testing.assert_allclose(found.stress[::2], expected.stress[::2], rtol=0, atol=scale)
        hint = found.hint


def test_along_a_path_the_error_of_the_network_cancels() -> None:
    """From a solved point, half the way leaves less than the network errs by alone."""
    guess, U = guess_of(rubber(), fitted()), unseen(1)
    before, none = PLANE.rest + 0.8 * (U - PLANE.rest), np.zeros((1, 0))
    rve = rubber().beginning_with(guess)
    hint = rve.evaluate(before).hint
    exact = rubber().evaluate(U).hint
    _, moved = guess.start(U, none, hint, rve.num_unknowns)
    alone = guess.fluctuation(U, none)
    assert moved is not None
    assert np.linalg.norm(moved - exact) < 0.5 * np.linalg.norm(alone - exact)


def test_the_same_network_serves_another_mesh_and_another_size() -> None:
    """Learned from 8 x 8 elements, used on 16 x 16 of a cell that is twice as large."""
    fine = RVEMaterial(square(16, size=2.0), PHASES, PLANE, degree=1)
    F = unseen(4)
    exact, guess = fine.evaluate(F, tangent=False).hint, guess_of(fine, fitted())
    linear = FieldGuess(guess.image, lambda inputs: np.zeros((len(inputs), 2, 256)))
    errors = [
        np.linalg.norm(g.fluctuation(F, np.zeros((4, 0))) - exact) / np.linalg.norm(exact)
        for g in (guess, linear)
    ]
    assert errors[0] < 0.6 * errors[1]


def test_several_cells_teach_one_that_none_has_seen() -> None:
    """Inclusions of two sizes; the network is asked for the one in between."""
    F = stretches(PLANE, 40, 0.2)[:, 0]
    sizes = ((0.3125, 0.6875), (0.1875, 0.8125))
    cells = [
        solved(RVEMaterial(square(16, lower=a, upper=b), PHASES, PLANE, degree=1), F)
        for a, b in sizes
    ]
    learned, between = fit_field(cells, replace(TRAIN, iterations=30)), rubber(16)
    F = unseen(4)
    exact, guess = between.evaluate(F, tangent=False).hint, guess_of(between, learned)
    linear = FieldGuess(guess.image, lambda inputs: np.zeros((len(inputs), 2, 256)))
    errors = [np.linalg.norm(g.fluctuation(F, np.zeros((4, 0))) - exact) for g in (guess, linear)]
    assert errors[0] < 0.7 * errors[1]


def test_files_come_back_and_damage_is_refused(tmp_path: Path) -> None:
    operator = FieldOperator(FieldShape(2, 2, 4, 4, 2, width=4, waves=2, layers=1), seed=3)
    model, image_file = tmp_path / "field.safetensors", tmp_path / "image.npz"
    save_field(model, operator, {"laws": "x"})
    again, card = load_field(model)
    image = image_of(rubber(), 8, laws="x")
    inputs = np.random.default_rng(0).normal(size=(40, 4))
    one, other = (field_of(o, image.image)(inputs) for o in (operator, again))
    np.testing.assert_array_equal(one, other)
    assert card["laws"] == "x" and one.shape == (40, 2, 64)
    with torch.no_grad():
        exact = operator(torch.from_numpy(image.image), torch.from_numpy(inputs)).flatten(2)
    np.testing.assert_allclose(one, exact.numpy(), atol=1e-5 * float(exact.abs().max()))
    save_image(image_file, image)
    same: CellImage = load_image(image_file)
    for name, value in vars(image).items():
        np.testing.assert_array_equal(getattr(same, name), value)
    for path, load in ((model, load_field), (image_file, load_image)):
        content = path.read_bytes()
        path.write_bytes(content[:-40] + bytes(40))
        with pytest.raises(InputError, match="damaged|cannot be read"):
            load(path)
        path.unlink()
        with pytest.raises(InputError, match="does not exist|there is no"):
            load(path)
    with pytest.raises(InputError, match="width is 0"):
        FieldShape(2, 2, 4, 4, 2, width=0)


REST = """
[steps]
increments = 2
[generate]
samples = 32
tangents = false
fields = true
[train]
model = "field_network"
iterations = {epochs}
[train.field_network]
grid = {grid}
width = 8
waves = 3
layers = 1
{also}
"""


def settings_of(
    place: Path,
    comm: MPI.Intracomm = MPI.COMM_SELF,
    *,
    guess: str = "previous",
    boundary: str = "periodic",
    resolution: int = 8,
    epochs: int = 3,
    grid: int = 8,
    also: str = "",
    **values: object,
) -> Settings:
    rest = PULLED + REST.format(epochs=epochs, grid=grid, also=also)
    rve = f'initial_guess = "{guess}"\nboundary = "{boundary}"'
    return read_from(place, plate(rest, rve=rve, resolution=resolution, **values), comm)


def made(settings: Settings, comm: MPI.Intracomm = MPI.COMM_SELF) -> EnsuredModel:
    """Do what ``generate`` and ``train`` do."""
    ensure_dataset(settings, comm)
    ensure_image(settings, comm)
    return ensure_field_network(settings, comm=comm)


@pytest.mark.mpi
def test_a_run_with_a_field_network_ends_in_the_same_reaction(tmp_path: Path) -> None:
    """To 1e-8, the tolerance of both scales, with fewer iterations, on any number of ranks."""
    comm = MPI.COMM_WORLD
    tmp_path = comm.bcast(tmp_path)
    trained = made(settings_of(tmp_path, comm, epochs=40), comm)
    assert trained.card["errors"]["field"] < 0.9 * trained.card["errors"]["linear"]
    assert made(settings_of(tmp_path, comm, epochs=40), comm).reused
    plain = run(settings_of(tmp_path, comm), comm).results
    warm = run(settings_of(tmp_path, comm, guess="field_network"), comm).results
    one, other = plain.reaction["right"], warm.reaction["right"]
    np.testing.assert_allclose(other, one, rtol=0, atol=1e-8 * np.abs(one).max())
    assert warm.micro_guesses["taken"] > 0
    assert warm.micro_iterations < 0.9 * plain.micro_iterations


def test_the_commands_make_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings_of(tmp_path)
    for command, said in (("generate", "cell_image.npz"), ("train", "error of the fluctuation")):
        with pytest.raises(SystemExit) as done:
            main([command, str(tmp_path / "config.toml")])
        assert done.value.code == 0 and said in capsys.readouterr().out
    with pytest.raises(InputError, match="guess of the cell and no Material"):
        fit(read_dataset(tmp_path / "out" / "dataset"), settings_of(tmp_path).train)


def test_other_cells_are_refused_where_they_must_be(tmp_path: Path) -> None:
    """Another fraction or mesh is not; other laws, lattices, boundaries and names are."""
    first = settings_of(tmp_path, guess="field_network")
    with pytest.raises(InputError, match="does not exist"):
        load_material(first)
    made(first)
    other = settings_of(
        tmp_path, guess="field_network", resolution=4, fractions="soft = 0.75, stiff = 0.25"
    )
    F = unseen(2)
    assert load_material(other).evaluate(F).report["guess_taken"].all()
    for changed, said in (
        ({"soft": 1.1}, "laws of the phases"), ({"boundary": "linear"}, "or boundary"),
        ({"boundary": "traction"}, "periodic"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=said):
            load_material(settings_of(tmp_path, guess="field_network", **changed))


def test_cells_of_other_folders_are_learned_too(tmp_path: Path) -> None:
    second = settings_of(tmp_path, folder="second", fractions="soft = 0.75, stiff = 0.25")
    ensure_dataset(second)
    ensure_image(second)
    both = settings_of(tmp_path, also='also = ["second"]')
    trained = made(both)
    assert len(set(trained.card["cells"])) == 2 and not trained.reused
    with pytest.raises(InputError, match="grid is 9"):
        ensure_field_network(settings_of(tmp_path, grid=9))
    foreign = settings_of(tmp_path, folder="second", soft=2.0)
    ensure_dataset(foreign)
    ensure_image(foreign)
    with pytest.raises(InputError, match="second.*another laws"):
        ensure_field_network(settings_of(tmp_path, also='also = ["second"]'))
    with pytest.raises(InputError, match="there is no image.*field_network"):
        ensure_field_network(settings_of(tmp_path, folder="third"))


def test_a_network_that_does_not_say_for_which_cells_is_refused(tmp_path: Path) -> None:
    """Its card lacks what a cell is checked by."""
    settings = settings_of(tmp_path, guess="field_network")
    shape = FieldShape(2, 2, 4, 4, 2, width=3, waves=1, layers=1)
    save_field(settings.field_network, FieldOperator(shape), {"x": 1})
    with pytest.raises(InputError, match="does not say for which cells"):
        load_material(settings)
