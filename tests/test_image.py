"""Cells of images: in place, in proportion, and in agreement with cells made otherwise."""

import re
import zlib
from pathlib import Path

import numpy as np
import pytest
from dolfinx.mesh import compute_midpoints
from PIL import Image

from fesurrogate import InputError, Kinematics
from fesurrogate.fem.compat import geometry_dofmap
from fesurrogate.micro import Cell, RVEMaterial, image_cell, laminate_cell, linear_elastic

PICTURE = np.array([[1, 1, 0, 0], [2, 0, 0, 0], [0, 0, 0, 0]], dtype=np.uint8)
NAMES = {"rest": 0, "top": 1, "left": 2}


def middles(cell: Cell, name: str) -> list:
    d = cell.mesh.geometry.dim
    points = compute_midpoints(cell.mesh, d, cell.phase_cells[name])[:, :d]
    return sorted(map(tuple, points.round(12).tolist()))


def stiffness(cell: Cell, **young: float) -> np.ndarray:
    phases = {name: linear_elastic(young=E, poisson=0.3) for name, E in young.items()}
    kinematics = Kinematics(cell.mesh.geometry.dim, "small")
    rve = RVEMaterial(cell, phases, kinematics, degree=1)
    return rve.evaluate(np.zeros((1, kinematics.size))).tangent[0]


def test_a_picture_lies_as_it_looks() -> None:
    cell = image_cell(PICTURE, phases=NAMES, spacing=(2.0, 1.0))
    assert middles(cell, "top") == [(1.0, 2.5), (3.0, 2.5)]
    assert middles(cell, "left") == [(1.0, 1.5)]
    corners = cell.mesh.geometry.x[geometry_dofmap(cell.mesh)]  # (cells, 4, 3)
    along = corners[:, 1] - corners[:, 0]
    np.testing.assert_allclose(along, np.tile([2.0, 0.0, 0.0], (12, 1)), atol=1e-12)
    np.testing.assert_allclose(cell.lattice, np.diag([8.0, 3.0]), atol=1e-12)
    assert cell.volume_fractions() == pytest.approx({"rest": 0.75, "top": 2 / 12, "left": 1 / 12})


def test_pages_of_a_stack_follow_along_z() -> None:
    stack = np.zeros((2, 3, 4), dtype=int)
    stack[1, 0, 3] = 1
    cell = image_cell(stack, phases={"rest": 0, "top": 1}, spacing=(1.0, 2.0, 3.0))
    assert middles(cell, "top") == [(3.5, 5.0, 4.5)]
    np.testing.assert_allclose(np.diag(cell.lattice), [4.0, 6.0, 6.0], atol=1e-12)


def test_files_give_the_cell_of_their_array(tmp_path: Path) -> None:
    expected = image_cell(PICTURE, phases=NAMES).fingerprint
    Image.fromarray(PICTURE).save(tmp_path / "a.png")
    Image.fromarray(PICTURE.astype(np.uint16)).save(tmp_path / "a.tiff")
    indexed = Image.fromarray(PICTURE, mode="L").convert("P")
    indexed.putdata(PICTURE.ravel().tolist())
    indexed.save(tmp_path / "palette.png")
    np.save(tmp_path / "a.npy", PICTURE.astype(np.int64))
    for name in ("a.png", "a.tiff", "palette.png", "a.npy"):
        assert image_cell(tmp_path / name, phases=NAMES).fingerprint == expected, name
    stack = np.stack([PICTURE, PICTURE[::-1], PICTURE])
    pages = [Image.fromarray(page) for page in stack]
    pages[0].save(tmp_path / "stack.tif", save_all=True, append_images=pages[1:])
    cell = image_cell(tmp_path / "stack.tif", phases=NAMES)
    assert cell.fingerprint == image_cell(stack, phases=NAMES).fingerprint
    Image.fromarray(PICTURE == 0).save(tmp_path / "black_and_white.png")
    cell = image_cell(tmp_path / "black_and_white.png", phases={"others": 0, "rest": 1})
    assert cell.volume_fractions() == pytest.approx({"rest": 0.75, "others": 0.25})


@pytest.mark.parametrize("gdim", [2, 3])
def test_the_image_of_a_laminate_is_as_stiff_as_the_laminate(gdim: int) -> None:
    """Its answer is in every space of piecewise linear functions, so only rounding differs."""
    image = np.zeros((2,) * (gdim - 1) + (10,), dtype=int)
    image[..., 3:] = 7
    made = image_cell(image, phases={"soft": 0, "stiff": 7}, spacing=0.1)
    laminate = laminate_cell(gdim, {"soft": 0.3, "stiff": 0.7}, resolution=4)
    C = stiffness(laminate, soft=1.0, stiff=10.0)
    np.testing.assert_allclose(stiffness(made, soft=1.0, stiff=10.0), C, atol=1e-12 * C.max())


def test_coarsening_takes_the_majority_and_of_equals_the_first_named() -> None:
    image = np.array(
        [[0, 0, 1, 1, 2, 2], [0, 1, 1, 0, 2, 2], [2, 2, 0, 0, 2, 0], [1, 1, 1, 1, 0, 2]]
    )
    up = image_cell(image, phases={"0": 0, "1": 1, "2": 2}, coarsen=2)
    assert middles(up, "0") == [(1.0, 3.0), (3.0, 1.0), (5.0, 1.0)]
    assert middles(up, "1") == [(1.0, 1.0), (3.0, 3.0)]
    down = image_cell(image, phases={"2": 2, "1": 1, "0": 0}, coarsen=2)
    assert middles(down, "2") == [(1.0, 1.0), (5.0, 1.0), (5.0, 3.0)]
    assert middles(down, "1") == [(3.0, 1.0), (3.0, 3.0)]
    np.testing.assert_allclose(down.lattice, np.diag([6.0, 4.0]), atol=1e-12)


def test_void_pixels_are_left_out_and_counted() -> None:
    image = np.zeros((6, 6), dtype=int)
    image[2:4, 2:4] = 255
    cell = image_cell(image, phases={"matrix": 0, "pore": 255}, void="pore")
    assert cell.mesh.topology.index_map(2).size_local == 32
    assert cell.volume_fractions() == pytest.approx({"matrix": 32 / 36, "pore": 4 / 36})
    soft = stiffness(image_cell(image, phases={"matrix": 0, "pore": 255}), matrix=1.0, pore=1e-9)
    np.testing.assert_allclose(stiffness(cell, matrix=1.0), soft, atol=1e-8)


@pytest.mark.parametrize(
    ("image", "options", "message"),
    [
        (PICTURE, {"phases": {"a": 0}}, "phases names a; expected at least two"),
        (PICTURE, {"phases": {"a": 0, "b": [1, 0]}}, "label 0 is of phase a and of b"),
        (PICTURE, {"phases": {"a": 0, "b": []}}, "phase b has no label"),
        (PICTURE, {"phases": {"a": 0, "b": 1}}, "1 label(s) belong to no phase, the first 2"),
        (PICTURE, {"phases": {**NAMES, "d": 9}}, "no pixel has the label 9 of phase d; its labels"),
        (PICTURE, {"void": "hole"}, "void is 'hole'; expected one of the phases rest, top, left"),
        (PICTURE, {"coarsen": 2}, "4 x 3 pixels along x, y ...; coarsen = 2 does not divide them"),
        (PICTURE, {"coarsen": 0}, "coarsen is 0"),
        (PICTURE, {"spacing": 0.0}, "spacing is 0.0"),
        (PICTURE, {"spacing": (1.0, 1.0, 1.0)}, "expected a number > 0, or 2 of them"),
        (np.ones((3, 3), dtype=int), {}, "a single label, 1 (1); expected at least two phases"),
        (PICTURE / 2, {}, "of type float64; expected whole numbers"),
        (np.zeros(3, dtype=int), {}, "of shape (3,); expected [row, column]"),
        (np.pad([[1]], 2), {"phases": {"a": 0, "b": 1}, "void": "a"}, "the cell is connected"),
        (
            np.pad([[1]], (0, 1)),
            {"phases": {"a": 0, "b": 1}, "coarsen": 2},
            "no element is left of",
        ),
    ],
)
def test_unusable_images_are_refused(image: np.ndarray, options: dict, message: str) -> None:
    arguments = {"phases": NAMES, **options}
    with pytest.raises(InputError, match=re.escape(message)):
        image_cell(image, **arguments)


def test_unusable_files_are_refused(tmp_path: Path) -> None:
    colours = tmp_path / "colours.png"
    Image.fromarray(np.zeros((3, 3, 3), dtype=np.uint8)).save(colours)
    pages = [Image.fromarray(np.zeros(shape, dtype=np.uint8)) for shape in [(3, 3), (4, 3)]]
    pages[0].save(tmp_path / "pages.tif", save_all=True, append_images=pages[1:])
    (tmp_path / "text.png").write_text("no image")
    np.save(tmp_path / "objects.npy", np.array([[None, {}]]), allow_pickle=True)
    Image.fromarray(np.eye(4, dtype=np.uint8)).save(tmp_path / "whole.png")
    content = (tmp_path / "whole.png").read_bytes()
    head = b"IHDR" + (20_000).to_bytes(4, "big") + (4_000).to_bytes(4, "big") + content[24:29]
    larger = content[:12] + head + zlib.crc32(head).to_bytes(4, "big") + content[33:]
    (tmp_path / "claims.png").write_bytes(larger)
    for name, message in [
        ("claims.png", "claims 80000000 pixels in .* bytes, more than can be"),
        ("colours.png", "is an image of mode RGB.*convert it to grey"),
        ("pages.tif", "its 2 pages differ in size"),
        ("text.png", "cannot read the image .*text.png: .*; expected a PNG, TIFF or NPY file"),
        ("objects.npy", "cannot read the image .*objects.npy"),
        ("missing.png", "there is no image .*missing.png"),
    ]:
        with pytest.raises(InputError, match=message):
            image_cell(tmp_path / name, phases=NAMES)
